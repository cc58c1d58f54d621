/* wire.h - one connection to a server: any bytes out, whole replies in, as they are on the wire.
 *
 * Sockets do not block; every wait has a deadline, and missing it fails the test. While sending,
 * what arrives is taken in (else two pipelines could wait for each other), unless takes_nothing is
 * set. */
#ifndef CLIENT_TESTS_LIB_WIRE_H
#define CLIENT_TESTS_LIB_WIRE_H
#include "client-tests/lib/resp.h"
#include "client-tests/lib/server.h"
#include "client-tests/lib/text.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct wire {
    int fd;         /* -1: closed by us */
    struct text in; /* bytes that came; those before in_offset were handed out */
    size_t in_offset;
    struct resp_scan scan; /* of the reply at in_offset; its offset is relative to that */
    bool is_ended;         /* the server closed or reset it; what came before is still in `in` */
    char last_sent[160];   /* how the last thing sent began: for reports */
    size_t last_sent_size;
    bool takes_nothing; /* a reader that does not read: only wire_read* takes bytes in */
};

struct wire *wire_open(const struct server *server); /* TCP; wire_close() it */
struct wire *wire_open_unix(const struct server *server);
/* NULL while nobody listens there. */
struct wire *wire_try_unix(const struct server *server);
/* To any address of this host; NULL when the connection is refused or reset. */
struct wire *wire_open_to(const char *address, int port);
/* wire may be NULL. */
void wire_close(struct wire *wire);
/* Closes with a reset instead of the polite end. */
void wire_reset(struct wire *wire);
/* "I shall send no more", while still reading. */
void wire_half_close(struct wire *wire);

/* 0, or -EPIPE when the server has closed the connection. */
int wire_send(struct wire *wire, const void *bytes, size_t size);
/* Sends as much as the socket takes now; the count. */
size_t wire_send_some(struct wire *wire, const void *bytes, size_t size);

/* A command, in hiredis's format (%s, %b and size, %d …: spaces of the format part the arguments).
 */
void wire_command(struct wire *wire, const char *format, ...);
void wire_command_list(struct wire *wire, const char *format, va_list arguments);
void wire_command_argv(struct wire *wire, int count, const char **items, const size_t *sizes);
/* A line as one types it into redis-cli: quotes and escapes as there. */
void wire_command_line(struct wire *wire, const char *line);

/* Adds the next whole reply to out. 1, or 0: the server closed the connection before. */
int wire_read(struct wire *wire, struct text *out);
/* As wire_read, and nothing is waited for: -EAGAIN when no whole reply is here. */
int wire_read_now(struct wire *wire, struct text *out);
/* Reads and drops count replies. */
void wire_skip(struct wire *wire, size_t count);
/* Waits until the server has closed the connection; replies before that are dropped. */
void wire_wait_end(struct wire *wire);
/* Takes bytes in until a reply or the end is there, at most for timeout_ms. True: something is. */
bool wire_wait(struct wire *wire, int timeout_ms);
#endif
