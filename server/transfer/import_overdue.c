/* import_overdue.c - keys of an append-only file whose time has come since it was written.
 *
 * Redis keeps such a key until the whole file is loaded. If it went at once, a command that comes
 * later (INCR of a counter with a time to live) would make it anew, to stay for ever. So an expiry
 * that is past is put off to one moment, the marker, and the key is noted; at the end those that
 * still have just that expiry are removed. */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "modules/base/clock.h"
#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "server/transfer/import_internal.h"

enum {
    PUT_OFF_S = 3600,
    NOTES_BYTES_MAX = 32 << 20, /* beyond, keys go when the marker's moment comes */
    NOTE_HEADER_BYTES = 8,      /* u32 database, u32 size, then the name */
};

void import_overdue_init(struct import_overdue *overdue)
{
    int64_t marker_s = clock_realtime_ms() / 1000 + PUT_OFF_S;

    overdue->marker_ms = marker_s * 1000;
    overdue->ms_size = number_format_int64(overdue->ms_text, overdue->marker_ms);
    overdue->s_size = number_format_int64(overdue->s_text, marker_s);
}

void import_overdue_finish(struct import_overdue *overdue)
{
    free(overdue->notes);
    overdue->notes = NULL;
}

/* ---- noting ------------------------------------------------------------------------------------
 */

/* A key is often given an expiry again and again: the last ones noted are not noted twice. */
static bool was_just_noted(struct import_overdue *overdue, uint32_t database, struct slice name)
{
    uint64_t hash = XXH3_64bits_withSeed(name.bytes, name.size, database) | 1;
    uint64_t *recent = &overdue->recent[hash % IMPORT_RECENT];

    if (*recent == hash) return true;
    *recent = hash;
    return false;
}

/* Room for so much more. 1: there is; 0: that would be too much. */
static int reserve(struct import_overdue *overdue, size_t size)
{
    size_t capacity = (overdue->size + size) * 2;
    uint8_t *notes;

    if (size > NOTES_BYTES_MAX - overdue->size) return 0;
    if (size <= overdue->capacity - overdue->size) return 1;
    notes = realloc(overdue->notes, capacity);
    if (!notes) return -ENOMEM;
    overdue->notes = notes;
    overdue->capacity = capacity;
    return 1;
}

static int note(struct import_overdue *overdue, uint32_t database, struct slice name)
{
    size_t size = NOTE_HEADER_BYTES + name.size;
    uint8_t *at;
    int rc;

    if (was_just_noted(overdue, database, name)) return 0;
    rc = reserve(overdue, size);
    if (rc != 1) return rc;
    at = overdue->notes + overdue->size;
    store_u32le(at, database);
    store_u32le(at + 4, (uint32_t)name.size);
    if (name.size > 0) memcpy(at + NOTE_HEADER_BYTES, name.bytes, name.size);
    overdue->size += size;
    return 0;
}

/* The argument is a moment, in seconds or in ms: 1 when it was past, and put off. */
static int put_off(struct import_overdue *overdue, struct slice *argument, bool is_seconds)
{
    int64_t at, now_ms = clock_realtime_ms();

    if (!number_parse_int64(*argument, &at)) return 0;
    if (is_seconds ? at > now_ms / 1000 : at > now_ms) return 0;
    *argument = is_seconds ? slice_of(overdue->s_text, overdue->s_size)
                           : slice_of(overdue->ms_text, overdue->ms_size);
    return 1;
}

/* SET key value … EXAT seconds | PXAT ms … */
static int put_off_set(struct import_overdue *overdue, struct slice *arguments, uint32_t count)
{
    for (uint32_t i = 3; i + 1 < count; i++) {
        bool is_seconds = slice_is(arguments[i], "EXAT");
        if (is_seconds || slice_is(arguments[i], "PXAT"))
            return put_off(overdue, &arguments[i + 1], is_seconds);
    }
    return 0;
}

/* ---- keys that get another name or database -------------------------------------------------
 *
 * What they were noted under is noted anew: a note of a key that is none of them does no harm. */

static int follow_swap(struct import_overdue *overdue, uint32_t a, uint32_t b)
{
    size_t end = overdue->size;
    int rc = reserve(overdue, end); /* so that the notes stay where they are meanwhile */

    for (size_t at = 0; rc == 1 && at < end;) {
        const uint8_t *bytes = overdue->notes + at;
        struct slice name = slice_of(bytes + NOTE_HEADER_BYTES, load_u32le(bytes + 4));
        uint32_t database = load_u32le(bytes);

        at += NOTE_HEADER_BYTES + name.size;
        if (database != a && database != b) continue;
        if (note(overdue, database == a ? b : a, name) < 0) rc = -ENOMEM;
    }
    return rc < 0 ? rc : 0;
}

static bool parse_database(const struct import *import, struct slice text, uint32_t *out_database)
{
    uint64_t database;

    if (!number_parse_uint64(text, &database) || database >= import->options.database_count)
        return false;
    *out_database = (uint32_t)database;
    return true;
}

/* COPY source destination [DB database] [REPLACE] */
static int follow_copy(struct import *import, const struct slice *arguments, uint32_t count,
                       uint32_t database)
{
    for (uint32_t i = 3; i + 1 < count; i++) {
        if (slice_is(arguments[i], "DB"))
            (void)parse_database(import, arguments[i + 1], &database); /* else it fails there */
    }
    return note(&import->overdue, database, arguments[2]);
}

static int follow(struct import *import, const struct slice *arguments, uint32_t count,
                  uint32_t database)
{
    struct import_overdue *overdue = &import->overdue;
    uint32_t a, b;

    if (slice_is(arguments[0], "RENAME") || slice_is(arguments[0], "RENAMENX"))
        return note(overdue, database, arguments[2]);
    if (slice_is(arguments[0], "COPY")) return follow_copy(import, arguments, count, database);
    if (slice_is(arguments[0], "MOVE") && parse_database(import, arguments[2], &a))
        return note(overdue, a, arguments[1]);
    if (slice_is(arguments[0], "SWAPDB") && parse_database(import, arguments[1], &a) &&
        parse_database(import, arguments[2], &b))
        return follow_swap(overdue, a, b);
    return 0;
}

/* ---- commands ----------------------------------------------------------------------------------
 */

int import_put_off(struct import *import, struct slice *arguments, uint32_t count)
{
    struct import_overdue *overdue = &import->overdue;
    uint32_t database = import->database < 0 ? 0 : (uint32_t)import->database;
    int is_off = 0;

    if (count < 3) return 0;
    if (slice_is(arguments[0], "SET"))
        is_off = put_off_set(overdue, arguments, count);
    else if (slice_is(arguments[0], "PEXPIREAT") || slice_is(arguments[0], "EXPIREAT"))
        is_off = put_off(overdue, &arguments[2], slice_is(arguments[0], "EXPIREAT"));
    else if (overdue->size > 0)
        return follow(import, arguments, count, database);
    return is_off ? note(overdue, database, arguments[1]) : 0;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static int send_two(struct import *import, struct slice word, struct slice name)
{
    int rc = feed_begin(import->feed, 2);

    if (rc == 0) rc = feed_argument(import->feed, word);
    return rc < 0 ? rc : feed_argument(import->feed, name);
}

static int remove_if_overdue(struct import *import, uint32_t database, struct slice name)
{
    int rc = import_select(import, database);

    if (rc == 0) rc = send_two(import, SLICE_LITERAL("PEXPIRETIME"), name);
    if (rc == 0) rc = feed_wait(import->feed);
    if (rc < 0 || feed_replies(import->feed)->last_integer != import->overdue.marker_ms) return rc;
    import->summary.expired++;
    return send_two(import, SLICE_LITERAL("DEL"), name);
}

int import_end_overdue(struct import *import)
{
    const struct import_overdue *overdue = &import->overdue;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && at < overdue->size) {
        const uint8_t *bytes = overdue->notes + at;
        size_t size = load_u32le(bytes + 4);

        rc =
            remove_if_overdue(import, load_u32le(bytes), slice_of(bytes + NOTE_HEADER_BYTES, size));
        at += NOTE_HEADER_BYTES + size;
    }
    return rc < 0 ? rc : feed_wait(import->feed);
}
