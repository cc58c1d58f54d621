/* stream_group_served.c - what one stream gives to a reader of a group
 *
 * Each entry is found, delivered and written before the next one. So whatever ends it early, a disk
 * that cannot be read, or memory that is refused, what was delivered is what is answered. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/pool/pool.h"
#include "modules/stream/finder.h"
#include "modules/stream/stream.h"
#include "server/commands/parking.h"
#include "server/commands/stream_group_reading.h"
#include "server/commands/stream_id_list.h"
#include "server/commands/stream_words.h"

enum {
    BREATH_ENTRIES = 256,
    WHOLE_BYTES = 4 * STREAM_GROUP_INLINE_BYTES,
    CLAIM_MAX = 65536, /* of what is idle, at a time */
};

/* ---- limits ------------------------------------------------------------------------------------
 */

uint64_t group_served_count_max(const struct call *call, const struct group_reading *reading,
                                const struct group_answer *answer)
{
    uint64_t count = reading_count_wanted(call, &reading->asked);

    return count < answer->count_left ? count : answer->count_left;
}

/* False: MAXSIZE or the room that an answer has is used up. An entry counts as it is answered, but
 * for its length's digits. */
static bool may_take(struct group_answer *answer, uint64_t fields_bytes)
{
    uint64_t bytes = STREAM_ID_TEXT_BYTES + fields_bytes;

    if (answer->taken >= answer->taken_max) return false;
    if (answer->taken == 0) return true;
    if (bytes > answer->bytes_left) { /* streams are served in the caller's order */
        answer->bytes_left = 0;
        return false;
    }
    if (answer->bytes + bytes > answer->bytes_max && !answer->may_stream) answer->is_full = true;
    return !answer->is_full;
}

/* It is to go out as the socket drains, from ranges that are read again then: not while little is
 * held for others. */
static bool is_too_much(const struct group_answer *answer)
{
    struct pool_info pool;

    if (answer->bytes <= STREAM_GROUP_INLINE_BYTES) return false;
    if (answer->bytes > WHOLE_BYTES) return true;
    pool_info(chain_pool(answer->parts.reply.chain), &pool);
    return pool.in_use_bytes + pool.overflow_bytes > pool.limit_bytes / 4;
}

/* It was taken, delivered if it is to be, and is written or will be. */
static void take(struct group_answer *answer, uint64_t fields_bytes)
{
    uint64_t bytes = STREAM_ID_TEXT_BYTES + fields_bytes;

    answer->taken++;
    if (answer->count_left != UINT64_MAX) answer->count_left--;
    answer->bytes += bytes;
    answer->bytes_left -= bytes < answer->bytes_left ? bytes : answer->bytes_left;
    if (answer->may_stream && is_too_much(answer)) answer->is_long = true;
}

/* Now and then, where there are many: others go first, and memory is looked at again. before: so
 * many were done when it was called last. */
static int rest(struct call *call, struct group_served *served, uint64_t before, uint64_t done,
                bool grows)
{
    int rc = 0;

    if (done / BREATH_ENTRIES == before / BREATH_ENTRIES || call->is_replay) return 0;
    if (grows) {
        stream_key_recount(call, &served->key.stream);
        rc = stream_group_may_grow(call);
    }
    return rc == 0 && call_can_suspend(call) ? parking_breathe(call->server) : rc;
}

/* ---- the consumer ------------------------------------------------------------------------------
 */

/* Made by the first thing that it is given, as in Redis 7.0. */
static int get_consumer(const struct group_reading *reading, struct group_served *served,
                        bool *out_is_new)
{
    struct stream_group *group = served->key.group;
    int rc = 0;

    *out_is_new = false;
    if (served->consumer) return 0;
    served->consumer = stream_group_find_consumer(group, reading->consumer);
    *out_is_new = !served->consumer;
    if (*out_is_new)
        rc =
            stream_group_add_consumer(group, reading->consumer, reading->now_ms, &served->consumer);
    else
        stream_consumer_set_seen(served->consumer, reading->now_ms);
    return rc;
}

/* It was given that, or (rc) was not, and is not made for it then. */
static int settle_consumer(const struct group_reading *reading, struct group_served *served,
                           bool is_new, int rc)
{
    if (rc >= 0) {
        served->has_changed = true;
        stream_consumer_set_active(served->consumer, reading->now_ms);
    } else if (is_new) {
        stream_group_remove_consumer(served->key.group, served->consumer);
        served->consumer = NULL;
    }
    return rc;
}

/* Makes it the consumer's. */
static int deliver(const struct group_reading *reading, struct group_served *served,
                   struct stream_pending *pending)
{
    bool is_new;
    int rc = get_consumer(reading, served, &is_new);

    if (rc < 0) return rc;
    pending->consumer = served->consumer;
    pending->delivered_ms = reading->now_ms;
    rc = stream_group_set_pending(served->key.group, pending);
    return settle_consumer(reading, served, is_new, rc);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* With CLAIM each entry tells for how long it was idle, and how often it was delivered before. */
static void write_claimed(struct reply *reply, const struct stream_entry *entry, int64_t idle_ms,
                          uint64_t delivery_count)
{
    reply_array(reply, 4);
    stream_id_reply(reply, entry->id);
    reply_array(reply, entry->field_count);
    reply_raw(reply, entry->fields);
    reply_integer(reply, idle_ms);
    reply_integer(reply, (int64_t)delivery_count);
}

/* ---- the history -------------------------------------------------------------------------------
 */

/* Of an answer that may get long the ids are kept: for so many at most there is room. */
static int list_ids(const struct group_answer *answer, struct group_served *served,
                    uint64_t count_max)
{
    uint64_t capacity = stream_consumer_pending_count(served->consumer);
    uint64_t most = answer->bytes_max / sizeof(struct stream_id);

    stream_cursor_begin(&served->range.cursor, served->key.stream.stream, STREAM_ID_MIN,
                        STREAM_FORWARD);
    if (capacity > count_max) capacity = count_max;
    if (capacity > most) capacity = most;
    if (!answer->may_stream || capacity == 0) return 0;
    served->listed = stream_id_list_create(capacity);
    return served->listed ? 0 : -ENOMEM;
}

static void write_again(struct group_answer *answer, const struct stream_entry *entry,
                        struct stream_id id, bool is_there, struct stream_gathered *entries)
{
    entries->count++;
    if (answer->is_long) return;
    if (is_there)
        (void)stream_entry_reply(&entries->reply, entry);
    else
        (void)stream_gone_reply(&entries->reply, id);
}

/* It was answered: where the answer gets long, it is written from the list. */
static void keep_id(struct group_served *served, struct stream_id id)
{
    served->range.count++;
    if (served->listed) stream_id_list_add(served->listed, id);
}

static bool has_room(struct group_answer *answer, const struct group_served *served)
{
    const struct stream_id_list *listed = served->listed;

    if (listed && listed->count == listed->capacity) answer->is_full = true;
    return !answer->is_full;
}

/* 1: it was answered. 0: no more is. */
static int give_again(struct call *call, const struct group_reading *reading,
                      struct group_answer *answer, struct group_served *served,
                      struct stream_seeker *seeker, struct stream_pending *pending,
                      struct stream_gathered *entries)
{
    struct stream_entry entry = { .field_count = 0 };
    bool is_there;
    int rc;

    if (!has_room(answer, served)) return 0;
    rc = stream_seeker_next(seeker, pending->id, &entry);
    if (rc < 0) return rc;
    is_there = rc == 1;
    if (!is_there) entry.fields = (struct slice){ 0 };
    if (!may_take(answer, entry.fields.size)) return 0;
    if (is_there) {
        pending->delivery_count += pending->delivery_count < INT64_MAX;
        rc = deliver(reading, served, pending);
        if (rc < 0) return rc;
    }
    take(answer, entry.fields.size);
    keep_id(served, pending->id);
    if (!call->is_replay) write_again(answer, &entry, pending->id, is_there, entries);
    return 1;
}

/* What the consumer has pending behind an id, in order of ids. */
static int serve_history(struct call *call, const struct group_reading *reading,
                         struct group_answer *answer, struct group_served *served,
                         struct stream_gathered *entries)
{
    uint64_t count_max = group_served_count_max(call, reading, answer), count = 0;
    struct stream_id from = served->after;
    struct stream_pending pending;
    struct stream_seeker seeker;
    bool is_new;
    int rc;

    if (answer->count_left == 0) return 0;
    rc = get_consumer(reading, served, &is_new);
    if (rc < 0) return rc;
    served->has_changed = is_new;
    stream_seeker_begin(&seeker, served->key.stream.stream);
    rc = list_ids(answer, served, count_max);
    if (rc == 0) rc = 1;
    while (rc == 1 && count < count_max && stream_id_increment(&from) &&
           stream_group_next_pending(served->key.group, served->consumer, from, STREAM_ANY_TIME_MS,
                                     &pending)) {
        rc = give_again(call, reading, answer, served, &seeker, &pending, entries);
        from = pending.id;
        count += rc == 1;
        if (rc == 1 && rest(call, served, count - 1, count, false) < 0) rc = -ECANCELED;
    }
    served->is_served = count > 0 || rc == 1; /* empty only when there is nothing */
    return rc < 0 ? rc : 0;
}

/* ---- CLAIM -------------------------------------------------------------------------------------
 */

static int64_t idle_since(const struct group_reading *reading, const struct stream_pending *pending)
{
    uint64_t then_ms = pending->delivered_ms;

    return reading->now_ms > then_ms ? (int64_t)(reading->now_ms - then_ms) : 0;
}

/* It has no entry any more: it is not pending either, then. */
static int drop_gone(const struct group_reading *reading, struct group_answer *answer,
                     struct group_served *served, struct stream_id id)
{
    bool is_new;
    int rc = get_consumer(reading, served, &is_new);

    if (rc < 0) return rc;
    rc = stream_group_acknowledge(served->key.group, id);
    if (settle_consumer(reading, served, is_new, rc) < 0) return rc;
    take(answer, 0);
    return 1;
}

/* 1: it was claimed, or has gone. 0: no more is. */
static int claim(struct call *call, const struct group_reading *reading,
                 struct group_answer *answer, struct group_served *served,
                 struct stream_seeker *seeker, const struct stream_pending *before,
                 struct stream_gathered *entries)
{
    struct stream_pending pending = *before;
    struct stream_entry entry;
    int rc = stream_seeker_next(seeker, pending.id, &entry);

    if (rc < 0) return rc;
    if (!may_take(answer, rc == 1 ? entry.fields.size : 0)) return 0;
    if (rc == 0) return drop_gone(reading, answer, served, pending.id);
    pending.delivery_count += pending.delivery_count < INT64_MAX;
    rc = deliver(reading, served, &pending);
    if (rc < 0) return rc;
    take(answer, entry.fields.size);
    entries->count++;
    if (!call->is_replay)
        write_claimed(&entries->reply, &entry, idle_since(reading, before), before->delivery_count);
    return 1;
}

/* Those that were found. Returns how many, or why there are fewer. */
static int64_t claim_all(struct call *call, const struct group_reading *reading,
                         struct group_answer *answer, struct group_served *served,
                         struct stream_gathered *entries, const struct stream_pending *found,
                         int64_t found_count)
{
    struct stream_seeker seeker;

    stream_seeker_begin(&seeker, served->key.stream.stream);
    for (int64_t i = 0; i < found_count; i++) {
        int rc = claim(call, reading, answer, served, &seeker, &found[i], entries);

        if (rc == 0) return i;
        if (rc == 1) {
            served->is_served = true;
            rc = rest(call, served, (uint64_t)i, (uint64_t)i + 1, false);
        }
        if (rc < 0) return rc;
    }
    return found_count;
}

/* What has been idle for long enough, the oldest first: how many were taken. */
static int64_t serve_idle(struct call *call, const struct group_reading *reading,
                          struct group_answer *answer, struct group_served *served,
                          uint64_t count_max, struct stream_gathered *entries)
{
    uint64_t there = stream_group_pending_count(served->key.group), find_max = count_max;
    struct stream_pending *found;
    int64_t count, done = 0;

    if (find_max > there) find_max = there;
    if (find_max > CLAIM_MAX) find_max = CLAIM_MAX;
    if (find_max == 0) return 0;
    found = malloc(find_max * sizeof(*found));
    if (!found) return -ENOMEM;
    count = stream_group_oldest_of(served->key.group,
                                   stream_delivered_max_ms(reading->now_ms, reading->min_idle_ms),
                                   found, find_max);
    done = count;
    if (count > 0) done = claim_all(call, reading, answer, served, entries, found, count);
    /* Others may be idle, too: what is new comes behind them. */
    if (done == CLAIM_MAX && count_max > CLAIM_MAX) answer->is_full = true;
    free(found);
    return done;
}

/* ---- what is new -------------------------------------------------------------------------------
 */

/* The group has come to that one. How many entries there were up to it is known exactly, whatever
 * was deleted or trimmed before. */
static void advance(struct group_served *served, const struct stream_entry *entry)
{
    struct stream_info info;
    uint64_t never_here;

    stream_get_info(served->key.stream.stream, &info);
    /* XSETID may say that there were more, or fewer, than there were here. */
    never_here = info.entries_added - (info.end - 1);
    stream_group_set_last_id(served->key.group, entry->id);
    stream_group_set_entries_read(served->key.group, (int64_t)(entry->ordinal + never_here));
}

static int deliver_new(const struct group_reading *reading, struct group_served *served,
                       struct stream_id id)
{
    struct stream_pending pending = { .id = id, .delivery_count = 1 };
    bool is_new;
    int rc;

    if (!reading->no_ack) return deliver(reading, served, &pending);
    rc = get_consumer(reading, served, &is_new);
    return rc < 0 ? rc : settle_consumer(reading, served, is_new, 0);
}

/* The next of those that are left, some at a time. */
static int next_new(struct group_served *served, struct stream_cursor *cursor, uint64_t left,
                    struct stream_entry out_entries[STREAM_GROUP_AT_ONCE])
{
    struct stream_want want = { .count = STREAM_GROUP_AT_ONCE, .bytes = STREAM_GROUP_INLINE_BYTES };
    int rc;

    if (want.count > left) want.count = (uint32_t)left;
    if (served->ahead.entries) {
        group_ahead_get(&served->ahead, served->range.count, want.count, out_entries);
        return (int)want.count;
    }
    rc = stream_cursor_next_some(cursor, want, out_entries);
    return rc == 0 ? -EBADMSG : rc; /* fewer than were counted */
}

static void write_new(const struct group_reading *reading, struct group_answer *answer,
                      const struct stream_entry *entry, struct stream_gathered *entries)
{
    entries->count++;
    if (answer->is_long) return;
    if (reading->min_idle_ms >= 0)
        write_claimed(&entries->reply, entry, 0, 0);
    else
        (void)stream_entry_reply(&entries->reply, entry);
}

/* 1: it was given. 0: no more is. */
static int give_new(struct call *call, const struct group_reading *reading,
                    struct group_answer *answer, struct group_served *served,
                    const struct stream_entry *entry, struct stream_gathered *entries)
{
    int rc;

    if (!may_take(answer, entry->fields.size)) return 0;
    rc = deliver_new(reading, served, entry->id);
    if (rc < 0) return rc;
    take(answer, entry->fields.size);
    if (!call->is_replay) write_new(reading, answer, entry, entries);
    served->range.count++;
    served->is_served = true;
    return 1;
}

/* Of some that were read together. 1: all were given. 0: no more are. */
static int give_some(struct call *call, const struct group_reading *reading,
                     struct group_answer *answer, struct group_served *served,
                     const struct stream_entry *some, int count, struct stream_gathered *entries)
{
    int given = 0, rc = 1;

    while (rc == 1 && given < count) {
        rc = give_new(call, reading, answer, served, &some[given], entries);
        given += rc == 1;
    }
    if (given > 0) advance(served, &some[given - 1]);
    return rc;
}

/* So many of the range, which is as long then as what was delivered. */
static int give_range(struct call *call, const struct group_reading *reading,
                      struct group_answer *answer, struct group_served *served, uint64_t count,
                      struct stream_gathered *entries)
{
    struct stream_cursor cursor = served->range.cursor;
    int rc = 1;

    served->range.count = 0;
    while (rc == 1 && served->range.count < count) {
        struct stream_entry some[STREAM_GROUP_AT_ONCE];
        uint64_t before = served->range.count;

        rc = next_new(served, &cursor, count - before, some);
        if (rc > 0) rc = give_some(call, reading, answer, served, some, rc, entries);
        /* Others may read meanwhile: what was read is not looked at any more. */
        if (rc == 1 && rest(call, served, before, served->range.count, !reading->no_ack) < 0)
            rc = -ECANCELED;
    }
    return rc < 0 ? rc : 0;
}

/* What there is for it, which may have been read already. */
static int find_new(struct group_served *served, uint64_t count_max)
{
    struct stream_id from = stream_group_last_id(served->key.group);

    if (served->ahead.entries) {
        served->range = served->ahead.range;
        if (served->range.count > count_max) served->range.count = count_max;
        return 0;
    }
    if (!stream_id_increment(&from)) return 0;
    return stream_range_find(served->key.stream.stream, from, STREAM_ID_MAX, STREAM_FORWARD,
                             count_max, &served->range);
}

static int serve_new(struct call *call, const struct group_reading *reading,
                     struct group_answer *answer, struct group_served *served, uint64_t count_max,
                     struct stream_gathered *entries)
{
    int rc;

    if (count_max == 0 || answer->is_full) return 0;
    rc = find_new(served, count_max);
    if (rc < 0 || served->range.count == 0) return rc;
    if (!reading->no_ack) rc = stream_group_may_grow(call);
    if (rc < 0) {
        served->range.count = 0;
        return rc;
    }
    return give_range(call, reading, answer, served, served->range.count, entries);
}

static int serve_unread(struct call *call, const struct group_reading *reading,
                        struct group_answer *answer, struct group_served *served,
                        struct stream_gathered *entries)
{
    uint64_t count_max = group_served_count_max(call, reading, answer);
    int64_t claimed = 0;

    if (reading->min_idle_ms >= 0)
        claimed = serve_idle(call, reading, answer, served, count_max, entries);
    if (claimed < 0) return (int)claimed;
    return serve_new(call, reading, answer, served, count_max - (uint64_t)claimed, entries);
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static void begin_part(struct call *call, struct group_answer *answer,
                       const struct group_served *served)
{
    struct reply *reply = &answer->parts.reply;

    if (reply->protocol != 3) reply_array(reply, 2);
    reply_bulk(reply, call->arguments[served->key_index]);
}

int group_served_serve(struct call *call, const struct group_reading *reading,
                       struct group_answer *answer, struct group_served *served)
{
    struct stream_gathered entries;
    int rc;

    stream_gathered_begin_in(&entries, &answer->parts.reply);
    if (served->is_new)
        rc = serve_unread(call, reading, answer, served, &entries);
    else
        rc = serve_history(call, reading, answer, served, &entries);
    if (served->is_served) {
        begin_part(call, answer, served);
        stream_gathered_reply_to(&entries, &answer->parts.reply);
        answer->parts.count++;
    }
    if (served->has_changed) stream_group_changed(call, &served->key);
    stream_gathered_drop(&entries);
    return rc;
}
