/* pair.h - two servers that are asked the same and must answer the same: ours and redis-server.
 *
 * Connections are numbered; connection N of the pair is one to each server. Commands that block are
 * compared in their outcome first (a reply, or blocked) and in their reply when it comes; after
 * each command the connections that were served in one server must be those served in the other.
 * Differences are collected as text: each with where it was, the command, both replies, and the
 * last commands before it. Waiting too long fails the test, as everywhere. */
#ifndef CLIENT_TESTS_LIB_PAIR_H
#define CLIENT_TESTS_LIB_PAIR_H
#include "client-tests/lib/command.h"
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAIR_CONNECTIONS_MAX = 12, PAIR_HISTORY_MAX = 16 };

enum pair_compare {
    PAIR_BYTES,  /* the replies are equal, byte for byte */
    PAIR_SORTED, /* equal as sets: KEYS, SCAN and the like promise no order */
    PAIR_TYPE,   /* the same first byte: times, ids, addresses, random choices */
    PAIR_NEAR,   /* integers at most ten apart: seconds to live */
    PAIR_HEAD,   /* errors byte for byte, arrays of the same size, else the same first byte */
    PAIR_IDLE,   /* equal but for the third of each four elements: XPENDING's idle times */
    PAIR_CODE,   /* errors with the same first word; other replies as PAIR_BYTES */
    PAIR_NOTHING
};

struct pair_connection {
    struct wire *ours, *redis;
    bool is_blocked; /* in both */
    enum pair_compare blocked_compare;
};

struct pair_history {
    int connection;
    struct text command, ours, redis;
};

struct pair {
    struct server ours, redis;
    struct wire *control_ours, *control_redis; /* never in RESP3, never in a transaction */
    struct pair_connection connections[PAIR_CONNECTIONS_MAX];
    struct pair_history history[PAIR_HISTORY_MAX];
    uint64_t command_count; /* sent on numbered connections; history[command_count % max] is next */
    int protocol;           /* 2 or 3: what new connections speak */
    bool keeps_history;
    char place[256]; /* what the report names: a script's line, or seed and step */
    struct text report;
    unsigned difference_count;
    unsigned silence_count; /* replies that never came */
};

/* Starts both. own_arguments as in struct server_options. */
void pair_start(struct pair *pair, const char *const *own_arguments);
/* Ends both and frees what the pair holds. */
void pair_finish(struct pair *pair);
/* The same; when there was a difference the report is printed, and the test fails. */
void pair_finish_equal(struct pair *pair);
/* Closes all numbered connections, waits until both servers have noticed, empties both (FLUSHALL),
 * and sets the protocol of connections to come. */
void pair_reset(struct pair *pair, int protocol);

/* Sends a command (formatted RESP) and compares the replies, or finds that both blocked. reply (may
 * be NULL) gets redis-server's raw reply, nothing when it blocked. False: they differ. */
bool pair_ask(struct pair *pair, int connection, const struct text *command,
              enum pair_compare compare, struct text *reply);
/* Sends without waiting for the reply: pair_read takes it. */
void pair_send(struct pair *pair, int connection, const struct text *command);
bool pair_read(struct pair *pair, int connection, enum pair_compare compare, struct text *reply);
/* Sends a command that blocks in both; false when it does not in one of them. */
bool pair_block(struct pair *pair, int connection, const struct text *command,
                enum pair_compare compare);
/* After a command that may have served blocked connections: their replies are read and compared. */
bool pair_settle(struct pair *pair);
/* Both servers close this connection. */
bool pair_expect_end(struct pair *pair, int connection);
/* Closes one connection; it is opened again when next used. Returns when both servers have noticed,
 * if it was blocked: what is pushed later must not meet it. */
void pair_drop(struct pair *pair, int connection);
/* Adds a difference that the caller found. */
__attribute__((format(printf, 2, 3))) void pair_differ(struct pair *pair, const char *format, ...);

/* So many replies did not come that waiting for more would only take long. */
bool pair_is_hopeless(const struct pair *pair);
#endif
