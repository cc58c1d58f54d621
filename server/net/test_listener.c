/* Who is let in, and what happens when nobody can be. */
#include "modules/base/test_directory.h"
#include "server/net/address.h"
#include "server/net/testing.h"
#include <netdb.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- limits ---- */

START_TEST(above_maxclients_a_connection_is_told_and_closed)
{
    int fds[3], more;

    testing.options.limits.clients_max = 3;
    net_set_limits(testing.net, &testing.options.limits);
    for (int i = 0; i < 3; i++)
        fds[i] = testing_connect();
    testing_until(testing.opened == 3);
    more = testing_connect();
    testing_expect(more, "-ERR max number of clients reached\r\n");
    testing_expect_closed(more);
    ck_assert_uint_eq(testing_info().clients_rejected, 1);
    ck_assert_int_eq(close(fds[0]), 0);
    testing_until(testing.closed == 1);
    more = testing_connect();
    testing_send(more, "PING\r\n");
    testing_expect(more, "+PONG\r\n");
    ck_assert_int_eq(close(more), 0);
    for (int i = 1; i < 3; i++)
        ck_assert_int_eq(close(fds[i]), 0);
}
END_TEST

/* Uses up all descriptors; how many that were. */
static int fill_descriptors(int *fds, int capacity)
{
    int count = 0;

    for (; count < capacity; count++) {
        fds[count] = dup(0);
        if (fds[count] < 0) break;
    }
    ck_assert_int_lt(count, capacity);
    ck_assert_int_eq(errno, EMFILE);
    return count;
}

START_TEST(without_descriptors_a_connection_is_closed_and_the_loop_does_not_spin)
{
    struct rlimit limit = { 64, 64 };
    int fillers[64], count, refused, waiting, old = testing_connect();
    uint64_t turns;

    testing_until(testing.opened == 1);
    refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    count = fill_descriptors(fillers, 64);
    (void)testing_connect_socket(refused);
    testing_expect_closed(refused);
    fillers[count++] = dup(0); /* the descriptor that refused had */
    (void)testing_connect_socket(waiting);
    turns = testing_info().turns;
    testing_turns(20);
    ck_assert_uint_le(testing_info().turns - turns, 30);
    ck_assert_uint_ge(testing_info().accept_errors, 1);
    testing_send(old, "PING\r\n"); /* the others are served */
    testing_expect(old, "+PONG\r\n");
    for (int i = 0; i < count; i++)
        (void)close(fillers[i]);
    (void)close(waiting); /* it may have been accepted and closed for want of descriptors, or not */
    waiting = testing_connect();
    testing_send(waiting, "PING\r\n");
    testing_expect(waiting, "+PONG\r\n");
    ck_assert_int_eq(close(waiting), 0);
    ck_assert_int_eq(close(old), 0);
}
END_TEST

START_TEST(an_accept_storm_is_taken_in_portions)
{
    enum { COUNT = 300 };
    int fds[COUNT];

    for (int i = 0; i < COUNT; i++)
        fds[i] = testing_connect();
    for (unsigned before = 0; testing.opened < COUNT; before = testing.opened) {
        testing_turns(1);
        ck_assert_uint_le(testing.opened - before, 64);
        ck_assert_uint_gt(testing.opened, before);
    }
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(close(fds[i]), 0);
    testing_until(testing.closed == COUNT);
}
END_TEST

START_TEST(after_the_listeners_are_closed_clients_go_on_and_nobody_comes_in)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(net_tcp_port(testing.net)),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = testing_connect(), late = socket(AF_INET, SOCK_STREAM, 0);

    testing_until(testing.opened == 1);
    net_stop_listening(testing.net);
    ck_assert_int_eq(connect(late, (struct sockaddr *)&address, sizeof(address)), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_uint_eq(net_tcp_port(testing.net), 0);
    testing_send(fd, "PING\r\n");
    testing_expect(fd, "+PONG\r\n");
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(close(late), 0);
}
END_TEST

/* ---- TCP ---- */

START_TEST(a_port_in_use_is_an_error_and_an_address_that_is_not_ours_too)
{
    uint16_t port = net_tcp_port(testing.net);

    ck_assert_int_eq(net_listen_tcp(testing.net, "127.0.0.1", port, 511), -EADDRINUSE);
    ck_assert_int_eq(net_listen_tcp(testing.net, "-127.0.0.1", port, 511), -EADDRINUSE);
    ck_assert_int_eq(net_listen_tcp(testing.net, "192.0.2.1", 0, 511), -EADDRNOTAVAIL);
    ck_assert_int_eq(net_listen_tcp(testing.net, "-192.0.2.1", 0, 511), 0);
    ck_assert_uint_eq(net_tcp_port(testing.net), port);
}
END_TEST

START_TEST(two_addresses_may_share_a_port_and_the_second_may_be_missing)
{
    uint16_t port = net_tcp_port(testing.net);
    struct sockaddr_in6 address = { .sin6_family = AF_INET6,
                                    .sin6_port = htons(port),
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd;

    ck_assert_int_eq(net_listen_tcp(testing.net, "-::1", port, 511), 0);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (fd >= 0) ck_assert_int_eq(close(fd), 0);
        return; /* no IPv6 here, and that was no error */
    }
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    testing_send(fd, "PING\r\n");
    testing_expect(fd, "+PONG\r\n");
    ck_assert_int_eq(
        strncmp(client_peer_text(net_client_by_id(testing.net, testing.last_id)), "[::1]:", 6), 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static int connect_tcp(const char *address, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(inet_pton(AF_INET, address, &to.sin_addr), 1);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
        ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
    }
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(close(fd), 0);
    return -1;
}

static void expect_served(int fd)
{
    ck_assert_int_ge(fd, 0);
    testing_send(fd, "PING\r\n");
    testing_expect(fd, "+PONG\r\n");
    ck_assert_int_eq(close(fd), 0);
}

static int exchange(const char *const *addresses, size_t count, uint16_t port, size_t *out_failed)
{
    return net_exchange_tcp(testing.net, (char *const *)(const void *)addresses, count, port, 511,
                            out_failed);
}

START_TEST(listeners_are_exchanged_for_wider_and_narrower_ones_and_clients_stay)
{
    static const char *const wide[] = { "*", "-192.0.2.1" }, *const narrow[] = { "127.0.0.3" };
    uint16_t port = net_tcp_port(testing.net);
    int client = testing_connect();
    size_t failed;

    testing_until(testing.opened == 1);
    ck_assert_int_eq(exchange(wide, 2, port, &failed), 0);
    expect_served(connect_tcp("127.0.0.1", port));
    expect_served(connect_tcp("127.0.0.3", port));
    ck_assert_int_eq(exchange(narrow, 1, port, &failed), 0);
    expect_served(connect_tcp("127.0.0.3", port));
    ck_assert_int_eq(connect_tcp("127.0.0.1", port), -1);
    ck_assert_int_eq(exchange(NULL, 0, port, &failed), 0);
    ck_assert_int_eq(connect_tcp("127.0.0.3", port), -1);
    ck_assert_uint_eq(net_tcp_port(testing.net), 0);
    expect_served(client);
}
END_TEST

START_TEST(an_exchange_that_fails_leaves_the_listeners_as_they_were)
{
    static const char *const wanted[] = { "127.0.0.1", "127.0.0.2", "192.0.2.1" };
    uint16_t port = net_tcp_port(testing.net);
    size_t failed = 0;

    ck_assert_int_eq(exchange(wanted, 3, port, &failed), -EADDRNOTAVAIL);
    ck_assert_uint_eq(failed, 2);
    ck_assert_uint_eq(net_tcp_port(testing.net), port);
    expect_served(connect_tcp("127.0.0.1", port));
    ck_assert_int_eq(connect_tcp("127.0.0.2", port), -1);
}
END_TEST

/* Whoever sets SO_REUSEPORT could otherwise take a part of our connections. */
START_TEST(after_an_exchange_nobody_can_share_a_port)
{
    static const char *const once[] = { "127.0.0.2" }, *const none[] = { "192.0.2.1" };
    struct sockaddr_in address = { .sin_family = AF_INET };
    int on = 1, other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t failed;

    ck_assert_int_eq(exchange(once, 1, 0, &failed), 0);
    ck_assert_int_eq(exchange(none, 1, net_tcp_port(testing.net), &failed), -EADDRNOTAVAIL);
    address.sin_port = htons(net_tcp_port(testing.net));
    ck_assert_int_eq(inet_pton(AF_INET, "127.0.0.2", &address.sin_addr), 1);
    ck_assert_int_eq(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    ck_assert_int_eq(bind(other, (struct sockaddr *)&address, sizeof(address)), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(one_free_port_serves_all_addresses_and_the_same_address_twice_is_one)
{
    static const char *const wanted[] = { "-192.0.2.1", "127.0.0.2", "127.0.0.3", "127.0.0.2" };
    uint16_t old = net_tcp_port(testing.net), port;
    size_t failed;

    ck_assert_int_eq(exchange(wanted, 4, 0, &failed), 0);
    port = net_tcp_port(testing.net);
    ck_assert_uint_ne(port, 0);
    expect_served(connect_tcp("127.0.0.2", port));
    expect_served(connect_tcp("127.0.0.3", port));
    ck_assert_int_eq(connect_tcp("127.0.0.1", old), -1);
}
END_TEST

START_TEST(addresses_are_read_and_written_as_redis_does)
{
    static const struct {
        const char *name, *text;
        bool is_loopback;
    } rows[] = { { "127.0.0.1", "127.0.0.1:77", true },
                 { "127.1.2.3", "127.1.2.3:77", true },
                 { "192.0.2.7", "192.0.2.7:77", false },
                 { "::1", "[::1]:77", true },
                 { "2001:db8::1", "[2001:db8::1]:77", false },
                 { "::ffff:127.0.0.1", "[::ffff:127.0.0.1]:77", true },
                 { "::ffff:192.0.2.7", "[::ffff:192.0.2.7]:77", false },
                 { "*", "0.0.0.0:77", false },
                 { "::*", "[::]:77", false } };
    struct sockaddr_storage address;
    socklen_t size;
    char text[64];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ck_assert_int_eq(address_resolve(rows[i].name, 77, &address, &size), 0);
        address_format((struct sockaddr *)&address, text, sizeof(text));
        ck_assert_str_eq(text, rows[i].text);
        ck_assert(address_is_loopback((struct sockaddr *)&address) == rows[i].is_loopback);
        ck_assert_uint_eq(address_port((struct sockaddr *)&address), 77);
    }
    ck_assert_int_eq(address_resolve("999.1.1.1", 77, &address, &size), -EADDRNOTAVAIL);
    ck_assert_int_eq(address_resolve("", 77, &address, &size), -EADDRNOTAVAIL);
}
END_TEST

/* ---- unix sockets ---- */

static char directory[64], path[96];

static void set_up_unix(void)
{
    testing_set_up();
    test_directory_make(directory, sizeof(directory), "/tmp", "listener");
    (void)snprintf(path, sizeof(path), "%s/socket", directory);
}

static void tear_down_unix(void)
{
    testing_tear_down();
    ck_assert_int_eq(access(path, F_OK), -1); /* removed by net */
    ck_assert_int_eq(rmdir(directory), 0);
}

static int connect_unix(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

START_TEST(a_unix_socket_serves_with_the_mode_asked_for)
{
    struct stat status;
    char text[104];
    struct client *client;
    int fd;

    ck_assert_int_eq(net_listen_unix(testing.net, path, 0770, 511), 0);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0770);
    fd = connect_unix();
    testing_send(fd, "PING\r\n");
    testing_expect(fd, "+PONG\r\n");
    client = net_client_by_id(testing.net, testing.last_id);
    (void)snprintf(text, sizeof(text), "%s:0", path);
    ck_assert(client_is_unix(client));
    ck_assert_str_eq(client_peer_text(client), text);
    ck_assert_str_eq(client_local_text(client), text);
    net_stop_listening(testing.net);
    ck_assert_str_eq(client_peer_text(client), text);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_stale_socket_is_replaced_a_live_one_and_a_file_are_not)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int other = socket(AF_UNIX, SOCK_STREAM, 0), file;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(other, 5), 0);
    ck_assert_int_eq(net_listen_unix(testing.net, path, 0700, 511), -EADDRINUSE);
    ck_assert_int_eq(close(other), 0); /* as a crash leaves it */
    ck_assert_int_eq(net_listen_unix(testing.net, path, 0700, 511), 0);
    net_stop_listening(testing.net);
    file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(net_listen_unix(testing.net, path, 0700, 511), -EADDRINUSE);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(close(file), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(a_path_that_does_not_fit_or_exist_is_an_error)
{
    char long_path[200];

    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    ck_assert_int_eq(net_listen_unix(testing.net, long_path, 0700, 511), -ENAMETOOLONG);
    ck_assert_int_eq(net_listen_unix(testing.net, "/nonexistent/socket", 0700, 511), -ENOENT);
}
END_TEST

/* ---- protected mode ---- */

static bool always_protected(void *context)
{
    (void)context;
    return true;
}

START_TEST(protected_mode_serves_the_loopback)
{
    int fd;

    testing_tear_down();
    testing_defaults();
    testing.options.is_protected = always_protected;
    testing_start();
    fd = testing_connect();
    testing_send(fd, "PING\r\n");
    testing_expect(fd, "+PONG\r\n");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static Suite *listener_suite(void)
{
    Suite *suite = suite_create("listener");
    TCase *limits = test_suite_case(suite, "limits", testing_set_up, testing_tear_down);
    TCase *tcp = test_suite_case(suite, "tcp", testing_set_up, testing_tear_down);
    TCase *local = test_suite_case(suite, "unix", set_up_unix, tear_down_unix);
    TCase *protection = test_suite_case(suite, "protected mode", testing_set_up, testing_tear_down);

    tcase_add_test(limits, above_maxclients_a_connection_is_told_and_closed);
    tcase_add_test(limits, without_descriptors_a_connection_is_closed_and_the_loop_does_not_spin);
    tcase_add_test(limits, an_accept_storm_is_taken_in_portions);
    tcase_add_test(limits, after_the_listeners_are_closed_clients_go_on_and_nobody_comes_in);
    tcase_add_test(tcp, a_port_in_use_is_an_error_and_an_address_that_is_not_ours_too);
    tcase_add_test(tcp, two_addresses_may_share_a_port_and_the_second_may_be_missing);
    tcase_add_test(tcp, listeners_are_exchanged_for_wider_and_narrower_ones_and_clients_stay);
    tcase_add_test(tcp, an_exchange_that_fails_leaves_the_listeners_as_they_were);
    tcase_add_test(tcp, after_an_exchange_nobody_can_share_a_port);
    tcase_add_test(tcp, one_free_port_serves_all_addresses_and_the_same_address_twice_is_one);
    tcase_add_test(tcp, addresses_are_read_and_written_as_redis_does);
    tcase_add_test(local, a_unix_socket_serves_with_the_mode_asked_for);
    tcase_add_test(local, a_stale_socket_is_replaced_a_live_one_and_a_file_are_not);
    tcase_add_test(local, a_path_that_does_not_fit_or_exist_is_an_error);
    tcase_add_test(protection, protected_mode_serves_the_loopback);
    return suite;
}

int main(void)
{
    return test_suite_run(listener_suite());
}
