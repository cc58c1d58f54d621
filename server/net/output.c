/* output.c - from answers to the socket.
 *
 * Whoever writes to a client's chain marks it (client_reply does); at the end of the turn each
 * marked client is flushed with one system call. What the socket does not take stays in the chain,
 * and EV_WRITE marks the client again. Long answers come in pieces: produce.c. */
#include "server/net/net_internal.h"
#include "modules/base/log.h"
#include "server/net/loop.h"
#include "server/net/socket_call.h"
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

void mark_output(struct client *client)
{
    if (list_is_empty(&client->output_link)) {
        list_push_back(&client->net->output, &client->output_link);
    }
}

/* ---- limits ---- */

static void close_for_output(struct client *client, const char *limit)
{
    client->net->info.output_buffer_limit_closes++;
    log_write(client->net->log, LOG_WARNING,
              "Closing client id=%llu addr=%s: its output of %llu bytes is above the %s limit",
              (unsigned long long)client->id, client_peer_text(client),
              (unsigned long long)chain_bytes(&client->output), limit);
    client_close(client);
}

void check_hard_limit(struct client *client)
{
    uint64_t hard_bytes = client->net->options.limits.output[client->class_].hard_bytes;

    if (!client->is_trusted) hard_bytes = UNTRUSTED_OUTPUT_BYTES;
    if (hard_bytes > 0 && chain_bytes(&client->output) > hard_bytes && !client->is_closing) {
        close_for_output(client, "hard");
    }
}

void check_soft_limit(struct client *client)
{
    const struct net_output_limit *limit = &client->net->options.limits.output[client->class_];
    uint64_t now_us = loop_now_us(client->net->loop);

    if (limit->soft_bytes == 0 || chain_bytes(&client->output) <= limit->soft_bytes) {
        client->soft_since_us = 0;
    } else if (client->soft_since_us == 0) {
        client->soft_since_us = now_us;
    } else if (now_us - client->soft_since_us > (uint64_t)limit->soft_seconds * 1000000 &&
               !client->is_closing) {
        close_for_output(client, "soft");
    }
}

/* ---- flushing ---- */

void block_writing(struct client *client)
{
    if (client->is_write_blocked) return;
    client->is_write_blocked = true;
    client->progress_us = loop_now_us(client->net->loop);
    client_watch(client);
}

static void unblock_writing(struct client *client)
{
    if (!client->is_write_blocked) return;
    client->is_write_blocked = false;
    client_watch(client);
}

/* Of count regions those with the first size bytes, which are not 0. */
static unsigned cut_regions(struct iovec *regions, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        if (regions[i].iov_len >= size) {
            regions[i].iov_len = size;
            return i + 1;
        }
        size -= regions[i].iov_len;
    }
    return count;
}

/* One system call. False: the socket is full, or the client is closing now. */
static bool send_some(struct client *client)
{
    struct net *net = client->net;
    struct iovec regions[WRITE_REGIONS];
    struct msghdr message = { .msg_iov = regions };
    uint64_t offered = 0;
    ssize_t size;
    unsigned count = chain_fill(&client->output, regions, WRITE_REGIONS);

    if (client->held_count > 0) count = cut_regions(regions, count, free_output_bytes(client));
    for (unsigned i = 0; i < count; i++)
        offered += regions[i].iov_len;
    message.msg_iovlen = count;
    do {
        size = count == 1
                   ? socket_send(client->fd, regions[0].iov_base, regions[0].iov_len, MSG_NOSIGNAL)
                   : sendmsg(client->fd, &message, MSG_NOSIGNAL);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        if (errno == EAGAIN) {
            block_writing(client);
        } else {
            client_close(client);
        }
        return false;
    }
    net->info.writes++;
    net->info.output_bytes += (uint64_t)size;
    chain_consume(&client->output, (size_t)size);
    if (client->is_write_blocked) client->progress_us = loop_now_us(net->loop);
    if ((uint64_t)size == offered) return true;
    block_writing(client);
    return false;
}

bool client_hoards_output(const struct client *client, uint64_t count)
{
    struct pool_info pool;

    assert(count > 0);
    if (!client->is_write_blocked) return false;
    pool_info(client->net->pool, &pool);
    return pool.in_use_bytes + pool.overflow_bytes >= pool.limit_bytes &&
           chain_bytes(&client->output) > pool.limit_bytes / 2 / count;
}

static void flush_client(struct client *client, uint64_t ticket)
{
    uint64_t sent_before = client->net->info.output_bytes;

    if (client->reply.has_hole) {
        log_write(client->net->log, LOG_WARNING,
                  "Closing client id=%llu addr=%s: out of memory for its output",
                  (unsigned long long)client->id, client_peer_text(client));
        client_close(client);
        return;
    }
    if (ticket > 0 || client->held_count > 0) hold_output(client, ticket);
    while (free_output_bytes(client) > 0 && send_some(client)) {
        if (client->net->info.output_bytes - sent_before < TURN_OUTPUT_BYTES) continue;
        mark_output(client); /* the others' turn; the next one goes on, without sleep before it */
        break;
    }
    if (client->is_closing) return;
    client->seen_bytes = chain_bytes(&client->output);
    if (client->seen_bytes > 0) {
        if (free_output_bytes(client) == 0) unblock_writing(client); /* it waits for us */
        check_hard_limit(client);
        check_soft_limit(client);
    } else {
        client->soft_since_us = 0;
        unblock_writing(client);
        if (client->is_closing_after_reply && !client->has_producer) client_close(client);
    }
    if (client->has_producer && !client->producer_waits) client_producer_ready(client);
}

void net_flush(struct net *net)
{
    struct list_link marked, *link;
    uint64_t ticket = 0;

    if (net->handlers.on_flush) ticket = net->handlers.on_flush(net->handlers.context);
    list_init(&marked);
    list_append_all(&marked, &net->output);
    net->pieces = 0;
    while ((link = list_pop_front(&marked))) {
        struct client *client = list_container(link, struct client, output_link);
        if (!client->is_closing) flush_client(client, ticket);
    }
}
