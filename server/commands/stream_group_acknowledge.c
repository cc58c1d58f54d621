/* stream_group_acknowledge.c - XACK XACKDEL XNACK */
#include <stdlib.h>

#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_ids.h"
#include "server/commands/stream_references.h"
#include "server/commands/stream_words.h"

/* ---- XACK --------------------------------------------------------------------------------------
 */

/* Without memory it stops half-way: what was done is answered, and said. So do those below; but a
 * replay does all that was done, or is refused. */
static int acknowledge_all(struct call *call, const struct stream_group_key *key,
                           const struct stream_id *ids, uint32_t first, uint32_t count)
{
    int64_t acknowledged = 0;
    uint32_t i = 0;
    int rc = 0;

    for (; i < count && rc >= 0; i++) {
        (void)stream_ids_breathe(call, i, true);
        rc = stream_group_acknowledge(key->group, ids[i]);
        acknowledged += rc == 1;
    }
    if (rc < 0 && (acknowledged == 0 || call->is_replay)) return rc;
    if (acknowledged > 0) stream_group_changed(call, key);
    reply_integer(call->reply, acknowledged);
    if (rc < 0) effect_say(call, call->arguments, first + i - 1);
    return 0;
}

/* "XACK key group CONSUMER name UNTIL id": of an XGROUP DELCONSUMER that was refused memory
 * half-way. What that consumer had pending before that id went. */
static int acknowledge_until(struct call *call, const struct stream_group_key *key)
{
    const struct stream_consumer *consumer =
        stream_group_find_consumer(key->group, call->arguments[4]);
    struct stream_pending pending;
    struct stream_id until;

    if (!stream_word_id(call, 6, &until)) return 0;
    while (consumer && stream_group_next_pending(key->group, consumer, STREAM_ID_MIN,
                                                 STREAM_ANY_TIME_MS, &pending)) {
        int rc;

        if (stream_id_compare(pending.id, until) >= 0) break;
        rc = stream_group_acknowledge(key->group, pending.id);
        if (rc < 0) return rc;
    }
    stream_group_changed(call, key);
    return 0;
}

/* XACK key group id [id ...] */
int stream_xack(struct call *call)
{
    enum { FIRST = 3 };
    struct stream_group_key key;
    struct stream_ids ids;
    int rc = stream_group_find(call, call->arguments[1], call->arguments[2], &key);

    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    if (call->is_replay && call->argument_count == 7 &&
        slice_is(call->arguments[FIRST], "CONSUMER"))
        return acknowledge_until(call, &key);
    rc = stream_ids_take(call, FIRST, call->argument_count - FIRST, &ids);
    if (rc == 1) rc = acknowledge_all(call, &key, ids.ids, FIRST, ids.count);
    stream_ids_finish(&ids);
    return rc;
}

/* ---- XACKDEL -----------------------------------------------------------------------------------
 */

/* Another group has it pending, or any has yet to deliver it. */
static bool is_needed_besides(const struct stream_group_key *key, struct stream_id id)
{
    for (uint32_t i = 0; i < stream_groups_count(key->groups); i++) {
        const struct stream_group *group = stream_groups_at(key->groups, i);

        if (stream_id_compare(id, stream_group_last_id(group)) > 0) return true;
        if (group != key->group && stream_group_find_pending(group, id, NULL)) return true;
    }
    return false;
}

/* One of enum stream_removal. Negative: nothing was done. What is written where it is can be
 * acknowledged without memory, so that comes last. */
static int acknowledge_and_delete(struct stream_group_key *key, enum stream_references references,
                                  struct stream_id id, uint64_t ordinal)
{
    struct stream_pending pending;
    bool was_referred_to;
    int rc;

    if (!stream_group_find_pending(key->group, id, &pending)) return STREAM_NO_ENTRY;
    if (references == STREAM_ONLY_ACKNOWLEDGED && ordinal && is_needed_besides(key, id)) {
        rc = stream_group_acknowledge(key->group, id);
        return rc < 0 ? rc : STREAM_STILL_NEEDED;
    }
    if (references == STREAM_ONLY_ACKNOWLEDGED) references = STREAM_KEEP_REFERENCES;
    rc = stream_group_set_pending(key->group, &pending);
    if (rc == 0)
        rc = stream_remove_entry(key->stream.stream, key->groups, references, id, ordinal,
                                 &was_referred_to);
    if (rc < 0) return rc;
    (void)stream_group_acknowledge(key->group, id); /* DELREF has done that, too */
    /* It was pending: whether its entry has gone before does not matter. */
    return rc == STREAM_NO_ENTRY ? STREAM_REMOVED : rc;
}

/* ordinals are overwritten. */
static int ackdel_all(struct call *call, struct stream_group_key *key,
                      const struct stream_id_options *options, uint64_t *ordinals)
{
    const struct stream_ids *ids = &options->ids;
    uint64_t count = stream_count(key->stream.stream);
    bool has_changed = false;
    uint32_t done = 0;
    int rc = 0;

    for (; done < ids->count; done++) {
        (void)stream_ids_breathe(call, done, true);
        rc = acknowledge_and_delete(key, options->references, ids->ids[done], ordinals[done]);
        if (rc < 0) break;
        has_changed |= rc != STREAM_NO_ENTRY;
        ordinals[done] = (uint64_t)rc;
    }
    if (rc < 0 && (done == 0 || call->is_replay)) return rc;
    stream_reply_removals(call->reply, ordinals, done, ids->count);
    if (has_changed) stream_group_changed(call, key);
    if (stream_count(key->stream.stream) != count) call_changed(call, call->arguments[1]);
    if (done < ids->count) stream_ids_say_first(call, options->numids_index, ids->count, done);
    return 0;
}

static int reply_none_removed(struct call *call, uint32_t count)
{
    stream_reply_removals(call->reply, NULL, 0, count);
    return 0;
}

static int ackdel(struct call *call, const struct stream_id_options *options)
{
    const struct stream_ids *ids = &options->ids;
    struct stream_group_key key;
    uint64_t *ordinals;
    int rc = stream_group_find(call, call->arguments[1], call->arguments[2], &key);

    if (rc <= 0) return rc < 0 ? rc : reply_none_removed(call, ids->count);
    rc = stream_find_ordinals(call, key.stream.stream, ids->ids, ids->count, &ordinals);
    if (rc < 0) return rc;
    rc = ackdel_all(call, &key, options, ordinals);
    free(ordinals);
    return rc;
}

/* XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...] */
int stream_xackdel(struct call *call)
{
    struct stream_id_options options;
    int rc = stream_id_options_parse(call, 3, &options);

    if (rc == 1) rc = ackdel(call, &options);
    stream_ids_finish(&options.ids);
    return rc;
}

/* ---- XNACK -------------------------------------------------------------------------------------
 */

enum { NACK_MODE = 3 }; /* behind it options and ids, in any order */

enum nack_mode { NACK_SILENT, NACK_FAIL, NACK_FATAL };

struct nacking {
    enum nack_mode mode;
    struct stream_ids ids;
    uint32_t numids_index; /* 0: there are none */
    int64_t retry_count;   /* -1: as the mode says */
    bool is_forced;
};

static bool parse_mode(struct slice word, enum nack_mode *out_mode)
{
    if (slice_is(word, "SILENT"))
        *out_mode = NACK_SILENT;
    else if (slice_is(word, "FAIL"))
        *out_mode = NACK_FAIL;
    else if (slice_is(word, "FATAL"))
        *out_mode = NACK_FATAL;
    else
        return false;
    return true;
}

/* One that is not IDS, at *index, which is behind it then. False: an error was answered. */
static bool parse_nack_option(struct call *call, uint32_t *index, struct nacking *nacking)
{
    struct slice word = call->arguments[(*index)++];

    if (slice_is(word, "FORCE")) {
        nacking->is_forced = true;
        return true;
    }
    if (!slice_is(word, "RETRYCOUNT") || *index == call->argument_count) {
        (void)call_errorf(call, "ERR Unrecognized XNACK option '%.*s'", (int)word.size,
                          (const char *)word.bytes);
        return false;
    }
    if (!call_integer(call, (*index)++, &nacking->retry_count)) return false;
    if (nacking->retry_count >= 0) return true;
    (void)call_error(call, "ERR Invalid RETRYCOUNT value, must be >= 0");
    return false;
}

/* 1: go on; 0: answered; negative: as a handler. */
static int parse_nack(struct call *call, struct nacking *nacking)
{
    static const struct stream_ids_errors errors = {
        "ERR numids must be a positive integer",
        "ERR number of IDs doesn't match numids",
    };
    uint32_t i = NACK_MODE + 1;

    *nacking = (struct nacking){ .retry_count = -1 };
    if (!parse_mode(call->arguments[NACK_MODE], &nacking->mode))
        return call_error(call, "ERR mode must be SILENT, FAIL, or FATAL");
    while (i < call->argument_count) {
        int rc;

        if (nacking->numids_index > 0 || !slice_is(call->arguments[i], "IDS")) {
            if (!parse_nack_option(call, &i, nacking)) return 0;
            continue;
        }
        nacking->numids_index = i + 1;
        rc = stream_ids_parse(call, i, &errors, &nacking->ids, &i);
        if (rc != 1) return rc;
    }
    if (nacking->numids_index > 0) return 1;
    return call_error(call, "ERR syntax error, expected IDS keyword");
}

static uint64_t count_after(const struct nacking *nacking, uint64_t before)
{
    if (nacking->retry_count >= 0) return (uint64_t)nacking->retry_count;
    switch (nacking->mode) {
    case NACK_SILENT:
        return before > 0 ? before - 1 : 0;
    case NACK_FAIL:
        return before;
    case NACK_FATAL:
        break;
    }
    return INT64_MAX;
}

/* 1: it was given back. 0: it was not pending, nor is it to be made so (FORCE). */
static int give_back(const struct stream_group_key *key, const struct nacking *nacking,
                     struct stream_id id, bool may_make)
{
    struct stream_pending pending = { .id = id };
    int rc;

    if (!stream_group_find_pending(key->group, id, &pending) && !may_make) return 0;
    pending.delivery_count = count_after(nacking, pending.delivery_count);
    pending.consumer = NULL;
    pending.delivered_ms = 0;
    rc = stream_group_set_pending(key->group, &pending);
    return rc < 0 ? rc : 1;
}

/* ordinals: what has an entry becomes pending if it was not; NULL: nothing does. Without memory it
 * stops half-way: what was done is answered, and said. */
static int give_all_back(struct call *call, const struct stream_group_key *key,
                         const struct nacking *nacking, const uint64_t *ordinals)
{
    uint32_t done = 0;
    int64_t count = 0;
    int rc = 0;

    for (; done < nacking->ids.count; done++) {
        (void)stream_ids_breathe(call, done, true);
        rc = give_back(key, nacking, nacking->ids.ids[done], ordinals && ordinals[done]);
        if (rc < 0) break;
        count += rc;
    }
    if (rc < 0 && (count == 0 || call->is_replay)) return rc;
    if (count > 0) stream_group_made_idle(call, key); /* it may be claimed at once */
    reply_integer(call->reply, count);
    if (rc < 0) stream_ids_say_first(call, nacking->numids_index, nacking->ids.count, done);
    return 0;
}

static int nack(struct call *call, const struct nacking *nacking)
{
    const struct stream_ids *ids = &nacking->ids;
    struct stream_group_key key;
    uint64_t *ordinals = NULL;
    int rc = stream_group_need(call, call->arguments[1], call->arguments[2], &key);

    if (rc <= 0) return rc;
    rc = 0;
    if (nacking->is_forced)
        rc = stream_find_ordinals(call, key.stream.stream, ids->ids, ids->count, &ordinals);
    if (rc < 0) return rc;
    rc = give_all_back(call, &key, nacking, ordinals);
    free(ordinals);
    return rc;
}

/* XNACK key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE] */
int stream_xnack(struct call *call)
{
    struct nacking nacking;
    int rc = parse_nack(call, &nacking);

    if (rc == 1) rc = nack(call, &nacking);
    stream_ids_finish(&nacking.ids);
    return rc;
}
