/* stream_group_read.c - XREADGROUP */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/draft.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/stream_group_reading.h"
#include "server/commands/stream_words.h"

enum { INLINE_STREAMS = 4, SAID_OPTIONS_MAX = 16 };

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

/* ---- the answer --------------------------------------------------------------------------------
 */

static int64_t find_all(struct call *call, const struct group_reading *reading,
                        struct group_served *served, int64_t count)
{
    struct group_limits limits = { .count_left = UINT64_MAX,
                                   .bytes_left = UINT64_MAX,
                                   .is_first = true };
    int64_t served_count = 0;

    if (reading->asked.max_count > 0) limits.count_left = (uint64_t)reading->asked.max_count;
    if (reading->asked.max_bytes > 0) limits.bytes_left = (uint64_t)reading->asked.max_bytes;
    for (int64_t i = 0; i < count; i++) {
        int rc = group_served_find(call, reading, &limits, &served[i]);

        if (rc < 0) return rc;
        served_count += served[i].is_served;
    }
    return served_count;
}

static int write_all(struct call *call, const struct group_reading *reading,
                     struct group_served *served, int64_t count, int64_t served_count)
{
    struct reply *reply = call->reply;
    int rc = 0;

    if (reply->protocol == 3)
        reply_map(reply, (uint64_t)served_count);
    else
        reply_array(reply, (uint64_t)served_count);
    for (int64_t i = 0; i < count && rc == 0; i++) {
        if (!served[i].is_served) continue;
        if (reply->protocol != 3) reply_array(reply, 2);
        reply_bulk(reply, call->arguments[served[i].key_index]);
        rc = group_served_write(call, reading, &served[i]);
    }
    return rc;
}

/* ---- what the log gets -------------------------------------------------------------------------
 */

struct said {
    struct slice *words;
    uint32_t count;
    char digits[5][NUMBER_INT64_BYTES_MAX];
    unsigned digit_count;
};

static void say_number(struct said *said, const char *option, uint64_t number)
{
    char *digits = said->digits[said->digit_count++];

    said->words[said->count++] = slice_of_string(option);
    said->words[said->count++] = slice_of(digits, number_format_uint64(digits, number));
}

/* The same words without waiting, at the time that it was: done again to the same data they deliver
 * the same entries. TIME is for this alone. */
static void say(struct call *call, const struct group_reading *reading,
                const struct group_served *served, int64_t served_count, struct said *said)
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
    said->words[said->count++] = SLICE_LITERAL("STREAMS");
    for (int64_t i = 0; i < served_count; i++)
        said->words[said->count++] = call->arguments[served[i].key_index];
    for (int64_t i = 0; i < served_count; i++)
        said->words[said->count++] =
            call->arguments[served[i].key_index + reading->asked.key_count];
    effect_say(call, said->words, said->count);
}

/* ---- delivering --------------------------------------------------------------------------------
 */

/* All of them, or none. A consumer is made by the first thing that it is given, as in Redis 7.0. */
static int deliver_all(struct call *call, const struct group_reading *reading,
                       struct group_served *served, int64_t count, bool *out_has_changed)
{
    for (int64_t i = 0; i < count; i++) {
        int rc = served[i].is_served ? group_served_deliver(call, reading, &served[i]) : 0;

        if (rc == 0) continue;
        while (i-- > 0)
            if (served[i].is_served) group_served_take_back(&served[i]);
        return rc;
    }
    for (int64_t i = 0; i < count; i++)
        if (served[i].is_served) *out_has_changed |= group_served_settle(call, reading, &served[i]);
    return 0;
}

static int reply_nothing(struct call *call, const struct group_reading *reading)
{
    if (!reading->asked.may_block || call->in_transaction) {
        reply_null_array(call->reply);
        return 0;
    }
    return call_block_while_there(call, VALUE_STREAM, call->arguments + reading->asked.key_first,
                                  reading->asked.key_count, reading->asked.deadline_us);
}

static int serve(struct call *call, const struct group_reading *reading,
                 struct group_served *served, int64_t count, struct said *said)
{
    int64_t served_count = find_all(call, reading, served, count);
    bool has_changed = false;
    struct draft draft;
    int rc;

    if (served_count < 0) return (int)served_count;
    for (int64_t i = 0; i < count; i++)
        group_served_see(reading, &served[i]);
    if (served_count == 0) return reply_nothing(call, reading);
    draft_begin(&draft, call);
    rc = write_all(call, reading, served, count, served_count);
    if (rc == 0) rc = deliver_all(call, reading, served, count, &has_changed);
    if (draft_end(&draft, call, rc) < 0) return rc;
    if (has_changed) say(call, reading, served, count, said);
    return 0;
}

static int read_groups(struct call *call, const struct group_reading *reading,
                       struct group_served *served, struct slice *words)
{
    struct said said = { .words = words };
    int64_t count = find_groups(call, reading, served);
    int rc = count > 0 ? serve(call, reading, served, count, &said) : (int)count;

    for (int64_t i = 0; i < count; i++)
        group_served_finish(&served[i]);
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
