/* Where a server listens: several addresses, IPv6, a unix socket with its permissions, and hiredis,
 * the client library that others are built on, over each. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPELINED = 10000 };

static bool has_ipv6(void)
{
    return access("/proc/net/if_inet6", R_OK) == 0;
}

START_TEST(every_address_of_bind_is_served)
{
    static const char *const arguments[] = { "--bind", "127.0.0.1", "127.0.0.2", "-::1", NULL };
    const char *addresses[] = { "127.0.0.1", "127.0.0.2", has_ipv6() ? "::1" : NULL };
    struct server server;

    server_start_with(&server, arguments);
    for (size_t i = 0; i < 3 && addresses[i]; i++) {
        struct wire *wire = wire_open_to(addresses[i], server.port);
        ck_assert_msg(wire != NULL, "%s is not served", addresses[i]);
        expect_integer(wire, (long long)i + 1, "RPUSH k %s", addresses[i]);
        wire_close(wire);
    }
    server_stop(&server);
}
END_TEST

START_TEST(the_unix_socket_has_the_permissions_asked_for)
{
    static const char *const arguments[] = { "--unixsocketperm", "700", NULL };
    struct server server;
    struct stat status;
    struct wire *wire;

    server_start_with(&server, arguments);
    ck_assert_int_eq(stat(server.unix_path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0700);
    wire = wire_open_unix(&server);
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
    server_stop(&server);
    ck_assert_int_ne(stat(server.unix_path, &status), 0); /* and it takes the socket with it */
}
END_TEST

START_TEST(a_socket_left_by_a_killed_server_is_replaced)
{
    struct server server;
    struct wire *wire;

    server_start(&server, NULL);
    server_kill(&server);
    server_restart(&server);
    wire = wire_open_unix(&server);
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

static void use(redisContext *context)
{
    redisReply *reply;

    ck_assert_ptr_nonnull(context);
    ck_assert_msg(context->err == 0, "%s", context->errstr);
    for (int i = 0; i < PIPELINED; i++)
        ck_assert_int_eq(redisAppendCommand(context, "RPUSH list %d:%b", i, "a\0\r\nb", (size_t)5),
                         REDIS_OK);
    for (int i = 0; i < PIPELINED; i++) {
        ck_assert_int_eq(redisGetReply(context, (void **)&reply), REDIS_OK);
        ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
        ck_assert_int_eq(reply->integer, i + 1);
        freeReplyObject(reply);
    }
    reply = redisCommand(context, "LRANGE list 0 -1");
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->type, REDIS_REPLY_ARRAY);
    ck_assert_uint_eq(reply->elements, PIPELINED);
    for (size_t i = 0; i < reply->elements; i++) {
        char expected[32];
        size_t size = (size_t)snprintf(expected, sizeof(expected), "%zu:", i);
        memcpy(expected + size, "a\0\r\nb", 6); /* its end, too, though only five are compared */
        ck_assert_uint_eq(reply->element[i]->len, size + 5);
        ck_assert_mem_eq(reply->element[i]->str, expected, size + 5);
    }
    freeReplyObject(reply);
    reply = redisCommand(context, "DEL list");
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->integer, 1);
    freeReplyObject(reply);
    redisFree(context);
}

START_TEST(hiredis_works_over_tcp_and_unix_sockets)
{
    static const char *const own[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                       NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;

    server_start(&server, &options);
    use(redisConnect("127.0.0.1", server.port));
    use(redisConnectUnix(server.unix_path));
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listening");
    TCase *tcase = suite_case(suite, "listening");

    tcase_add_test(tcase, every_address_of_bind_is_served);
    tcase_add_test(tcase, the_unix_socket_has_the_permissions_asked_for);
    tcase_add_test(tcase, a_socket_left_by_a_killed_server_is_replaced);
    tcase_add_test(tcase, hiredis_works_over_tcp_and_unix_sockets);
    return suite_run(suite);
}
