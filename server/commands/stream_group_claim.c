/* stream_group_claim.c - XCLAIM
 *
 * Each id is looked at, read and claimed before the next one: what is on disk is waited for in a
 * fiber, so that nothing has to be done again half-way. Where reading or memory fails, or the
 * answer is full, what was claimed before is answered and said, and the rest stays as it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/stream_claiming.h"
#include "server/commands/stream_words.h"

enum {
    IDS = 5, /* the first argument that may be an id */
    SAID_OPTIONS_MAX = 8,
    AT_ONCE_IDS = 1024, /* more are claimed in a fiber */
    BREATH_IDS = 256,
};

struct claim {
    struct stream_claiming claiming;
    struct stream_group_key key;
    uint32_t id_count;
    int64_t delivered_ms; /* of IDLE or TIME; -1: none was given */
    bool has_last_id;
    struct stream_id last_id;
    struct slice *said; /* words of what is said: all but the options, when the ids are done */
    uint32_t said_count;
};

/* ---- what is asked -----------------------------------------------------------------------------
 */

static uint32_t count_ids(const struct call *call)
{
    uint32_t at = IDS;
    struct stream_id id;

    while (at < call->argument_count && stream_id_parse(call->arguments[at], 0, NULL, &id))
        at++;
    return at - IDS;
}

static bool parse_number(struct call *call, uint32_t index, const char *option, int64_t *out_value)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "ERR Invalid %s option argument for XCLAIM", option);
    return call_integer_between(call, index, INT64_MIN, INT64_MAX, text, out_value);
}

static bool parse_option(struct call *call, uint32_t *index, struct claim *claim)
{
    struct slice word = call->arguments[*index];
    bool has_more = *index + 1 < call->argument_count;
    uint64_t now_ms = claim->claiming.now_ms;
    int64_t idle_ms;

    if (slice_is(word, "FORCE")) {
        claim->claiming.is_forced = true;
    } else if (slice_is(word, "JUSTID")) {
        claim->claiming.just_ids = true;
    } else if (has_more && slice_is(word, "IDLE")) {
        if (!parse_number(call, ++*index, "IDLE", &idle_ms)) return false;
        if (__builtin_sub_overflow((int64_t)now_ms, idle_ms, &claim->delivered_ms))
            claim->delivered_ms = (int64_t)now_ms;
    } else if (has_more && slice_is(word, "TIME")) {
        if (!parse_number(call, ++*index, "TIME", &claim->delivered_ms)) return false;
    } else if (has_more && slice_is(word, "RETRYCOUNT")) {
        return parse_number(call, ++*index, "RETRYCOUNT", &claim->claiming.retry_count);
    } else if (has_more && slice_is(word, "LASTID")) {
        claim->has_last_id = true;
        return stream_word_id(call, ++*index, &claim->last_id);
    } else {
        (void)call_errorf(call, "ERR Unrecognized XCLAIM option '%.*s'", (int)word.size,
                          (const char *)word.bytes);
        return false;
    }
    return true;
}

/* A time that cannot be is taken for now, as whoever computed it may have another clock. */
static void settle_times(const struct call *call, struct claim *claim, int64_t min_idle_ms)
{
    struct stream_claiming *claiming = &claim->claiming;
    int64_t now_ms = (int64_t)claiming->now_ms;
    bool is_sane = claim->delivered_ms >= 0 && (claim->delivered_ms <= now_ms || call->is_replay);

    claiming->delivered_ms = is_sane ? (uint64_t)claim->delivered_ms : claiming->now_ms;
    claiming->delivered_max_ms = stream_delivered_max_ms(claiming->now_ms, min_idle_ms);
}

/* False: an error was answered. */
static bool parse(struct call *call, struct claim *claim)
{
    int64_t min_idle_ms;

    claim->delivered_ms = -1;
    claim->claiming.now_ms = stream_now_ms(call);
    claim->claiming.retry_count = -1;
    if (!call_integer_between(call, 4, INT64_MIN, INT64_MAX,
                              "ERR Invalid min-idle-time argument for XCLAIM", &min_idle_ms))
        return false;
    claim->id_count = count_ids(call);
    for (uint32_t i = IDS + claim->id_count; i < call->argument_count; i++)
        if (!parse_option(call, &i, claim)) return false;
    settle_times(call, claim, min_idle_ms);
    return true;
}

/* ---- what the log gets -------------------------------------------------------------------------
 */

/* The ids that something was done with, without a least idle time; done again it does the same. */
static void say_claimed(struct call *call, struct claim *claim)
{
    const struct stream_claiming *claiming = &claim->claiming;
    char time[NUMBER_INT64_BYTES_MAX], count[NUMBER_INT64_BYTES_MAX], id[STREAM_ID_TEXT_BYTES];
    struct slice *words = claim->said;
    uint32_t n = claim->said_count;

    words[n++] = SLICE_LITERAL("TIME");
    words[n++] = slice_of(time, number_format_uint64(time, claiming->delivered_ms));
    if (claiming->retry_count >= 0) {
        words[n++] = SLICE_LITERAL("RETRYCOUNT");
        words[n++] = slice_of(count, number_format_int64(count, claiming->retry_count));
    }
    if (claiming->is_forced) words[n++] = SLICE_LITERAL("FORCE");
    if (claiming->just_ids) words[n++] = SLICE_LITERAL("JUSTID");
    if (claim->has_last_id) {
        words[n++] = SLICE_LITERAL("LASTID");
        words[n++] = slice_of(id, stream_id_format(id, claim->last_id));
    }
    effect_say(call, words, n);
}

/* Nothing was claimed, but the last id of the group has moved. */
static void say_last_id(struct call *call, const struct claim *claim)
{
    int64_t entries_read = stream_group_entries_read(claim->key.group);
    char id[STREAM_ID_TEXT_BYTES], count[NUMBER_INT64_BYTES_MAX];
    struct slice words[7] = { SLICE_LITERAL("XGROUP"),
                              SLICE_LITERAL("SETID"),
                              call->arguments[1],
                              call->arguments[2],
                              slice_of(id, stream_id_format(id, claim->last_id)),
                              SLICE_LITERAL("ENTRIESREAD") };

    if (entries_read == STREAM_ENTRIES_READ_UNKNOWN) entries_read = -1;
    words[6] = slice_of(count, number_format_int64(count, entries_read));
    effect_say(call, words, 7);
}

/* ---- claiming ----------------------------------------------------------------------------------
 */

static int claim_ids(struct call *call, struct claim *claim, struct stream_gathered *claimed)
{
    memcpy(claim->said, call->arguments, (IDS - 1) * sizeof(*claim->said));
    claim->said[IDS - 1] = SLICE_LITERAL("0");
    claim->said_count = IDS;
    for (uint32_t i = 0; i < claim->id_count; i++) {
        struct stream_id id;
        int rc;

        (void)stream_id_parse(call->arguments[IDS + i], 0, NULL, &id);
        rc = stream_claim(call, &claim->key, &claim->claiming, id, claimed);
        if (rc < 0 && (claim->said_count == IDS || call->is_replay)) return rc;
        if (rc < 0) break;
        if (rc != STREAM_CLAIM_NOTHING) claim->said[claim->said_count++] = call->arguments[IDS + i];
        if (stream_gathered_is_full(call, claimed)) break;
        if ((i + 1) % BREATH_IDS == 0 && call_can_suspend(call) && !call->is_replay &&
            parking_breathe(call->server) < 0)
            break;
    }
    return 0;
}

static int claim_and_reply(struct call *call, struct claim *claim)
{
    struct stream_id before = stream_group_last_id(claim->key.group);
    bool has_moved = claim->has_last_id && stream_id_compare(claim->last_id, before) > 0;
    struct stream_gathered claimed;
    int rc;

    stream_gathered_begin(call, &claimed);
    rc = claim_ids(call, claim, &claimed);
    if (rc == 0) {
        if (has_moved) stream_group_set_last_id(claim->key.group, claim->last_id);
        stream_gathered_reply(call, &claimed);
        if (claim->said_count > IDS && claim->claiming.delivered_ms < claim->claiming.now_ms)
            stream_group_made_idle(call, &claim->key); /* who claims need not wait so long */
        else if (claim->said_count > IDS || has_moved)
            stream_group_changed(call, &claim->key);
        if (claim->said_count > IDS)
            say_claimed(call, claim);
        else if (has_moved)
            say_last_id(call, claim);
    }
    stream_gathered_drop(&claimed);
    return rc;
}

/* XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT count]
 * [FORCE] [JUSTID] [LASTID id] */
int stream_xclaim(struct call *call)
{
    struct claim claim = { .said = NULL };
    int rc = stream_group_need(call, call->arguments[1], call->arguments[2], &claim.key);

    if (rc <= 0) return rc;
    if (!parse(call, &claim)) return 0;
    claim.claiming.consumer_name = call->arguments[3];
    rc = stream_claiming_may_read(call, &claim.key, &claim.claiming);
    if (rc < 0) return rc;
    if (claim.id_count > AT_ONCE_IDS && !call_can_suspend(call)) return -EAGAIN;
    claim.said = malloc((IDS + claim.id_count + SAID_OPTIONS_MAX) * sizeof(*claim.said));
    if (!claim.said) return -ENOMEM;
    rc = claim_and_reply(call, &claim);
    free(claim.said);
    return rc;
}
