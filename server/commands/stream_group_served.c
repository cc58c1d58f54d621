/* stream_group_served.c - what one stream gives to a reader of a group
 *
 *   found      how many entries, and which of those that are pending; counted before any is written
 *   written    read, and their ids remembered
 *   delivered  they become the consumer's: the first that changes anything
 *
 * So what is on disk is waited for, or the call run again, before anything has changed. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/stream.h"
#include "server/commands/stream_group_reading.h"
#include "server/commands/stream_words.h"

void group_served_finish(struct group_served *served)
{
    stream_group_mark(served->key.group, false);
    free(served->old);
    free(served->ids);
}

/* ---- finding -----------------------------------------------------------------------------------
 */

static uint64_t count_wanted(const struct call *call, const struct group_reading *reading,
                             const struct group_limits *limits)
{
    uint64_t count = reading_count_wanted(call, &reading->asked);

    return count < limits->count_left ? count : limits->count_left;
}

/* An entry as it is answered, but for its length's digits. */
static bool take_bytes(struct group_limits *limits, const struct stream_entry *entry)
{
    uint64_t bytes = STREAM_ID_TEXT_BYTES + entry->fields.size;
    bool fits = bytes <= limits->bytes_left;

    if (!fits && !limits->is_first) return false;
    limits->is_first = false;
    limits->bytes_left -= fits ? bytes : limits->bytes_left;
    return true;
}

/* What consumer has pending from after on: in order of ids. */
static int find_history(const struct group_served *served, const struct stream_consumer *consumer,
                        uint64_t count_max, struct group_old *old, uint64_t *out_count)
{
    struct stream_id from = served->after;
    uint64_t count = 0;

    if (stream_id_increment(&from)) {
        while (count < count_max &&
               stream_group_next_pending(served->key.group, consumer, from, STREAM_ANY_TIME_MS,
                                         &old[count].pending)) {
            from = old[count++].pending.id;
            if (!stream_id_increment(&from)) break;
        }
    }
    *out_count = count;
    return 0;
}

/* What has been idle for long enough, the oldest first. */
static int find_idle(const struct group_served *served, const struct group_reading *reading,
                     uint64_t count_max, struct group_old *old, uint64_t *out_count)
{
    struct stream_pending *pending = malloc(count_max * sizeof(*pending));
    int64_t count;

    if (!pending) return -ENOMEM;
    count = stream_group_oldest_of(served->key.group,
                                   stream_delivered_max_ms(reading->now_ms, reading->min_idle_ms),
                                   pending, count_max);
    for (int64_t i = 0; i < count; i++)
        old[i].pending = pending[i];
    free(pending);
    *out_count = count > 0 ? (uint64_t)count : 0;
    return count < 0 ? (int)count : 0;
}

/* Looks whether their entries are there; of what is claimed only those that are, are answered. */
static int look_at_old(struct group_served *served, struct group_limits *limits)
{
    uint64_t count = 0;

    for (; count < served->old_count; count++) {
        struct group_old *old = &served->old[count];
        struct stream_entry entry = { .field_count = 0 };
        int rc = stream_find(served->key.stream.stream, old->pending.id, &entry);

        if (rc < 0) return rc;
        old->is_there = rc == 1;
        if (!take_bytes(limits, &entry)) break;
    }
    served->old_count = count;
    return 0;
}

static int find_old(struct group_served *served, const struct group_reading *reading,
                    uint64_t count_max, struct group_limits *limits)
{
    const struct stream_consumer *consumer =
        stream_group_find_consumer(served->key.group, reading->consumer);
    uint64_t there = stream_group_pending_count(served->key.group);
    int rc;

    if (!served->is_new) there = consumer ? stream_consumer_pending_count(consumer) : 0;
    if (count_max > there) count_max = there;
    if (count_max == 0) return 0;
    served->old = calloc(count_max, sizeof(*served->old));
    if (!served->old) return -ENOMEM;
    if (served->is_new)
        rc = find_idle(served, reading, count_max, served->old, &served->old_count);
    else
        rc = find_history(served, consumer, count_max, served->old, &served->old_count);
    return rc < 0 ? rc : look_at_old(served, limits);
}

/* MAXSIZE: so many of the range as fit. */
static int cut_range(struct stream_range *range, struct group_limits *limits)
{
    struct stream_cursor cursor = range->cursor;
    uint64_t count = 0;

    for (; count < range->count; count++) {
        struct stream_entry entry;
        int rc = stream_cursor_next(&cursor, &entry);

        if (rc <= 0) return rc < 0 ? rc : -EBADMSG; /* fewer than were counted */
        if (!take_bytes(limits, &entry)) break;
    }
    range->count = count;
    return 0;
}

static int find_new(struct group_served *served, const struct group_reading *reading,
                    uint64_t count_max, struct group_limits *limits)
{
    struct stream_id from = stream_group_last_id(served->key.group);
    int rc;

    if (count_max == 0 || !stream_id_increment(&from)) return 0;
    rc = stream_range_find(served->key.stream.stream, from, STREAM_ID_MAX, STREAM_FORWARD,
                           count_max, &served->range);
    if (rc == 0 && reading->asked.max_bytes > 0) rc = cut_range(&served->range, limits);
    return rc;
}

int group_served_find(struct call *call, const struct group_reading *reading,
                      struct group_limits *limits, struct group_served *served)
{
    uint64_t count_max = count_wanted(call, reading, limits);
    int rc = 0;

    served->range.count = 0;
    if (count_max == 0 || (served->is_new && stream_group_is_marked(served->key.group))) return 0;
    /* Of a stream that is named twice, what is new is given once. */
    if (served->is_new) stream_group_mark(served->key.group, true);
    if (!served->is_new || reading->min_idle_ms >= 0)
        rc = find_old(served, reading, count_max, limits);
    if (rc == 0 && served->is_new)
        rc = find_new(served, reading, count_max - served->old_count, limits);
    if (rc < 0) return rc;
    limits->count_left -= served->old_count + served->range.count;
    served->is_served = !served->is_new || served->old_count + served->range.count > 0;
    if (served->range.count > 0 && !reading->no_ack) return stream_group_may_grow(call);
    return 0;
}

void group_served_see(const struct group_reading *reading, const struct group_served *served)
{
    struct stream_consumer *consumer =
        stream_group_find_consumer(served->key.group, reading->consumer);

    if (consumer) stream_consumer_set_seen(consumer, reading->now_ms);
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

/* Of the history: what was delivered, but has no entry any more. */
static void write_gone(struct reply *reply, struct stream_id id)
{
    reply_array(reply, 2);
    stream_id_reply(reply, id);
    reply_null_array(reply);
}

static int write_old(struct call *call, const struct group_reading *reading,
                     const struct group_served *served, const struct group_old *old)
{
    uint64_t then_ms = old->pending.delivered_ms;
    struct stream_entry entry;
    int rc;

    if (call->is_replay) return 0;
    if (!old->is_there) {
        if (!served->is_new) write_gone(call->reply, old->pending.id);
        return 0;
    }
    rc = stream_find(served->key.stream.stream, old->pending.id, &entry);
    if (rc <= 0) return rc < 0 ? rc : -EBADMSG; /* it was there */
    if (served->is_new)
        write_claimed(call->reply, &entry,
                      reading->now_ms > then_ms ? (int64_t)(reading->now_ms - then_ms) : 0,
                      old->pending.delivery_count);
    else
        (void)stream_entry_reply(call->reply, &entry);
    return 0;
}

static int write_new(struct call *call, const struct group_reading *reading,
                     struct group_served *served)
{
    struct stream_cursor cursor;

    if (served->range.count == 0) return 0;
    cursor = served->range.cursor;
    served->ids = malloc(served->range.count * sizeof(*served->ids));
    if (!served->ids) return -ENOMEM;
    for (uint64_t i = 0; i < served->range.count; i++) {
        struct stream_entry entry;
        int rc = stream_cursor_next(&cursor, &entry);

        if (rc <= 0) return rc < 0 ? rc : -EBADMSG; /* fewer than were counted */
        served->ids[i] = entry.id;
        served->last_ordinal = entry.ordinal;
        if (call->is_replay) continue;
        if (reading->min_idle_ms >= 0)
            write_claimed(call->reply, &entry, 0, 0);
        else
            (void)stream_entry_reply(call->reply, &entry);
    }
    return 0;
}

static uint64_t count_shown(const struct group_served *served)
{
    uint64_t count = served->range.count;

    for (uint64_t i = 0; i < served->old_count; i++)
        count += served->old[i].is_there || !served->is_new;
    return count;
}

int group_served_write(struct call *call, const struct group_reading *reading,
                       struct group_served *served)
{
    int rc = 0;

    reply_array(call->reply, count_shown(served));
    for (uint64_t i = 0; i < served->old_count && rc == 0; i++)
        rc = write_old(call, reading, served, &served->old[i]);
    return rc < 0 ? rc : write_new(call, reading, served);
}

/* ---- delivering --------------------------------------------------------------------------------
 */

/* What was new and has become pending is so no more. Nobody shares what was just changed, so this
 * needs no memory. */
static void take_back(struct group_served *served, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        (void)stream_group_acknowledge(served->key.group, served->ids[i]);
}

static int deliver_new(const struct group_reading *reading, struct group_served *served)
{
    struct stream_pending pending = { .consumer = served->consumer,
                                      .delivered_ms = reading->now_ms,
                                      .delivery_count = 1 };

    for (uint64_t i = 0; i < served->range.count && !reading->no_ack; i++) {
        int rc;

        pending.id = served->ids[i];
        rc = stream_group_set_pending(served->key.group, &pending);
        if (rc < 0) {
            take_back(served, i);
            return rc;
        }
    }
    return 0;
}

/* The group has come to the last of them. How many entries there were up to it is known exactly,
 * whatever was deleted or trimmed before. */
static void advance(struct group_served *served)
{
    struct stream_info info;
    uint64_t never_here;

    if (served->range.count == 0) return;
    stream_get_info(served->key.stream.stream, &info);
    /* XSETID may say that there were more, or fewer, than there were here. */
    never_here = info.entries_added - (info.end - 1);
    stream_group_set_last_id(served->key.group, served->ids[served->range.count - 1]);
    stream_group_set_entries_read(served->key.group, (int64_t)(served->last_ordinal + never_here));
}

/* Delivered once more. Without memory it shows the older time, or stays pending though it is gone:
 * the next time that it is looked at will tell. */
static void deliver_old(const struct group_reading *reading, const struct group_served *served)
{
    for (uint64_t i = 0; i < served->old_count; i++) {
        struct stream_pending pending = served->old[i].pending;

        if (served->old[i].is_there) {
            pending.consumer = served->consumer;
            pending.delivered_ms = reading->now_ms;
            pending.delivery_count += pending.delivery_count < INT64_MAX;
            (void)stream_group_set_pending(served->key.group, &pending);
        } else if (served->is_new) {
            (void)stream_group_acknowledge(served->key.group, pending.id);
        }
    }
}

int group_served_deliver(struct call *call, const struct group_reading *reading,
                         struct group_served *served)
{
    int rc;

    served->consumer = stream_group_find_consumer(served->key.group, reading->consumer);
    served->has_new_consumer = served->consumer == NULL;
    rc = stream_group_get_consumer(call, &served->key, reading->consumer, &served->consumer);
    if (rc < 0) return rc;
    rc = deliver_new(reading, served);
    if (rc < 0 && served->has_new_consumer)
        stream_group_remove_consumer(served->key.group, served->consumer);
    return rc;
}

void group_served_take_back(struct group_served *served)
{
    take_back(served, served->ids ? served->range.count : 0);
    if (served->has_new_consumer) stream_group_remove_consumer(served->key.group, served->consumer);
}

bool group_served_settle(struct call *call, const struct group_reading *reading,
                         struct group_served *served)
{
    bool has_some = served->old_count + served->range.count > 0;

    deliver_old(reading, served);
    advance(served);
    if (has_some) stream_consumer_set_active(served->consumer, reading->now_ms);
    if (has_some || served->has_new_consumer) stream_group_changed(call, &served->key);
    return has_some || served->has_new_consumer;
}
