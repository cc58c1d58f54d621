/* stream_group_full.c - the groups in XINFO STREAM FULL
 *
 *   groups, *n
 *     GROUP              its name
 *     PROGRESS           how far it is, and how much is pending
 *     PENDING, NUMBERS   each that is: its id and whose it is; when, and how often delivered
 *     CONSUMERS          how many there are
 *       CONSUMER         its name
 *       TIMES            when it was seen, and how much is pending
 *       OWN              each that is
 *     RELEASED           how many were given back; and the next group
 *
 * Each step writes a bounded piece; names may be long, and are cut (cut_bulk.h). */
#include "server/commands/stream_group_full.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/stream/group.h"
#include "server/commands/cut_bulk.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_group_info.h"
#include "server/commands/stream_words.h"
#include "server/types/stream.h"

enum {
    BREATH_CONSUMERS = 128,
    FEW_CONSUMERS = 1000, /* what a view of more takes is looked at before */
    BREATH_GROUPS = 16,   /* how far they lag is looked for in the stream */
    STEP_BYTES = 64,      /* of a step, about, but for names */
};

enum step {
    GROUPS,
    GROUP,
    PROGRESS,
    PENDING,
    NUMBERS,
    CONSUMERS,
    CONSUMER,
    TIMES,
    OWN,
    RELEASED,
    NOTHING,
};

struct full_group {
    struct stream_group_view *view;
    uint64_t lag;
};

struct stream_full {
    struct server *server;
    uint64_t count_max;
    uint32_t group_count; /* that were looked at */
    enum step next;
    uint32_t at;       /* the group that is written */
    uint32_t consumer; /* and which of its consumers */
    uint64_t left;     /* of what is pending: so many, from there on */
    struct stream_id from;
    struct stream_pending pending; /* whose numbers are next */
    struct cut_bulk name;
    uint64_t heap_bytes;
    struct full_group groups[];
};

/* ---- as they are -------------------------------------------------------------------------------
 */

static int add_consumers(struct call *call, const struct stream_group *group,
                         struct stream_group_view *view)
{
    for (uint32_t i = 0; i < stream_group_consumer_count(group); i++) {
        (void)stream_group_view_add(view, stream_group_consumer_at(group, i));
        if ((i + 1) % BREATH_CONSUMERS == 0 && parking_breathe(call->server) < 0) return -ECANCELED;
    }
    return 0;
}

static int look_at(struct call *call, struct stream *stream, struct stream_group *group,
                   struct stream_full *full)
{
    struct full_group *looked = &full->groups[full->group_count];
    uint32_t consumer_count = stream_group_consumer_count(group);
    int rc = stream_group_find_lag(stream, group, &looked->lag);

    /* Many may ask at a time, and what they take is to have its bound meanwhile. */
    if (rc == 0 && consumer_count > FEW_CONSUMERS && !stream_full_may_stay(full)) rc = -ENOBUFS;
    if (rc == 0) rc = stream_group_view_create(group, consumer_count, &looked->view);
    if (rc < 0) return rc;
    full->group_count++;
    rc = add_consumers(call, group, looked->view);
    if (rc == 0 && full->group_count % BREATH_GROUPS == 0) rc = parking_breathe(call->server);
    return rc;
}

int stream_full_create(struct call *call, const struct stream_key *key, uint64_t count_max,
                       struct stream_full **out_full)
{
    const struct stream_groups *groups = stream_value_groups(key->value);
    uint32_t count = groups ? stream_groups_count(groups) : 0;
    struct stream_full *full = calloc(1, sizeof(*full) + count * sizeof(full->groups[0]));
    int rc = 0;

    if (!full) return -ENOMEM;
    full->server = call->server;
    full->count_max = count_max;
    full->heap_bytes = alloc_size(sizeof(*full) + count * sizeof(full->groups[0]));
    parking_count_kept(full->server, (int64_t)full->heap_bytes);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = look_at(call, key->stream, stream_groups_at(groups, i), full);
    if (rc < 0) {
        stream_full_destroy(full);
        return rc;
    }
    *out_full = full;
    return 0;
}

void stream_full_destroy(struct stream_full *full)
{
    if (!full) return;
    for (uint32_t i = 0; i < full->group_count; i++)
        stream_group_view_drop(full->groups[i].view);
    parking_count_kept(full->server, -(int64_t)full->heap_bytes);
    free(full);
}

bool stream_full_may_stay(const struct stream_full *full)
{
    return parking_may_keep(full->server,
                            stream_group_store_memory_bytes(full->server->stream_groups));
}

/* ---- written -----------------------------------------------------------------------------------
 */

static const struct stream_group *group_of(const struct stream_full *full)
{
    return stream_group_view_group(full->groups[full->at].view);
}

static const struct stream_consumer *consumer_of(const struct stream_full *full)
{
    return stream_group_consumer_at(group_of(full), full->consumer);
}

static void reply_field(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

/* How many are pending, and the beginning of an array of those that are told. */
static void begin_pending(struct stream_full *full, struct reply *reply, uint64_t count)
{
    reply_field(reply, "pel-count", (int64_t)count);
    reply_bulk_string(reply, "pending");
    full->left = count < full->count_max ? count : full->count_max;
    full->from = STREAM_ID_MIN;
    reply_array(reply, full->left);
}

/* It is there: they were counted, and do not change. */
static void next_pending(struct stream_full *full, const struct stream_consumer *consumer)
{
    (void)stream_group_next_pending(group_of(full), consumer, full->from, STREAM_ANY_TIME_MS,
                                    &full->pending);
    full->from = full->pending.id;
    (void)stream_id_increment(&full->from);
    full->left--;
}

static void reply_numbers(const struct stream_full *full, struct reply *reply)
{
    reply_integer(reply, (int64_t)full->pending.delivered_ms);
    reply_integer(reply, (int64_t)full->pending.delivery_count);
}

static size_t begin_groups(struct stream_full *full, struct reply *reply)
{
    reply_bulk_string(reply, "groups");
    reply_array(reply, full->group_count);
    full->next = full->group_count > 0 ? GROUP : NOTHING;
    return STEP_BYTES;
}

static size_t begin_group(struct stream_full *full, struct reply *reply)
{
    reply_map(reply, 8);
    reply_bulk_string(reply, "name");
    full->next = PROGRESS;
    return STEP_BYTES + cut_bulk_begin(&full->name, reply, stream_group_name(group_of(full)));
}

static size_t write_progress(struct stream_full *full, struct reply *reply)
{
    stream_group_reply_progress(reply, group_of(full), full->groups[full->at].lag);
    begin_pending(full, reply, stream_group_pending_count(group_of(full)));
    full->next = full->left > 0 ? PENDING : CONSUMERS;
    return 2 * STEP_BYTES;
}

static size_t write_pending(struct stream_full *full, struct reply *reply)
{
    struct slice name = SLICE_LITERAL("");

    next_pending(full, NULL);
    if (full->pending.consumer) name = stream_consumer_name(full->pending.consumer);
    reply_array(reply, 4);
    stream_id_reply(reply, full->pending.id);
    full->next = NUMBERS;
    return STEP_BYTES + cut_bulk_begin(&full->name, reply, name);
}

static size_t write_numbers(struct stream_full *full, struct reply *reply)
{
    reply_numbers(full, reply);
    full->next = full->left > 0 ? PENDING : CONSUMERS;
    return STEP_BYTES / 2;
}

static size_t begin_consumers(struct stream_full *full, struct reply *reply)
{
    uint32_t count = stream_group_consumer_count(group_of(full));

    reply_bulk_string(reply, "consumers");
    reply_array(reply, count);
    full->consumer = 0;
    full->next = count > 0 ? CONSUMER : RELEASED;
    return STEP_BYTES;
}

static size_t begin_consumer(struct stream_full *full, struct reply *reply)
{
    reply_map(reply, 5);
    reply_bulk_string(reply, "name");
    full->next = TIMES;
    return STEP_BYTES + cut_bulk_begin(&full->name, reply, stream_consumer_name(consumer_of(full)));
}

static void end_consumer(struct stream_full *full)
{
    full->consumer++;
    full->next = full->consumer < stream_group_consumer_count(group_of(full)) ? CONSUMER : RELEASED;
}

static size_t write_times(struct stream_full *full, struct reply *reply)
{
    const struct stream_consumer *consumer = consumer_of(full);
    uint64_t active_ms = stream_consumer_active_ms(consumer);

    reply_field(reply, "seen-time", (int64_t)stream_consumer_seen_ms(consumer));
    reply_field(reply, "active-time", active_ms == STREAM_NEVER_ACTIVE ? -1 : (int64_t)active_ms);
    begin_pending(full, reply, stream_consumer_pending_count(consumer));
    full->next = OWN;
    if (full->left == 0) end_consumer(full);
    return 2 * STEP_BYTES;
}

static size_t write_own(struct stream_full *full, struct reply *reply)
{
    next_pending(full, consumer_of(full));
    reply_array(reply, 3);
    stream_id_reply(reply, full->pending.id);
    reply_numbers(full, reply);
    if (full->left == 0) end_consumer(full);
    return STEP_BYTES;
}

static size_t end_group(struct stream_full *full, struct reply *reply)
{
    reply_field(reply, "nacked-count", (int64_t)stream_group_released_count(group_of(full)));
    full->at++;
    full->next = full->at < full->group_count ? GROUP : NOTHING;
    return STEP_BYTES / 2;
}

static size_t write_step(struct stream_full *full, struct reply *reply)
{
    switch (full->next) {
    case GROUPS:
        return begin_groups(full, reply);
    case GROUP:
        return begin_group(full, reply);
    case PROGRESS:
        return write_progress(full, reply);
    case PENDING:
        return write_pending(full, reply);
    case NUMBERS:
        return write_numbers(full, reply);
    case CONSUMERS:
        return begin_consumers(full, reply);
    case CONSUMER:
        return begin_consumer(full, reply);
    case TIMES:
        return write_times(full, reply);
    case OWN:
        return write_own(full, reply);
    case RELEASED:
        return end_group(full, reply);
    case NOTHING:
        break;
    }
    return 0;
}

size_t stream_full_write(struct stream_full *full, struct reply *reply, size_t wanted)
{
    size_t written = 0;

    while (written < wanted && full->next != NOTHING) {
        if (full->name.is_open)
            written += cut_bulk_go_on(&full->name, reply, wanted - written);
        else
            written += write_step(full, reply);
    }
    return written;
}
