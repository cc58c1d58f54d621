/* two_clients.h - a server of ours for all tests of a case, and for each test two clients and no
 * keys. */
#ifndef CLIENT_TESTS_COMMANDS_TWO_CLIENTS_H
#define CLIENT_TESTS_COMMANDS_TWO_CLIENTS_H
#include "client-tests/lib/expect.h"
#include "client-tests/lib/suite.h"

static struct server server;
static struct wire *wire, *other;
static const char *const *server_directives;

static inline void start_server(void)
{
    struct server_options options = { .own_arguments = server_directives };

    server_start(&server, &options);
}

static inline void stop_server(void)
{
    server_stop(&server);
}

static inline void open_clients(void)
{
    wire = wire_open(&server);
    other = wire_open(&server);
    expect_ok(wire, "FLUSHALL");
}

static inline void close_clients(void)
{
    wire_close(wire);
    wire_close(other);
    server_must_live(&server);
}

/* To suite. directives, ended by NULL: of all cases of the program. */
static inline TCase *two_clients_case(Suite *suite, const char *name, const char *const *directives)
{
    TCase *tcase = suite_case(suite, name);

    server_directives = directives;
    tcase_add_unchecked_fixture(tcase, start_server, stop_server);
    tcase_add_checked_fixture(tcase, open_clients, close_clients);
    return tcase;
}
#endif
