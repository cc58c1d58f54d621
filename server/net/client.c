/* client.c - one connection: opened, watched, parked, closed, freed.
 *
 * A client is closing from client_close on: nothing of it is taken or sent any more. on_close runs
 * soon after, between two events or at the end of the turn, never inside a handler; the socket is
 * closed then. The memory goes at one point, free_gone_clients at the end of the turn, so that
 * pointers stay good until then. Links into net's lists are taken out there, all of them, whatever
 * state the client was in. */
#include "server/net/net_internal.h"
#include "server/net/address.h"
#include "server/net/loop.h"
#include "server/net/loop_internal.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the table of ids ---- */

static int grow_table(struct net *net)
{
    size_t bucket_count = net->bucket_count ? net->bucket_count * 2 : 64;
    struct client **by_id = calloc(bucket_count, sizeof(struct client *));

    if (!by_id) return -ENOMEM;
    list_for_each(link, &net->all)
    {
        struct client *client = list_container(link, struct client, all_link);
        struct client **bucket = &by_id[client->id & (bucket_count - 1)];
        client->next_by_id = *bucket;
        *bucket = client;
    }
    free(net->by_id);
    net->by_id = by_id;
    net->bucket_count = bucket_count;
    return 0;
}

static int table_add(struct net *net, struct client *client)
{
    struct client **bucket;

    if (net->client_count >= net->bucket_count) {
        int rc = grow_table(net);
        if (rc < 0) return rc;
    }
    bucket = &net->by_id[client->id & (net->bucket_count - 1)];
    client->next_by_id = *bucket;
    *bucket = client;
    list_push_back(&net->all, &client->all_link);
    net->client_count++;
    return 0;
}

static void table_remove(struct net *net, struct client *client)
{
    struct client **at = &net->by_id[client->id & (net->bucket_count - 1)];

    while (*at != client)
        at = &(*at)->next_by_id;
    *at = client->next_by_id;
    if (net->sweep_next == &client->all_link) net->sweep_next = client->all_link.next;
    list_remove(&client->all_link);
    net->client_count--;
}

struct client *net_client_by_id(struct net *net, uint64_t id)
{
    struct client *client = net->by_id ? net->by_id[id & (net->bucket_count - 1)] : NULL;

    while (client && client->id != id)
        client = client->next_by_id;
    return client && !client->is_gone ? client : NULL;
}

void net_each_client(struct net *net, bool (*each)(void *context, struct client *client),
                     void *context)
{
    list_for_each(link, &net->all)
    {
        struct client *client = list_container(link, struct client, all_link);
        if (!client->is_gone && each(context, client)) return;
    }
}

/* ---- opened and watched ---- */

static void init_links(struct client *client)
{
    list_init(&client->all_link);
    list_init(&client->output_link);
    list_init(&client->ready_link);
    list_init(&client->deferred_link);
    list_init(&client->closing_link);
    list_init(&client->producing_link);
    list_init(&client->eviction_link);
    list_init(&client->held_link);
}

static void free_client(struct client *client)
{
    list_remove(&client->output_link);
    list_remove(&client->ready_link);
    list_remove(&client->deferred_link);
    list_remove(&client->closing_link);
    list_remove(&client->producing_link);
    release_input(client);
    framer_finish(&client->framer);
    chain_clear(&client->output);
    free(client);
}

int client_open(struct net *net, int fd, const struct listener *listener, const char *peer_text,
                struct client **out_client)
{
    struct client *client = calloc(1, sizeof(*client) + net->options.session_bytes);
    int rc = -ENOMEM;

    if (!client) goto fail;
    client->net = net;
    client->fd = fd;
    client->id = net->next_id;
    client->is_trusted = true;
    client->is_unix = !listener || listener->is_unix;
    client->listener = client->is_unix ? listener : NULL; /* others may go before us */
    client->connected_us = loop_now_us(net->loop);
    client->last_active_us = client->connected_us;
    init_links(client);
    chain_init(&client->output, net->pool);
    framer_init(&client->framer);
    client->reply = (struct reply){ .chain = &client->output, .protocol = 2 };
    (void)snprintf(client->peer_text, sizeof(client->peer_text), "%s", peer_text);
    client->watched = EV_READ | EV_PERSIST;
    rc = table_add(net, client);
    if (rc < 0) goto fail;
    if (event_assign(&client->event, loop_event_base(net->loop), fd, client->watched,
                     on_client_event, client) < 0 ||
        event_add(&client->event, NULL) < 0) {
        rc = -ENOMEM;
        table_remove(net, client);
        goto fail;
    }
    net->next_id++;
    if (out_client) *out_client = client;
    net->handlers.on_open(net->handlers.context, client);
    return 0;
fail:
    (void)close(fd); /* nothing was written to it */
    if (client) free_client(client);
    return rc;
}

void client_watch(struct client *client)
{
    short wanted = EV_PERSIST | EV_READ;

    if (client->is_gone) return;
    if (client->is_quiet) wanted |= EV_ET;
    if (client->is_write_blocked) wanted |= EV_WRITE;
    if (wanted == client->watched) return;
    client->watched = wanted;
    if (event_del(&client->event) < 0 ||
        event_assign(&client->event, loop_event_base(client->net->loop), client->fd, wanted,
                     on_client_event, client) < 0 ||
        event_add(&client->event, NULL) < 0) {
        client_close(client); /* the kernel has no memory for it: it would never be heard again */
    }
}

/* ---- parked ---- */

void client_park(struct client *client)
{
    assert(!client->is_parked);
    client->is_parked = true;
}

void client_unpark(struct client *client)
{
    assert(client->is_parked);
    client->is_parked = false;
    if (!client_takes_requests(client)) return;
    if (client->input_size > 0 && list_is_empty(&client->ready_link)) {
        list_push_back(&client->net->ready, &client->ready_link);
    }
    if (client->is_quiet && list_is_empty(&client->deferred_link)) {
        client->is_quiet = false;
        client_watch(client);
    }
}

bool client_is_parked(const struct client *client)
{
    return client->is_parked;
}

/* ---- closed ---- */

void client_close(struct client *client)
{
    if (client->is_closing) return;
    client->is_closing = true;
    list_push_back(&client->net->closing, &client->closing_link);
}

void client_close_after_reply(struct client *client)
{
    if (client->is_closing || client->is_closing_after_reply) return;
    client->is_closing_after_reply = true;
    client->progress_us = loop_now_us(client->net->loop);
    mark_output(client); /* the flush closes it, also when there is nothing to send */
}

bool client_is_closing(const struct client *client)
{
    return client->is_closing || client->is_closing_after_reply;
}

bool client_has_vanished(struct client *client)
{
    struct pollfd state = { .fd = client->fd, .events = POLLRDHUP };

    if (client_is_closing(client)) return true;
    if (poll(&state, 1, 0) <= 0) return false;
    client_close(client);
    return true;
}

/* A socket closed over unread input resets the connection, and the peer may lose our last words. */
static void discard_input(struct client *client)
{
    struct net *net = client->net;

    for (int i = 0; i < 4; i++) {
        if (recv(client->fd, net->read_buffer, HEADROOM_BYTES + READ_BYTES, MSG_DONTWAIT) <= 0) {
            return;
        }
    }
}

static void close_client(struct client *client)
{
    struct net *net = client->net;

    client->is_gone = true;
    drop_producer(client);
    net->handlers.on_close(net->handlers.context, client);
    (void)event_del(&client->event); /* fails only for events that were never set up */
    if (client->is_closing_after_reply) discard_input(client);
    (void)close(client->fd); /* a socket has nothing left to report */
    client->fd = -1;
    release_input(client);
    forget_held(client);
    chain_clear(&client->output);
    list_push_back(&net->gone, &client->closing_link);
}

void run_all_closes(struct net *net)
{
    struct list_link *link;

    while ((link = list_pop_front(&net->closing))) {
        close_client(list_container(link, struct client, closing_link));
    }
}

void free_gone_clients(struct net *net)
{
    list_for_each(link, &net->gone)
    {
        struct client *client = list_container(link, struct client, closing_link);
        table_remove(net, client);
        free_client(client);
    }
}

/* ---- settings and what CLIENT LIST shows ---- */

uint64_t client_id(const struct client *client)
{
    return client->id;
}

struct net *client_net(const struct client *client)
{
    return client->net;
}

void *client_session(const struct client *client)
{
    return (void *)client->session; /* its own memory, whatever the view of the rest */
}

struct slice client_request(const struct client *client)
{
    return framer_request(&client->framer);
}

struct reply *client_reply(struct client *client)
{
    mark_output(client);
    return &client->reply;
}

void client_set_trusted(struct client *client, bool is_trusted)
{
    client->is_trusted = is_trusted;
}

void client_set_class(struct client *client, enum client_class class_)
{
    client->class_ = (uint8_t)class_;
}

void client_set_idle_exempt(struct client *client, bool is_exempt)
{
    client->is_idle_exempt = is_exempt;
}

void client_set_no_evict(struct client *client, bool is_exempt)
{
    client->is_no_evict = is_exempt;
}

const char *client_peer_text(const struct client *client)
{
    return client->listener ? client->listener->text : client->peer_text;
}

static void format_local(struct client *client)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    (void)snprintf(client->local_text, sizeof(client->local_text), "?:0");
    if (client->fd < 0 || getsockname(client->fd, (struct sockaddr *)&address, &size) < 0) return;
    address_format((const struct sockaddr *)&address, client->local_text,
                   sizeof(client->local_text));
}

const char *client_local_text(const struct client *client)
{
    struct client *cache =
        (struct client *)client; /* every client came from calloc: none is const */

    if (client->is_unix) return client_peer_text(client);
    if (!client->local_text[0]) format_local(cache);
    return client->local_text;
}

bool client_is_unix(const struct client *client)
{
    return client->is_unix;
}

int client_fd(const struct client *client)
{
    return client->fd;
}

uint64_t client_connected_us(const struct client *client)
{
    return client->connected_us;
}

uint64_t client_last_active_us(const struct client *client)
{
    return client->last_active_us;
}
