#include "modules/journal/format.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"

static const uint32_t segment_magic = 0x73726a53; /* "Sjrs" */

enum { NAME_DIGITS = 10 };

uint32_t journal_seed(uint64_t journal, uint64_t segment)
{
    uint8_t bytes[16];

    store_u64le(bytes, journal);
    store_u64le(bytes + 8, segment);
    return crc32c(0, bytes, sizeof(bytes));
}

uint32_t journal_frame_crc(uint32_t seed, uint64_t offset, const struct journal_frame *frame)
{
    uint8_t bytes[JOURNAL_FRAME_HEADER_BYTES];

    assert(offset < JOURNAL_SEGMENT_BYTES_MAX);
    store_u32le(bytes, journal_word(frame->state, frame->payload_bytes));
    store_u32le(bytes + 4, (uint32_t)offset);
    store_u64le(bytes + 8, frame->time_ms);
    store_u64le(bytes + 16, frame->seq);
    return crc32c(seed, bytes, sizeof(bytes));
}

int journal_frame_load(const uint8_t bytes[JOURNAL_FRAME_HEADER_BYTES],
                       struct journal_frame *out_frame)
{
    uint32_t word = load_u32le(bytes);

    *out_frame = (struct journal_frame){ .state = journal_word_state(word),
                                         .payload_bytes = journal_word_payload(word),
                                         .crc32c = load_u32le(bytes + 4),
                                         .time_ms = load_u64le(bytes + 8),
                                         .seq = load_u64le(bytes + 16) };
    switch (out_frame->state) {
    case JOURNAL_UNWRITTEN:
        return word == 0 ? 0 : -EBADMSG;
    case JOURNAL_CLAIMED:
    case JOURNAL_DATA:
        return 0;
    case JOURNAL_SEALED: /* time and seq are whatever the dead writer had stored there */
        out_frame->time_ms = 0;
        out_frame->seq = 0;
        return 0;
    case JOURNAL_END:
        return out_frame->payload_bytes == 0 ? 0 : -EBADMSG;
    case JOURNAL_NOTE:
        return out_frame->payload_bytes == JOURNAL_NOTE_BYTES ? 0 : -EBADMSG;
    }
    return -EBADMSG;
}

int journal_frame_verify(uint32_t seed, uint64_t offset, const uint8_t *bytes, uint64_t size,
                         struct journal_frame *out_frame)
{
    uint32_t crc;

    if (size < JOURNAL_FRAME_HEADER_BYTES) return -EBADMSG;
    if (journal_frame_load(bytes, out_frame) < 0) return -EBADMSG;
    if (out_frame->state == JOURNAL_UNWRITTEN) return 0;
    if (journal_frame_bytes(out_frame->payload_bytes) > size) return -EBADMSG;
    if (out_frame->state == JOURNAL_CLAIMED) return -EAGAIN;
    crc = journal_frame_crc(seed, offset, out_frame);
    if (journal_frame_has_payload_crc(out_frame)) {
        crc = crc32c(crc, bytes + JOURNAL_FRAME_HEADER_BYTES, out_frame->payload_bytes);
    }
    return crc == out_frame->crc32c ? 1 : -EBADMSG;
}

void journal_segment_header_store(uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES],
                                  const struct journal_segment_header *header)
{
    memset(bytes, 0, JOURNAL_SEGMENT_HEADER_BYTES);
    store_u32le(bytes, segment_magic);
    store_u32le(bytes + 4, JOURNAL_VERSION);
    store_u64le(bytes + 8, header->journal);
    store_u64le(bytes + 16, header->number);
    store_u64le(bytes + 24, header->created_ms);
    store_u32le(bytes + 32, header->capacity);
    store_u32le(bytes + 36, header->flags);
    store_u64le(bytes + 40, header->synced);
    store_u32le(bytes + 60, crc32c(0, bytes, 60));
}

int journal_segment_header_load(const uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES],
                                struct journal_segment_header *out_header)
{
    if (load_u32le(bytes) != segment_magic) return -EBADMSG;
    if (load_u32le(bytes + 4) != JOURNAL_VERSION) return -EPROTONOSUPPORT;
    if (load_u32le(bytes + 60) != crc32c(0, bytes, 60)) return -EBADMSG;
    *out_header = (struct journal_segment_header){ .journal = load_u64le(bytes + 8),
                                                   .number = load_u64le(bytes + 16),
                                                   .created_ms = load_u64le(bytes + 24),
                                                   .capacity = load_u32le(bytes + 32),
                                                   .flags = load_u32le(bytes + 36),
                                                   .synced = load_u64le(bytes + 40) };
    if (out_header->capacity > JOURNAL_SEGMENT_BYTES_MAX || out_header->capacity % 4096 != 0 ||
        out_header->capacity == 0 || out_header->flags != 0) {
        return -EBADMSG;
    }
    return 0;
}

void journal_file_name(char name[JOURNAL_FILE_NAME_BYTES], uint64_t number, const char *suffix)
{
    int length =
        snprintf(name, JOURNAL_FILE_NAME_BYTES, "%0*" PRIu64 ".%s", NAME_DIGITS, number, suffix);
    assert(length > 0 && length < JOURNAL_FILE_NAME_BYTES);
    (void)length;
}

uint64_t journal_file_number(const char *name, const char *suffix)
{
    char expected[JOURNAL_FILE_NAME_BYTES];
    uint64_t number;

    if (strspn(name, "0123456789") != NAME_DIGITS) return 0;
    number = strtoull(name, NULL, 10);
    journal_file_name(expected, number, suffix);
    return strcmp(name, expected) == 0 ? number : 0;
}
