/* test_power_work.h - for test_power_loss.c and test_power_switches.c: clients work with a server
 * whose system calls are recorded (record.h), and which is killed and started again.
 *
 * Each client has keys of its own, so what the server holds of them is what the first so many of
 * its commands have made. Some servers meet syncs that fail: the log is replaced, clients are
 * closed and refused, and what a client reads then is promised as well. */
#ifndef SERVER_TEST_POWER_WORK_H
#define SERVER_TEST_POWER_WORK_H
#include <sys/stat.h>

#include "modules/base/fault.h"
#include "modules/base/record.h"
#include "modules/base/test_directory.h"
#include "server/test_power_client.h"
#include "server/test_power_found.h"
#include "server/test_power_switch.h"
#include "server/test_power_syncs.h"

static const char *const policies[] = { "always", "everysec" };

enum {
    WINDOW = 3, /* sent and not answered */
    LIVES = 3,  /* of the server that is recorded; each ends with kill -9 */
    CHECKPOINT_COMMANDS = 24,
    SWITCH_COMMANDS = 6,
    SLOW_US = 3000, /* between commands, see goes_slowly */
    FAILURES = 3,   /* of calls, in each life with faults */
    SYNCS = 60,     /* among so many syncs, about */
    EVENTS_MAX = 100000,
    RECORD_BYTES = 512 << 20,
};

struct client {
    struct connection connection;
    unsigned number, sent, answered, most; /* most: that were ever sent */
    unsigned replies_left[WINDOW];         /* of those that were sent, oldest first */
    bool is_refused;                       /* or closed: it has to look what is there */
    struct model model;                    /* after all that were sent */
    size_t answered_at[COMMANDS + 1];      /* events there were when that many had been answered */
};

static struct {
    char directory[64], data[80], after[80];
    struct record *record;
    struct process server, recovered;
    struct client clients[CLIENTS];
    const char *fsync;
    uint64_t seed;
    int plant;           /* -1: none */
    struct fault *fault; /* NULL: no sync fails */
    struct offs offs;
    bool begins_off;   /* each life, and is told to promise all later */
    unsigned pause_us; /* with everysec: so long that there are some syncs */
    struct segments segments;
    /* With everysec: behind so many events, the one before which answers promise. */
    size_t synced_at[EVENTS_MAX];
} fixture;

static inline void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.plant = -1;
    fixture.pause_us = 100000;
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "power");
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    (void)snprintf(fixture.after, sizeof(fixture.after), "%s/after", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.data, 0755), 0);
    process_set_paths(&fixture.server, fixture.directory, "0");
    process_set_paths(&fixture.recovered, fixture.directory, "1");
    ck_assert_int_eq(record_create(os_real(), fixture.data, RECORD_BYTES, &fixture.record), 0);
}

static inline void tear_down(void)
{
    process_kill(&fixture.server);
    process_kill(&fixture.recovered);
    fault_destroy(fixture.fault);
    record_destroy(fixture.record);
    test_directory_remove(fixture.directory);
}

/* ---- clients at work --------------------------------------------------------------------------
 */

static inline void send_next(struct client *client)
{
    static struct text text;
    unsigned replies =
        do_command(fixture.seed, client->number, client->sent, &client->model, &text);

    client->replies_left[client->sent % WINDOW] = replies;
    client->sent++;
    connection_send(&client->connection, text.bytes, text.size);
}

static inline void take_answers(struct client *client, int timeout_ms)
{
    const char *reply;

    if (!connection_receive(&client->connection, timeout_ms)) {
        client->is_refused = client->connection.is_closed;
        ck_assert(!client->is_refused || fixture.fault);
        return;
    }
    while ((reply = connection_next(&client->connection)) != NULL) {
        ck_assert_msg(*reply != '-' || fixture.fault, "%.80s", reply);
        client->is_refused = *reply == '-';
        if (client->is_refused) return;
        ck_assert_uint_lt(client->answered, client->sent);
        if (--client->replies_left[client->answered % WINDOW] > 0) continue;
        client->answered++;
        client->answered_at[client->answered] = record_count(fixture.record);
    }
}

/* Each second time that a log begins its clients hold back: they would have done all they do before
 * it is there, and some is to be done when it is written and does not count yet. */
static inline bool goes_slowly(void)
{
    const struct off *off = offs_current(&fixture.offs);

    return off && off->is_to_end && fixture.offs.count % 2 == 0;
}

/* What follows what was refused must not be taken. */
static inline unsigned window(void)
{
    return fixture.fault || goes_slowly() ? 1 : WINDOW;
}

static inline bool work_a_little(struct client *client, unsigned until)
{
    if (client->answered >= until) return false;
    while (client->sent < COMMANDS && client->sent - client->answered < window())
        send_next(client);
    if (client->sent > client->most) client->most = client->sent;
    take_answers(client, client->answered == client->sent ? 0 : 2);
    return true;
}

/* False: not now. */
static inline bool try_to_learn(struct client *client, struct model *out_found)
{
    const char *reply;

    ck_assert(connection_open(&client->connection, &fixture.server));
    for (;;) {
        reply = connection_ask(&client->connection, "EXISTS a0");
        if (*reply == ':') return read_model(&client->connection, client->number, out_found);
        if (strncmp(reply, "-LOADING", 8) != 0) return false;
        usleep(1000);
    }
}

/* How far a client came before the server was killed, or its log failed; it was asked, so that is
 * promised now. */
static inline void learn_client(struct client *client)
{
    static struct model found;
    long count;

    for (unsigned i = 0; !try_to_learn(client, &found); i++) {
        ck_assert(fixture.fault && i < WAIT_MS);
        connection_close(&client->connection);
        usleep(1000);
    }
    count = commands_for(fixture.seed, client->number, &found, client->answered, client->sent);
    ck_assert_msg(count >= 0, "what was answered is lost, or what was refused was done");
    while (client->answered < (unsigned)count)
        client->answered_at[++client->answered] = record_count(fixture.record);
    client->sent = client->answered;
    client->model = found;
    client->is_refused = false;
}

static inline void ask_for_checkpoint(struct connection *admin)
{
    (void)connection_ask(admin, "BGSAVE"); /* or one is under way */
    if (!admin->is_closed) return;
    ck_assert_ptr_nonnull(fixture.fault);
    connection_close(admin);
    ck_assert(connection_open(admin, &fixture.server));
}

static inline unsigned step(void)
{
    return fixture.clients[0].answered /
           (fixture.offs.words.off ? SWITCH_COMMANDS : CHECKPOINT_COMMANDS);
}

/* admin NULL: it has been told already. */
static inline void switch_promise(struct connection *admin)
{
    unsigned answered[CLIENTS];

    for (unsigned i = 0; i < CLIENTS; i++)
        answered[i] = fixture.clients[i].answered;
    if (admin)
        offs_switch(&fixture.offs, fixture.record, admin, answered);
    else
        offs_begin(&fixture.offs, fixture.record, answered);
}

static inline void between_commands(struct connection *admin, unsigned *asked)
{
    offs_look(&fixture.offs, fixture.record, admin);
    if (step() == *asked) return;
    *asked = step();
    if (fixture.offs.words.off && *asked % 5 != 0)
        switch_promise(admin);
    else
        ask_for_checkpoint(admin);
}

/* Until each of them has so many answers. */
static inline void run_clients(unsigned until, unsigned pause_us)
{
    struct connection admin;
    unsigned asked = step();
    bool is_working = true;

    ck_assert(connection_open(&admin, &fixture.server));
    if (fixture.plant >= 0) record_plant(fixture.record, (enum record_plant)fixture.plant);
    while (is_working) {
        is_working = false;
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct client *client = &fixture.clients[i];
            is_working |= work_a_little(client, until);
            if (!client->is_refused) continue;
            connection_close(&client->connection);
            learn_client(client);
        }
        if (goes_slowly())
            usleep(SLOW_US);
        else if (pause_us > 0)
            usleep(pause_us);
        between_commands(&admin, &asked);
    }
    if (offs_is_off(&fixture.offs)) switch_promise(&admin);
    offs_wait(&fixture.offs, fixture.record, &admin);
    connection_close(&admin);
}

static inline bool is_loading(struct connection *connection)
{
    return strncmp(connection_ask(connection, "EXISTS a0"), "-LOADING", 8) == 0;
}

/* Until a checkpoint has got its name, if that is soon; it is not durable yet, as syncs take long.
 */
static inline void wait_for_name(size_t index)
{
    for (unsigned i = 0; i < 5000; i++) {
        for (; index < record_count(fixture.record); index++) {
            const struct record_event *event = record_event(fixture.record, index);
            if (event->kind == RECORD_RENAME && strstr(event->name, "checkpoint-")) return;
        }
        usleep(20);
    }
}

/* The server is killed while it makes a checkpoint. */
static inline void kill_while_it_saves(struct random *random)
{
    size_t count = record_count(fixture.record);
    struct connection admin;

    ck_assert(connection_open(&admin, &fixture.server));
    (void)connection_ask(&admin, "BGSAVE");
    if (random_below(random, 2))
        wait_for_name(count);
    else
        usleep((unsigned)random_below(random, 4000));
    process_kill(&fixture.server);
    connection_close(&admin);
}

/* Some follow each other closely: then the log that takes the place of the failed one, or its
 * checkpoint, fails too. */
static inline void plan_failures(struct random *random)
{
    uint64_t nth = 8 + random_below(random, SYNCS / 2);

    fault_clear(fixture.fault);
    for (unsigned i = 0; i < FAILURES; i++) {
        fault_fail(fixture.fault, FAULT_FDATASYNC, nth, EIO, FAULT_ONCE);
        nth += 1 + random_below(random, random_below(random, 2) ? 4 : SYNCS / FAILURES);
    }
}

static inline bool syncs_each_second(void)
{
    return strcmp(fixture.fsync, "everysec") == 0 && !fixture.offs.words.off;
}

static inline void live_and_die(const char *fsync, unsigned until)
{
    struct random random;

    random_init(&random, fixture.seed * 101 + until);
    if (fixture.fault) plan_failures(&random);
    process_start(&fixture.server,
                  fixture.fault ? fault_os(fixture.fault) : record_os(fixture.record), fixture.data,
                  fsync);
    for (unsigned i = 0; i < CLIENTS; i++) {
        fixture.clients[i].number = i;
        learn_client(&fixture.clients[i]);
    }
    if (fixture.begins_off) switch_promise(NULL);
    run_clients(until, syncs_each_second() ? fixture.pause_us : 0);
    if (random_below(&random, 2)) kill_while_it_saves(&random);
    process_kill(&fixture.server);
    for (unsigned i = 0; i < CLIENTS; i++)
        connection_close(&fixture.clients[i].connection);
}

static inline void record_a_server(const char *fsync)
{
    fixture.fsync = fsync;
    record_set_sync_delay(fixture.record, 1000);
    for (unsigned life = 1; life <= LIVES; life++) {
        if (life > 1) ck_assert_int_eq(record_resume(fixture.record, fixture.data), 0);
        live_and_die(fsync, COMMANDS * life / LIVES);
    }
    ck_assert_uint_lt(record_count(fixture.record), EVENTS_MAX);
}
#endif
