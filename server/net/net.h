/* net.h - listeners and the set of clients: bytes and connections, never keys.
 *
 * One turn: readable sockets are read into a shared buffer, requests are framed in place and handed
 * to on_request one by one; clients that were unparked go on with the input that waited; then
 * on_turn_end runs, and every client that has output is flushed once, with one write. Clients are
 * freed at one point, after the flush; until then a pointer got in this turn stays good. Across
 * turns keep ids. Loop thread only. */
#ifndef SERVER_NET_NET_H
#define SERVER_NET_NET_H
#include "modules/base/slice.h"

struct loop;
struct net;
struct client;
struct log;
struct pool;

struct net_handlers {
    /* One complete request. The slices are good until it returns (copy them before parking). The
     * handler writes its answer to client_reply(client), and may park or close the client.
     * arguments may be changed by the handler. */
    void (*on_request)(void *context, struct client *client, struct slice *arguments,
                       uint32_t argument_count);
    /* Bytes that are no request: the error was written to client_reply(client), and the client will
     * be closed behind it. May be NULL. */
    void (*on_protocol_error)(void *context, struct client *client);
    /* A client was accepted: its session memory is zeroed; set it up. */
    void (*on_open)(void *context, struct client *client);
    /* The client is gone: its socket is closed and it will be freed at the end of this turn.
     * Release what the session holds. Called exactly once for each on_open, never from inside
     * on_request. */
    void (*on_close)(void *context, struct client *client);
    /* All requests of this turn were handled, nothing was flushed yet. True: there is work for
     * another turn at once (the loop will not sleep). May write replies, park, unpark, close. */
    bool (*on_turn_end)(void *context);
    /* Before answers leave, once a turn: the ticket that all which were written since the last time
     * wait for (net_release); 0: they may leave. Tickets grow; at most two are waited for at one
     * time. NULL: answers never wait. */
    uint64_t (*on_flush)(void *context);
    /* At the end of every turn, after the flush: microseconds that the loop may sleep, -1 for any
     * time. With work left for another turn it does not sleep all the same. */
    int64_t (*on_before_wait)(void *context);
    void *context;
};

/* Values are copied; change them live with net_set_limits. */
struct net_limits {
    uint32_t clients_max;     /* maxclients; more get "-ERR max number of clients reached" */
    uint32_t idle_timeout_s;  /* timeout; 0: never. Blocked clients and subscribers are exempt */
    uint32_t keepalive_s;     /* tcp-keepalive; 0: off */
    uint32_t stall_timeout_s; /* a reader of a streamed reply without progress; 60 */
    uint64_t query_buffer_bytes_max; /* client-query-buffer-limit */
    uint64_t bulk_bytes_max;         /* proto-max-bulk-len */
    uint64_t buffer_memory_bytes;    /* net-buffer-memory: the pool's hard cap */
    uint64_t clients_memory_bytes;   /* maxmemory-clients: above it the largest go; 0: no limit */
    uint64_t
        input_memory_bytes; /* all large requests under way together; first come, first served */
    struct net_output_limit {
        uint64_t hard_bytes, soft_bytes; /* 0: none */
        uint32_t soft_seconds;
    } output[3]; /* by enum client_class */
};

struct net_options {
    struct net_limits limits;
    size_t session_bytes; /* memory behind each client for the upper layers: client_session() */
    bool (*is_protected)(
        void *context); /* protected mode applies: only loopback and unix are served */
};

int net_create(struct loop *loop, struct log *log, const struct net_options *options,
               const struct net_handlers *handlers, struct net **out_net);
/* Closes all clients (on_close runs) and listeners, removes the unix socket; what is lent to
 * answers can still be given back and counted. Accepts NULL. */
void net_close(struct net *net);
/* The same, and frees it: nothing may be lent any more. Accepts NULL. */
void net_destroy(struct net *net);

/* address as in `bind`: IPv4, IPv6, "*", "::*"; a leading '-' means: skip it when not available
 * here. port 0: any free one. Logs "Listening on ADDRESS:PORT". -EADDRINUSE and other errors of
 * bind and listen. */
int net_listen_tcp(struct net *net, const char *address, uint16_t port, uint32_t backlog);
/* Listens on these addresses and on no other TCP one; those that it listens on already stay as they
 * are, and so does every accepted connection. port 0: the first address takes any free one, the
 * others the same. New sockets listen before old ones are closed: after an error all is as it was,
 * and *out_failed is the index of the address that could not be had. */
int net_exchange_tcp(struct net *net, char *const *addresses, size_t count, uint16_t port,
                     uint32_t backlog, size_t *out_failed);
/* A stale socket of a dead server is replaced; made with the mode before it can be connected to. */
int net_listen_unix(struct net *net, const char *path, uint32_t mode, uint32_t backlog);
/* A connected, non-blocking stream socket whose other end is the process's own: served as a unix
 * client whose address is text (copied); clients_max does not hold for it. fd is taken over,
 * also when it fails. -ENOMEM. */
int net_adopt(struct net *net, int fd, const char *text, struct client **out_client);
void net_stop_listening(struct net *net);
uint16_t net_tcp_port(const struct net *net); /* the first TCP listener's; 0: none */

/* Requests that wait above net for memory hold that much more, or less: it counts in
 * input_memory_bytes, so that fewer of those behind them are read. */
void net_hold_input(struct net *net, int64_t delta_bytes);
void net_set_limits(struct net *net, const struct net_limits *limits);

/* Answers that wait for this ticket or an earlier one may leave; they do with the next flush. */
void net_release(struct net *net, uint64_t ticket);
/* What answers wait for will not come, and they are not true: their clients are closed. */
void net_close_held(struct net *net);

/* Sends what was answered so far in this turn, as its end does: for who answers very many clients in
 * one step. An answer has a buffer of its own until it is sent; so the next ones get the same few,
 * which are in the processor's caches. Between commands only, as half an answer would leave. */
void net_flush(struct net *net);

/* What answers lie in, and count what is lent to them. */
struct pool *net_output_pool(struct net *net);

struct client *net_client_by_id(struct net *net, uint64_t id); /* NULL: gone */
/* In order of connecting. each may close clients, not free them; stops at the first true. */
void net_each_client(struct net *net, bool (*each)(void *context, struct client *client),
                     void *context);

struct net_info {
    uint64_t clients_connected, clients_accepted, clients_rejected;
    uint64_t input_bytes, output_bytes, reads, writes;
    /* Largest of the current clients, as of about a second ago. */
    uint64_t input_buffer_max_bytes, output_buffer_max_bytes;
    uint64_t pool_bytes, pool_used_bytes, heap_output_bytes, heap_input_bytes, clients_bytes;
    uint64_t query_buffer_limit_closes, output_buffer_limit_closes, stall_closes, idle_closes;
    uint64_t evicted_clients; /* closed because all together held too much */
    uint64_t accept_errors,
        reads_deferred; /* sockets not read because memory for input was short */
    uint64_t turns;
    uint64_t held_clients; /* whose answers wait for a ticket */
};
/* Costs the same however many clients there are. */
void net_info(const struct net *net, struct net_info *out_info);
void net_reset_statistics(struct net *net);
#endif
