/* listener.c - sockets that accept, and who is let in.
 *
 * A listener accepts a bounded number of connections a turn. When there is no descriptor left, the
 * spare one is given up to accept one connection and close it, so that its peer learns; then
 * listeners pause, since the socket stays readable and the loop would spin. */
#include "server/net/net_internal.h"
#include "modules/base/log.h"
#include "server/net/address.h"
#include "server/net/loop.h"
#include "server/net/loop_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char too_many_text[] = "-ERR max number of clients reached\r\n";
static const char protected_text[] =
    "-DENIED Sluice is running in protected mode because protected mode is enabled and no password "
    "is set for the default user. In this mode connections are only accepted from the loopback "
    "interface and the unix socket. Any one of these opens it to other computers: 1) Set a "
    "password for the default user: 'CONFIG SET requirepass' from the host the server runs on, or "
    "'requirepass' in the configuration file. 2) When nobody else can reach the port: 'CONFIG SET "
    "protected-mode no' from the host the server runs on, and CONFIG REWRITE to keep it. 3) "
    "'protected-mode no' in the configuration file, or '--protected-mode no' on the command line, "
    "and a restart.\r\n";

/* ---- accepting ---- */

static void refuse(int fd, const char *text, size_t size)
{
    /* Best effort: a new socket has room, and a peer that is gone needs no reason. */
    (void)send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
}

static void tune_tcp(int fd, uint32_t keepalive_s)
{
    int on = 1, idle = (int)keepalive_s, interval = idle / 3 > 0 ? idle / 3 : 1, count = 3;

    /* Each of these only makes a connection better; it works without. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (keepalive_s == 0) return;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static void admit(struct listener *listener, int fd, const struct sockaddr *peer)
{
    struct net *net = listener->net;
    char text[ADDRESS_TEXT_BYTES / 2] = "";

    if (net->client_count >= net->options.limits.clients_max) {
        net->info.clients_rejected++;
        refuse(fd, too_many_text, sizeof(too_many_text) - 1);
        return;
    }
    if (!listener->is_unix) {
        if (!address_is_loopback(peer) && net->options.is_protected &&
            net->options.is_protected(net->handlers.context)) {
            net->info.clients_rejected++;
            refuse(fd, protected_text, sizeof(protected_text) - 1);
            return;
        }
        tune_tcp(fd, net->options.limits.keepalive_s);
        address_format(peer, text, sizeof(text));
    }
    if (client_open(net, fd, listener, text, NULL) < 0) {
        net->info.accept_errors++; /* out of memory; the descriptor is closed */
        return;
    }
    net->info.clients_accepted++;
}

int net_adopt(struct net *net, int fd, const char *text, struct client **out_client)
{
    int rc = client_open(net, fd, NULL, text, out_client);

    if (rc == 0) net->info.clients_accepted++;
    return rc;
}

static void pause_listeners(struct net *net)
{
    list_for_each(link, &net->listeners)
    {
        struct listener *listener = list_container(link, struct listener, link);
        if (listener->fd < 0 || listener->is_paused) continue;
        (void)event_del(&listener->event); /* fails only for events that were never set up */
        listener->is_paused = true;
    }
    loop_timer_arm(net->pause_timer, LISTENER_PAUSE_US, false);
}

void resume_listeners(void *context)
{
    struct net *net = context;

    if (net->spare_fd < 0) net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    list_for_each(link, &net->listeners)
    {
        struct listener *listener = list_container(link, struct listener, link);
        if (listener->fd < 0 || !listener->is_paused) continue;
        listener->is_paused = event_add(&listener->event, NULL) < 0;
        if (listener->is_paused) loop_timer_arm(net->pause_timer, LISTENER_PAUSE_US, false);
    }
}

static void accept_failed(struct listener *listener, int error)
{
    struct net *net = listener->net;
    uint64_t now_us = loop_now_us(net->loop);

    net->info.accept_errors++;
    if (net->accept_logged_us == 0 || now_us - net->accept_logged_us > 1000000) {
        net->accept_logged_us = now_us;
        log_write(net->log, LOG_WARNING, "Accepting a connection failed: %s", strerror(error));
    }
    if ((error == EMFILE || error == ENFILE) && net->spare_fd >= 0) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        int fd;
        (void)close(net->spare_fd);
        fd = accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
        if (fd >= 0) (void)close(fd);
        net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    pause_listeners(net);
}

static void on_acceptable(evutil_socket_t event_fd, short what, void *context)
{
    struct listener *listener = context;

    (void)event_fd, (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t size = sizeof(peer);
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(listener, fd, (struct sockaddr *)&peer);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
            accept_failed(listener, errno);
            return;
        }
    }
}

/* ---- listening ---- */

/* Takes fd over. The last step of both kinds: listen, watch, remember. */
static int start_listener(struct net *net, int fd, uint32_t backlog,
                          const struct listener *description)
{
    struct listener *listener = malloc(sizeof(*listener));
    int rc = -ENOMEM;

    if (!listener) goto out;
    *listener = *description;
    listener->net = net;
    listener->fd = fd;
    list_init(&listener->link);
    if (listen(fd, backlog > INT32_MAX ? INT32_MAX : (int)backlog) < 0) {
        rc = -errno;
        goto out;
    }
    if (event_assign(&listener->event, loop_event_base(net->loop), fd, EV_READ | EV_PERSIST,
                     on_acceptable, listener) < 0 ||
        event_add(&listener->event, NULL) < 0) {
        goto out;
    }
    list_push_back(&net->listeners, &listener->link);
    listener = NULL; /* both now belong to net */
    fd = -1;
    rc = 0;
out:
    free(listener);
    if (fd >= 0) (void)close(fd);
    return rc;
}

/* Two sockets with this may be bound to addresses that overlap. Set only between a new listener and
 * an old one that is to go, and only when they do overlap: other processes of this user could bind
 * there too, and the kernel may go on allowing it to them as long as the port is in use. */
static int share_port(int fd, bool shares)
{
    int value = shares;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bind_tcp(const struct sockaddr_storage *address, socklen_t size, bool shares)
{
    int on = 1, rc;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) goto fail;
    if (shares && share_port(fd, true) < 0) goto fail;
    if (address->ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) {
        goto fail;
    }
    if (bind(fd, (const struct sockaddr *)address, size) == 0) return fd;
fail:
    rc = -errno;
    (void)close(fd);
    return rc;
}

static bool is_not_available_here(int error)
{
    return error == EADDRNOTAVAIL || error == ENOPROTOOPT || error == EPROTONOSUPPORT ||
           error == ESOCKTNOSUPPORT || error == EPFNOSUPPORT || error == EAFNOSUPPORT;
}

/* *port 0: any, and which. shares: its port may be bound by a listener that is to go. */
static int listen_tcp(struct net *net, const char *address, uint16_t *port, uint32_t backlog,
                      bool shares)
{
    struct listener description = { .is_wanted = true };
    struct sockaddr *bound = (struct sockaddr *)&description.address;
    socklen_t size = 0;
    bool is_optional = address[0] == '-';
    int fd, rc;

    if (is_optional) address++;
    rc = address_resolve(address, *port, &description.address, &size);
    fd = rc < 0 ? rc : bind_tcp(&description.address, size, shares);
    if (fd < 0) return is_optional && is_not_available_here(-fd) ? 0 : fd;
    size = sizeof(description.address);
    if (getsockname(fd, bound, &size) < 0) {
        rc = -errno;
        (void)close(fd);
        return rc;
    }
    description.port = address_port(bound);
    address_format(bound, description.text, sizeof(description.text));
    rc = start_listener(net, fd, backlog, &description);
    if (rc == 0 && shares) rc = share_port(fd, false); /* fd is net's now */
    if (rc < 0) return rc;
    *port = description.port;
    log_write(net->log, LOG_NOTICE, "Listening on %s", description.text);
    return 0;
}

int net_listen_tcp(struct net *net, const char *address, uint16_t port, uint32_t backlog)
{
    return listen_tcp(net, address, &port, backlog, false);
}

/* Makes path free for bind. -EADDRINUSE: somebody listens there, or it is no socket. */
static int remove_stale_socket(const struct sockaddr_un *address)
{
    struct stat status;
    int fd, rc = 0;

    if (lstat(address->sun_path, &status) < 0) return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode)) return -EADDRINUSE;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
        errno != ECONNREFUSED) {
        rc = -EADDRINUSE;
    } else if (unlink(address->sun_path) < 0 && errno != ENOENT) {
        rc = -errno;
    }
    (void)close(fd);
    return rc;
}

static int bind_unix(const struct sockaddr_un *address, uint32_t mode)
{
    int rc, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) return -errno;
    /* The mode of the descriptor becomes that of the file, less the umask: never more than was
     * asked for. What the umask took is put back before anybody can connect. */
    if (fchmod(fd, (mode_t)mode) < 0) goto fail;
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) goto fail;
    if (chmod(address->sun_path, (mode_t)mode) == 0) return fd;
    rc = -errno;
    (void)unlink(address->sun_path);
    (void)close(fd);
    return rc;
fail:
    rc = -errno;
    (void)close(fd);
    return rc;
}

int net_listen_unix(struct net *net, const char *path, uint32_t mode, uint32_t backlog)
{
    struct listener description = { .is_unix = true };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, rc;

    if (strlen(path) >= sizeof(address.sun_path)) return -ENAMETOOLONG;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    rc = remove_stale_socket(&address);
    fd = rc < 0 ? rc : bind_unix(&address, mode);
    if (fd < 0) return fd;
    (void)snprintf(description.path, sizeof(description.path), "%s", path);
    (void)snprintf(description.text, sizeof(description.text), "%s:0", path);
    rc = start_listener(net, fd, backlog, &description);
    if (rc < 0) (void)unlink(path);
    if (rc == 0) log_write(net->log, LOG_NOTICE, "Listening on %s", path);
    return rc;
}

static void stop_listener(struct listener *listener)
{
    if (listener->fd < 0) return;
    (void)event_del(&listener->event);
    (void)close(listener->fd);
    listener->fd = -1;
    if (listener->is_unix) (void)unlink(listener->path); /* may be gone already */
}

/* ---- other addresses ---- */

static bool is_open_tcp(const struct listener *listener)
{
    return !listener->is_unix && listener->fd >= 0;
}

static struct listener *find_listener(struct net *net, const char *address, uint16_t port)
{
    struct sockaddr_storage wanted = { 0 };
    socklen_t size = 0;

    if (address[0] == '-') address++;
    if (port == 0 || address_resolve(address, port, &wanted, &size) < 0) return NULL;
    list_for_each(link, &net->listeners)
    {
        struct listener *listener = list_container(link, struct listener, link);
        if (is_open_tcp(listener) && memcmp(&listener->address, &wanted, size) == 0)
            return listener;
    }
    return NULL;
}

/* Marks the listeners that stay, and lets new ones be bound beside those that do not. */
static int prepare_exchange(struct net *net, char *const *addresses, size_t count, uint16_t port)
{
    int rc = 0;

    list_for_each(link, &net->listeners) list_container(link, struct listener, link)->is_wanted =
        false;
    for (size_t i = 0; i < count; i++) {
        struct listener *listener = find_listener(net, addresses[i], port);
        if (listener) listener->is_wanted = true;
    }
    list_for_each(link, &net->listeners)
    {
        struct listener *listener = list_container(link, struct listener, link);
        if (is_open_tcp(listener) && !listener->is_wanted && rc == 0)
            rc = share_port(listener->fd, true);
    }
    return rc;
}

/* Closes the listeners that were there before (the list's first old_count) and are not wanted, or
 * after a failure the new ones. */
static void end_exchange(struct net *net, size_t old_count, bool is_done)
{
    struct list_link *next, *link = net->listeners.next;

    for (size_t i = 0; link != &net->listeners; i++, link = next) {
        struct listener *listener = list_container(link, struct listener, link);

        next = link->next;
        if (!is_open_tcp(listener)) continue;
        if (is_done ? listener->is_wanted : i < old_count) {
            /* Fails for no socket that took it before. */
            if (!is_done) (void)share_port(listener->fd, false);
            continue;
        }
        log_write(net->log, LOG_NOTICE, "No longer listening on %s", listener->text);
        stop_listener(listener);
        list_remove(link);
        free(listener);
    }
}

int net_exchange_tcp(struct net *net, char *const *addresses, size_t count, uint16_t port,
                     uint32_t backlog, size_t *out_failed)
{
    size_t old_count = 0, i = 0;
    int rc;

    list_for_each(link, &net->listeners) old_count++;
    rc = prepare_exchange(net, addresses, count, port);
    for (; rc == 0 && i < count; i++) {
        if (find_listener(net, addresses[i], port)) continue;
        rc = listen_tcp(net, addresses[i], &port, backlog, false);
        if (rc == -EADDRINUSE) rc = listen_tcp(net, addresses[i], &port, backlog, true);
    }
    if (rc < 0) *out_failed = i > 0 ? i - 1 : 0;
    end_exchange(net, old_count, rc == 0);
    return rc;
}

void net_stop_listening(struct net *net)
{
    list_for_each(link, &net->listeners) stop_listener(list_container(link, struct listener, link));
}

void free_listeners(struct net *net)
{
    net_stop_listening(net);
    list_for_each(link, &net->listeners) free(list_container(link, struct listener, link));
    list_init(&net->listeners);
}

uint16_t net_tcp_port(const struct net *net)
{
    for (const struct list_link *link = net->listeners.next; link != &net->listeners;
         link = link->next) {
        const struct listener *listener = list_container(link, const struct listener, link);
        if (!listener->is_unix && listener->fd >= 0) return listener->port;
    }
    return 0;
}
