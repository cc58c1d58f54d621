/* stream_group_autoclaim.c - XAUTOCLAIM
 *
 * As in Redis it looks at ten times as many pending entries as it may answer, one behind the other,
 * and drops those whose entries have gone, idle or not. Where that many were looked at and there is
 * still room in the answer, it does not stop, but goes from one that is idle for long enough to the
 * next, whatever lies between: so a long list of what was delivered of late is passed over at once.
 *
 * Where an answer is full, or memory is refused, or the disk, it ends early: what was claimed until
 * then is answered, and where to go on. */
#include <errno.h>

#include "modules/base/number.h"
#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/stream_claiming.h"
#include "server/commands/stream_words.h"

enum {
    COUNT_DEFAULT = 100,
    LOOKS_PER_COUNT = 10,
    BREATH_LOOKS = 256,
    INLINE_COUNT = 1000, /* more are claimed in a fiber */
};

struct autoclaim {
    struct stream_claiming claiming;
    struct stream_group_key key;
    struct stream_id start;
    uint64_t count;
    struct stream_id until; /* a replay: nothing from there on was done */
    struct stream_gathered claimed, gone;
    struct stream_id at; /* where it goes on */
    bool is_at_end;
};

/* ---- what is asked -----------------------------------------------------------------------------
 */

/* TIME and UNTIL are ours: what the log has. */
static bool parse_option(struct call *call, uint32_t *index, struct autoclaim *autoclaim)
{
    struct slice word = call->arguments[*index];
    bool has_more = *index + 1 < call->argument_count;
    int64_t number;

    if (slice_is(word, "JUSTID")) {
        autoclaim->claiming.just_ids = true;
    } else if (has_more && slice_is(word, "COUNT")) {
        if (!call_integer_between(call, ++*index, 1, INT64_MAX / (int64_t)sizeof(struct stream_id),
                                  "ERR COUNT must be > 0", &number))
            return false;
        autoclaim->count = (uint64_t)number;
    } else if (has_more && call->is_replay && slice_is(word, "TIME")) {
        if (!call_integer(call, ++*index, &number)) return false;
        autoclaim->claiming.now_ms = (uint64_t)number;
    } else if (has_more && call->is_replay && slice_is(word, "UNTIL")) {
        return stream_word_id(call, ++*index, &autoclaim->until);
    } else {
        (void)call_syntax_error(call);
        return false;
    }
    return true;
}

static bool parse(struct call *call, struct autoclaim *autoclaim)
{
    struct stream_claiming *claiming = &autoclaim->claiming;
    int64_t min_idle_ms;

    *claiming = (struct stream_claiming){ .consumer_name = call->arguments[3],
                                          .now_ms = stream_now_ms(call),
                                          .retry_count = -1 };
    autoclaim->count = COUNT_DEFAULT;
    autoclaim->until = STREAM_ID_MIN;
    if (!call_integer_between(call, 4, INT64_MIN, INT64_MAX,
                              "ERR Invalid min-idle-time argument for XAUTOCLAIM", &min_idle_ms))
        return false;
    if (!stream_word_start(call, 5, &autoclaim->start)) return false;
    for (uint32_t i = 6; i < call->argument_count; i++)
        if (!parse_option(call, &i, autoclaim)) return false;
    claiming->delivered_ms = claiming->now_ms;
    claiming->delivered_max_ms = stream_delivered_max_ms(claiming->now_ms, min_idle_ms);
    return true;
}

/* ---- claiming ----------------------------------------------------------------------------------
 */

static bool is_done_until(const struct autoclaim *autoclaim, struct stream_id id)
{
    return stream_id_compare(autoclaim->until, STREAM_ID_MIN) > 0 &&
           stream_id_compare(id, autoclaim->until) >= 0;
}

/* False: nothing of that stream was ever removed, and all that is pending is there. */
static bool may_lack_entries(const struct stream *stream)
{
    struct stream_info info;

    stream_get_info(stream, &info);
    return info.start > 1 || info.deleted_count > 0;
}

/* One that is not idle for long enough: only whether it is there matters. */
static int drop_if_gone(struct autoclaim *autoclaim, struct stream_id id)
{
    struct stream_entry entry;
    int rc;

    if (!may_lack_entries(autoclaim->key.stream.stream)) return STREAM_CLAIM_NOTHING;
    rc = stream_claiming_find(&autoclaim->key, &autoclaim->claiming, id, &entry);
    if (rc != 0) return rc < 0 ? rc : STREAM_CLAIM_NOTHING;
    rc = stream_group_acknowledge(autoclaim->key.group, id);
    return rc < 0 ? rc : STREAM_CLAIM_GONE;
}

static int claim_one(struct call *call, struct autoclaim *autoclaim,
                     const struct stream_pending *pending)
{
    int rc;

    if (pending->consumer && pending->delivered_ms > autoclaim->claiming.delivered_max_ms)
        rc = drop_if_gone(autoclaim, pending->id);
    else
        rc = stream_claim(call, &autoclaim->key, &autoclaim->claiming, pending->id,
                          &autoclaim->claimed);
    if (rc == STREAM_CLAIM_GONE) {
        stream_id_reply(&autoclaim->gone.reply, pending->id);
        autoclaim->gone.count++;
    }
    return rc;
}

static bool next_to_look_at(const struct autoclaim *autoclaim, uint64_t looks_left,
                            struct stream_pending *out_pending)
{
    uint64_t max_ms = looks_left > 0 ? STREAM_ANY_TIME_MS : autoclaim->claiming.delivered_max_ms;

    return !autoclaim->is_at_end &&
           stream_group_next_pending(autoclaim->key.group, NULL, autoclaim->at, max_ms,
                                     out_pending) &&
           !is_done_until(autoclaim, out_pending->id);
}

/* 0: on to the next one; or why not. */
static int rest(struct call *call, const struct autoclaim *autoclaim, uint64_t looks)
{
    if (call->is_replay) return 0;
    if (stream_gathered_is_full(call, &autoclaim->claimed) ||
        stream_gathered_is_full(call, &autoclaim->gone))
        return -EMSGSIZE;
    return looks % BREATH_LOOKS == 0 ? parking_breathe(call->server) : 0;
}

/* 0, or why it ended before its time. */
static int claim_all(struct call *call, struct autoclaim *autoclaim)
{
    uint64_t left = autoclaim->count, looks_left = autoclaim->count, looks = 0;
    struct stream_pending pending;

    if (__builtin_mul_overflow(looks_left, LOOKS_PER_COUNT, &looks_left)) looks_left = UINT64_MAX;
    autoclaim->at = autoclaim->start;
    while (left > 0 && next_to_look_at(autoclaim, looks_left, &pending)) {
        int rc = claim_one(call, autoclaim, &pending);

        if (rc < 0) return rc;
        left -= rc != STREAM_CLAIM_NOTHING;
        looks_left -= looks_left > 0;
        autoclaim->at = pending.id;
        autoclaim->is_at_end = !stream_id_increment(&autoclaim->at);
        rc = left > 0 ? rest(call, autoclaim, ++looks) : 0;
        if (rc < 0) return rc;
    }
    /* Whatever else there is was passed over: nothing of it is idle for long enough. */
    if (left > 0 && looks_left == 0) autoclaim->is_at_end = true;
    return 0;
}

/* ---- what the log gets, and the answer ---------------------------------------------------------
 */

static void say(struct call *call, const struct autoclaim *autoclaim, bool has_ended_early)
{
    char count[NUMBER_INT64_BYTES_MAX], time[NUMBER_INT64_BYTES_MAX], id[STREAM_ID_TEXT_BYTES];
    struct slice words[13];
    uint32_t n = 6;

    memcpy(words, call->arguments, n * sizeof(*words));
    words[n++] = SLICE_LITERAL("COUNT");
    words[n++] = slice_of(count, number_format_uint64(count, autoclaim->count));
    words[n++] = SLICE_LITERAL("TIME");
    words[n++] = slice_of(time, number_format_uint64(time, autoclaim->claiming.now_ms));
    if (autoclaim->claiming.just_ids) words[n++] = SLICE_LITERAL("JUSTID");
    if (has_ended_early) {
        words[n++] = SLICE_LITERAL("UNTIL");
        words[n++] = slice_of(id, stream_id_format(id, autoclaim->at));
    }
    effect_say(call, words, n);
}

static void reply_cursor(struct call *call, const struct autoclaim *autoclaim)
{
    struct stream_pending next;
    bool has_next = !autoclaim->is_at_end &&
                    stream_group_next_pending(autoclaim->key.group, NULL, autoclaim->at,
                                              STREAM_ANY_TIME_MS, &next);

    stream_id_reply(call->reply, has_next ? next.id : STREAM_ID_MIN);
}

static int claim_and_reply(struct call *call, struct autoclaim *autoclaim)
{
    int rc = claim_all(call, autoclaim);
    uint64_t done = autoclaim->claimed.count + autoclaim->gone.count;

    if (rc < 0 && (done == 0 || call->is_replay)) return rc;
    reply_array(call->reply, 3);
    reply_cursor(call, autoclaim);
    stream_gathered_reply(call, &autoclaim->claimed);
    stream_gathered_reply(call, &autoclaim->gone);
    if (done == 0) return 0;
    stream_group_changed(call, &autoclaim->key);
    say(call, autoclaim, rc < 0);
    return 0;
}

/* XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID] */
int stream_xautoclaim(struct call *call)
{
    struct autoclaim autoclaim = { .is_at_end = false };
    int rc;

    if (!parse(call, &autoclaim)) return 0;
    rc = stream_group_need(call, call->arguments[1], call->arguments[2], &autoclaim.key);
    if (rc <= 0) return rc;
    rc = stream_claiming_may_read(call, &autoclaim.key, &autoclaim.claiming);
    if (rc < 0) return rc;
    if (autoclaim.count > INLINE_COUNT && !call_can_suspend(call) &&
        stream_group_pending_count(autoclaim.key.group) > INLINE_COUNT)
        return -EAGAIN;
    stream_gathered_begin(call, &autoclaim.claimed);
    stream_gathered_begin(call, &autoclaim.gone);
    rc = claim_and_reply(call, &autoclaim);
    stream_gathered_drop(&autoclaim.claimed);
    stream_gathered_drop(&autoclaim.gone);
    return rc;
}
