/* one_server.h - a server and a client of it, which is there again when the server is. */
#ifndef CLIENT_TESTS_DURABILITY_ONE_SERVER_H
#define CLIENT_TESTS_DURABILITY_ONE_SERVER_H
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"

static struct server server;
static struct wire *wire;

/* Directives of ours, ended by NULL; they must outlive the server. */
static inline void start(const char *const *arguments)
{
    struct server_options options = { .own_arguments = arguments };

    server_start(&server, &options);
    wire = wire_open(&server);
}

static inline void stop(void)
{
    wire_close(wire);
    server_stop(&server);
}

/* It has ended. */
static inline void restart(void)
{
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
}

static inline void kill_and_restart(void)
{
    server_kill(&server);
    restart();
}
#endif
