/* beside_redis.h - a server of ours and a redis-server for all tests of a program, and for each
 * test a client of either. */
#ifndef CLIENT_TESTS_COMMANDS_BESIDE_REDIS_H
#define CLIENT_TESTS_COMMANDS_BESIDE_REDIS_H
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"

static struct server server, redis;
static struct wire *wire, *redis_wire;

/* options may be NULL. */
static inline void start_both(const struct server_options *options)
{
    server_start(&server, options);
    server_start_redis(&redis, options);
}

static inline void stop_both(void)
{
    server_stop(&server);
    server_stop(&redis);
}

static inline void open_clients(void)
{
    wire = wire_open(&server);
    redis_wire = wire_open(&redis);
}

static inline void close_clients(void)
{
    wire_close(wire);
    wire_close(redis_wire);
    server_must_live(&server);
}

static inline void speak(int protocol)
{
    wire_command(wire, "HELLO %d", protocol);
    wire_command(redis_wire, "HELLO %d", protocol);
    wire_skip(wire, 1);
    wire_skip(redis_wire, 1);
}
#endif
