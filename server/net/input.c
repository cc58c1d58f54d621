/* input.c - from a readable socket to requests.
 *
 * When all goes well a read goes into the net's one read buffer, which stays in the processor's
 * cache, its requests are framed there in place, and nothing is left. What may be left:
 *
 *   a small rest      an incomplete request up to HEADROOM_BYTES: kept in a block of its size, and
 *                     copied in front of what the next read brings, so that it is whole again
 *   a large request   gets a block for all of it that is known, and is read straight into that
 *   waiting requests  the client was parked or had enough for this turn: kept like a small rest
 *
 * All blocks together, and the requests that wait above net, stay below input_memory_bytes: who
 * needs more than is left is deferred, its socket is not read, and goes on when memory comes back
 * (resume_deferred). Clients that hold a part of their request each, and need more, would wait for
 * each other for ever: so one at a time, the oldest, may exceed what is left until its request is
 * whole. A small request always gets through: while there is no memory a little is read at a time,
 * which is less than what net keeps of a client anyway. The memory for answers is watched in the
 * same way: when the pool's is used up, only clients whose own answers were all sent are read, and
 * when twice as much is held (the rest by the heap), nobody is.
 *
 * A parked or deferred client whose socket has something becomes quiet: its data stays in the
 * socket, watched edge-triggered, so that the loop does not spin and the end is still noticed.
 * (EV_CLOSED alone would not do: libevent passes on a reset only as EV_READ and EV_WRITE.) */
#include "server/net/net_internal.h"
#include "modules/base/log.h"
#include "server/net/loop.h"
#include "server/net/loop_internal.h"
#include "server/net/socket_call.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- blocks for input ---- */

/* It is read into its block no more. */
static void end_large(struct client *client)
{
    client->is_large = false;
    if (client->net->exceeding == client) client->net->exceeding = NULL;
}

/* Its block is no longer its own. */
static void forget_input(struct client *client)
{
    client->net->input_heap_bytes -= client->input_capacity;
    end_large(client);
    client->input = NULL;
    client->input_begin = client->input_size = client->input_capacity = 0;
}

void release_input(struct client *client)
{
    free(client->input);
    forget_input(client);
}

/* Puts [bytes, bytes + size) into a block of capacity, in place of what the client had (which bytes
 * may lie in). False: no memory. */
static bool replace_input(struct client *client, const uint8_t *bytes, size_t size, size_t capacity)
{
    uint8_t *input = malloc(capacity);

    assert(size > 0 && size <= capacity);
    if (!input) return false;
    memcpy(input, bytes, size);
    release_input(client);
    client->input = input;
    client->input_size = size;
    client->input_capacity = capacity;
    client->net->input_heap_bytes += capacity;
    return true;
}

static uint64_t input_memory_max(const struct net *net)
{
    uint64_t max = net->options.limits.input_memory_bytes;

    return max < 4 * READ_BYTES ? 4 * READ_BYTES : max; /* less than that would only stall */
}

/* Whether blocks of together `given` bytes may become `wanted` bytes. */
static bool has_input_memory(const struct net *net, uint64_t given, uint64_t wanted)
{
    return net->input_heap_bytes + (uint64_t)net->held_input_bytes - given + wanted <=
           input_memory_max(net);
}

/* block_wanted: the block without which the client cannot be read; 0: it waits for answers to be
 * sent. */
static void defer(struct client *client, size_t block_wanted)
{
    struct net *net = client->net;

    client->block_wanted = block_wanted;
    client->is_quiet = true;
    net->info.reads_deferred++;
    if (list_is_empty(&client->deferred_link)) {
        list_push_back(&net->deferred, &client->deferred_link);
    }
    client_watch(client);
}

static void close_oversized(struct client *client)
{
    client->net->info.query_buffer_limit_closes++;
    log_write(client->net->log, LOG_WARNING,
              "Closing client id=%llu addr=%s: its request is above a limit for input",
              (unsigned long long)client->id, client_peer_text(client));
    client_close_after_reply(client); /* what it asked before is answered, this is not */
}

/* ---- what was read and not taken ---- */

/* A large request, of which the first wanted bytes are sure to come. */
static void reserve_large(struct client *client, const uint8_t *rest, size_t size, size_t wanted)
{
    struct net *net = client->net;
    size_t likely = framer_likely_bytes(&client->framer);
    size_t capacity = wanted > size + 1 ? wanted : 2 * size;
    bool is_in_place = rest == client->input && client->input_capacity >= wanted, is_exceeding;

    if (is_in_place && client->is_large) return;
    if (capacity < likely) capacity = likely;
    if (capacity > input_memory_max(net) && wanted <= input_memory_max(net))
        capacity = input_memory_max(net); /* it may be enough: more is a guess */
    if (capacity > input_memory_max(net)) {
        close_oversized(client);
        return;
    }
    if (!is_in_place && net->exceeding != client &&
        !has_input_memory(net, client->input_capacity, capacity)) {
        if (replace_input(client, rest, size, size)) {
            defer(client, capacity);
        } else {
            client_close(client);
        }
        return;
    }
    is_exceeding = net->exceeding == client;
    if (!is_in_place && !replace_input(client, rest, size, capacity)) {
        client_close(client);
        return;
    }
    client->is_large = true;
    if (is_exceeding) net->exceeding = client;
}

static void keep_rest(struct client *client, const uint8_t *rest, size_t size, size_t wanted)
{
    if (size == 0) {
        if (client->input) release_input(client);
        return;
    }
    if (client_takes_requests(client) && list_is_empty(&client->ready_link) &&
        wanted > HEADROOM_BYTES) {
        reserve_large(client, rest, size, wanted);
        return;
    }
    end_large(client);                                         /* it is not being read for now */
    if (client->input && client->input_capacity <= 2 * size) { /* it goes on from where it is */
        client->input_begin = (size_t)(rest - client->input);
        client->input_size = size;
        return;
    }
    if (!replace_input(client, rest, size, size)) client_close(client);
}

/* ---- memory for answers ---- */

bool is_output_exhausted(const struct net *net)
{
    struct pool_info pool;

    pool_info(net->pool, &pool);
    return pool.in_use_bytes + pool.overflow_bytes > 2 * pool.limit_bytes;
}

/* Whoever reads slowly is not let ask for more; the others still are, up to a point. */
static bool may_read_for_output(const struct client *client)
{
    const struct net *net = client->net;
    struct pool_info pool;

    pool_info(net->pool, &pool);
    if (pool.in_use_bytes + pool.overflow_bytes < pool.limit_bytes) return true;
    return chain_bytes(&client->output) == 0 && !is_output_exhausted(net);
}

/* The client's next request waits: until it has read more, or the memory for answers is there
 * again. Of what it was not yet offered in this turn it may hold a little. */
static bool owes_answers(const struct client *client)
{
    size_t held = chain_bytes(&client->output);

    if (held <= (client->is_write_blocked ? 0 : UNSENT_BYTES_MAX)) return false;
    return !may_read_for_output(client);
}

/* ---- requests ---- */

static void answer_protocol_error(struct client *client, const char *error)
{
    reply_errorf(client_reply(client), "ERR Protocol error: %s", error);
    log_write(client->net->log, LOG_VERBOSE, "Protocol error (%s) from client id=%llu addr=%s",
              error, (unsigned long long)client->id, client_peer_text(client));
    if (client->net->handlers.on_protocol_error)
        client->net->handlers.on_protocol_error(client->net->handlers.context, client);
    client_close_after_reply(client);
}

static bool may_be_taken(const struct client *client, struct slice request)
{
    const uint8_t *block = client->input;

    if (!block || request.bytes < block || request.bytes >= block + client->input_capacity)
        return false;
    return request.size >= TAKEN_BYTES_MIN && request.size >= client->input_capacity / 2 &&
           request.bytes[0] == '*';
}

bool client_take_request(struct client *client, struct taken_request *out_request)
{
    struct slice request = framer_request(&client->framer);
    const uint8_t *behind = request.bytes + request.size;
    size_t rest_bytes;
    uint8_t *rest;

    if (!may_be_taken(client, request)) return false;
    rest_bytes = (size_t)(client->input + client->input_begin + client->input_size - behind);
    rest = rest_bytes > 0 ? malloc(rest_bytes) : NULL;
    if (rest_bytes > 0 && !rest) return false;
    if (rest) memcpy(rest, behind, rest_bytes);
    *out_request = (struct taken_request){ .block = client->input,
                                           .block_bytes = client->input_capacity,
                                           .bytes = request,
                                           .arguments = framer_take_arguments(&client->framer) };
    forget_input(client);
    client->input = rest;
    client->input_size = client->input_capacity = rest_bytes;
    client->net->input_heap_bytes += rest_bytes;
    client->was_taken = true;
    return true;
}

/* Frames and hands over what lies in [bytes, bytes + size), which is the read buffer or the
 * client's own block, and keeps the rest. */
static void take_requests(struct client *client, const uint8_t *bytes, size_t size)
{
    struct net *net = client->net;
    struct framer_limits limits = net->framer_limits;
    size_t wanted = 0;

    while (size > 0 && client_takes_requests(client)) {
        size_t consumed;
        const char *error;
        enum framer_result result;

        /* No more answers until these are sent: also of a client that was parked for each. */
        if (owes_answers(client)) {
            list_remove(&client->ready_link);
            defer(client, 0);
            break;
        }
        limits.is_trusted = client->is_trusted;
        result = framer_next(&client->framer, &limits, bytes, size, &consumed, &wanted, &error);
        if (result == FRAMER_INCOMPLETE) break;
        if (result == FRAMER_ERROR) answer_protocol_error(client, error);
        if (result == FRAMER_TOO_LARGE) close_oversized(client);
        if (result != FRAMER_REQUEST) break;
        if (net->exceeding == client) net->exceeding = NULL; /* for this one request */
        bytes += consumed;
        size -= consumed;
        wanted = 0;
        if (client->framer.argument_count == 0) continue;
        net->handlers.on_request(net->handlers.context, client, client->framer.arguments,
                                 client->framer.argument_count);
        framer_rest(&client->framer);
        if (client->was_taken) { /* what is behind it lies elsewhere now */
            client->was_taken = false;
            bytes = client->input;
        }
        if (chain_bytes(&client->output) > TURN_OUTPUT_BYTES) {
            check_hard_limit(client);
            list_remove(&client->ready_link); /* it may have parked and unparked by now */
            list_push_back(&net->yielded, &client->ready_link);
            break;
        }
    }
    if (chain_bytes(&client->output) > 0) {
        mark_output(client);
        net->turn_inputs += INPUTS_OF_ANSWER - 1;
    }
    if (client->is_closing || client->is_closing_after_reply) size = 0;
    keep_rest(client, bytes, size, wanted);
}

/* A turn takes a bounded amount of input, so that timers, disk completions and the answers of those
 * that were served wait no longer for a thousand clients than for fifty. Who comes too late goes on
 * in the next turn, in order. Each turn asks the kernel anew about all sockets that wait to be
 * read: a thousand readers that begin to wait, and are sent nothing, are read in two. */
static bool count_work(struct net *net, size_t size)
{
    net->turn_inputs++;
    net->turn_input_bytes += size;
    return net->turn_inputs >= INPUTS_A_TURN || net->turn_input_bytes >= TURN_INPUT_BYTES;
}

void run_ready(struct net *net)
{
    struct list_link ready, *link;
    bool is_full = false;

    list_init(&ready);
    list_append_all(&ready, &net->ready);
    while (!is_full && (link = list_pop_front(&ready))) {
        struct client *client = list_container(link, struct client, ready_link);
        size_t before = client->input_size;

        if (before == 0 || !client_takes_requests(client)) continue;
        take_requests(client, client->input + client->input_begin, before);
        is_full = count_work(net, client->input_size < before ? before - client->input_size : 0);
    }
    list_append_all(&net->yielded, &ready);
}

/* ---- reading ---- */

static void peer_finished(struct client *client)
{
    if (chain_bytes(&client->output) == 0) {
        client_close(client);
    } else {
        client_close_after_reply(client); /* what it sent before is answered */
    }
}

/* What read returned: true when there is something to take. */
static bool read_succeeded(struct client *client, ssize_t size)
{
    struct net *net = client->net;

    if (size > 0) {
        net->info.reads++;
        net->info.input_bytes += (uint64_t)size;
        if (count_work(net, (size_t)size)) loop_end_turn(net->loop);
        client->last_active_us = loop_now_us(net->loop);
        return true;
    }
    if (size == 0) {
        peer_finished(client);
    } else if (errno != EAGAIN && errno != EINTR) {
        client_close(client);
    }
    return false;
}

static void read_large(struct client *client)
{
    size_t room, used;
    ssize_t size;

    if (client->input_begin > 0) {
        memmove(client->input, client->input + client->input_begin, client->input_size);
        client->input_begin = 0;
    }
    used = client->input_size;
    room = client->input_capacity - used;
    assert(room > 0);
    if (client->net->exceeding == client) { /* nothing of what is behind its request */
        size_t missing = framer_least_bytes(&client->framer, used) - used;

        if (room > missing) room = missing;
    }
    size =
        read(client->fd, client->input + used, room < LARGE_READ_BYTES ? room : LARGE_READ_BYTES);
    if (!read_succeeded(client, size)) return;
    client->input_size += (size_t)size;
    take_requests(client, client->input, client->input_size);
}

static void read_shared(struct client *client, size_t at_most)
{
    struct net *net = client->net;
    uint8_t *begin = net->read_buffer + HEADROOM_BYTES;
    ssize_t size = socket_read(client->fd, begin, at_most);
    size_t rest = client->input_size;

    if (!read_succeeded(client, size)) return;
    if (rest > 0) {
        begin -= rest;
        memcpy(begin, client->input + client->input_begin, rest);
        release_input(client);
    }
    take_requests(client, begin, rest + (size_t)size);
}

/* Its data is not wanted now: leave it in the socket, but see whether the peer is still there. */
static void look_at_quiet_socket(struct client *client)
{
    struct pollfd state = { .fd = client->fd, .events = POLLRDHUP };
    bool has_failed;

    client->is_quiet = true;
    client_watch(client);
    if (poll(&state, 1, 0) <= 0) return;
    has_failed = state.revents & (POLLERR | POLLHUP | POLLNVAL);
    /* Blocked for others' sake: like Redis take the end of input for the end of the client. Who is
     * parked for our sake gets its answer first, and the end is read after unpark. */
    if (has_failed || (client->is_parked && client->is_idle_exempt)) client_close(client);
}

static void client_readable(struct client *client)
{
    struct net *net = client->net;

    if (!client_takes_requests(client) || !list_is_empty(&client->deferred_link)) {
        look_at_quiet_socket(client);
    } else if (!list_is_empty(&client->ready_link)) {
        return; /* first what waits; this turn's end or the next turn comes to it */
    } else if (client->is_large) {
        read_large(client); /* one request and its answer: it ends soonest when it is let */
    } else if (!may_read_for_output(client)) {
        defer(client, 0);
    } else if (has_input_memory(net, 0, READ_BYTES)) {
        read_shared(client, READ_BYTES);
    } else if (client->input_size < SMALL_READ_BYTES) {
        read_shared(client, SMALL_READ_BYTES);
    } else {
        defer(client, 2 * client->input_size);
    }
}

void on_client_event(evutil_socket_t fd, short what, void *context)
{
    struct client *client = context;
    struct net *net = client->net;

    (void)fd;
    if (what & EV_WRITE) mark_output(client);
    if ((what & EV_READ) && !client->is_closing) client_readable(client);
    run_closes(net);
}

/* ---- deferred ---- */

static void resume(struct client *client)
{
    list_remove(&client->deferred_link);
    if (client->block_wanted > 0 && client_takes_requests(client)) {
        assert(client->block_wanted > client->input_size && !client->is_large);
        if (!replace_input(client, client->input + client->input_begin, client->input_size,
                           client->block_wanted)) {
            client_close(client);
            return;
        }
        client->is_large = true;
    }
    client->block_wanted = 0;
    client->is_quiet = !client_takes_requests(client);
    client_watch(client);
    if (client->input_size > 0 && !client->is_large && client_takes_requests(client) &&
        list_is_empty(&client->ready_link))
        list_push_back(&client->net->ready, &client->ready_link); /* requests that waited */
}

/* The oldest of those for whom there is no memory. What waits above stays within the memory even
 * when it comes to that: it is given back whatever clients do. */
static void let_exceed(struct client *client)
{
    struct net *net = client->net;

    if (net->exceeding) return;
    if ((uint64_t)net->held_input_bytes + client->block_wanted > input_memory_max(net)) return;
    resume(client);
    if (client->is_large) net->exceeding = client;
}

void resume_deferred(struct net *net)
{
    struct client *oldest = NULL;

    list_for_each(link, &net->deferred)
    {
        struct client *client = list_container(link, struct client, deferred_link);
        /* Who takes no requests is not to be read: it needs nothing, and stays quiet. */
        bool is_read = client_takes_requests(client);

        if (is_read && !may_read_for_output(client)) continue;
        if (!is_read || client->block_wanted == 0 ||
            has_input_memory(net, client->input_capacity, client->block_wanted))
            resume(client);
        else if (!oldest)
            oldest = client;
    }
    if (oldest) let_exceed(oldest);
}
