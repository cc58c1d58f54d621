/* packed.h - the elements of a ziplist or listpack, read as it comes from the file.
 *
 * Sizes, counts and what links the entries backwards are compared with what is there: a packed list
 * that was cut, flipped or made up is refused (-EBADMSG) at the latest at its end. */
#ifndef MODULES_RDB_PACKED_H
#define MODULES_RDB_PACKED_H
#include "modules/base/slice.h"

struct blob;

struct packed_sink {
    /* The next bytes of an element of size bytes, from offset on; the view is good until it
     * returns. An empty element comes as one empty part. Negative: stops with that result. */
    int (*part)(void *context, struct slice part, uint64_t offset, uint64_t size);
    void *context;
};

/* blob was opened and nothing was taken from it. */
int packed_read_listpack(struct blob *blob, const struct packed_sink *sink);
int packed_read_ziplist(struct blob *blob, const struct packed_sink *sink);
/* All that is left of a blob as one element, in parts. */
int packed_read_plain(struct blob *blob, uint64_t size, const struct packed_sink *sink);
#endif
