/* net.c - the set of clients and the turn.
 *
 * A turn, when all goes well:
 *   1. libevent calls on_client_event for each socket that is readable: one read into the net's
 * buffer, whose requests go to on_request one by one (input.c); listeners accept (listener.c)
 *   2. turn_end: clients that were unparked go on with the input that waited (run_ready), producers
 *      write their next piece (run_producers), then on_turn_end commits what the turn did, which
 * may unpark more clients: so 2 is done again, a few times at most
 *   3. each client with output is flushed with one system call (output.c); it holds no buffer after
 *   4. clients that hold too much memory are evicted (evict.c);
 *      clients that are closing: on_close, socket closed (run_closes); then all of these are freed
 *   5. sockets that were not read for want of memory are read again if there is some
 * (resume_deferred)
 *   6. on_before_wait ends the turn and says how long the loop may sleep; not at all when work is
 * left from 2 or 3
 *
 * Steps 1 and 2 each take at most INPUTS_A_TURN inputs and TURN_INPUT_BYTES: with more clients the
 * turn goes on to its end, and those that were ready go first in the next one.
 *
 * What goes wrong: a socket that is full waits for EV_WRITE and is flushed in the turn of that
 * event. A client whose peer has gone is closing, and on_close runs before the next event, so
 * nobody is served what a dead client waited for. Memory of input and output is bounded: input.c
 * and output.c say how.
 *
 * Shutdown: net_close closes listeners and runs on_close for every client, net_destroy frees all;
 * replies that should still go out need a last turn before it (loop_run makes one when it stops).
 *
 * Clients link themselves into lists of net. That is safe because there is one place where a
 * client's memory goes (free_gone_clients), which takes it out of every list. Whoever keeps clients
 * across turns outside of net keeps ids. */
#include "server/net/net_internal.h"
#include "modules/base/log.h"
#include "server/net/loop.h"
#include "server/net/loop_internal.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS_A_TURN = 4 }; /* of step 2; who is still ready then goes on in the next turn */

/* ---- the turn ---- */

static bool has_work_left(const struct net *net)
{
    return !list_is_empty(&net->ready) || !list_is_empty(&net->producing) ||
           !list_is_empty(&net->output) || !list_is_empty(&net->closing);
}

/* True: on_turn_end has more to do at once. */
static bool handle_requests(struct net *net)
{
    bool has_more = false;

    for (int round = 0; round < ROUNDS_A_TURN; round++) {
        if (!list_is_empty(&net->ready)) run_ready(net);
        if (!list_is_empty(&net->producing)) run_producers(net);
        run_closes(net);
        if (net->handlers.on_turn_end) has_more = net->handlers.on_turn_end(net->handlers.context);
        run_closes(net);
        if (list_is_empty(&net->ready)) break;
    }
    return has_more;
}

static void forget_work(struct net *net)
{
    net->turn_inputs = 0;
    net->turn_input_bytes = 0;
}

static int64_t turn_end(void *context)
{
    struct net *net = context;
    int64_t sleep_us = -1;
    bool has_more;

    forget_work(net);
    has_more = handle_requests(net);
    forget_work(net);
    net->info.turns++;
    net_flush(net);
    evict_clients(net);
    run_closes(net);
    free_gone_clients(net);
    list_append_all(&net->ready, &net->yielded);
    if (!list_is_empty(&net->hungry)) feed_producers(net);
    if (!list_is_empty(&net->deferred)) resume_deferred(net);
    if (net->handlers.on_before_wait)
        sleep_us = net->handlers.on_before_wait(net->handlers.context);
    return has_more || has_work_left(net) ? 0 : sleep_us;
}

/* ---- made and unmade ---- */

void net_set_limits(struct net *net, const struct net_limits *limits)
{
    net->options.limits = *limits;
    net->framer_limits =
        (struct framer_limits){ .bulk_bytes_max = limits->bulk_bytes_max,
                                .argument_count_max = ARGUMENTS_MAX,
                                .request_bytes_max = limits->query_buffer_bytes_max };
    pool_set_limit(net->pool, limits->buffer_memory_bytes);
}

void net_hold_input(struct net *net, int64_t delta_bytes)
{
    net->held_input_bytes += delta_bytes;
    assert(net->held_input_bytes >= 0);
}

static void init_lists(struct net *net)
{
    list_init(&net->listeners);
    list_init(&net->all);
    list_init(&net->output);
    list_init(&net->held);
    list_init(&net->ready);
    list_init(&net->yielded);
    list_init(&net->deferred);
    list_init(&net->closing);
    list_init(&net->gone);
    list_init(&net->producing);
    list_init(&net->hungry);
    net->sweep_next = &net->all;
}

int net_create(struct loop *loop, struct log *log, const struct net_options *options,
               const struct net_handlers *handlers, struct net **out_net)
{
    struct net *net = calloc(1, sizeof(*net));
    int rc = -ENOMEM;

    assert(handlers->on_request && handlers->on_open && handlers->on_close);
    if (!net) return -ENOMEM;
    net->loop = loop;
    net->log = log;
    net->options = *options;
    net->handlers = *handlers;
    net->next_id = 1;
    net->spare_fd = -1;
    init_lists(net);
    net->read_buffer = malloc(HEADROOM_BYTES + READ_BYTES);
    if (!net->read_buffer) goto fail;
    rc = pool_create(options->limits.buffer_memory_bytes, &net->pool);
    if (rc < 0) goto fail;
    rc = loop_timer_create(loop, sweep_clients, net, &net->sweep_timer);
    if (rc < 0) goto fail;
    rc = loop_timer_create(loop, resume_listeners, net, &net->pause_timer);
    if (rc < 0) goto fail;
    net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (net->spare_fd < 0) {
        rc = -errno;
        goto fail;
    }
    net_set_limits(net, &options->limits);
    loop_timer_arm(net->sweep_timer, SWEEP_PERIOD_US, true);
    loop_set_turn_end(loop, turn_end, net);
    *out_net = net;
    return 0;
fail:
    net_destroy(net);
    return rc;
}

static bool close_each(void *context, struct client *client)
{
    (void)context;
    client_close(client);
    return false;
}

void net_close(struct net *net)
{
    if (!net) return;
    free_gone_clients(net);
    while (net->client_count > 0) { /* on_close may close others, but opens none */
        net_each_client(net, close_each, NULL);
        run_closes(net);
        free_gone_clients(net);
    }
    net_stop_listening(net);
}

void net_destroy(struct net *net)
{
    if (!net) return;
    net_close(net);
    free_listeners(net);
    if (net->sweep_timer) loop_set_turn_end(net->loop, NULL, NULL);
    loop_timer_destroy(net->sweep_timer);
    loop_timer_destroy(net->pause_timer);
    pool_destroy(net->pool);
    if (net->spare_fd >= 0) (void)close(net->spare_fd);
    free(net->read_buffer);
    free(net->by_id);
    free(net);
}

/* ---- what INFO and CLIENT LIST show ---- */

void client_buffers(const struct client *client, struct client_buffers *out_buffers)
{
    struct client_buffers buffers = { .wants_write = client->is_write_blocked };
    uint64_t output_bytes = chain_bytes(&client->output);
    struct chain_info held;

    chain_info(&client->output, &held);
    buffers.input_used_bytes = client->input_size;
    buffers.input_free_bytes = client->input_capacity - client->input_size;
    buffers.output_buffer_bytes =
        output_bytes < POOL_BUFFER_BYTES ? output_bytes : POOL_BUFFER_BYTES;
    buffers.output_list_bytes = output_bytes - buffers.output_buffer_bytes;
    buffers.output_list_count =
        (buffers.output_list_bytes + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES;
    buffers.total_bytes = sizeof(*client) + client->net->options.session_bytes +
                          client->input_capacity + held.pooled_bytes + held.heap_bytes +
                          held.packet_bytes + framer_heap_bytes(&client->framer);
    *out_buffers = buffers;
}

struct pool *net_output_pool(struct net *net)
{
    return net->pool;
}

void net_info(const struct net *net, struct net_info *out_info)
{
    struct pool_info pool;

    pool_info(net->pool, &pool);
    *out_info = net->info;
    out_info->pool_bytes = pool.resident_bytes;
    out_info->pool_used_bytes = pool.in_use_bytes;
    out_info->heap_output_bytes = pool.overflow_bytes;
    out_info->clients_connected = net->client_count;
    out_info->clients_bytes =
        net->client_count * (sizeof(struct client) + net->options.session_bytes) +
        net->last_round.framer_bytes;
    out_info->input_buffer_max_bytes = net->last_round.input_max_bytes;
    out_info->output_buffer_max_bytes = net->last_round.output_max_bytes;
    out_info->heap_input_bytes = net->input_heap_bytes;
    out_info->held_clients = net->held_client_count;
}

void net_reset_statistics(struct net *net)
{
    net->info = (struct net_info){ .turns = net->info.turns };
}
