/* sweep.c - ten times a second a tenth of the clients is looked at: who was idle too long, whose
 * socket takes nothing or brings nothing while others wait for the memory, who was above the soft
 * limit too long.
 *
 * Nobody is looked at less than once in a second and a bit, and no turn pays for all clients. What
 * INFO shows of all clients together is measured on the way. */
#include "server/net/net_internal.h"
#include "modules/base/log.h"
#include "server/net/loop.h"
#include <stdlib.h>

static bool is_past(const struct client *client, uint64_t since_us, uint32_t seconds)
{
    uint64_t now_us = loop_now_us(client->net->loop);

    return seconds > 0 && now_us > since_us && now_us - since_us > (uint64_t)seconds * 1000000;
}

static bool is_idle(const struct client *client)
{
    return !client->is_idle_exempt && !client->is_parked && !client->has_producer &&
           is_past(client, client->last_active_us, client->net->options.limits.idle_timeout_s);
}

/* Holds what others need, and does not move: output that its peer does not read, or the block of a
 * large request that its peer does not send. */
static bool is_stalled(const struct client *client)
{
    const struct net *net = client->net;
    uint32_t seconds = net->options.limits.stall_timeout_s;
    uint32_t starved_seconds = seconds && seconds < STARVED_SECONDS ? seconds : STARVED_SECONDS;

    if (client->is_write_blocked) {
        if (is_output_exhausted(net) && chain_bytes(&client->output) > 0 && !client->is_no_evict &&
            is_past(client, client->progress_us, starved_seconds)) {
            return true;
        }
        return (client->has_producer || client->is_closing_after_reply) &&
               is_past(client, client->progress_us, seconds);
    }
    return client->is_large && !list_is_empty(&net->deferred) &&
           is_past(client, client->last_active_us, seconds);
}

static void sweep_client(struct client *client)
{
    struct net *net = client->net;
    const char *address = client_peer_text(client);

    if (client->is_closing || client->is_gone) return;
    if (is_stalled(client)) {
        net->info.stall_closes++;
        log_write(net->log, LOG_WARNING, "Closing client id=%llu addr=%s: it makes no progress",
                  (unsigned long long)client->id, address);
        client_close(client);
    } else if (is_idle(client)) {
        net->info.idle_closes++;
        log_write(net->log, LOG_VERBOSE, "Closing idle client id=%llu addr=%s",
                  (unsigned long long)client->id, address);
        client_close(client);
    } else {
        check_soft_limit(client);
        /* Memory of its last large argument list; a request being read keeps it. */
        if (client->input_size == 0) framer_finish(&client->framer);
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void measure_client(struct round *round, const struct client *client)
{
    round->framer_bytes += framer_heap_bytes(&client->framer);
    round->input_max_bytes = larger(round->input_max_bytes, client->input_capacity);
    round->output_max_bytes = larger(round->output_max_bytes, chain_bytes(&client->output));
}

void sweep_clients(void *context)
{
    struct net *net = context;
    size_t count = net->client_count / SWEEPS_A_SECOND + 1;

    for (; count > 0; count--) {
        struct client *client;
        if (net->sweep_next == &net->all) {
            net->last_round = net->this_round;
            net->this_round = (struct round){ 0 };
            pool_trim(net->pool, POOL_BUFFERS_KEPT);
            net->sweep_next = net->all.next;
            if (net->sweep_next == &net->all) return;
        }
        client = list_container(net->sweep_next, struct client, all_link);
        measure_client(&net->this_round, client);
        sweep_client(client);
        net->sweep_next = net->sweep_next->next;
    }
}
