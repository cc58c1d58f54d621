/* stream_group_served.c - what one stream gives to a reader of a group
 *
 * Each entry is found, delivered and written before the next one. So whatever ends it early, a disk
 * that cannot be read, or memory that is refused, what was delivered is what is answered. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/finder.h"
#include "modules/stream/stream.h"
#include "server/commands/stream_group_giving.h"
#include "server/commands/stream_words.h"

enum {
    CLAIM_MAX = 65536, /* of what is idle, at a time */
    FIND_AT_ONCE = 64,
};

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
    int rc = group_served_get_consumer(reading, served, &is_new);

    if (rc < 0) return rc;
    rc = stream_group_acknowledge(served->key.group, id);
    if (group_served_settle_consumer(reading, served, is_new, rc) < 0) return rc;
    group_answer_take(answer, 0);
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
    if (!group_answer_may_take(answer, rc == 1 ? entry.fields.size : 0)) return 0;
    if (rc == 0) return drop_gone(reading, answer, served, pending.id);
    pending.delivery_count += pending.delivery_count < INT64_MAX;
    rc = group_served_deliver(reading, served, &pending);
    if (rc < 0) return rc;
    group_answer_take(answer, entry.fields.size);
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
            rc = group_served_rest(call, served, (uint64_t)i, (uint64_t)i + 1, false);
        }
        if (rc < 0) return rc;
    }
    return found_count;
}

/* Finds what has been idle for long enough, the oldest first: how many. Nothing changes before all
 * of it was found. */
static int64_t find_idle(struct call *call, const struct group_reading *reading,
                         struct group_served *served, struct stream_pending *found,
                         uint64_t find_max)
{
    uint64_t most_ms = stream_delivered_max_ms(reading->now_ms, reading->min_idle_ms), count = 0;
    struct stream_oldest *oldest;
    int rc = stream_oldest_begin(served->key.group, most_ms, &oldest);

    if (rc < 0) return rc;
    do {
        uint64_t left = find_max - count, before = count;

        rc = stream_oldest_next(oldest, found + count,
                                left < FIND_AT_ONCE ? (unsigned)left : FIND_AT_ONCE);
        if (rc <= 0) break;
        count += (uint64_t)rc;
        if (group_served_rest(call, served, before, count, false) < 0) rc = -ECANCELED;
    } while (rc > 0);
    stream_oldest_end(oldest);
    return rc < 0 ? rc : (int64_t)count;
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
    count = find_idle(call, reading, served, found, find_max);
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

    if (!reading->no_ack) return group_served_deliver(reading, served, &pending);
    rc = group_served_get_consumer(reading, served, &is_new);
    return rc < 0 ? rc : group_served_settle_consumer(reading, served, is_new, 0);
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

    if (!group_answer_may_take(answer, entry->fields.size)) return 0;
    rc = deliver_new(reading, served, entry->id);
    if (rc < 0) return rc;
    group_answer_take(answer, entry->fields.size);
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
        if (rc == 1 &&
            group_served_rest(call, served, before, served->range.count, !reading->no_ack) < 0)
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
        rc = group_served_give_again(call, reading, answer, served, &entries);
    if (served->is_served) {
        begin_part(call, answer, served);
        stream_gathered_reply_to(&entries, &answer->parts.reply);
        answer->parts.count++;
    }
    if (served->has_changed) stream_group_changed(call, &served->key);
    stream_gathered_drop(&entries);
    return rc;
}
