/* one_waiter.h - a server for all tests of a case, and for each test a client that waits and one
 * that sees to it. */
#ifndef CLIENT_TESTS_BLOCKING_ONE_WAITER_H
#define CLIENT_TESTS_BLOCKING_ONE_WAITER_H
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"

static struct server server;          /* of the case; started before its tests fork */
static struct wire *control, *waiter; /* of the test */

static inline void start_server(void)
{
    server_start(&server, NULL);
}

static inline void stop_server(void)
{
    server_stop(&server);
}

static inline void open_clients(void)
{
    control = wire_open(&server);
    waiter = wire_open(&server);
    expect_ok(control, "FLUSHALL");
    info_wait(control, "blocked_clients", 0);
}

static inline void close_clients(void)
{
    wire_close(control);
    wire_close(waiter);
    server_must_live(&server);
}

/* To suite. */
static inline TCase *one_waiter_case(Suite *suite, const char *name)
{
    TCase *tcase = suite_case(suite, name);

    tcase_add_unchecked_fixture(tcase, start_server, stop_server);
    tcase_add_checked_fixture(tcase, open_clients, close_clients);
    return tcase;
}

/* Sends a blocking command and waits until it blocks. */
static inline void block(struct wire *wire, const char *line)
{
    int64_t before = info_number(control, "blocked_clients");

    wire_command_line(wire, line);
    info_wait(control, "blocked_clients", before + 1);
}
#endif
