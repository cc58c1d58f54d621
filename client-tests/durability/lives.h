/* lives.h - a server whose lives end with kill -9, amid the work of clients that pipeline.
 *
 * What a client sends and what an answer means is the test's; here is when: in turn each sends some
 * and takes the answers that are there, until the server is killed, and what it had sent still
 * comes. Checkpoints are begun now and then, whatever becomes of them. */
#ifndef CLIENT_TESTS_DURABILITY_LIVES_H
#define CLIENT_TESTS_DURABILITY_LIVES_H
#include "client-tests/lib/clock.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"
#include <check.h>

enum {
    LIFE_CLIENTS_MAX = 16,
    LIFE_MS_MAX = 120, /* of a server */
};

/* The first member of what a test knows of it. */
struct life_client {
    struct wire *wire;
    unsigned index; /* among those of its kind */
    void (*feed)(struct life_client *client);
    void (*take)(struct life_client *client, const struct text *reply);
};

static struct {
    struct server server;
    struct random random;
    struct life_client *clients[LIFE_CLIENTS_MAX];
    unsigned client_count;
    struct wire *saver;
    bool is_over; /* the server is dead: nothing more is sent */
    char place[128];
} life;

static const char *const life_modes[] = { "always", "everysec", "no" }; /* of appendfsync */

static inline uint32_t below(uint32_t bound)
{
    return random_below(&life.random, bound);
}

/* It is fed in each life, behind those that were added before. */
static inline void life_add_client(struct life_client *client, unsigned index,
                                   void (*feed)(struct life_client *client),
                                   void (*take)(struct life_client *client,
                                                const struct text *reply))
{
    ck_assert_uint_lt(life.client_count, LIFE_CLIENTS_MAX);
    *client = (struct life_client){ .index = index, .feed = feed, .take = take };
    life.clients[life.client_count++] = client;
}

/* False: the server has closed the connection. */
static inline bool life_drain(struct life_client *client)
{
    struct text reply = { 0 };
    int rc;

    while ((rc = wire_read_now(client->wire, &reply)) == 1) {
        client->take(client, &reply);
        text_clear(&reply);
    }
    text_finish(&reply);
    return rc != 0;
}

static inline void life_open_clients(void)
{
    life.saver = wire_open(&life.server);
    for (unsigned i = 0; i < life.client_count; i++)
        life.clients[i]->wire = wire_open(&life.server);
}

static inline void life_close_clients(void)
{
    wire_close(life.saver);
    for (unsigned i = 0; i < life.client_count; i++)
        wire_close(life.clients[i]->wire);
}

static inline void life_save_now_and_then(void)
{
    struct text reply = { 0 };

    if (below(40) == 0) wire_command(life.saver, "BGSAVE");
    while (wire_read_now(life.saver, &reply) == 1)
        text_clear(&reply); /* begun, or one is under way */
    text_finish(&reply);
}

static inline void life_feed_and_drain(void)
{
    life_save_now_and_then();
    for (unsigned i = 0; i < life.client_count; i++) {
        life.clients[i]->feed(life.clients[i]);
        (void)life_drain(life.clients[i]);
    }
}

/* What the killed server had sent still comes. */
static inline void life_drain_rest(void)
{
    for (unsigned i = 0; i < life.client_count; i++) {
        while (life_drain(life.clients[i]))
            (void)wire_wait(life.clients[i]->wire, WAIT_MS);
    }
}

/* The server runs; it is killed some time after *answered has become more than 0. */
static inline void life_live_and_die(const uint32_t *answered)
{
    int64_t end_ms = clock_ms() + 2 + below(LIFE_MS_MAX);

    life_open_clients();
    while (clock_ms() < end_ms || *answered == 0)
        life_feed_and_drain();
    server_kill(&life.server);
    life.is_over = true;
    life_drain_rest();
    life_close_clients();
    life.is_over = false;
}
#endif
