/* stream_read.c - XREAD
 *
 * What is read from each stream is looked up first, and written when all of it is known: a map
 * tells its size before its fields. A reader that finds nothing may wait: it takes the ids along
 * that it waits behind, as "$" means the end of the stream as it was when the reader came. */
#include <errno.h>
#include <stdlib.h>

#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/stream_answer.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_reading.h"
#include "server/commands/stream_reply.h"
#include "server/commands/stream_words.h"

enum { INLINE_STREAMS = 8, BREATH_ENTRIES = 256 };

/* ---- what is asked --------------------------------------------------------------------------- */

static bool refuse_group_option(struct call *call, const char *name)
{
    (void)call_errorf(call,
                      "ERR The %s option is only supported by XREADGROUP. You called XREAD "
                      "instead.",
                      name);
    return false;
}

/* The option at *index; STREAMS is the last one. False: an error was answered. */
static bool parse_option(struct call *call, uint32_t *index, struct reading *reading)
{
    uint32_t more = call->argument_count - *index - 1;
    int rc = reading_parse_option(call, index,
                                  "ERR Unbalanced XREAD list of streams: for each stream key an ID "
                                  "or '$' must be specified.",
                                  reading);

    if (rc != 0) return rc == 1;
    if (more > 1 && slice_is(call->arguments[*index], "GROUP"))
        return refuse_group_option(call, "GROUP");
    if (slice_is(call->arguments[*index], "NOACK")) return refuse_group_option(call, "NOACK");
    if (slice_is(call->arguments[*index], "CLAIM")) return refuse_group_option(call, "CLAIM");
    (void)call_syntax_error(call);
    return false;
}

static bool parse(struct call *call, struct reading *reading)
{
    reading_begin(reading);
    for (uint32_t i = 1; i < call->argument_count && reading->key_first == 0; i++) {
        if (!parse_option(call, &i, reading)) return false;
    }
    if (reading->key_first == 0) {
        (void)call_syntax_error(call);
        return false;
    }
    return reading_is_whole(call, reading);
}

/* ---- from where ------------------------------------------------------------------------------ */

/* "+": so that the last entry is the only one that is greater; all that comes when there is none.
 */
static int id_before_last(struct stream *stream, struct stream_id *out_id)
{
    int rc = stream_newest_id(stream, out_id);

    if (rc < 0) return rc;
    if (rc == 0)
        *out_id = stream_last_id(stream);
    else
        (void)stream_id_decrement(out_id); /* no entry has the least id */
    return 0;
}

/* Entries with greater ids are wanted. 0; 1: an error was answered; negative: as a handler. */
static int resolve_id(struct call *call, uint32_t key_index, uint32_t index,
                      struct stream_id *out_id)
{
    struct slice word = call->arguments[index];
    struct stream_key key;
    int rc = stream_key_find_read(call, call->arguments[key_index], &key);

    if (rc < 0) return rc;
    *out_id = STREAM_ID_MIN;
    if (slice_equal(word, SLICE_LITERAL("$"))) {
        if (rc == 1) *out_id = stream_last_id(key.stream);
        return 0;
    }
    if (slice_equal(word, SLICE_LITERAL("+")))
        return rc == 1 ? id_before_last(key.stream, out_id) : 0;
    if (slice_equal(word, SLICE_LITERAL(">"))) {
        (void)call_error(call, "ERR The > ID can be specified only when calling XREADGROUP using "
                               "the GROUP <group> <consumer> option.");
        return 1;
    }
    return stream_word_id(call, index, out_id) ? 0 : 1;
}

/* Who has waited comes back with the ids that it had then. */
static int resolve_ids(struct call *call, const struct reading *reading, struct stream_id *ids)
{
    const struct stream_id *kept = call_kept(call);

    if (kept) memcpy(ids, kept, reading->key_count * sizeof(*ids));
    for (uint32_t i = 0; i < reading->key_count && !kept; i++) {
        uint32_t key_index = reading->key_first + i;
        int rc = resolve_id(call, key_index, key_index + reading->key_count, &ids[i]);

        if (rc != 0) return rc;
    }
    return 0;
}

/* ---- what there is --------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What the reply may still hold: MAXCOUNT, MAXSIZE. */
struct budget {
    uint64_t count, bytes;
    bool is_untouched; /* an entry that is longer than all of it is taken, so that readers get on */
};

/* Many are looked at in a fiber, where others have their turns between. */
static int breathe(const struct call *call, uint64_t looked_at)
{
    if (looked_at % BREATH_ENTRIES != 0) return 0;
    return call_can_suspend(call) ? parking_breathe(call->server) : -EAGAIN;
}

/* So many of the range as fit. */
static int fit(const struct call *call, struct stream_range *range, struct budget *budget)
{
    struct stream_cursor cursor = range->cursor;
    uint64_t fitting = 0;

    for (; fitting < range->count; fitting++) {
        char header[STREAM_ENTRY_HEADER_BYTES];
        struct stream_entry entry;
        int rc = stream_cursor_next(&cursor, &entry);
        uint64_t bytes;

        if (rc <= 0) return rc < 0 ? rc : -EBADMSG; /* fewer than were counted */
        bytes = stream_entry_header(header, &entry) + entry.fields.size;
        rc = breathe(call, fitting + 1);
        if (rc < 0) return rc;
        if (bytes > budget->bytes && !budget->is_untouched) break;
        budget->bytes -= least(bytes, budget->bytes);
        budget->is_untouched = false;
    }
    if (fitting < range->count) budget->bytes = 0; /* streams are served in the caller's order */
    range->count = fitting;
    return 0;
}

/* 1: the stream has entries with greater ids, and there is room for one. */
static int find_entries(struct call *call, const struct reading *reading, uint32_t key_index,
                        struct stream_id id, struct budget *budget, struct stream_range *out_range)
{
    struct stream_key key;
    int rc = stream_key_find(call, call->arguments[key_index], &key);

    if (rc <= 0) return rc;
    if (!stream_id_increment(&id)) return 0; /* nothing is greater */
    rc = stream_range_find(key.stream, id, STREAM_ID_MAX, STREAM_FORWARD,
                           least(reading_count_wanted(call, reading), budget->count), out_range);
    if (rc == 0 && reading->max_bytes > 0) rc = fit(call, out_range, budget);
    if (rc < 0) return rc;
    budget->count -= out_range->count;
    return out_range->count > 0;
}

/* How many streams have something. */
static int64_t find_all(struct call *call, const struct reading *reading,
                        const struct stream_id *ids, struct stream_part *found)
{
    struct budget budget = {
        .count = reading->max_count > 0 ? (uint64_t)reading->max_count : UINT64_MAX,
        .bytes = reading->max_bytes > 0 ? (uint64_t)reading->max_bytes : UINT64_MAX,
        .is_untouched = true,
    };
    int64_t count = 0;
    uint32_t first, end;

    reading_keys(call, reading, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        uint32_t key_index = reading->key_first + i;
        int rc = find_entries(call, reading, key_index, ids[i], &budget, &found[count].range);

        if (rc < 0) return rc;
        found[count].name_index = key_index;
        found[count].listed = NULL;
        count += rc;
    }
    return count;
}

/* ---- the reply, or waiting ----------------------------------------------------------------------
 */

static int wait_for_entries(struct call *call, const struct reading *reading,
                            const struct stream_id *ids)
{
    if (!reading->may_block || call->in_transaction) {
        reply_null_array(call->reply);
        return 0;
    }
    return call_block_keeping(call, VALUE_STREAM, call->arguments + reading->key_first,
                              reading->key_count, reading->deadline_us, ids,
                              reading->key_count * sizeof(*ids));
}

static int read_streams(struct call *call, const struct reading *reading, struct stream_id *ids,
                        struct stream_part *found)
{
    int64_t count;
    int rc = resolve_ids(call, reading, ids);

    if (rc != 0) return rc < 0 ? rc : 0;
    count = find_all(call, reading, ids, found);
    if (count < 0) return (int)count;
    if (count == 0) return wait_for_entries(call, reading, ids);
    return stream_answer_parts(call, found, (uint32_t)count);
}

/* XREAD [COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds] STREAMS key [key ...]
 * id [id ...] */
int stream_xread(struct call *call)
{
    struct stream_id few_ids[INLINE_STREAMS], *ids = few_ids;
    struct stream_part few_found[INLINE_STREAMS], *found = few_found;
    struct reading reading;
    int rc = -ENOMEM;

    if (!parse(call, &reading)) return 0;
    if (reading.key_count > INLINE_STREAMS) {
        ids = malloc(reading.key_count * sizeof(*ids));
        found = malloc(reading.key_count * sizeof(*found));
    }
    if (ids && found) rc = read_streams(call, &reading, ids, found);
    if (ids != few_ids) free(ids);
    if (found != few_found) free(found);
    return rc;
}
