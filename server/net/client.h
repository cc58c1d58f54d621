/* client.h - one connection as the upper layers see it. Loop thread only. */
#ifndef SERVER_NET_CLIENT_H
#define SERVER_NET_CLIENT_H
#include "modules/base/slice.h"
#include "server/resp/reply.h"

struct client;
struct net;

enum client_class { CLIENT_NORMAL = 0, CLIENT_REPLICA = 1, CLIENT_PUBSUB = 2 };

uint64_t client_id(const struct client *client);
struct net *client_net(const struct client *client);
void *client_session(const struct client *client);
/* Where answers go. Its protocol is the client's (HELLO sets it). */
struct reply *client_reply(struct client *client);

/* The request that on_request was called with, as it came (framer_request); good until that
 * returns.
 */
struct slice client_request(const struct client *client);

/* Inside on_request, and at most once: a large request becomes the caller's, with the memory that
 * it lies in, and nothing of it moves. The caller frees block and arguments, and counts them.
 * False: it is small, or lies in memory that others use: it is to be copied. */
struct taken_request {
    uint8_t *block; /* of block_bytes */
    size_t block_bytes;
    struct slice bytes;      /* the request as it came, an array */
    struct slice *arguments; /* views into it */
};
bool client_take_request(struct client *client, struct taken_request *out_request);

/* Parking: no further request of it is taken until unparked; what it sends meanwhile waits (what
 * was read with the request in memory, the rest in the socket), a disconnect is still noticed.
 * Calls pair up; parking twice is our mistake. After unpark the waiting input goes on within this
 * turn. A peer that only ends its input (shutdown) while parked: when idle-exempt (blocked for
 * others' sake) it is gone, as in Redis; else it gets the answers to all it sent, and is closed
 * then. */
void client_park(struct client *client);
void client_unpark(struct client *client);
bool client_is_parked(const struct client *client);

/* Closes at the end of this turn, replies written so far are sent first as far as the socket takes
 * them within a few turns; no further request is taken. */
void client_close_after_reply(struct client *client);
/* Closes at the end of this turn; nothing more is sent. Safe for any client at any time, itself
 * included; calling it again does nothing. */
void client_close(struct client *client);
/* True from either call on, or when the peer has gone. */
bool client_is_closing(const struct client *client);
/* As client_is_closing, but asks the socket too, and closes a client whose peer has ended it: what
 * the loop has not come to yet may already be here. For a client that is given something which is
 * lost with it. Costs a system call. */
bool client_has_vanished(struct client *client);

/* A reply too large to be written at once. produce is called whenever the output held for the
 * client is below a buffer or two, and while memory for answers is short only when nothing is held
 * and the socket has room: it writes the next piece to client_reply, of about the size asked for
 * (64 KiB, less while memory is short), and returns. The client must be parked by the caller and is
 * not unparked by net; what others write to it meanwhile (pushes) must wait: client_has_producer
 * tells. */
enum produce_result {
    PRODUCE_MORE, /* call again when there is room */
    PRODUCE_WAIT, /* what comes next is on disk: call again after client_producer_ready */
    PRODUCE_DONE, /* that was the last piece; the producer is removed (destroy runs) */
};
struct client_producer {
    enum produce_result (*produce)(void *context, struct client *client, size_t size);
    void (*destroy)(void *context); /* also when the client goes before the end */
    void *context;
};
void client_set_producer(struct client *client, struct client_producer producer);
void client_producer_ready(struct client *client);
bool client_has_producer(const struct client *client);

/* For one of count clients that are sent what they did not ask for, and so are not slowed down by
 * not being read: true when its socket takes nothing, the memory for answers is used up, and it
 * holds more than its part of half of that. Others would soon not be read for its sake. */
bool client_hoards_output(const struct client *client, uint64_t count);

/* Before authentication: 10 arguments, 16 KiB a bulk, small buffers. A new client is untrusted when
 * `trusted` of net's options says so; the upper layer sets it. */
void client_set_trusted(struct client *client, bool is_trusted);
void client_set_class(struct client *client, enum client_class class_);
/* Not closed by the idle timeout while true (blocked clients, subscribers, monitors). */
void client_set_idle_exempt(struct client *client, bool is_exempt);
/* Neither closed for the memory that it holds, nor sooner than others when memory is short. */
void client_set_no_evict(struct client *client, bool is_exempt);

/* What CLIENT LIST shows. Texts are good as long as the client. */
const char *client_peer_text(const struct client *client); /* "127.0.0.1:5000", "[::1]:5000", or the
                                                              unix socket's path with ":0" */
const char *client_local_text(const struct client *client);
bool client_is_unix(const struct client *client);
int client_fd(const struct client *client);
uint64_t client_connected_us(const struct client *client);   /* loop_now_us at accept */
uint64_t client_last_active_us(const struct client *client); /* loop_now_us of its last input */
struct client_buffers {
    uint64_t input_used_bytes, input_free_bytes;   /* qbuf, qbuf-free */
    uint64_t output_buffer_bytes;                  /* obl: in the buffer being filled */
    uint64_t output_list_count, output_list_bytes; /* oll, omem: everything behind it */
    uint64_t total_bytes;                          /* tot-mem */
    bool wants_write;                              /* events=rw */
};
void client_buffers(const struct client *client, struct client_buffers *out_buffers);
#endif
