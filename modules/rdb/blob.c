#include "modules/rdb/blob.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/endian.h"
#include "modules/base/number.h"

enum { LENGTH_6 = 0, LENGTH_14 = 1, LENGTH_32_OR_64 = 2, LENGTH_ENCODED = 3 };
enum { IS_32_BITS = 0x80, IS_64_BITS = 0x81 };
enum { ENCODED_INT8 = 0, ENCODED_INT16 = 1, ENCODED_INT32 = 2, ENCODED_LZF = 3 };

int rdb_read_length(struct rdb_input *input, uint64_t *out_length, bool *out_is_encoded)
{
    uint8_t bytes[8];
    int rc = rdb_input_read(input, bytes, 1);

    *out_length = 0;
    if (rc < 0) return rc;
    if (out_is_encoded) *out_is_encoded = false;
    switch (bytes[0] >> 6) {
    case LENGTH_6:
        *out_length = bytes[0] & 63;
        return 0;
    case LENGTH_14:
        *out_length = (uint64_t)(bytes[0] & 63) << 8;
        rc = rdb_input_read(input, bytes, 1);
        if (rc == 0) *out_length |= bytes[0];
        return rc;
    case LENGTH_32_OR_64:
        if (bytes[0] == IS_32_BITS) {
            rc = rdb_input_read(input, bytes, 4);
            if (rc == 0) *out_length = __builtin_bswap32(load_u32le(bytes));
            return rc;
        }
        if (bytes[0] != IS_64_BITS) break;
        rc = rdb_input_read(input, bytes, 8);
        if (rc == 0) *out_length = __builtin_bswap64(load_u64le(bytes));
        return rc;
    default:
        if (!out_is_encoded) break;
        *out_is_encoded = true;
        *out_length = bytes[0] & 63;
        return 0;
    }
    return rdb_input_fail(input, -EBADMSG, "no length begins with 0x%02x", bytes[0]);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static int open_number(struct blob *blob, uint64_t encoding)
{
    uint8_t bytes[4];
    int rc = rdb_input_read(blob->input, bytes, (size_t)1 << encoding);
    int64_t value;

    if (rc < 0) return rc;
    value = encoding == ENCODED_INT8    ? (int8_t)bytes[0]
            : encoding == ENCODED_INT16 ? (int16_t)load_u16le(bytes)
                                        : (int32_t)load_u32le(bytes);
    blob->form = BLOB_NUMBER;
    blob->size = number_format_int64(blob->number, value);
    return 0;
}

static int open_lzf(struct blob *blob)
{
    int rc = rdb_read_length(blob->input, &blob->packed_left, NULL);

    if (rc == 0) rc = rdb_read_length(blob->input, &blob->size, NULL);
    if (rc < 0) return rc;
    if (blob->packed_left > rdb_input_left(blob->input))
        return rdb_input_fail(blob->input, -EBADMSG,
                              "a string of %llu compressed bytes is longer than the file",
                              (unsigned long long)blob->packed_left);
    if (blob->size == 0 || blob->packed_left == 0)
        return rdb_input_fail(blob->input, -EBADMSG, "a compressed string is empty");
    if (!blob->window) blob->window = malloc(BLOB_WINDOW_BYTES);
    if (!blob->window) return -ENOMEM;
    blob->form = BLOB_LZF;
    return 0;
}

int blob_open(struct rdb_input *input, struct blob *blob)
{
    uint64_t length;
    bool is_encoded;
    int rc = rdb_read_length(input, &length, &is_encoded);

    *blob = (struct blob){ .input = input, .form = BLOB_PLAIN, .window = blob->window };
    if (rc < 0) return rc;
    if (!is_encoded) {
        blob->size = length;
        if (length > rdb_input_left(input))
            return rdb_input_fail(input, -EBADMSG, "a string of %llu bytes is longer than the file",
                                  (unsigned long long)length);
    } else if (length == ENCODED_LZF) {
        rc = open_lzf(blob);
    } else if (length < ENCODED_LZF) {
        rc = open_number(blob, length);
    } else {
        rc = rdb_input_fail(input, -EBADMSG, "no string is encoded as %llu",
                            (unsigned long long)length);
    }
    blob->left = blob->size;
    return rc;
}

void blob_finish(struct blob *blob)
{
    free(blob->window);
    blob->window = NULL;
}

/* ---- LZF ---------------------------------------------------------------------------------------
 */

static int damaged(struct blob *blob)
{
    return rdb_input_fail(blob->input, -EBADMSG, "a compressed string is damaged");
}

static int packed_byte(struct blob *blob, uint8_t *out_byte)
{
    if (blob->packed_left == 0) return damaged(blob);
    blob->packed_left--;
    return rdb_input_read(blob->input, out_byte, 1);
}

/* The next token: a run of literal bytes, or a match of bytes that came before. */
static int next_token(struct blob *blob)
{
    uint8_t token, byte = 0;
    int rc = packed_byte(blob, &token);

    if (rc < 0) return rc;
    if (token < 32) {
        blob->literal_left = token + 1u;
        return blob->literal_left > blob->size - blob->decoded ? damaged(blob) : 0;
    }
    blob->match_left = token >> 5;
    if (blob->match_left == 7) {
        rc = packed_byte(blob, &byte);
        blob->match_left += byte;
    }
    if (rc == 0) rc = packed_byte(blob, &byte);
    if (rc < 0) return rc;
    blob->match_left += 2;
    blob->match_distance = ((token & 31u) << 8 | byte) + 1;
    if (blob->match_distance > blob->decoded || blob->match_left > blob->size - blob->decoded)
        return damaged(blob);
    return 0;
}

static int copy_literals(struct blob *blob, size_t room)
{
    size_t size = blob->literal_left < room ? blob->literal_left : room;
    int rc;

    if (size > blob->packed_left) return damaged(blob);
    rc = rdb_input_read(blob->input, blob->window + blob->end, size);
    if (rc < 0) return rc;
    blob->packed_left -= size;
    blob->literal_left -= (uint32_t)size;
    blob->end += size;
    blob->decoded += size;
    return 0;
}

static void copy_match(struct blob *blob, size_t room)
{
    size_t size = blob->match_left < room ? blob->match_left : room;
    uint8_t *to = blob->window + blob->end;

    /* A match may overlap what it makes: byte by byte repeats it, as meant. */
    for (size_t i = 0; i < size; i++)
        to[i] = *(to + i - blob->match_distance);
    blob->match_left -= (uint32_t)size;
    blob->end += size;
    blob->decoded += size;
}

/* Decodes until a piece is there, or all. What matches may refer to stays in front of it. */
static int decode(struct blob *blob)
{
    if (blob->end == BLOB_WINDOW_BYTES) {
        memmove(blob->window, blob->window + blob->end - LZF_DISTANCE_MAX, LZF_DISTANCE_MAX);
        blob->begin = blob->end = LZF_DISTANCE_MAX;
    }
    while (blob->end < BLOB_WINDOW_BYTES && blob->decoded < blob->size) {
        size_t room = BLOB_WINDOW_BYTES - blob->end;
        int rc = 0;

        if (blob->literal_left > 0)
            rc = copy_literals(blob, room);
        else if (blob->match_left > 0)
            copy_match(blob, room);
        else
            rc = next_token(blob);
        if (rc < 0) return rc;
    }
    if (blob->decoded == blob->size && blob->packed_left > 0) return damaged(blob);
    return 0;
}

/* ---- taking -----------------------------------------------------------------------------------
 */

static int take_decoded(struct blob *blob, uint64_t want, struct slice *out_bytes)
{
    size_t size;

    if (blob->begin == blob->end) {
        int rc = decode(blob);
        if (rc < 0) return rc;
    }
    size = blob->end - blob->begin;
    if (size > want) size = (size_t)want;
    *out_bytes = slice_of(blob->window + blob->begin, size);
    blob->begin += size;
    return 0;
}

int blob_take(struct blob *blob, uint64_t want, struct slice *out_bytes)
{
    int rc = 0;

    assert(want > 0 && want <= blob->left);
    if (want > RDB_PIECE_BYTES) want = RDB_PIECE_BYTES;
    switch (blob->form) {
    case BLOB_PLAIN:
        rc = rdb_input_take(blob->input, want, out_bytes);
        break;
    case BLOB_NUMBER:
        *out_bytes = slice_of(blob->number + (blob->size - blob->left), (size_t)want);
        break;
    case BLOB_LZF:
        rc = take_decoded(blob, want, out_bytes);
        break;
    }
    if (rc == 0) blob->left -= out_bytes->size;
    return rc;
}

int blob_read(struct blob *blob, void *bytes, size_t size)
{
    uint8_t *to = bytes;

    if (size > blob->left)
        return rdb_input_fail(blob->input, -EBADMSG, "a packed list ends too soon");
    while (size > 0) {
        struct slice taken;
        int rc = blob_take(blob, size, &taken);
        if (rc < 0) return rc;
        memcpy(to, taken.bytes, taken.size);
        to += taken.size;
        size -= taken.size;
    }
    return 0;
}

int blob_skip(struct blob *blob)
{
    uint64_t size = blob->form == BLOB_PLAIN ? blob->left
                    : blob->form == BLOB_LZF ? blob->packed_left
                                             : 0;

    blob->left = 0;
    blob->packed_left = 0;
    return rdb_input_skip(blob->input, size);
}
