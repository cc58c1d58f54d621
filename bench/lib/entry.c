#include "bench/lib/entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/connection.h"
#include "bench/lib/element.h"
#include "bench/lib/guard.h"

size_t entry_encode(uint8_t *out, uint64_t number, const char *field, size_t value_bytes)
{
    uint8_t value[ENTRY_VALUE_BYTES_MAX];
    char id[32];
    size_t at = encode_header(out, 5);

    if (strlen(field) > ENTRY_FIELD_BYTES_MAX || value_bytes > sizeof(value))
        bench_fail("an entry of %zu bytes", value_bytes);
    snprintf(id, sizeof(id), "%" PRIu64 "-0", number);
    element_write(number, value, value_bytes);
    at += encode_bulk(out + at, "XADD", 4);
    at += encode_bulk(out + at, "stream", 6);
    at += encode_bulk(out + at, id, strlen(id));
    at += encode_bulk(out + at, field, strlen(field));
    return at + encode_bulk(out + at, value, value_bytes);
}
