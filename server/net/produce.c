/* produce.c - long answers, a piece at a time: who gets memory for the next one.
 *
 * A producer is asked for its next piece at the end of a turn, when little is left to send, so that
 * an answer of any size needs memory for a piece or two. Of the memory for answers is in use:
 *
 *   less than half    whoever has little left to send gets a piece, a smaller one as it fills up
 *   more              one buffer for whoever holds nothing and whose socket has room for it. It
 *                     leaves with the next flush, so who does not read comes to hold nothing more,
 *                     and takes nothing away from who does, however many they are.
 *   three quarters    the same for a few at a time: so much is lent until the flush whatever others
 *                     hold; the rest wait for their turn (hungry)
 *   twice of it       nobody: the sweep closes who holds some of it and does not take it
 *
 * Who holds nothing of it is not in others' way, and has client-stall-timeout to go on. */
#include "server/net/net_internal.h"
#include "server/net/loop.h"
#include <assert.h>
#include <poll.h>

void client_set_producer(struct client *client, struct client_producer producer)
{
    assert(client->is_parked && !client->has_producer);
    client->producer = producer;
    client->has_producer = true;
    client->progress_us = loop_now_us(client->net->loop);
    mark_output(client); /* who has waited before it wrote was marked, and flushed, long ago */
    client_producer_ready(client);
}

void client_producer_ready(struct client *client)
{
    assert(client->has_producer);
    client->producer_waits = false;
    if (chain_bytes(&client->output) >= PRODUCE_BELOW_BYTES) return; /* the flush comes back here */
    if (list_is_empty(&client->producing_link)) {
        list_push_back(&client->net->producing, &client->producing_link);
    }
}

bool client_has_producer(const struct client *client)
{
    return client->has_producer;
}

void drop_producer(struct client *client)
{
    struct client_producer producer = client->producer;

    if (!client->has_producer) return;
    client->has_producer = false;
    client->producer_waits = false;
    list_remove(&client->producing_link);
    if (producer.destroy) producer.destroy(producer.context);
}

static void produce_piece(struct client *client, size_t size)
{
    enum produce_result result = client->producer.produce(client->producer.context, client, size);

    client->net->pieces++;
    mark_output(client); /* also when nothing was written: the flush decides what is next */
    if (result == PRODUCE_WAIT) client->producer_waits = true;
    if (result == PRODUCE_DONE) drop_producer(client);
}

/* ---- memory ---- */

static uint64_t bytes_for_answers(const struct net *net, uint64_t *out_limit_bytes)
{
    struct pool_info pool;

    pool_info(net->pool, &pool);
    *out_limit_bytes = pool.limit_bytes;
    return pool.in_use_bytes + pool.overflow_bytes;
}

/* A socket that is not full has room for a buffer, or nearly: the kernel says so only when much of
 * it is free. False: the client is woken when that is the case. */
static bool has_room_in_socket(struct client *client)
{
    struct pollfd state = { .fd = client->fd, .events = POLLOUT };

    if (client->is_write_blocked) return false;
    if (poll(&state, 1, 0) != 0)
        return true; /* what is wrong with it shows when it is written to */
    block_writing(client);
    return false;
}

/* 0: the flush that finds it with nothing left, in a socket with room, comes back to it. */
static size_t piece_bytes(struct client *client)
{
    uint64_t limit_bytes, used_bytes = bytes_for_answers(client->net, &limit_bytes);
    uint64_t room_bytes = used_bytes < limit_bytes / 2 ? (limit_bytes / 2 - used_bytes) / 4 : 0;

    if (room_bytes >= PIECE_BYTES) return PIECE_BYTES;
    if (room_bytes >= PIECE_BYTES_MIN) return (size_t)room_bytes;
    if (chain_bytes(&client->output) > 0) return 0;
    return has_room_in_socket(client) ? PIECE_BYTES_MIN : 0;
}

static bool may_produce(const struct net *net)
{
    uint64_t limit_bytes, used_bytes = bytes_for_answers(net, &limit_bytes);

    if (used_bytes < limit_bytes / 4 * 3) return true;
    return net->pieces < PIECES_LENT && !is_output_exhausted(net);
}

void run_producers(struct net *net)
{
    struct list_link producing, *link;

    list_init(&producing);
    list_append_all(&producing, &net->producing);
    while (may_produce(net) && (link = list_pop_front(&producing))) {
        struct client *client = list_container(link, struct client, producing_link);
        size_t size;

        if (!client->has_producer || client->producer_waits || client->is_closing) continue;
        size = piece_bytes(client);
        if (size > 0) produce_piece(client, size);
    }
    list_append_all(&net->hungry, &producing);
}

/* Before those that had a piece meanwhile. */
void feed_producers(struct net *net)
{
    if (!may_produce(net)) return;
    list_append_all(&net->hungry, &net->producing);
    list_append_all(&net->producing, &net->hungry);
}
