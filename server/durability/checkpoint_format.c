#include "server/durability/checkpoint_format.h"

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"

#include <assert.h>
#include <errno.h>

static const uint8_t magic[8] = { 'S', 'l', 'u', 'i', 'c', 'e', 'C', 'P' };

enum {
    HEAD_CRC_OFFSET = 12,
    RECORD_EXPIRES = 1u << 0,
    GROUPS_FOLLOW = 1u << 0,
    PRODUCERS_FOLLOW = 1u << 1
};
enum { VERSION_WITHOUT_STREAMS = 1 };

static uint32_t head_crc(const uint8_t bytes[CHECKPOINT_HEAD_BYTES])
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(0, bytes, HEAD_CRC_OFFSET);
    crc = crc32c(crc, zero, sizeof(zero));
    return crc32c(crc, bytes + HEAD_CRC_OFFSET + 4, CHECKPOINT_HEAD_BYTES - HEAD_CRC_OFFSET - 4);
}

void checkpoint_head_write(const struct checkpoint_head *head, uint8_t bytes[CHECKPOINT_HEAD_BYTES])
{
    memset(bytes, 0, CHECKPOINT_HEAD_BYTES);
    memcpy(bytes, magic, sizeof(magic));
    store_u32le(bytes + 8, CHECKPOINT_VERSION);
    store_u64le(bytes + 16, head->number);
    store_u64le(bytes + 32, head->log_position);
    store_u64le(bytes + 40, head->time_ms);
    store_u32le(bytes + HEAD_CRC_OFFSET, head_crc(bytes));
}

static bool is_known(uint32_t version)
{
    return version == CHECKPOINT_VERSION || version == VERSION_WITHOUT_STREAMS;
}

/* Another version may have its checksum elsewhere, so the version is looked at first. */
int checkpoint_head_read(const uint8_t bytes[CHECKPOINT_HEAD_BYTES],
                         struct checkpoint_head *out_head, uint32_t *out_version)
{
    *out_version = load_u32le(bytes + 8);
    if (memcmp(bytes, magic, sizeof(magic)) != 0) return -EBADMSG;
    if (load_u32le(bytes + HEAD_CRC_OFFSET) != head_crc(bytes))
        return is_known(*out_version) ? -EBADMSG : -EPROTONOSUPPORT;
    if (!is_known(*out_version)) return -EPROTONOSUPPORT;
    *out_head = (struct checkpoint_head){
        .number = load_u64le(bytes + 16),
        .log_position = load_u64le(bytes + 32),
        .time_ms = load_u64le(bytes + 40),
    };
    return 0;
}

uint32_t checkpoint_head_seed(const uint8_t bytes[CHECKPOINT_HEAD_BYTES])
{
    return load_u32le(bytes + HEAD_CRC_OFFSET);
}

/* ---- blocks ---- */

static uint32_t block_crc(const uint8_t *block, uint32_t size, uint32_t seed)
{
    return crc32c(seed, block + 4, CHECKPOINT_BLOCK_HEADER_BYTES - 4 + (size_t)size);
}

void checkpoint_block_seal(uint8_t *block, uint32_t size, enum checkpoint_block_kind kind,
                           uint64_t offset, uint32_t seed)
{
    assert(size <= CHECKPOINT_BLOCK_DATA_MAX);
    store_u32le(block + 4, size);
    store_u32le(block + 8, (uint32_t)kind);
    store_u32le(block + 12, 0);
    store_u64le(block + 16, offset);
    store_u32le(block, block_crc(block, size, seed));
}

int checkpoint_block_read(const uint8_t bytes[CHECKPOINT_BLOCK_HEADER_BYTES], uint64_t offset,
                          struct checkpoint_block *out_block)
{
    uint32_t size = load_u32le(bytes + 4), kind = load_u32le(bytes + 8);
    if (size == 0 || size > CHECKPOINT_BLOCK_DATA_MAX) return -EBADMSG;
    if (kind != CHECKPOINT_BLOCK_RECORDS && kind != CHECKPOINT_BLOCK_END) return -EBADMSG;
    if (kind == CHECKPOINT_BLOCK_END && size != CHECKPOINT_END_BYTES) return -EBADMSG;
    if (load_u32le(bytes + 12) != 0 || load_u64le(bytes + 16) != offset) return -EBADMSG;
    *out_block =
        (struct checkpoint_block){ load_u32le(bytes), size, (enum checkpoint_block_kind)kind };
    return 0;
}

bool checkpoint_block_is_whole(const uint8_t *block, uint32_t seed)
{
    return load_u32le(block) == block_crc(block, load_u32le(block + 4), seed);
}

void checkpoint_end_write(const struct checkpoint_end *end, uint8_t bytes[CHECKPOINT_END_BYTES])
{
    store_u64le(bytes, end->record_bytes);
    store_u64le(bytes + 8, end->key_count);
    store_u64le(bytes + 16, end->record_count);
}

void checkpoint_end_read(const uint8_t bytes[CHECKPOINT_END_BYTES], struct checkpoint_end *out_end)
{
    *out_end =
        (struct checkpoint_end){ load_u64le(bytes), load_u64le(bytes + 8), load_u64le(bytes + 16) };
}

/* ---- records ---- */

size_t checkpoint_record_write(const struct checkpoint_record *record,
                               uint8_t bytes[CHECKPOINT_RECORD_BYTES_MAX])
{
    bool expires = record->expires_at_ms != -1;
    bytes[0] = (uint8_t)record->kind;
    bytes[1] = expires ? RECORD_EXPIRES : 0;
    store_u16le(bytes + 2, (uint16_t)record->database);
    store_u32le(bytes + 4, record->name_size);
    store_u64le(bytes + 8, record->value_size);
    if (expires) store_u64le(bytes + 16, (uint64_t)record->expires_at_ms);
    return expires ? CHECKPOINT_RECORD_BYTES_MAX : CHECKPOINT_RECORD_BYTES_MIN;
}

size_t checkpoint_record_size(const uint8_t bytes[CHECKPOINT_RECORD_BYTES_MIN])
{
    return bytes[1] & RECORD_EXPIRES ? CHECKPOINT_RECORD_BYTES_MAX : CHECKPOINT_RECORD_BYTES_MIN;
}

int checkpoint_record_read(const uint8_t *bytes, struct checkpoint_record *out_record)
{
    uint8_t kind = bytes[0], flags = bytes[1];
    if (kind < CHECKPOINT_STRING || kind > CHECKPOINT_PRODUCERS) return -EBADMSG;
    if (flags & ~(unsigned)RECORD_EXPIRES) return -EBADMSG;
    *out_record = (struct checkpoint_record){
        .kind = (enum checkpoint_record_kind)kind,
        .database = load_u16le(bytes + 2),
        .name_size = load_u32le(bytes + 4),
        .value_size = load_u64le(bytes + 8),
        .expires_at_ms = flags & RECORD_EXPIRES ? (int64_t)load_u64le(bytes + 16) : -1,
    };
    /* What is no key has nothing of one. */
    if (kind == CHECKPOINT_STORE && (flags != 0 || out_record->database || out_record->name_size))
        return -EBADMSG;
    return checkpoint_record_is_piece(out_record->kind) && flags != 0 ? -EBADMSG : 0;
}

bool checkpoint_record_is_piece(enum checkpoint_record_kind kind)
{
    return kind == CHECKPOINT_GROUPS || kind == CHECKPOINT_PRODUCERS;
}

bool checkpoint_record_is_key(enum checkpoint_record_kind kind)
{
    return kind != CHECKPOINT_STORE && !checkpoint_record_is_piece(kind);
}

/* ---- streams ---- */

void checkpoint_stream_write(const struct checkpoint_stream *stream,
                             uint8_t bytes[CHECKPOINT_STREAM_BYTES])
{
    store_u32le(bytes, (stream->groups_follow ? GROUPS_FOLLOW : 0) |
                           (stream->producers_follow ? PRODUCERS_FOLLOW : 0));
    store_u32le(bytes + 4, stream->settings_bytes);
    store_u64le(bytes + 8, stream->entries_bytes);
    store_u64le(bytes + 16, stream->producers_bytes);
}

int checkpoint_stream_read(const uint8_t bytes[CHECKPOINT_STREAM_BYTES], uint64_t value_bytes,
                           struct checkpoint_stream *out_stream)
{
    uint32_t flags = load_u32le(bytes), settings = load_u32le(bytes + 4);
    uint64_t entries = load_u64le(bytes + 8), producers = load_u64le(bytes + 16), left;
    if (flags & ~(unsigned)(GROUPS_FOLLOW | PRODUCERS_FOLLOW)) return -EBADMSG;
    if (value_bytes < CHECKPOINT_STREAM_BYTES) return -EBADMSG;
    left = value_bytes - CHECKPOINT_STREAM_BYTES;
    if (settings > left || entries > left - settings) return -EBADMSG;
    left -= settings + entries;
    if (producers > left || (flags & GROUPS_FOLLOW && left > producers)) return -EBADMSG;
    if (flags & PRODUCERS_FOLLOW && producers > 0) return -EBADMSG;
    *out_stream = (struct checkpoint_stream){ settings, entries, producers, flags & GROUPS_FOLLOW,
                                              flags & PRODUCERS_FOLLOW };
    return 0;
}

void checkpoint_piece_write(const struct checkpoint_piece *piece,
                            uint8_t bytes[CHECKPOINT_PIECE_BYTES])
{
    store_u64le(bytes, piece->offset);
    store_u64le(bytes + 8, piece->total_bytes);
}

int checkpoint_piece_read(const uint8_t bytes[CHECKPOINT_PIECE_BYTES], uint64_t value_bytes,
                          struct checkpoint_piece *out_piece)
{
    uint64_t offset = load_u64le(bytes), total = load_u64le(bytes + 8), piece;
    if (value_bytes <= CHECKPOINT_PIECE_BYTES) return -EBADMSG;
    piece = value_bytes - CHECKPOINT_PIECE_BYTES;
    if (piece > CHECKPOINT_PIECE || offset > total || piece > total - offset) return -EBADMSG;
    *out_piece = (struct checkpoint_piece){ offset, total };
    return 0;
}
