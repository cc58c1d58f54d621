/* checkpoint_format.h - what the bytes of a checkpoint file mean. Pure functions; any thread.
 *
 * A file is a head, blocks of data, and one block that is the end, to the file's last byte. The
 * data of all blocks, one behind the other, are a row of records; a block ends anywhere in it.
 * Everything is little-endian.
 *
 *   head
 *   0        8         12       16       24       32        40        48       64
 *   +--------+---------+--------+--------+--------+---------+---------+--------+
 *   | magic  | version | crc32c | number | zeros  | log pos | time ms | zeros  |
 *   +--------+---------+--------+--------+--------+---------+---------+--------+
 *    crc32c: of the head with zero in its place
 *
 *   block
 *   0        4        8        12       16                24          24+size
 *   +--------+--------+--------+--------+-----------------+-----------+
 *   | crc32c | size   | kind   | zero   | offset in file  | data      |
 *   +--------+--------+--------+--------+-----------------+-----------+
 *             |<---- covered by crc32c, seeded with the head's ------>|
 *
 *   the data of the end: u64 bytes of records | u64 keys | u64 records
 *
 *   record
 *   0      1       2          4            8            16           24
 *   +------+-------+----------+------------+------------+------------+------+-------+
 *   | kind | flags | database | name bytes | value bytes| expires at | name | value |
 *   +------+-------+----------+------------+------------+------------+------+-------+
 *    expires at: ms since 1970, there only when flags say so
 *
 *   value of a stream
 *   0       4                8               16                 24
 *   +-------+----------------+---------------+------------------+
 *   | flags | settings bytes | entries bytes | producers bytes  |
 *   +-------+----------------+---------------+------------------+
 *   24         …         …           …
 *   +----------+---------+-----------+--------+
 *   | settings | entries | producers | groups |    images (types/stream_settings.h,
 *   +----------+---------+-----------+--------+    modules/stream); only entries must be there
 *    Flags may say that groups or producers, being large, follow in records of their own.
 *
 *   value of a piece of groups or of producers, whose name and database are the stream's
 *   0        8       16
 *   +--------+-------+-------+
 *   | offset | total | bytes |    pieces of one stream's groups lie in order, with no other
 *   +--------+-------+-------+    pieces between; so do those of its producers
 */
#ifndef SERVER_DURABILITY_CHECKPOINT_FORMAT_H
#define SERVER_DURABILITY_CHECKPOINT_FORMAT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHECKPOINT_VERSION = 2, /* 1: without streams; is read, too */
    CHECKPOINT_HEAD_BYTES = 64,
    CHECKPOINT_BLOCK_HEADER_BYTES = 24,
    CHECKPOINT_BLOCK_DATA_MAX = 256 * 1024,
    CHECKPOINT_END_BYTES = 24,
    CHECKPOINT_RECORD_BYTES_MAX = 24, /* of a record's own fields */
    CHECKPOINT_RECORD_BYTES_MIN = 16,
    CHECKPOINT_STREAM_BYTES = 24, /* of what stands before a stream's images */
    CHECKPOINT_PIECE_BYTES = 16,  /* of what stands before a piece of groups or producers */
    CHECKPOINT_PIECE = 64 << 10,  /* bytes at most; what is longer comes in pieces */
};

struct checkpoint_head {
    uint64_t number;       /* the N of its name */
    uint64_t log_position; /* where the log goes on; no two logs of a store share one */
    uint64_t time_ms;      /* since 1970, when the picture was begun */
};

enum checkpoint_block_kind { CHECKPOINT_BLOCK_RECORDS = 1, CHECKPOINT_BLOCK_END = 2 };

struct checkpoint_block {
    uint32_t crc, size;
    enum checkpoint_block_kind kind;
};

struct checkpoint_end {
    uint64_t record_bytes, key_count, record_count;
};

enum checkpoint_record_kind {
    CHECKPOINT_STRING = 1,
    CHECKPOINT_LIST = 2,  /* value: a root, as modules/spill/persist.h gives it */
    CHECKPOINT_STORE = 3, /* no key: a piece of what spill needs to open its files again */
    CHECKPOINT_STREAM = 4,
    CHECKPOINT_GROUPS = 5,    /* no key: a piece of the groups of a stream that came before */
    CHECKPOINT_PRODUCERS = 6, /* likewise of its producers */
};

struct checkpoint_stream {
    /* Of the images that follow; groups have the rest. */
    uint32_t settings_bytes;
    uint64_t entries_bytes, producers_bytes;
    bool groups_follow, producers_follow; /* as records */
};

struct checkpoint_piece {
    uint64_t offset, total_bytes;
};

struct checkpoint_record {
    enum checkpoint_record_kind kind;
    unsigned database;
    uint32_t name_size;
    uint64_t value_size;
    int64_t expires_at_ms; /* -1: never */
};

void checkpoint_head_write(const struct checkpoint_head *head,
                           uint8_t bytes[CHECKPOINT_HEAD_BYTES]);
/* 0; -EBADMSG: it is none, or damaged; -EPROTONOSUPPORT: of another version, which is in
 * *out_version in any case. */
int checkpoint_head_read(const uint8_t bytes[CHECKPOINT_HEAD_BYTES],
                         struct checkpoint_head *out_head, uint32_t *out_version);
/* What the blocks of a file with that head are seeded with. */
uint32_t checkpoint_head_seed(const uint8_t bytes[CHECKPOINT_HEAD_BYTES]);

/* Fills the header in front of the data that lies behind it. */
void checkpoint_block_seal(uint8_t *block, uint32_t size, enum checkpoint_block_kind kind,
                           uint64_t offset, uint32_t seed);
/* Reads a header. 0, or -EBADMSG: no block begins there. */
int checkpoint_block_read(const uint8_t bytes[CHECKPOINT_BLOCK_HEADER_BYTES], uint64_t offset,
                          struct checkpoint_block *out_block);
/* False: header and data are not what was written. */
bool checkpoint_block_is_whole(const uint8_t *block, uint32_t seed);

void checkpoint_end_write(const struct checkpoint_end *end, uint8_t bytes[CHECKPOINT_END_BYTES]);
void checkpoint_end_read(const uint8_t bytes[CHECKPOINT_END_BYTES], struct checkpoint_end *out_end);

/* The record's own fields, which name and value follow; their number. */
size_t checkpoint_record_write(const struct checkpoint_record *record,
                               uint8_t bytes[CHECKPOINT_RECORD_BYTES_MAX]);
/* How many bytes checkpoint_record_read needs, from the first CHECKPOINT_RECORD_BYTES_MIN. */
size_t checkpoint_record_size(const uint8_t bytes[CHECKPOINT_RECORD_BYTES_MIN]);
/* 0, or -EBADMSG: that is no record. */
int checkpoint_record_read(const uint8_t *bytes, struct checkpoint_record *out_record);
/* Whether such a record is a piece of what a stream has; whether it is a key. */
bool checkpoint_record_is_piece(enum checkpoint_record_kind kind);
bool checkpoint_record_is_key(enum checkpoint_record_kind kind);

void checkpoint_stream_write(const struct checkpoint_stream *stream,
                             uint8_t bytes[CHECKPOINT_STREAM_BYTES]);
/* value_bytes: of the record. 0, or -EBADMSG: no such value begins so. */
int checkpoint_stream_read(const uint8_t bytes[CHECKPOINT_STREAM_BYTES], uint64_t value_bytes,
                           struct checkpoint_stream *out_stream);
void checkpoint_piece_write(const struct checkpoint_piece *piece,
                            uint8_t bytes[CHECKPOINT_PIECE_BYTES]);
/* value_bytes: of the record. 0, or -EBADMSG: no such value begins so. */
int checkpoint_piece_read(const uint8_t bytes[CHECKPOINT_PIECE_BYTES], uint64_t value_bytes,
                          struct checkpoint_piece *out_piece);
#endif
