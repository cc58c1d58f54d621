#include "modules/rdb/packed.h"

#include <errno.h>

#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "modules/rdb/blob.h"

enum { PACKED_END = 0xff, COUNT_UNKNOWN = 0xffff };

static int damaged(struct blob *blob, const char *what)
{
    return rdb_input_fail(blob->input, -EBADMSG, "%s", what);
}

int packed_read_plain(struct blob *blob, uint64_t size, const struct packed_sink *sink)
{
    uint64_t offset = 0;

    if (size > blob->left) return damaged(blob, "an element is longer than its packed list");
    if (size == 0) return sink->part(sink->context, slice_of(NULL, 0), 0, 0);
    while (offset < size) {
        struct slice part;
        int rc = blob_take(blob, size - offset, &part);
        if (rc == 0) rc = sink->part(sink->context, part, offset, size);
        if (rc < 0) return rc;
        offset += part.size;
    }
    return 0;
}

static int give_number(int64_t value, const struct packed_sink *sink)
{
    char text[NUMBER_INT64_BYTES_MAX];
    size_t size = number_format_int64(text, value);

    return sink->part(sink->context, slice_of(text, size), 0, size);
}

/* A little-endian number of 1 to 8 bytes with its sign. */
static int read_signed(struct blob *blob, size_t size, int64_t *out_value)
{
    uint8_t bytes[8] = { 0 };
    unsigned shift = (unsigned)(64 - 8 * size);
    int rc = blob_read(blob, bytes, size);

    if (rc == 0) *out_value = (int64_t)(load_u64le(bytes) << shift) >> shift;
    return rc;
}

static int check_count(struct blob *blob, uint16_t told, uint64_t count)
{
    if (told != COUNT_UNKNOWN && told != count)
        return damaged(blob, "a packed list holds another number of elements than it says");
    return blob->left > 0 ? damaged(blob, "bytes follow the end of a packed list") : 0;
}

/* ---- listpack ----------------------------------------------------------------------------------
 *
 *   u32 bytes · u16 count · entries: encoding, data, length of both backwards · 0xff
 *
 *   0xxxxxxx                 7-bit number         11110000 u32   string
 *   10xxxxxx                 6-bit string         11110001 .. 4  number of 2, 3, 4, 8 bytes
 *   110xxxxx xxxxxxxx        13-bit number
 *   1110xxxx xxxxxxxx        12-bit string */

/* What follows an entry of size bytes: its size, seven bits a byte, the highest first, with a flag
 * on all bytes but the first. Redis's limits, which are one lower than seven bits would allow. */
static size_t back_bytes(uint64_t size)
{
    if (size <= 127) return 1;
    if (size < 16383) return 2;
    if (size < 2097151) return 3;
    return size < 268435455 ? 4 : 5;
}

static int check_back(struct blob *blob, uint64_t size)
{
    size_t count = back_bytes(size);
    uint8_t bytes[5];
    uint64_t value = 0;
    int rc = blob_read(blob, bytes, count);

    for (size_t i = 0; i < count && rc == 0; i++) {
        if ((bytes[i] >> 7) != (i > 0)) return damaged(blob, "a listpack's entry has a wrong end");
        value = value << 7 | (bytes[i] & 127u);
    }
    if (rc == 0 && value != size) rc = damaged(blob, "a listpack's entry has a wrong end");
    return rc;
}

/* The length of a string entry, from its first byte. *out_header: bytes of encoding. 1: a string;
 * 0: none. */
static int listpack_string(struct blob *blob, uint8_t first, uint64_t *out_size,
                           uint64_t *out_header)
{
    uint8_t bytes[4];
    int rc;

    if ((first & 0xc0) == 0x80) {
        *out_size = first & 63;
        *out_header = 1;
        return 1;
    }
    if ((first & 0xf0) == 0xe0) {
        rc = blob_read(blob, bytes, 1);
        *out_size = (uint64_t)(first & 15) << 8 | bytes[0];
        *out_header = 2;
        return rc < 0 ? rc : 1;
    }
    if (first != 0xf0) return 0;
    rc = blob_read(blob, bytes, 4);
    *out_size = rc < 0 ? 0 : load_u32le(bytes);
    *out_header = 5;
    return rc < 0 ? rc : 1;
}

/* *out_bytes: of the whole entry, before its end. */
static int listpack_number(struct blob *blob, uint8_t first, int64_t *out_value,
                           uint64_t *out_bytes)
{
    static const uint8_t sizes[] = { 2, 3, 4, 8 };
    uint8_t low = 0;
    size_t size;
    int rc;

    if (first < 0x80) {
        *out_value = first;
        *out_bytes = 1;
        return 0;
    }
    if ((first & 0xe0) == 0xc0) {
        rc = blob_read(blob, &low, 1);
        *out_value = (first & 31) << 8 | low;
        if (*out_value >= 1 << 12) *out_value -= 1 << 13;
        *out_bytes = 2;
        return rc;
    }
    if (first < 0xf1 || first > 0xf4)
        return damaged(blob, "a listpack's entry is of no known kind");
    size = sizes[first - 0xf1];
    *out_bytes = 1 + size;
    return read_signed(blob, size, out_value);
}

static int listpack_entry(struct blob *blob, uint8_t first, const struct packed_sink *sink)
{
    uint64_t size = 0, header = 0;
    int64_t value = 0;
    int rc = listpack_string(blob, first, &size, &header);

    if (rc < 0) return rc;
    if (rc == 1) {
        rc = packed_read_plain(blob, size, sink);
        return rc < 0 ? rc : check_back(blob, header + size);
    }
    rc = listpack_number(blob, first, &value, &header);
    if (rc == 0) rc = check_back(blob, header);
    return rc < 0 ? rc : give_number(value, sink);
}

int packed_read_listpack(struct blob *blob, const struct packed_sink *sink)
{
    uint8_t header[6], first;
    uint64_t size = blob->size, count = 0;
    int rc = blob_read(blob, header, sizeof(header));

    if (rc == 0 && load_u32le(header) != size)
        rc = damaged(blob, "a listpack has another size than it says");
    while (rc == 0) {
        rc = blob_read(blob, &first, 1);
        if (rc < 0) break;
        if (first == PACKED_END) return check_count(blob, load_u16le(header + 4), count);
        rc = listpack_entry(blob, first, sink);
        if (rc > 0) rc = 0;
        count++;
    }
    return rc;
}

/* ---- ziplist -----------------------------------------------------------------------------------
 *
 *   u32 bytes · u32 offset of the last entry · u16 count
 *   · entries: length of the one before (u8, or 0xfe u32), encoding, data · 0xff
 *
 *   00xxxxxx                       6-bit string       1100 / 1101 / 1110 / 1111 0000   number of 2,
 * 4, 8, 3 bytes 01xxxxxx xxxxxxxx              14-bit string      11111110 number of 1 byte
 *   10...... u32, big-endian       string             1111xxxx                         x - 1: 0 to
 * 12 */

struct ziplist_entry {
    uint64_t header_bytes, data_bytes; /* all that the entry takes */
    bool is_number;
    int64_t value;
};

static int ziplist_number(struct blob *blob, uint8_t first, struct ziplist_entry *entry)
{
    entry->is_number = true;
    switch (first) {
    case 0xc0:
        entry->data_bytes = 2;
        break;
    case 0xd0:
        entry->data_bytes = 4;
        break;
    case 0xe0:
        entry->data_bytes = 8;
        break;
    case 0xf0:
        entry->data_bytes = 3;
        break;
    case 0xfe:
        entry->data_bytes = 1;
        break;
    default:
        if (first <= 0xf0 || first > 0xfd)
            return damaged(blob, "a ziplist's entry is of no known kind");
        entry->value = (first & 15) - 1;
        return 0;
    }
    return read_signed(blob, (size_t)entry->data_bytes, &entry->value);
}

/* The encoding, and a number's value. */
static int ziplist_encoding(struct blob *blob, struct ziplist_entry *entry)
{
    uint8_t first, bytes[4];
    int rc = blob_read(blob, &first, 1);

    if (rc < 0) return rc;
    entry->header_bytes++;
    switch (first >> 6) {
    case 0:
        entry->data_bytes = first & 63;
        return 0;
    case 1:
        rc = blob_read(blob, bytes, 1);
        entry->header_bytes++;
        entry->data_bytes = (uint64_t)(first & 63) << 8 | bytes[0];
        return rc;
    case 2:
        rc = blob_read(blob, bytes, 4);
        entry->header_bytes += 4;
        if (rc == 0) entry->data_bytes = __builtin_bswap32(load_u32le(bytes));
        return rc;
    default:
        return ziplist_number(blob, first, entry);
    }
}

/* first: of the length of the entry before. */
static int ziplist_before(struct blob *blob, uint8_t first, uint64_t before,
                          struct ziplist_entry *entry)
{
    uint8_t bytes[4];
    uint64_t told = first;
    int rc;

    entry->header_bytes = 1;
    if (first == 0xfe) {
        rc = blob_read(blob, bytes, 4);
        if (rc < 0) return rc;
        entry->header_bytes = 5;
        told = load_u32le(bytes);
    }
    return told == before ? 0 : damaged(blob, "a ziplist's entry has a wrong length before it");
}

static int ziplist_entry(struct blob *blob, struct ziplist_entry *entry,
                         const struct packed_sink *sink)
{
    int rc = ziplist_encoding(blob, entry);

    if (rc < 0) return rc;
    if (entry->is_number) return give_number(entry->value, sink);
    return packed_read_plain(blob, entry->data_bytes, sink);
}

static int check_last(struct blob *blob, uint64_t told, uint64_t last, uint64_t count)
{
    enum { HEADER_BYTES = 10 };

    if (told == (count > 0 ? last : HEADER_BYTES)) return 0;
    return damaged(blob, "a ziplist does not find its last entry");
}

int packed_read_ziplist(struct blob *blob, const struct packed_sink *sink)
{
    uint8_t header[10], first;
    uint64_t size = blob->size, count = 0, before = 0, last = 0;
    int rc = blob_read(blob, header, sizeof(header));

    if (rc == 0 && load_u32le(header) != size)
        rc = damaged(blob, "a ziplist has another size than it says");
    while (rc == 0) {
        struct ziplist_entry entry = { 0 };
        uint64_t at = size - blob->left;

        rc = blob_read(blob, &first, 1);
        if (rc < 0) break;
        if (first == PACKED_END) {
            rc = check_last(blob, load_u32le(header + 4), last, count);
            return rc < 0 ? rc : check_count(blob, load_u16le(header + 8), count);
        }
        last = at;
        rc = ziplist_before(blob, first, before, &entry);
        if (rc == 0) rc = ziplist_entry(blob, &entry, sink);
        if (rc > 0) rc = 0;
        before = entry.header_bytes + entry.data_bytes;
        count++;
    }
    return rc;
}
