/* evict.c - when all clients together hold more than maxmemory-clients, those that hold most go.
 *
 * The sum is known at no cost, but for what argument lists took, so a turn pays a comparison. Only
 * above the limit is every client asked; they are sorted into classes by power of two, as in Redis,
 * and closed from the largest class on, the oldest first, until the rest fits. Clients that asked
 * for it (CLIENT NO-EVICT) count and stay. When what is left cannot be brought below the limit, the
 * next look is taken a while later. */
#include "server/net/net_internal.h"
#include "modules/base/log.h"
#include "server/net/loop.h"

enum { SIZE_CLASSES = 64 };

static uint64_t memory_of(const struct client *client)
{
    struct client_buffers buffers;

    client_buffers(client, &buffers);
    return buffers.total_bytes;
}

/* About what memory_of() sums up to: without packets that clients share. */
static uint64_t memory_of_all(const struct net *net)
{
    struct pool_info pool;

    pool_info(net->pool, &pool);
    return net->client_count * (sizeof(struct client) + net->options.session_bytes) +
           net->input_heap_bytes + pool.in_use_bytes + pool.overflow_bytes +
           net->last_round.framer_bytes;
}

static unsigned class_of(uint64_t bytes)
{
    return bytes ? 63u - (unsigned)__builtin_clzll(bytes) : 0;
}

/* It goes as soon as its answers may leave. */
static bool is_leaving(const struct client *client)
{
    return client->is_closing || client->is_gone ||
           (client->is_closing_after_reply && client->held_count > 0);
}

/* Those that may go into their classes. The sum of all, those that stay included. */
static uint64_t sort_clients(struct net *net, struct list_link classes[SIZE_CLASSES])
{
    uint64_t sum_bytes = 0;

    for (unsigned i = 0; i < SIZE_CLASSES; i++)
        list_init(&classes[i]);
    list_for_each(link, &net->all)
    {
        struct client *client = list_container(link, struct client, all_link);
        uint64_t bytes = memory_of(client);

        if (is_leaving(client)) continue;
        sum_bytes += bytes;
        if (!client->is_no_evict) list_push_back(&classes[class_of(bytes)], &client->eviction_link);
    }
    return sum_bytes;
}

/* What was answered before leaves before: without a ticket the flush of this turn has sent it, and
 * what waits for one would take with it what its client has popped. */
static void evict(struct client *client, uint64_t bytes)
{
    struct net *net = client->net;

    net->info.evicted_clients++;
    log_write(net->log, LOG_NOTICE,
              "Evicting client id=%llu addr=%s: it holds %llu bytes, and all clients more than "
              "maxmemory-clients",
              (unsigned long long)client->id, client_peer_text(client), (unsigned long long)bytes);
    if (client->held_count > 0)
        client_close_after_reply(client);
    else
        client_close(client);
}

void evict_clients(struct net *net)
{
    uint64_t limit_bytes = net->options.limits.clients_memory_bytes, sum_bytes;
    struct list_link classes[SIZE_CLASSES], *link;
    uint64_t now_us = loop_now_us(net->loop);

    if (limit_bytes == 0 || memory_of_all(net) <= limit_bytes) return;
    if (now_us - net->evicted_us < EVICTION_PERIOD_US) return;
    net->evicted_us = now_us;
    sum_bytes = sort_clients(net, classes);
    for (unsigned i = SIZE_CLASSES; i-- > 0;) {
        while ((link = list_pop_front(&classes[i]))) {
            struct client *client = list_container(link, struct client, eviction_link);
            uint64_t bytes = memory_of(client);

            if (sum_bytes <= limit_bytes) continue; /* taken out of the classes, which end here */
            sum_bytes -= bytes;
            evict(client, bytes);
        }
    }
}
