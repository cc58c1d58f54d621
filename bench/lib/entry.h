/* entry.h - entries of streams that say which they are. Pure functions; any thread. */
#ifndef BENCH_LIB_ENTRY_H
#define BENCH_LIB_ENTRY_H
#include <stddef.h>
#include <stdint.h>

enum {
    ENTRY_FIELD_BYTES_MAX = 16,
    ENTRY_VALUE_BYTES_MAX = 4096,
    ENTRY_REQUEST_EXTRA_BYTES = 200 /* of an XADD, beside the value */
};

/* Entry number n, from 1 on, of "stream" has the id n-0 and one field, whose value is element
 * number n (element.h). Writes its XADD to out; the number of bytes, at most value_bytes +
 * ENTRY_REQUEST_EXTRA_BYTES. */
size_t entry_encode(uint8_t *out, uint64_t number, const char *field, size_t value_bytes);
#endif
