#include "client-tests/lib/wire.h"
#include "client-tests/lib/clock.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 65536 };

static struct wire *wire_of(int fd)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    if (!wire) abort();
    wire->fd = fd;
    return wire;
}

/* Connects and makes the socket non-blocking only then: on this host a connection either is taken
 * by the backlog at once or waits for room there. */
static struct wire *connect_to(const struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0) ck_abort_msg("socket: %s", strerror(errno));
    if (connect(fd, address, length) != 0) {
        (void)close(fd);
        return NULL;
    }
    if (address->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return wire_of(fd);
}

struct wire *wire_open_to(const char *address, int port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return connect_to((const struct sockaddr *)&v4, sizeof(v4));
    if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1)
        return connect_to((const struct sockaddr *)&v6, sizeof(v6));
    ck_abort_msg("not an address: %s", address);
}

struct wire *wire_open(const struct server *server)
{
    struct wire *wire = wire_open_to("127.0.0.1", server->port);

    if (!wire) ck_abort_msg("cannot connect to port %d: %s", server->port, strerror(errno));
    return wire;
}

struct wire *wire_try_unix(const struct server *server)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memcpy(address.sun_path, server->unix_path, sizeof(server->unix_path));
    return connect_to((const struct sockaddr *)&address, sizeof(address));
}

struct wire *wire_open_unix(const struct server *server)
{
    struct wire *wire = wire_try_unix(server);

    if (!wire) ck_abort_msg("cannot connect to %s: %s", server->unix_path, strerror(errno));
    return wire;
}

void wire_close(struct wire *wire)
{
    if (!wire) return;
    if (wire->fd >= 0) (void)close(wire->fd);
    text_finish(&wire->in);
    free(wire);
}

void wire_reset(struct wire *wire)
{
    struct linger abrupt = { .l_onoff = 1, .l_linger = 0 };

    if (wire) (void)setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
    wire_close(wire);
}

void wire_half_close(struct wire *wire)
{
    if (shutdown(wire->fd, SHUT_WR) != 0 && errno != ENOTCONN)
        ck_abort_msg("shutdown: %s", strerror(errno));
}

/* ---- in ----------------------------------------------------------------------------------------
 */

/* All that is there now. */
static void take_in(struct wire *wire)
{
    if (wire->in_offset > 0 && wire->in_offset * 2 > wire->in.size) {
        memmove(wire->in.bytes, wire->in.bytes + wire->in_offset, wire->in.size - wire->in_offset);
        wire->in.size -= wire->in_offset;
        wire->in_offset = 0;
    }
    while (!wire->is_ended) {
        char *end = text_reserve(&wire->in, READ_BYTES);
        ssize_t count = recv(wire->fd, end, READ_BYTES, MSG_DONTWAIT);
        if (count > 0) {
            wire->in.size += (size_t)count;
            if (wire->in.size - wire->in_offset > 64 * READ_BYTES) break; /* let it be parsed */
        } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
            wire->is_ended = true;
        } else if (errno == EAGAIN) {
            break;
        }
    }
}

/* 1: a whole reply lies at in_offset, scan.offset long. 0: not yet. */
static int scan_reply(struct wire *wire)
{
    const char *start = text_string(&wire->in) + wire->in_offset;
    int rc = resp_scan(&wire->scan, start, wire->in.size - wire->in_offset);

    if (rc < 0) {
        struct text shown = { 0 };
        text_add_shortened(&shown, start, wire->in.size - wire->in_offset, 400);
        ck_abort_msg("not RESP at byte %zu of: %s", wire->scan.offset, text_string(&shown));
    }
    return rc;
}

static void wait_readable(struct wire *wire, int timeout_ms)
{
    struct pollfd ready = { .fd = wire->fd, .events = POLLIN };

    if (poll(&ready, 1, timeout_ms) < 0 && errno != EINTR)
        ck_abort_msg("poll: %s", strerror(errno));
}

bool wire_wait(struct wire *wire, int timeout_ms)
{
    int64_t deadline_ms = clock_ms() + timeout_ms;

    for (;;) {
        int64_t left_ms;
        take_in(wire);
        if (scan_reply(wire) || wire->is_ended) return true;
        left_ms = deadline_ms - clock_ms();
        if (left_ms <= 0) return false;
        wait_readable(wire, (int)left_ms);
    }
}

int wire_read_now(struct wire *wire, struct text *out)
{
    if (!scan_reply(wire)) {
        take_in(wire);
        if (!scan_reply(wire)) return wire->is_ended ? 0 : -EAGAIN;
    }
    if (out) text_add(out, wire->in.bytes + wire->in_offset, wire->scan.offset);
    wire->in_offset += wire->scan.offset;
    wire->scan = (struct resp_scan){ 0 };
    return 1;
}

int wire_read(struct wire *wire, struct text *out)
{
    int rc = wire_read_now(wire, out);
    size_t there = wire->in.size - wire->in_offset;

    if (rc != -EAGAIN) return rc;
    while (!wire_wait(wire, WAIT_MS)) {
        struct text sent = { 0 };
        if (wire->in.size - wire->in_offset > there) { /* a long one, it is coming */
            there = wire->in.size - wire->in_offset;
            continue;
        }
        text_add_quoted(&sent, wire->last_sent, wire->last_sent_size);
        ck_abort_msg("no reply came; what was sent last began with %s", text_string(&sent));
    }
    return wire_read_now(wire, out);
}

void wire_skip(struct wire *wire, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (wire_read(wire, NULL) != 1)
            ck_abort_msg("closed by the server after %zu of %zu replies", i, count);
    }
}

void wire_wait_end(struct wire *wire)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    do {
        take_in(wire);
        text_clear(&wire->in);
        wire->in_offset = 0;
        wire->scan = (struct resp_scan){ 0 };
        if (wire->is_ended) return;
        wait_readable(wire, PROBE_MS);
    } while (clock_ms() < deadline_ms);
    ck_abort_msg("the server does not close the connection");
}

/* ---- out ---------------------------------------------------------------------------------------
 */

size_t wire_send_some(struct wire *wire, const void *bytes, size_t size)
{
    ssize_t count = send(wire->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (count >= 0) return (size_t)count;
    if (errno != EAGAIN && errno != EINTR) wire->is_ended = true;
    return 0;
}

int wire_send(struct wire *wire, const void *bytes, size_t size)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    size_t sent = 0;

    wire->last_sent_size = size < sizeof(wire->last_sent) ? size : sizeof(wire->last_sent);
    memcpy(wire->last_sent, bytes, wire->last_sent_size);
    while (sent < size) {
        struct pollfd ready = { .fd = wire->fd, .events = POLLOUT };
        size_t count = wire_send_some(wire, (const char *)bytes + sent, size - sent);
        sent += count;
        if (count > 0) deadline_ms = clock_ms() + WAIT_MS;
        if (wire->is_ended) {
            wire->is_ended = false; /* what the server said before it closed is still to be read */
            take_in(wire);
            wire->is_ended = true;
            return -EPIPE;
        }
        if (sent == size) break;
        if (clock_ms() >= deadline_ms)
            ck_abort_msg("the server takes no bytes: %zu of %zu sent", sent, size);
        if (!wire->takes_nothing) {
            take_in(wire);
            ready.events |= POLLIN;
        }
        (void)poll(&ready, 1, PROBE_MS);
    }
    return 0;
}

void wire_command_list(struct wire *wire, const char *format, va_list arguments)
{
    char *command = NULL;
    int size = redisvFormatCommand(&command, format, arguments);

    if (size < 0) ck_abort_msg("bad command format: %s", format);
    (void)wire_send(wire, command, (size_t)size); /* a closed connection shows when reading */
    redisFreeCommand(command);
}

void wire_command(struct wire *wire, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    wire_command_list(wire, format, arguments);
    va_end(arguments);
}

void wire_command_argv(struct wire *wire, int count, const char **items, const size_t *sizes)
{
    char *command = NULL;
    int size = redisFormatCommandArgv(&command, count, items, sizes);

    if (size < 0) ck_abort_msg("cannot format a command of %d arguments", count);
    (void)wire_send(wire, command, (size_t)size);
    redisFreeCommand(command);
}

void wire_command_line(struct wire *wire, const char *line)
{
    enum { ARGUMENTS_MAX = 4096 };
    size_t sizes[ARGUMENTS_MAX];
    int count = 0;
    sds *items = sdssplitargs(line, &count);

    if (!items || count == 0 || count > ARGUMENTS_MAX) ck_abort_msg("bad command line: %s", line);
    for (int i = 0; i < count; i++)
        sizes[i] = sdslen(items[i]);
    wire_command_argv(wire, count, (const char **)items, sizes);
    sdsfreesplitres(items, count);
}
