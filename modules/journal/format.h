/* format.h - how a journal lies in its files.
 *
 * Little-endian throughout. A journal is a directory:
 *
 *   meta              settings (written once), then what is published (live.h)
 *   waiters           who sleeps for new frames (live.h)
 *   0000000001.log    segments: a header, frames, zeros; numbered from 1 without gaps
 *   0000000001.idx    a segment's sparse index (index.h): a hint, rebuilt when missing or wrong
 *
 * A **position** is a frame's segment and its offset there, in one number that grows: segment << 30
 * | offset. 0 is no position. The end of a segment and the start of the next are different
 * positions of the same place.
 *
 * A segment:
 *
 *   0       4         8         16       24           32         36      40       48      60 64
 *   +-------+---------+---------+--------+------------+----------+-------+--------+-------+--------+--
 *   | magic | version | journal | number | created_ms | capacity | flags | synced | zeros | crc32c
 * | …
 *   +-------+---------+---------+--------+------------+----------+-------+--------+-------+--------+--
 *   |<------------------------------- covered by crc32c ---------------------------------->|
 *
 * capacity is what the segment may grow to, so a mapping of that size never has to be made anew;
 * the file is as long as what has been reserved. synced is the position up to which the journal was
 * known to be on the device when the segment was made.
 *
 * A frame, 8-byte aligned:
 *
 *   0              4        8         16    24                    24 + size
 *   +--------------+--------+---------+-----+---------------------+- - - - +
 *   | state | size | crc32c | time_ms | seq | payload             | zeros  |
 *   +--------------+--------+---------+-----+---------------------+- - - - +
 *
 * The first word is the state in its upper 3 bits and the payload's size in the others. It is
 * stored last: zero means that nothing has been written there. crc32c covers the whole frame but
 * the zeros, with the frame's offset standing in its own place, and is seeded with the numbers of
 * journal and segment: neither stale bytes of another life nor a misplaced frame validate.
 *
 * Pure functions; any thread. */
#ifndef MODULES_JOURNAL_FORMAT_H
#define MODULES_JOURNAL_FORMAT_H
#include "modules/base/slice.h"

enum {
    JOURNAL_VERSION = 1,
    JOURNAL_OFFSET_BITS = 30,
    JOURNAL_SEGMENT_BYTES_MAX = 1 << JOURNAL_OFFSET_BITS,
    JOURNAL_SEGMENT_HEADER_BYTES = 64,
    JOURNAL_FRAME_HEADER_BYTES = 24,
    JOURNAL_FRAME_ALIGN = 8,
    JOURNAL_SIZE_BITS = 29,
    /* A note holds the synced position. */
    JOURNAL_NOTE_BYTES = 8,
    JOURNAL_FILE_NAME_BYTES = 24,
};

enum journal_state {
    JOURNAL_UNWRITTEN, /* and the whole word is zero */
    JOURNAL_CLAIMED,   /* several writers only: somebody is filling it */
    JOURNAL_DATA,
    /* Skip it: claimed by a writer that died, or dropped (packer.h); the crc covers no payload. */
    JOURNAL_SEALED,
    JOURNAL_END,  /* the journal goes on in the next segment */
    JOURNAL_NOTE, /* the journal's own: up to which position it was synced */
};

static inline uint64_t journal_position(uint64_t segment, uint64_t offset)
{
    return segment << JOURNAL_OFFSET_BITS | offset;
}

static inline uint64_t journal_segment_of(uint64_t position)
{
    return position >> JOURNAL_OFFSET_BITS;
}

static inline uint64_t journal_offset_of(uint64_t position)
{
    return position & (JOURNAL_SEGMENT_BYTES_MAX - 1);
}

/* Where a segment's first frame is. */
static inline uint64_t journal_segment_start(uint64_t segment)
{
    return journal_position(segment, JOURNAL_SEGMENT_HEADER_BYTES);
}

static inline uint32_t journal_word(enum journal_state state, uint32_t payload_bytes)
{
    return (uint32_t)state << JOURNAL_SIZE_BITS | payload_bytes;
}

static inline enum journal_state journal_word_state(uint32_t word)
{
    return (enum journal_state)(word >> JOURNAL_SIZE_BITS);
}

static inline uint32_t journal_word_payload(uint32_t word)
{
    return word & ((UINT32_C(1) << JOURNAL_SIZE_BITS) - 1);
}

/* What a frame with that payload takes. */
static inline uint64_t journal_frame_bytes(uint64_t payload_bytes)
{
    return (JOURNAL_FRAME_HEADER_BYTES + payload_bytes + JOURNAL_FRAME_ALIGN - 1) &
           ~(uint64_t)(JOURNAL_FRAME_ALIGN - 1);
}

struct journal_frame {
    enum journal_state state;
    uint32_t payload_bytes;
    uint32_t crc32c;
    uint64_t time_ms, seq;
};

/* What every checksum of a segment begins with. */
uint32_t journal_seed(uint64_t journal, uint64_t segment);

/* The checksum of a frame's header; go on with the payload's bytes by crc32c(). */
uint32_t journal_frame_crc(uint32_t seed, uint64_t offset, const struct journal_frame *frame);
/* Takes a header apart. 0, or -EBADMSG: no journal writes such a word. */
int journal_frame_load(const uint8_t bytes[JOURNAL_FRAME_HEADER_BYTES],
                       struct journal_frame *out_frame);
/* Whether the crc of such a frame covers its payload. */
static inline bool journal_frame_has_payload_crc(const struct journal_frame *frame)
{
    return frame->state != JOURNAL_SEALED;
}
/* Looks at the frame at an offset, of which size bytes lie at bytes. 1: it is whole and right. 0:
 * nothing has been written there. -EAGAIN: it is claimed. -EBADMSG: it is damaged. */
int journal_frame_verify(uint32_t seed, uint64_t offset, const uint8_t *bytes, uint64_t size,
                         struct journal_frame *out_frame);

struct journal_segment_header {
    uint64_t journal, number;
    uint64_t created_ms;
    uint32_t capacity; /* a multiple of 4096 */
    uint32_t flags;    /* 0 */
    uint64_t synced;
};

void journal_segment_header_store(uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES],
                                  const struct journal_segment_header *header);
/* 0. -EBADMSG: damaged. -EPROTONOSUPPORT: of a version that we do not know. */
int journal_segment_header_load(const uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES],
                                struct journal_segment_header *out_header);

/* "0000000012.log" for 12 and "log". */
void journal_file_name(char name[JOURNAL_FILE_NAME_BYTES], uint64_t number, const char *suffix);
/* The number of a file of that suffix; 0: it is not one. */
uint64_t journal_file_number(const char *name, const char *suffix);
#endif
