/* blob.h - a string of an RDB file, plain, compressed (LZF) or a number, as bytes that come in
 * pieces: whatever its length, it takes the same few kilobytes to read.
 *
 * liblzf decompresses only what is in memory as a whole, packed and unpacked; a value may be longer
 * than memory, and its length is only what the file claims. So this decodes into a sliding window.
 * One blob at a time over an input; errors as input.h. */
#ifndef MODULES_RDB_BLOB_H
#define MODULES_RDB_BLOB_H
#include "modules/rdb/input.h"

/* A match refers back at most so far. */
enum { LZF_DISTANCE_MAX = 8192, BLOB_WINDOW_BYTES = LZF_DISTANCE_MAX + RDB_PIECE_BYTES };

enum blob_form { BLOB_PLAIN, BLOB_NUMBER, BLOB_LZF };

struct blob {
    struct rdb_input *input;
    enum blob_form form;
    uint64_t size, left; /* of the string; not taken yet */

    char number[24]; /* BLOB_NUMBER: as text */

    /* BLOB_LZF */
    uint8_t *window;       /* BLOB_WINDOW_BYTES, made at the first need */
    size_t begin, end;     /* window[begin, end) is decoded and not taken yet */
    uint64_t packed_left;  /* bytes of the file that are still its own */
    uint64_t decoded;      /* bytes so far */
    uint32_t literal_left; /* of the run that is being copied */
    uint32_t match_left, match_distance;
};

/* A length as RDB writes it. *out_is_encoded (NULL: refused): what follows is no length but of that
 * kind of string. */
int rdb_read_length(struct rdb_input *input, uint64_t *out_length, bool *out_is_encoded);

/* blob is zeroed memory, or was used before with any input. */
int blob_open(struct rdb_input *input, struct blob *blob);
/* Takes 1 to want bytes (want > 0, and at most what is left), not above RDB_PIECE_BYTES: a view,
 * good until the next call. */
int blob_take(struct blob *blob, uint64_t want, struct slice *out_bytes);
/* Takes exactly size bytes; -EBADMSG when the string has fewer. */
int blob_read(struct blob *blob, void *bytes, size_t size);
/* Takes all that is left without decoding it. */
int blob_skip(struct blob *blob);
/* Frees what the blob holds. */
void blob_finish(struct blob *blob);
#endif
