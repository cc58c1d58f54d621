#include "server/commands/stream_group_giving.h"

#include "modules/pool/pool.h"
#include "modules/stream/stream.h"
#include "server/commands/parking.h"
#include "server/commands/stream_words.h"

enum { BREATH_ENTRIES = 256, WHOLE_BYTES = 4 * STREAM_GROUP_INLINE_BYTES };

/* ---- limits ------------------------------------------------------------------------------------
 */

uint64_t group_served_count_max(const struct call *call, const struct group_reading *reading,
                                const struct group_answer *answer)
{
    uint64_t count = reading_count_wanted(call, &reading->asked);

    return count < answer->count_left ? count : answer->count_left;
}

bool group_answer_may_take(struct group_answer *answer, uint64_t fields_bytes)
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

void group_answer_take(struct group_answer *answer, uint64_t fields_bytes)
{
    uint64_t bytes = STREAM_ID_TEXT_BYTES + fields_bytes;

    answer->taken++;
    if (answer->count_left != UINT64_MAX) answer->count_left--;
    answer->bytes += bytes;
    answer->bytes_left -= bytes < answer->bytes_left ? bytes : answer->bytes_left;
    if (answer->may_stream && is_too_much(answer)) answer->is_long = true;
}

int group_served_rest(struct call *call, struct group_served *served, uint64_t before,
                      uint64_t done, bool grows)
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

int group_served_get_consumer(const struct group_reading *reading, struct group_served *served,
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

int group_served_settle_consumer(const struct group_reading *reading, struct group_served *served,
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

int group_served_deliver(const struct group_reading *reading, struct group_served *served,
                         struct stream_pending *pending)
{
    bool is_new;
    int rc = group_served_get_consumer(reading, served, &is_new);

    if (rc < 0) return rc;
    pending->consumer = served->consumer;
    pending->delivered_ms = reading->now_ms;
    rc = stream_group_set_pending(served->key.group, pending);
    return group_served_settle_consumer(reading, served, is_new, rc);
}
