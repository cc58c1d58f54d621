/* floor - the bare libevent responder: what the kernel charges for the bytes, and nothing else.
 *
 * Finds the ends of requests in what it reads (arrays of bulk strings, framed for real), looks at
 * nothing inside them, answers +PONG to each, with one write a readable event. A server that also
 * does something cannot be cheaper by much: bench/compare counts what others spend above it.
 *
 * usage: floor --port N     (0: a free one, which is printed) */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

enum {
    READ_BYTES = 64 * 1024,
    REQUEST_BYTES_MIN = 4, /* "*0\r\n": bounds how many replies one read can ask for */
    LISTEN_BACKLOG = 511,
    COUNT_MAX = 1 << 20,
    BULK_BYTES_MAX = 512 * 1024 * 1024
};
static const char pong[] = "+PONG\r\n";
enum { PONG_BYTES = sizeof(pong) - 1, REPLY_MAX = READ_BYTES / REQUEST_BYTES_MIN };

/* Where the framing stands between two reads of a connection. */
struct framing {
    uint32_t bulks_left; /* of the request under way; 0: an array header comes next */
    uint32_t skip_bytes; /* of the bulk under way, its CR LF included */
    int64_t number;      /* of the header line under way */
    char type;           /* of the header line under way; 0: none */
};

struct connection {
    struct event *event;
    struct framing framing;
    size_t unsent_bytes; /* of replies that the socket did not take */
};

static uint8_t input[READ_BYTES];
static char replies[REPLY_MAX * PONG_BYTES];
static struct event_base *base;

/* A header line is complete: true unless it cannot stand here. */
static bool take_header(struct framing *framing, unsigned *out_requests)
{
    if (framing->type == '*' && framing->bulks_left == 0) {
        if (framing->number > COUNT_MAX) return false;
        framing->bulks_left = (uint32_t)framing->number;
        if (framing->bulks_left == 0) (*out_requests)++;
    } else if (framing->type == '$' && framing->bulks_left > 0) {
        if (framing->number > BULK_BYTES_MAX) return false;
        framing->skip_bytes = (uint32_t)framing->number + 2;
    } else {
        return false;
    }
    framing->type = 0;
    framing->number = 0;
    return true;
}

/* The number of requests that end in these bytes; -1: not RESP arrays of bulks. */
static int count_requests(struct framing *framing, const uint8_t *bytes, size_t size)
{
    unsigned requests = 0;
    size_t i = 0;

    while (i < size) {
        if (framing->skip_bytes > 0) {
            size_t step = size - i < framing->skip_bytes ? size - i : framing->skip_bytes;
            i += step;
            framing->skip_bytes -= (uint32_t)step;
            if (framing->skip_bytes == 0 && --framing->bulks_left == 0) requests++;
            continue;
        }
        uint8_t c = bytes[i++];
        if (framing->type == 0) {
            framing->type = (char)c;
        } else if (c >= '0' && c <= '9') {
            framing->number = framing->number * 10 + (c - '0');
            if (framing->number > UINT32_MAX) return -1;
        } else if (c == '\n') {
            if (!take_header(framing, &requests)) return -1;
        } else if (c != '\r') {
            return -1;
        }
    }
    return (int)requests;
}

static void connection_close(struct connection *connection)
{
    close(event_get_fd(connection->event));
    event_free(connection->event);
    free(connection);
}

/* False: the connection is broken. What the socket does not take now is remembered as a count,
 * since all replies are alike; unsent_bytes may begin inside one. */
static bool send_replies(struct connection *connection)
{
    while (connection->unsent_bytes > 0) {
        size_t offset = (PONG_BYTES - connection->unsent_bytes % PONG_BYTES) % PONG_BYTES;
        size_t size = sizeof(replies) - offset;
        if (size > connection->unsent_bytes) size = connection->unsent_bytes;
        ssize_t sent = send(event_get_fd(connection->event), replies + offset, size, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN || errno == EINTR;
        connection->unsent_bytes -= (size_t)sent;
    }
    return true;
}

static void on_readable(evutil_socket_t fd, short events, void *context);

static void on_writable(evutil_socket_t fd, short events, void *context)
{
    struct connection *connection = context;

    (void)events;
    if (!send_replies(connection)) {
        connection_close(connection);
        return;
    }
    if (connection->unsent_bytes > 0) return;
    event_del(connection->event);
    event_assign(connection->event, base, fd, EV_READ | EV_PERSIST, on_readable, connection);
    event_add(connection->event, NULL);
}

static void on_readable(evutil_socket_t fd, short events, void *context)
{
    struct connection *connection = context;
    ssize_t size = read(fd, input, sizeof(input));
    int requests;

    (void)events;
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    requests = size > 0 ? count_requests(&connection->framing, input, (size_t)size) : -1;
    if (requests < 0) {
        connection_close(connection);
        return;
    }
    connection->unsent_bytes = (size_t)requests * PONG_BYTES;
    if (!send_replies(connection)) {
        connection_close(connection);
        return;
    }
    if (connection->unsent_bytes == 0) return;
    /* A client that does not read: wait for room, and read no more from it until then. */
    event_del(connection->event);
    event_assign(connection->event, base, fd, EV_WRITE | EV_PERSIST, on_writable, connection);
    event_add(connection->event, NULL);
}

static void on_connection(evutil_socket_t listener, short events, void *context)
{
    struct connection *connection;
    int one = 1;
    /* cppcheck-suppress nullPointer ; both may be NULL, accept4(2) says */
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    (void)context;
    if (fd < 0) return; /* the client has gone, or no descriptors: it waits in the backlog */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    connection = calloc(1, sizeof(*connection));
    if (connection) {
        connection->event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, connection);
        if (connection->event && event_add(connection->event, NULL) == 0) return;
        if (connection->event) event_free(connection->event);
    }
    free(connection);
    close(fd);
}

static int open_listener(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t size = sizeof(address);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, LISTEN_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        perror("floor: cannot listen");
        exit(1);
    }
    printf("Listening on 127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct event_config *config = event_config_new();
    struct event *event;

    if (argc != 3 || strcmp(argv[1], "--port") != 0) {
        fprintf(stderr, "usage: %s --port N\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < REPLY_MAX; i++)
        memcpy(replies + i * PONG_BYTES, pong, PONG_BYTES);
    if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) < 0) return 1;
    base = event_base_new_with_config(config);
    if (!base) return 1;
    event_config_free(config);
    event = event_new(base, open_listener((uint16_t)strtoul(argv[2], NULL, 10)),
                      EV_READ | EV_PERSIST, on_connection, NULL);
    if (!event || event_add(event, NULL) < 0) return 1;
    return event_base_dispatch(base) < 0;
}
