/* stream_group_history.c - what a consumer has pending is given to it again
 *
 * Each entry is found, delivered and written before the next one, as in stream_group_served.c.
 * Where the answer gets long, what was given is written from its list of ids, as the socket drains.
 */
#include <errno.h>

#include "modules/stream/finder.h"
#include "modules/stream/stream.h"
#include "server/commands/parking.h"
#include "server/commands/stream_group_giving.h"
#include "server/commands/stream_id_list.h"

enum { LISTED_MIN = 256 /* ids, whatever others keep */ };

/* Of an answer that may get long the ids are kept: for so many at most there is room. */
static int list_ids(struct server *server, const struct group_answer *answer,
                    struct group_served *served, uint64_t count_max)
{
    uint64_t capacity = stream_consumer_pending_count(served->consumer);
    uint64_t most = answer->bytes_max / sizeof(struct stream_id);
    uint64_t left = parking_may_keep_bytes(server) / sizeof(struct stream_id);

    if (most > left) most = left > LISTED_MIN ? left : LISTED_MIN; /* then the answer is short */

    stream_cursor_begin(&served->range.cursor, served->key.stream.stream, STREAM_ID_MIN,
                        STREAM_FORWARD);
    if (capacity > count_max) capacity = count_max;
    if (capacity > most) capacity = most;
    if (!answer->may_stream || capacity == 0) return 0;
    served->listed = stream_id_list_create(server, capacity);
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
    if (!group_answer_may_take(answer, entry.fields.size)) return 0;
    if (is_there) {
        pending->delivery_count += pending->delivery_count < INT64_MAX;
        rc = group_served_deliver(reading, served, pending);
        if (rc < 0) return rc;
    }
    group_answer_take(answer, entry.fields.size);
    keep_id(served, pending->id);
    if (!call->is_replay) write_again(answer, &entry, pending->id, is_there, entries);
    return 1;
}

int group_served_give_again(struct call *call, const struct group_reading *reading,
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
    rc = group_served_get_consumer(reading, served, &is_new);
    if (rc < 0) return rc;
    served->has_changed = is_new;
    stream_seeker_begin(&seeker, served->key.stream.stream);
    rc = list_ids(call->server, answer, served, count_max);
    if (rc == 0) rc = 1;
    while (rc == 1 && count < count_max && stream_id_increment(&from) &&
           stream_group_next_pending(served->key.group, served->consumer, from, STREAM_ANY_TIME_MS,
                                     &pending)) {
        rc = give_again(call, reading, answer, served, &seeker, &pending, entries);
        from = pending.id;
        count += rc == 1;
        if (rc == 1 && group_served_rest(call, served, count - 1, count, false) < 0)
            rc = -ECANCELED;
    }
    served->is_served = count > 0 || rc == 1; /* empty only when there is nothing */
    return rc < 0 ? rc : 0;
}
