/* stream_group_read.c - XREADGROUP
 *
 * Streams are served one behind the other, and what is done is what is answered: where it ends
 * early (the disk, memory, a full answer) the streams and entries before are answered, and the log
 * gets how many these were. So a stream that is named twice goes on where it came to. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/stream_answer.h"
#include "server/commands/stream_group_reading.h"
#include "server/commands/stream_id_list.h"
#include "server/commands/stream_words.h"
#include "server/net/loop.h"
#include "server/observe/memory.h"

enum {
    INLINE_STREAMS = 4,
    SAID_OPTIONS_MAX = 18,
    LOOK_AGAIN_MS = 100, /* where nothing is pending that could become idle */
};

/* ---- which groups ------------------------------------------------------------------------------
 */

static int answer_no_group(struct call *call, const struct group_reading *reading,
                           struct slice name)
{
    return call_errorf(call,
                       "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with "
                       "GROUP option",
                       (int)name.size, (const char *)name.bytes, (int)reading->group.size,
                       (const char *)reading->group.bytes);
}

/* It was there when the client began to wait. */
static int answer_gone(struct call *call, const struct group_served *served)
{
    return call_error(call, served->key.stream.key
                                ? "NOGROUP the consumer group this client was blocked on no longer "
                                  "exists"
                                : "UNBLOCKED the stream key no longer exists");
}

/* 1; 0: an error was answered; negative: as a handler. */
static int find_group(struct call *call, const struct group_reading *reading,
                      struct group_served *served)
{
    struct slice name = call->arguments[served->key_index];
    int rc = stream_group_find(call, name, reading->group, &served->key);

    if (call->served_key.bytes && rc != 1) {
        if (rc < 0 && rc != -EPROTOTYPE) return rc;
        return answer_gone(call, served);
    }
    return rc == 0 ? answer_no_group(call, reading, name) : rc;
}

/* Where it reads from. False: an error was answered. */
static bool parse_id(struct call *call, uint32_t index, struct group_served *served)
{
    struct slice word = call->arguments[index];

    if (slice_equal(word, SLICE_LITERAL("$"))) {
        (void)call_error(call, "ERR The $ ID is meaningless in the context of XREADGROUP: you want "
                               "to read the history of this consumer by specifying a proper ID, or "
                               "use the > ID to get new messages. The $ ID would just return an "
                               "empty result set.");
        return false;
    }
    served->is_new = slice_equal(word, SLICE_LITERAL(">"));
    if (!served->is_new && !stream_word_id(call, index, &served->after)) return false;
    /* The greatest id is another word for ">" in Redis: nothing can be pending behind it. */
    if (!served->is_new) served->is_new = stream_id_compare(served->after, STREAM_ID_MAX) == 0;
    return true;
}

/* The number of them; 0: an error was answered; negative: as a handler. */
static int64_t find_groups(struct call *call, const struct group_reading *reading,
                           struct group_served *served)
{
    const struct reading *asked = &reading->asked;
    int64_t count = 0;
    uint32_t first, end;

    reading_keys(call, asked, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        uint32_t key_index = asked->key_first + i;
        int rc;

        served[count] = (struct group_served){ .key_index = key_index };
        rc = find_group(call, reading, &served[count]);
        if (rc <= 0) return rc;
        if (!parse_id(call, key_index + asked->key_count, &served[count])) return 0;
        count++;
    }
    return count;
}

/* ---- what the log gets -------------------------------------------------------------------------
 */

struct said {
    struct slice *words;
    uint32_t count;
    char digits[6][NUMBER_INT64_BYTES_MAX];
    unsigned digit_count;
};

static void say_number(struct said *said, const char *option, uint64_t number)
{
    char *digits = said->digits[said->digit_count++];

    said->words[said->count++] = slice_of_string(option);
    said->words[said->count++] = slice_of(digits, number_format_uint64(digits, number));
}

/* The same words without waiting, at the time that it was: done again to the same data they deliver
 * the same entries. TIME is for this alone, and TAKEN: after so many it ended early. */
static void say(struct call *call, const struct group_reading *reading,
                const struct group_served *served, int64_t served_count,
                const struct group_answer *answer, bool has_ended_early, struct said *said)
{
    said->words[said->count++] = SLICE_LITERAL("XREADGROUP");
    said->words[said->count++] = SLICE_LITERAL("GROUP");
    said->words[said->count++] = reading->group;
    said->words[said->count++] = reading->consumer;
    if (reading->asked.count > 0)
        say_number(said, "COUNT", (uint64_t)reading->asked.count);
    else if (call->served_key.bytes)
        say_number(said, "COUNT", READING_BLOCKED_COUNT);
    if (reading->asked.max_count > 0)
        say_number(said, "MAXCOUNT", (uint64_t)reading->asked.max_count);
    if (reading->asked.max_bytes > 0)
        say_number(said, "MAXSIZE", (uint64_t)reading->asked.max_bytes);
    if (reading->min_idle_ms >= 0) say_number(said, "CLAIM", (uint64_t)reading->min_idle_ms);
    if (reading->no_ack) said->words[said->count++] = SLICE_LITERAL("NOACK");
    say_number(said, "TIME", reading->now_ms);
    if (has_ended_early) say_number(said, "TAKEN", answer->taken);
    said->words[said->count++] = SLICE_LITERAL("STREAMS");
    for (int64_t i = 0; i < served_count; i++)
        said->words[said->count++] = call->arguments[served[i].key_index];
    for (int64_t i = 0; i < served_count; i++)
        said->words[said->count++] =
            call->arguments[served[i].key_index + reading->asked.key_count];
    effect_say(call, said->words, said->count);
}

/* ---- serving -----------------------------------------------------------------------------------
 */

/* The consumers have asked, where they are there: no change that would have to be logged. */
static void see(const struct group_reading *reading, const struct group_served *served,
                int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        struct stream_consumer *consumer =
            stream_group_find_consumer(served[i].key.group, reading->consumer);

        if (consumer) stream_consumer_set_seen(consumer, reading->now_ms);
    }
}

static void begin_answer(struct call *call, const struct group_reading *reading,
                         struct group_answer *answer)
{
    *answer = (struct group_answer){
        .count_left =
            reading->asked.max_count > 0 ? (uint64_t)reading->asked.max_count : UINT64_MAX,
        .bytes_left =
            reading->asked.max_bytes > 0 ? (uint64_t)reading->asked.max_bytes : UINT64_MAX,
        .taken_max = reading->taken_max >= 0 ? (uint64_t)reading->taken_max : UINT64_MAX,
        .bytes_max = call->is_replay ? UINT64_MAX : memory_limit(call->server->memory) / 8,
        .may_stream = !call->in_transaction && !call->is_replay && reading->min_idle_ms < 0,
    };
    stream_gathered_begin(call, &answer->parts);
}

/* Where nobody can be suspended, so that nothing has to wait once something has changed. A stream
 * on disk that is named twice is read in a fiber. */
static int read_ahead(struct call *call, const struct group_reading *reading,
                      struct group_served *served, int64_t count)
{
    int rc = 0;

    for (int64_t i = 0; i < count && rc == 0; i++) {
        rc = group_ahead_read(call, reading, &served[i]);
        if (rc == 0 && stream_group_is_marked(served[i].key.group) &&
            stream_may_wait(call->server->streams, served[i].key.stream.stream, 0))
            rc = -EAGAIN;
        stream_group_mark(served[i].key.group, true);
    }
    for (int64_t i = 0; i < count; i++)
        stream_group_mark(served[i].key.group, false);
    return rc;
}

/* Returns how many were served, all or (rc) those before it had to end. */
static int64_t serve_all(struct call *call, const struct group_reading *reading,
                         struct group_answer *answer, struct group_served *served, int64_t count,
                         int *out_rc)
{
    int64_t i = 0;

    *out_rc = 0;
    while (i < count && *out_rc == 0 && !answer->is_full) {
        *out_rc = group_served_serve(call, reading, answer, &served[i]);
        i += *out_rc == 0 || served[i].has_changed || served[i].is_served;
    }
    return i;
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

/* CLAIM: when something may have been idle for long enough. What others are given from now on will
 * not be before that, but for what XCLAIM and XNACK make idle, who wake it. */
static int64_t look_again_us(struct call *call, const struct group_reading *reading,
                             const struct group_served *served, int64_t count)
{
    int64_t now_ms = (int64_t)reading->now_ms, least_ms = reading->min_idle_ms, wait_ms, wait_us;

    if (reading->min_idle_ms < 0) return -1;
    wait_ms = least_ms > LOOK_AGAIN_MS ? least_ms : LOOK_AGAIN_MS;
    for (int64_t i = 0; i < count; i++) {
        struct stream_pending oldest;
        int64_t idle_ms;

        if (!stream_group_oldest_pending(served[i].key.group, &oldest)) continue;
        idle_ms = now_ms - (int64_t)oldest.delivered_ms;
        if (idle_ms > least_ms - wait_ms) wait_ms = least_ms - idle_ms;
    }
    if (wait_ms < 1) wait_ms = 1;
    if (__builtin_mul_overflow(wait_ms, 1000, &wait_us) ||
        __builtin_add_overflow((int64_t)loop_now_us(call->server->loop), wait_us, &wait_us))
        return INT64_MAX;
    return wait_us;
}

static int reply_nothing(struct call *call, const struct group_reading *reading,
                         const struct group_served *served, int64_t count)
{
    if (!reading->asked.may_block || call->in_transaction) {
        reply_null_array(call->reply);
        return 0;
    }
    return call_block_while_there(call, VALUE_STREAM, call->arguments + reading->asked.key_first,
                                  reading->asked.key_count, reading->asked.deadline_us,
                                  look_again_us(call, reading, served, count));
}

/* ---- the answer --------------------------------------------------------------------------------
 */

/* All of it is delivered already: the entries come from where they lie, as the socket drains. */
static int answer_long(struct call *call, const struct group_served *served, int64_t count)
{
    struct stream_part *parts;
    uint32_t part_count = 0;
    int rc = -ENOMEM;

    assert(count > 0); /* something is long */
    parts = malloc((size_t)count * sizeof(*parts));
    for (int64_t i = 0; parts && i < count; i++)
        if (served[i].is_served)
            parts[part_count++] = (struct stream_part){ .name_index = served[i].key_index,
                                                        .range = served[i].range,
                                                        .listed = served[i].listed };
    if (parts) rc = stream_answer_parts(call, parts, part_count);
    free(parts);
    if (rc >= 0) return rc;
    if (call->session) call_break_off(call); /* nothing can be taken back */
    return 0;
}

static void answer_short(struct call *call, struct group_answer *answer)
{
    struct reply *reply = call->reply;

    if (reply->protocol == 3)
        reply_map(reply, answer->parts.count);
    else
        reply_array(reply, answer->parts.count);
    stream_gathered_move(&answer->parts, reply);
}

static bool has_any_changed(const struct group_served *served, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (served[i].has_changed) return true;
    return false;
}

static int serve_and_answer(struct call *call, const struct group_reading *reading,
                            struct group_answer *answer, struct group_served *served, int64_t count,
                            struct said *said)
{
    int rc;
    int64_t served_count = serve_all(call, reading, answer, served, count, &rc);
    bool has_changed = has_any_changed(served, served_count);
    bool has_ended_early = rc < 0 || answer->is_full;

    if (rc < 0 && (!has_changed || call->is_replay)) return rc;
    if (answer->parts.count == 0 && !has_changed)
        return reply_nothing(call, reading, served, count);
    rc = 0;
    if (answer->is_long)
        rc = answer_long(call, served, served_count);
    else
        answer_short(call, answer);
    if (has_changed) say(call, reading, served, served_count, answer, has_ended_early, said);
    return rc;
}

static int serve(struct call *call, const struct group_reading *reading,
                 struct group_served *served, int64_t count, struct said *said)
{
    struct group_answer answer;
    int rc = 0;

    if (!call_can_suspend(call)) rc = read_ahead(call, reading, served, count);
    if (rc < 0) return rc;
    see(reading, served, count);
    begin_answer(call, reading, &answer);
    rc = serve_and_answer(call, reading, &answer, served, count, said);
    stream_gathered_drop(&answer.parts);
    return rc;
}

static int read_groups(struct call *call, const struct group_reading *reading,
                       struct group_served *served, struct slice *words)
{
    struct said said = { .words = words };
    int64_t count = find_groups(call, reading, served);
    int rc = count > 0 ? serve(call, reading, served, count, &said) : (int)count;

    for (int64_t i = 0; i < count; i++) {
        group_ahead_finish(&served[i].ahead);
        stream_id_list_unref(served[i].listed);
    }
    return rc;
}

/* XREADGROUP GROUP group consumer [COUNT count] [MAXCOUNT count] [MAXSIZE bytes]
 * [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...] */
int stream_xreadgroup(struct call *call)
{
    struct group_served few[INLINE_STREAMS], *served = few;
    struct slice few_words[SAID_OPTIONS_MAX + 2 * INLINE_STREAMS], *words = few_words;
    struct group_reading reading;
    int rc = -ENOMEM;

    if (!group_reading_parse(call, &reading)) return 0;
    if (reading.asked.key_count > INLINE_STREAMS) {
        served = malloc(reading.asked.key_count * sizeof(*served));
        words = malloc((SAID_OPTIONS_MAX + 2 * (size_t)reading.asked.key_count) * sizeof(*words));
    }
    if (served && words) rc = read_groups(call, &reading, served, words);
    if (served != few) free(served);
    if (words != few_words) free(words);
    return rc;
}
