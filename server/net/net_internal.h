/* net_internal.h - what the files of net share: the set, a client, and who may call whom.
 *
 * net.c (the turn) over listener.c, input.c, output.c, produce.c, hold.c, sweep.c, evict.c over
 * client.c (one connection's life). */
#ifndef SERVER_NET_NET_INTERNAL_H
#define SERVER_NET_NET_INTERNAL_H
#include "modules/base/list.h"
#include "modules/pool/chain.h"
#include "modules/pool/pool.h"
#include "server/net/client.h"
#include "server/net/net.h"
#include "server/resp/framer.h"
#include <event2/event.h>
#include <event2/event_struct.h>

enum {
    READ_BYTES = 64 * 1024,          /* of one read into the shared buffer */
    HEADROOM_BYTES = 16 * 1024,      /* room before it for the rest of the last read */
    LARGE_READ_BYTES = 256 * 1024,   /* of one read into that, so that others get their turn */
    TURN_OUTPUT_BYTES = 1024 * 1024, /* a client with more to send than this goes on next turn */
    UNSENT_BYTES_MAX = 64 * 1024,    /* while the memory for answers is used up: of one client */
    UNTRUSTED_OUTPUT_BYTES =
        64 * 1024,       /* who has not authenticated gets refusals, and reads them */
    STARVED_SECONDS = 2, /* while nobody is read, who holds output is given no more than this */
    PRODUCE_BELOW_BYTES = 32 * 1024, /* a producer is asked for more when less is held */
    PIECE_BYTES = 64 * 1024,         /* that it is asked for */
    PIECE_BYTES_MIN = 15 * 1024,     /* ... while memory is short: they fit into one buffer */
    PIECES_LENT = 8,                 /* of those until they are flushed, whatever others hold */
    INPUTS_A_TURN = 512,             /* reads, and rests taken up again; about a millisecond */
    INPUTS_OF_ANSWER = 4,            /* for so many counts one with answers, which are sent */
    TURN_INPUT_BYTES = 512 * 1024,   /* of those together */
    SMALL_READ_BYTES = 1024,         /* while there is no memory for input */
    TAKEN_BYTES_MIN = 64 * 1024,     /* of a request whose memory is handed over */
    ACCEPTS_A_TURN = 64,             /* by each listener: timers stay exact in an accept storm */
    LISTENER_PAUSE_US = 100 * 1000,  /* after a failed accept */
    SWEEP_PERIOD_US = 100 * 1000,
    SWEEPS_A_SECOND = 10,
    EVICTION_PERIOD_US = 10 * 1000, /* between two looks at all clients for their memory */
    POOL_BUFFERS_KEPT = 256,        /* free ones that keep their pages when it is quiet: 4 MiB */
    WRITE_REGIONS = 64,             /* of one writev */
    ARGUMENTS_MAX = 1024 * 1024,
    ADDRESS_TEXT_BYTES = 128,
};

struct listener {
    struct list_link link; /* in net->listeners */
    struct net *net;
    int fd; /* -1: closed; of a unix socket kept until net goes: clients point to its text */
    bool is_unix, is_paused;
    bool is_wanted; /* while TCP listeners are exchanged: this one stays */
    uint16_t port;
    struct sockaddr_storage address; /* TCP */
    struct event event;
    char text[ADDRESS_TEXT_BYTES]; /* a client's local text when it is a unix socket */
    char path[ADDRESS_TEXT_BYTES]; /* of a unix socket: to be removed */
};

struct client {
    struct net *net;
    int fd; /* -1 once closed */
    /* Any of these ends the taking of requests. */
    bool is_parked, is_closing, is_closing_after_reply, is_gone /* on_close ran */;
    bool is_trusted, is_unix, is_idle_exempt, is_no_evict;
    bool is_quiet;         /* edge-triggered: its data stays in the socket, its end is noticed */
    bool is_write_blocked; /* the socket was full: EV_WRITE is on */
    bool is_large;         /* input is a block for one large request */
    bool was_taken;        /* the request being handled, with its block: client_take_request */
    bool producer_waits, has_producer;
    uint8_t class_;
    short watched; /* events that libevent was asked for */
    struct reply reply;
    struct chain output;
    struct framer framer;

    /* Input that was read and not taken: bytes [begin, begin + size) of capacity. Only an
     * incomplete request, or what waits while parked or for the next turn. */
    uint8_t *input;
    size_t input_begin, input_size, input_capacity;
    size_t block_wanted; /* while deferred: the size of the block it needs to go on, or 0 */

    /* Of the output, what was there when it was last flushed; and its last bytes, which wait. */
    size_t seen_bytes;
    struct held_output {
        uint64_t ticket;
        size_t bytes;
    } held[2]; /* the older first */
    unsigned held_count;

    /* Each in the list of the same name in struct net; free_client takes it out of all. */
    struct list_link all_link, output_link, ready_link, deferred_link, closing_link, producing_link;
    struct list_link held_link;
    struct list_link eviction_link; /* only inside evict_clients */
    struct client *next_by_id;
    uint64_t id, connected_us, last_active_us;
    uint64_t progress_us;   /* last time its socket took output, or began to be full */
    uint64_t soft_since_us; /* output above the soft limit since; 0: it is not */
    struct client_producer producer;
    struct event event;
    const struct listener *listener;        /* of a unix client that came by one, else NULL */
    char peer_text[ADDRESS_TEXT_BYTES / 2]; /* TCP; a unix client shows its listener's path */
    char local_text[ADDRESS_TEXT_BYTES / 2];
    max_align_t session[]; /* options.session_bytes */
};

struct net {
    struct loop *loop;
    struct log *log;
    struct net_options options;
    struct net_handlers handlers;
    struct framer_limits framer_limits; /* is_trusted is set for each client */
    struct pool *pool;
    uint8_t *read_buffer; /* HEADROOM_BYTES, then READ_BYTES */
    struct loop_timer *sweep_timer, *pause_timer;
    int spare_fd; /* given up to accept and close when there are no descriptors */

    struct list_link listeners;
    struct list_link all;    /* clients in order of connecting */
    struct list_link output; /* clients that may have something to flush */
    struct list_link held;   /* clients of whose output some waits for a ticket */
    uint64_t held_client_count;
    struct list_link ready;   /* clients whose waiting input can go on */
    int64_t held_input_bytes; /* by requests that wait for memory above net */
    struct list_link hungry;  /* producers that wait for memory for answers (producing_link) */
    unsigned pieces;          /* that producers wrote since the last flush */
    uint64_t evicted_us;      /* when clients were last looked at for their memory */
    uint32_t turn_inputs;     /* taken in this turn, see INPUTS_A_TURN */
    size_t turn_input_bytes;
    struct list_link yielded;     /* the same, but from the next turn on (ready_link) */
    struct list_link deferred;    /* clients not read for want of memory, the oldest first */
    struct list_link closing;     /* client_close was called, on_close was not yet */
    struct list_link gone;        /* on_close ran (closing_link): freed at the end of the turn */
    struct list_link producing;   /* clients whose producer has room */
    struct list_link *sweep_next; /* in all */
    /* What the sweep saw in the clients that it came to: in its last full round, and in this one.
     */
    struct round {
        uint64_t framer_bytes, input_max_bytes, output_max_bytes;
    } last_round, this_round;

    struct client **by_id; /* chained hash, bucket = id & (bucket_count - 1) */
    size_t bucket_count, client_count;
    uint64_t next_id;
    uint64_t input_heap_bytes; /* capacities of all clients' input */
    struct client *exceeding;  /* whose large request may exceed the memory for input; or NULL */
    uint64_t accept_logged_us; /* of the last line about accept errors */
    struct net_info info;      /* counters; the rest is filled in by net_info() */
};

/* ---- client.c ---- */
/* Takes fd over, also when it fails. listener NULL: both ends are ours. */
int client_open(struct net *net, int fd, const struct listener *listener, const char *peer_text,
                struct client **out_client); /* may be NULL */
/* Runs on_close for all that are closing; their memory stays until free_gone_clients. */
void run_all_closes(struct net *net);
static inline void run_closes(struct net *net)
{
    if (!list_is_empty(&net->closing)) run_all_closes(net);
}
void free_gone_clients(struct net *net);
/* Asks libevent for what the client's state needs. */
void client_watch(struct client *client);

static inline bool client_takes_requests(const struct client *client)
{
    return !(client->is_parked | client->is_closing | client->is_closing_after_reply);
}

/* ---- input.c ---- */
void on_client_event(evutil_socket_t fd, short what, void *context);
/* Clients that were unparked, or stopped after a turn's worth of output, go on. */
void run_ready(struct net *net);
/* Reads again, oldest first, from those for whom there is memory now. */
void resume_deferred(struct net *net);
void release_input(struct client *client);
/* Answers hold so much memory that nobody is read. */
bool is_output_exhausted(const struct net *net);

/* ---- output.c ---- */
void mark_output(struct client *client);
/* Closes the client when its output is above its hard limit. */
void check_hard_limit(struct client *client);
void check_soft_limit(struct client *client); /* and how long */
/* Its socket is full: EV_WRITE marks it again. */
void block_writing(struct client *client);

/* ---- produce.c ---- */
void run_producers(struct net *net);
/* After a flush: those that waited for memory go on if there is some. */
void feed_producers(struct net *net);
void drop_producer(struct client *client);

/* ---- hold.c ---- */
/* What was written to the client since its last flush waits for ticket, unless that is 0 and
 * nothing before it waits. */
void hold_output(struct client *client, uint64_t ticket);
void forget_held(struct client *client);
/* Bytes of its output that may be sent. */
static inline size_t free_output_bytes(const struct client *client)
{
    size_t bytes = chain_bytes(&client->output);

    for (unsigned i = 0; i < client->held_count; i++)
        bytes -= client->held[i].bytes;
    return bytes;
}

/* ---- listener.c ---- */
void free_listeners(struct net *net);
void resume_listeners(void *net);

/* ---- evict.c ---- */
/* Closes clients while all together hold more than maxmemory-clients. */
void evict_clients(struct net *net);

/* ---- sweep.c ---- */
/* A tenth of the clients: idle ones, stalled ones, those too long above the soft limit. */
void sweep_clients(void *net);
#endif
