#include "server/commands/stream_claiming.h"

#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/stream_reply.h"
#include "server/commands/stream_words.h"

int stream_claiming_may_read(struct call *call, const struct stream_group_key *key,
                             const struct stream_claiming *claiming)
{
    struct stream_info info;
    int rc = claiming->is_forced ? stream_group_may_grow(call) : 0;

    if (rc < 0) return rc;
    stream_get_info(key->stream.stream, &info);
    return info.is_in_memory || call_can_suspend(call) ? 0 : -EAGAIN;
}

static uint64_t count_after(const struct stream_claiming *claiming, uint64_t before)
{
    if (claiming->retry_count >= 0) return (uint64_t)claiming->retry_count;
    return claiming->just_ids || before >= INT64_MAX ? before : before + 1;
}

static int take_over(struct call *call, const struct stream_group_key *key,
                     struct stream_claiming *claiming, struct stream_pending *pending)
{
    bool is_new = false;
    int rc = 0;

    if (!claiming->consumer) {
        is_new = !stream_group_find_consumer(key->group, claiming->consumer_name);
        rc = stream_group_get_consumer(call, key, claiming->consumer_name, &claiming->consumer);
    }
    if (rc < 0) return rc;
    /* The time has moved on where it waited before; a replay has this one. */
    stream_consumer_set_seen(claiming->consumer, claiming->now_ms);
    pending->consumer = claiming->consumer;
    pending->delivered_ms = claiming->delivered_ms;
    pending->delivery_count = count_after(claiming, pending->delivery_count);
    rc = stream_group_set_pending(key->group, pending);
    if (rc == 0) {
        stream_consumer_set_active(claiming->consumer, claiming->now_ms);
    } else if (is_new) { /* it was given nothing */
        stream_group_remove_consumer(key->group, claiming->consumer);
        claiming->consumer = NULL;
    }
    return rc;
}

static void reply_claimed(struct stream_gathered *claimed, const struct stream_claiming *claiming,
                          const struct stream_entry *entry)
{
    if (claiming->just_ids)
        stream_id_reply(&claimed->reply, entry->id);
    else
        (void)stream_entry_reply(&claimed->reply, entry);
    claimed->count++;
}

int stream_claiming_find(const struct stream_group_key *key, struct stream_claiming *claiming,
                         struct stream_id id, struct stream_entry *out_entry)
{
    struct stream_seeker *seeker = &claiming->seeker;

    if (!seeker->cursor.stream) stream_seeker_begin(seeker, key->stream.stream);
    return stream_seeker_next(seeker, id, out_entry);
}

int stream_claim(struct call *call, const struct stream_group_key *key,
                 struct stream_claiming *claiming, struct stream_id id,
                 struct stream_gathered *claimed)
{
    struct stream_pending pending = { .id = id, .delivery_count = 1 /* as Redis has it */ };
    struct stream_entry entry;
    int is_pending = stream_group_find_pending(key->group, id, &pending);
    int rc;

    if (!is_pending && !claiming->is_forced) return STREAM_CLAIM_NOTHING;
    rc = stream_claiming_find(key, claiming, id, &entry);
    if (rc < 0) return rc;
    if (rc == 0) {
        if (!is_pending) return STREAM_CLAIM_NOTHING;
        rc = stream_group_acknowledge(key->group, id);
        return rc < 0 ? rc : STREAM_CLAIM_GONE;
    }
    if (is_pending && pending.consumer && pending.delivered_ms > claiming->delivered_max_ms)
        return STREAM_CLAIM_NOTHING;
    rc = take_over(call, key, claiming, &pending);
    if (rc < 0) return rc;
    reply_claimed(claimed, claiming, &entry);
    return STREAM_CLAIMED;
}
