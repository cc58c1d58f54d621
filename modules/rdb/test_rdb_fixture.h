/* test_rdb_fixture.h - RDB files made by hand, and what is read from them as one text.
 *
 * A file is built in made[] with put_*; reading it yields a line a key:
 *   0 name string "value"        1 name list @1700000000000 "a" "b"        2 name set
 *   0 name stream 1-1 "field" "value" [1 last 1-1 deleted 0-0 added 1] group g 1-1 read 1
 *   consumer c seen 5 active 6 pending 1-1 at 7 times 1
 * Long texts are told by size and xxh-free sum: <70000 bytes, sum 1234>. */
#ifndef MODULES_RDB_TEST_RDB_FIXTURE_H
#define MODULES_RDB_TEST_RDB_FIXTURE_H
#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "modules/rdb/crc64.h"
#include "modules/rdb/input.h"
#include "modules/rdb/rdb.h"
#include "modules/rdb/reader_internal.h"

#include <check.h>
#include <errno.h>
#include <liblzf/lzf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MADE_BYTES_MAX = 4 << 20, TOLD_BYTES_MAX = 1 << 16, SHOWN_BYTES = 64 };

static struct {
    uint8_t bytes[MADE_BYTES_MAX];
    size_t size;
} made;

/* ---- writing ---- */

static inline void put(const void *bytes, size_t size)
{
    ck_assert_uint_le(made.size + size, MADE_BYTES_MAX);
    if (size > 0) memcpy(made.bytes + made.size, bytes, size);
    made.size += size;
}

static inline void put_byte(unsigned byte)
{
    uint8_t value = (uint8_t)byte;
    put(&value, 1);
}

/* A little-endian number of so many bytes. */
static inline void put_number(uint64_t value, size_t size)
{
    uint8_t bytes[8];
    store_u64le(bytes, value);
    put(bytes, size);
}

static inline void put_big_endian(uint64_t value, size_t size)
{
    while (size > 0)
        put_byte((unsigned)(value >> (8 * --size)) & 255);
}

static inline void put_length(uint64_t length)
{
    if (length < 64) {
        put_byte((unsigned)length);
    } else if (length < 16384) {
        put_big_endian(0x4000 | length, 2);
    } else if (length <= UINT32_MAX) {
        put_byte(0x80);
        put_big_endian(length, 4);
    } else {
        put_byte(0x81);
        put_big_endian(length, 8);
    }
}

static inline void put_bytes(const void *bytes, size_t size)
{
    put_length(size);
    put(bytes, size);
}

static inline void put_string(const char *text)
{
    put_bytes(text, strlen(text));
}

/* Compressed by liblzf. */
static inline void put_lzf(const void *bytes, size_t size)
{
    uint8_t *shortened = malloc(size + 64);
    unsigned short_size = lzf_compress(bytes, (unsigned)size, shortened, (unsigned)size + 64);

    ck_assert_uint_gt(short_size, 0);
    put_byte(0xc3);
    put_length(short_size);
    put_length(size);
    put(shortened, short_size);
    free(shortened);
}

static inline void begin_file(const char *version)
{
    made.size = 0;
    put("REDIS", 5);
    put(version, 4);
}

static inline void put_key(enum rdb_type type, const char *name)
{
    put_byte(type);
    put_string(name);
}

static inline void end_file(void)
{
    put_byte(OPCODE_END);
    put_number(crc64(0, made.bytes, made.size), 8);
}

static inline void end_file_without_sum(void)
{
    put_byte(OPCODE_END);
    put_number(0, 8);
}

/* ---- reading ---- */

static struct {
    char text[TOLD_BYTES_MAX];
    size_t size;
    uint8_t shown[SHOWN_BYTES];
    uint64_t sum; /* of the element's bytes */
    int rc;
    char error[RDB_ERROR_BYTES];
    uint64_t position;
    bool wants_nothing, hides_use, hides_times;
    unsigned kinds[RDB_KIND_COUNT];
} told;

static inline void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void tell(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    told.size += (size_t)vsnprintf(told.text + told.size, TOLD_BYTES_MAX - told.size, format, list);
    va_end(list);
    if (told.size >= TOLD_BYTES_MAX)
        told.size = TOLD_BYTES_MAX - 1; /* cut, and shorter than meant */
}

static inline int tell_key(void *context, const struct rdb_key *key)
{
    (void)context;
    told.kinds[key->kind]++;
    tell("%llu %.*s %s", (unsigned long long)key->database, (int)key->name.size,
         (const char *)key->name.bytes, rdb_kind_name(key->kind));
    if (key->expires_at_ms >= 0) tell(" @%lld", (long long)key->expires_at_ms);
    if (key->idle_s >= 0 && !told.hides_use) tell(" idle %lld", (long long)key->idle_s);
    if (key->frequency >= 0 && !told.hides_use) tell(" frequency %d", key->frequency);
    if (told.wants_nothing ||
        (key->kind != RDB_STRING && key->kind != RDB_LIST && key->kind != RDB_STREAM))
        tell("\n");
    return !told.wants_nothing;
}

static inline int tell_part(void *context, struct slice part, uint64_t offset, uint64_t size)
{
    (void)context;
    ck_assert_uint_le(offset + part.size, size);
    ck_assert(part.size > 0 || size == 0);
    ck_assert_uint_le(part.size, RDB_PIECE_BYTES);
    if (offset == 0) told.sum = 0;
    for (size_t i = 0; i < part.size; i++) {
        if (offset + i < SHOWN_BYTES) told.shown[offset + i] = part.bytes[i];
        told.sum = told.sum * 31 + part.bytes[i];
    }
    if (offset + part.size < size) return 0;
    if (size <= SHOWN_BYTES)
        tell(" \"%.*s\"", (int)size, (const char *)told.shown);
    else
        tell(" <%llu bytes, sum %llu>", (unsigned long long)size, (unsigned long long)told.sum);
    return 0;
}

static inline int tell_value_end(void *context)
{
    (void)context;
    tell("\n");
    return 1; /* any result that is not negative goes on */
}

static inline int tell_other(void *context, enum rdb_other what, struct slice name,
                             struct slice value)
{
    static const char *const words[] = { "aux", "function", "module", "name", "inside", "pending" };
    (void)context;
    tell("%s %.*s=%.*s\n", words[what], (int)name.size, (const char *)name.bytes, (int)value.size,
         (const char *)value.bytes);
    return 1;
}

static inline int tell_entry(void *context, struct rdb_stream_id id, uint64_t part_count)
{
    (void)context;
    tell(" %llu-%llu", (unsigned long long)id.ms, (unsigned long long)id.seq);
    if (part_count != 2) tell(" (%llu)", (unsigned long long)part_count);
    return 1;
}

static inline int tell_state(void *context, const struct rdb_stream_state *state)
{
    (void)context;
    tell(" [%llu last %llu-%llu deleted %llu-%llu added %llu]",
         (unsigned long long)state->entry_count, (unsigned long long)state->last_id.ms,
         (unsigned long long)state->last_id.seq, (unsigned long long)state->max_deleted_id.ms,
         (unsigned long long)state->max_deleted_id.seq, (unsigned long long)state->entries_added);
    return 1;
}

static inline int tell_group(void *context, const struct rdb_group *group)
{
    (void)context;
    tell(" group %.*s %llu-%llu read %lld", (int)group->name.size, (const char *)group->name.bytes,
         (unsigned long long)group->last_id.ms, (unsigned long long)group->last_id.seq,
         (long long)group->entries_read);
    return 1;
}

static inline int tell_consumer(void *context, const struct rdb_consumer *consumer)
{
    (void)context;
    tell(" consumer %.*s", (int)consumer->name.size, (const char *)consumer->name.bytes);
    if (told.hides_times) return 1;
    tell(" seen %lld", (long long)consumer->seen_ms);
    if (consumer->active_ms >= 0) tell(" active %lld", (long long)consumer->active_ms);
    return 1;
}

static inline int tell_pending(void *context, const struct rdb_consumer *owner,
                               const struct rdb_pending *pending)
{
    (void)context;
    tell(" %s %llu-%llu", owner ? "pending" : "unowned", (unsigned long long)pending->id.ms,
         (unsigned long long)pending->id.seq);
    if (!told.hides_times) tell(" at %lld", (long long)pending->delivered_ms);
    tell(" times %llu", (unsigned long long)pending->delivery_count);
    return 1;
}

static inline int tell_producers(void *context, const struct rdb_producers *producers)
{
    (void)context;
    tell(" producers %llu %llu", (unsigned long long)producers->duration_s,
         (unsigned long long)producers->size_max);
    return 1;
}

static inline int tell_produced(void *context, const struct rdb_produced *produced)
{
    (void)context;
    tell(" %.*s:%.*s=%llu-%llu", (int)produced->producer.size,
         (const char *)produced->producer.bytes, (int)produced->id.size,
         (const char *)produced->id.bytes, (unsigned long long)produced->entry.ms,
         (unsigned long long)produced->entry.seq);
    return 1;
}

static const struct rdb_visitor telling = {
    .key = tell_key,
    .part = tell_part,
    .value_end = tell_value_end,
    .other = tell_other,
    .stream = { .entry = tell_entry,
                .state = tell_state,
                .group = tell_group,
                .consumer = tell_consumer,
                .pending = tell_pending,
                .producers = tell_producers,
                .produced = tell_produced },
};

/* How it is read; a test may set limits. */
static struct rdb_visitor reading;

static inline void read_from(struct rdb_input *input)
{
    told.size = 0;
    told.text[0] = '\0';
    memset(told.kinds, 0, sizeof(told.kinds));
    if (!reading.key) reading = telling;
    told.rc = rdb_read(input, &reading, NULL);
    told.position = input->position;
    strcpy(told.error, rdb_input_error(input));
}

static inline const char *read_bytes(const uint8_t *bytes, size_t size)
{
    struct rdb_input input;
    /* In memory of their own, so that ASan sees a step beyond them. */
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    rdb_input_of_bytes(slice_of(copy, size), &input);
    read_from(&input);
    rdb_input_close(&input);
    free(copy);
    return told.text;
}

static inline const char *read_made(void)
{
    return read_bytes(made.bytes, made.size);
}

/* The made file holds exactly that. */
static inline void expect_made(const char *text)
{
    (void)read_made();
    ck_assert_str_eq(told.error, "");
    ck_assert_int_eq(told.rc, 0);
    ck_assert_str_eq(told.text, text);
    ck_assert_uint_eq(told.position, made.size);
}

/* The made file is refused with that result, and words that contain these. */
static inline void expect_refused(int rc, const char *words)
{
    (void)read_made();
    ck_assert_int_eq(told.rc, rc);
    if (!strstr(told.error, words)) ck_abort_msg("'%s' is not in '%s'", words, told.error);
}

/* How a long text is told. */
static inline void tell_long(char *out, size_t out_size, const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + bytes[i];
    (void)snprintf(out, out_size, "<%zu bytes, sum %llu>", size, (unsigned long long)sum);
}
#endif
