/* A whole server after the power went at any moment: clients work with it while its system calls
 * are recorded; then servers are started on what the disk may hold behind each of them (power.h).
 *
 * Each client has keys of its own, so what the server holds of them is what the first so many of
 * its commands have made: with `always` all that were answered, with `everysec` all that were
 * answered before the last sync was asked for, and perhaps some that had been sent.
 *
 * Some servers meet syncs that fail: the log is replaced, clients are closed and refused, and what
 * a client reads then is promised as well. */
#include "modules/base/test_directory.h"
#include "server/test_power_client.h"
#include "server/test_power_model.h"
#include "server/test_power_switch.h"
#include "server/test_power_syncs.h"

#include "modules/base/fault.h"
#include "modules/base/power.h"
#include "modules/base/record.h"
#include "modules/base/test_soak.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"

#include <sys/stat.h>

enum {
    WINDOW = 3, /* sent and not answered */
    LIVES = 3,  /* of the server that is recorded; each ends with kill -9 */
    CHECKPOINT_COMMANDS = 24,
    SWITCH_COMMANDS = 6,
    FAILURES = 3, /* of calls, in each life with faults */
    SYNCS = 60,   /* among so many syncs, about */
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

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.plant = -1;
    fixture.pause_us = 100000;
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "power");
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    (void)snprintf(fixture.after, sizeof(fixture.after), "%s/after", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.data, 0755), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct process *process = i == 0 ? &fixture.server : &fixture.recovered;
        (void)snprintf(process->socket_path, sizeof(process->socket_path), "%s/socket%u",
                       fixture.directory, i);
        (void)snprintf(process->log_path, sizeof(process->log_path), "%s/log%u", fixture.directory,
                       i);
    }
    ck_assert_int_eq(record_create(os_real(), fixture.data, RECORD_BYTES, &fixture.record), 0);
}

static void tear_down(void)
{
    process_kill(&fixture.server);
    process_kill(&fixture.recovered);
    fault_destroy(fixture.fault);
    record_destroy(fixture.record);
    test_directory_remove(fixture.directory);
}

/* ---- clients at work --------------------------------------------------------------------------
 */

static void send_next(struct client *client)
{
    static struct text text;
    unsigned replies =
        do_command(fixture.seed, client->number, client->sent, &client->model, &text);

    client->replies_left[client->sent % WINDOW] = replies;
    client->sent++;
    connection_send(&client->connection, text.bytes, text.size);
}

static void take_answers(struct client *client, int timeout_ms)
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

/* What follows what was refused must not be taken. */
static unsigned window(void)
{
    return fixture.fault ? 1 : WINDOW;
}

static bool work_a_little(struct client *client, unsigned until)
{
    if (client->answered >= until) return false;
    while (client->sent < COMMANDS && client->sent - client->answered < window())
        send_next(client);
    if (client->sent > client->most) client->most = client->sent;
    take_answers(client, client->answered == client->sent ? 0 : 2);
    return true;
}

/* False: not now. */
static bool try_to_learn(struct client *client, struct model *out_found)
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
static void learn_client(struct client *client)
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

static void ask_for_checkpoint(struct connection *admin)
{
    (void)connection_ask(admin, "BGSAVE"); /* or one is under way */
    if (!admin->is_closed) return;
    ck_assert_ptr_nonnull(fixture.fault);
    connection_close(admin);
    ck_assert(connection_open(admin, &fixture.server));
}

static unsigned step(void)
{
    return fixture.clients[0].answered /
           (fixture.offs.words.off ? SWITCH_COMMANDS : CHECKPOINT_COMMANDS);
}

/* admin NULL: it has been told already. */
static void switch_promise(struct connection *admin)
{
    unsigned answered[CLIENTS];

    for (unsigned i = 0; i < CLIENTS; i++)
        answered[i] = fixture.clients[i].answered;
    if (admin)
        offs_switch(&fixture.offs, fixture.record, admin, answered);
    else
        offs_begin(&fixture.offs, fixture.record, answered);
}

static void between_commands(struct connection *admin, unsigned *asked)
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
static void run_clients(unsigned until, unsigned pause_us)
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
        if (pause_us > 0) usleep(pause_us);
        between_commands(&admin, &asked);
    }
    if (offs_is_off(&fixture.offs)) switch_promise(&admin);
    offs_wait(&fixture.offs, fixture.record, &admin);
    connection_close(&admin);
}

static bool is_loading(struct connection *connection)
{
    return strncmp(connection_ask(connection, "EXISTS a0"), "-LOADING", 8) == 0;
}

/* Until a checkpoint has got its name, if that is soon; it is not durable yet, as syncs take long.
 */
static void wait_for_name(size_t index)
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
static void kill_while_it_saves(struct random *random)
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
static void plan_failures(struct random *random)
{
    uint64_t nth = 8 + random_below(random, SYNCS / 2);

    fault_clear(fixture.fault);
    for (unsigned i = 0; i < FAILURES; i++) {
        fault_fail(fixture.fault, FAULT_FDATASYNC, nth, EIO, FAULT_ONCE);
        nth += 1 + random_below(random, random_below(random, 2) ? 4 : SYNCS / FAILURES);
    }
}

static bool syncs_each_second(void)
{
    return strcmp(fixture.fsync, "everysec") == 0 && !fixture.offs.words.off;
}

static void live_and_die(const char *fsync, unsigned until)
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

static void record_a_server(const char *fsync)
{
    fixture.fsync = fsync;
    record_set_sync_delay(fixture.record, 1000);
    for (unsigned life = 1; life <= LIVES; life++) {
        if (life > 1) ck_assert_int_eq(record_resume(fixture.record, fixture.data), 0);
        live_and_die(fsync, COMMANDS * life / LIVES);
    }
    ck_assert_uint_lt(record_count(fixture.record), EVENTS_MAX);
}

/* ---- the oracle -------------------------------------------------------------------------------
 */

/* How many of a client's commands must be there when the power went behind so many events. */
static unsigned promised(const struct client *client, size_t event_count)
{
    const struct off *off = offs_at(&fixture.offs, event_count);
    unsigned count = 0;

    if (off) return off->answered[client->number];
    if (syncs_each_second()) event_count = fixture.synced_at[event_count];
    while (count < client->answered && client->answered_at[count + 1] <= event_count)
        count++;
    return count;
}

static int wrong(const struct power_state *state, const char *why, unsigned client)
{
    char command[160];

    (void)fprintf(stderr, "state %llu behind event %zu (%s): %s, client %u\n",
                  (unsigned long long)state->number, state->event_count, state->text, why, client);
    (void)snprintf(command, sizeof(command), "tail -n 5 %s >&2", fixture.recovered.log_path);
    if (!getenv("SLUICE_TEST_QUIET")) (void)!system(command);
    return -1;
}

static int check_server(const struct power_state *state)
{
    struct connection connection;
    int rc = 0;

    if (!connection_open(&connection, &fixture.recovered)) {
        connection_close(&connection);
        return wrong(state, "it refuses to start", 0);
    }
    while (is_loading(&connection))
        usleep(1000);
    for (unsigned i = 0; rc == 0 && i < CLIENTS; i++) {
        static struct model found;
        unsigned least = promised(&fixture.clients[i], state->event_count);
        if (!read_model(&connection, i, &found)) {
            rc = wrong(state, "it holds what was never sent", i);
        } else if (commands_for(fixture.seed, i, &found, least, fixture.clients[i].most) < 0) {
            rc = wrong(state, "what was promised is missing, or more was done", i);
        }
    }
    connection_close(&connection);
    return rc;
}

static int check_state(void *context, const struct power_state *state)
{
    int rc;

    (void)context;
    process_start(&fixture.recovered, os_real(), state->directory, fixture.fsync);
    rc = check_server(state);
    process_kill(&fixture.recovered);
    if (rc < 0 || state->number % 7 != 0) return rc;
    /* It was killed right after it had recovered: another finds the same. */
    process_start(&fixture.recovered, os_real(), state->directory, fixture.fsync);
    rc = check_server(state);
    process_kill(&fixture.recovered);
    return rc;
}

static int walk(unsigned points, unsigned states, struct power_figures *figures)
{
    size_t events = record_count(fixture.record);
    const char *only = getenv("SLUICE_TEST_STATE");
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .seed = fixture.seed,
                              .states_per_event = states,
                              .event_step = (unsigned)(events / points) | 1,
                              .check = check_state };

    if (only) all.only = strtoull(only, NULL, 10);
    learn_syncs(fixture.record, &fixture.segments, fixture.synced_at);
    return power_walk(&all, figures);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static const char *const policies[] = { "always", "everysec" };

START_TEST(whatever_the_disk_holds_a_server_finds_what_it_had_promised)
{
    struct power_figures figures;

    fixture.seed = soak_seed() + (uint64_t)_i;
    record_a_server(policies[_i % 2]);
    ck_assert_msg(walk(soak_is_full() ? 1000 : 150, soak_is_full() ? 8 : 3, &figures) == 0,
                  "%s, seed %llu", fixture.fsync, (unsigned long long)soak_seed());
    (void)printf("%s: %llu states of %llu events\n", fixture.fsync,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
    ck_assert_uint_gt(figures.checked_count, 50);
}
END_TEST

static unsigned count_in_log(const char *words)
{
    static char line[1024];
    FILE *file = fopen(fixture.server.log_path, "r");
    unsigned count = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, words) != NULL;
    (void)fclose(file);
    return count;
}

START_TEST(a_log_that_is_replaced_loses_nothing_at_any_moment)
{
    struct power_figures figures;
    unsigned replaced;

    fixture.seed = soak_seed() + 7000 + (uint64_t)_i;
    ck_assert_int_eq(fault_create(record_os(fixture.record), &fixture.fault), 0);
    record_a_server("always");
    replaced = count_in_log("Another operation log has taken the place");
    ck_assert_uint_gt(replaced, 0);
    ck_assert_msg(walk(soak_is_full() ? 1000 : 150, soak_is_full() ? 8 : 3, &figures) == 0,
                  "seed %llu", (unsigned long long)soak_seed());
    (void)printf("replaced %u times: %llu states of %llu events\n", replaced,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
}
END_TEST

/* The server goes on with a log that is there, and with how that was made: its segments are so
 * small that they end all the time, and go with each checkpoint. */
static void make_log_of_small_segments(void)
{
    struct journal_options options = { .settings.roll_bytes = JOURNAL_ROLL_BYTES_MIN };
    struct journal_report report;
    struct journal *journal;
    struct io *io;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/log", fixture.data);
    options.path = path;
    ck_assert_int_eq(io_create(os_real(), 0, &io), 0);
    ck_assert_int_eq(journal_open(os_real(), io, &options, &report, &journal), 0);
    ck_assert_int_eq(journal_close(journal), 0);
    io_destroy(io);
    record_destroy(fixture.record);
    ck_assert_int_eq(record_create(os_real(), fixture.data, RECORD_BYTES, &fixture.record), 0);
}

START_TEST(a_log_of_many_segments_loses_nothing_at_any_moment)
{
    struct power_figures figures;

    fixture.seed = soak_seed() + 9000 + (uint64_t)_i;
    fixture.pause_us = 20000; /* a segment that has ended is synced at once */
    make_log_of_small_segments();
    record_a_server(policies[_i % 2]);
    ck_assert_msg(walk(soak_is_full() ? 1000 : 100, soak_is_full() ? 8 : 3, &figures) == 0,
                  "%s, seed %llu", fixture.fsync, (unsigned long long)soak_seed());
    (void)printf("%s, %u segments, %u removed: %llu states of %llu events\n", fixture.fsync,
                 fixture.segments.count, fixture.segments.removed_count,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
    ck_assert_uint_gt(fixture.segments.count, 5);
    ck_assert_uint_gt(fixture.segments.removed_count, 2);
    ck_assert_uint_gt(fixture.synced_at[figures.event_count], figures.event_count / 2);
}
END_TEST

static void record_switches_and_walk(struct offs_words words, const char *fsync)
{
    struct power_figures figures;

    fixture.offs.words = words;
    record_a_server(fsync);
    ck_assert_uint_gt(fixture.offs.count, 2);
    ck_assert_msg(walk(soak_is_full() ? 1000 : 150, soak_is_full() ? 8 : 3, &figures) == 0,
                  "seed %llu", (unsigned long long)soak_seed());
    (void)printf("%s, %u times: %llu states of %llu events\n", words.off, fixture.offs.count,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
}

START_TEST(a_log_that_ends_and_begins_loses_nothing_while_it_counts)
{
    const struct offs_words words = { "CONFIG SET appendonly no", "CONFIG SET appendonly yes",
                                      "aof_enabled:1" };

    fixture.seed = soak_seed() + 11000 + (uint64_t)_i;
    record_switches_and_walk(words, "always");
}
END_TEST

/* In turn on a log that was opened for one mode, and for another, which go other ways. */
START_TEST(a_mode_that_changes_loses_nothing_while_it_is_always)
{
    const struct offs_words words = { _i % 4 < 2 ? "CONFIG SET appendfsync everysec"
                                                 : "CONFIG SET appendfsync no",
                                      "CONFIG SET appendfsync always", NULL };

    fixture.seed = soak_seed() + 13000 + (uint64_t)_i;
    fixture.begins_off = _i % 2 == 1;
    record_switches_and_walk(words, policies[_i % 2]);
}
END_TEST

/* The test would find a server that answers too early, or forgets a directory. */
START_TEST(a_planted_bug_is_found)
{
    struct power_figures figures;

    fixture.seed = 1;
    fixture.plant = _i;
    record_a_server("always");
    ck_assert_int_ne(walk(100, 4, &figures), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server and the loss of power");
    TCase *cases = tcase_create("all"), *switches = tcase_create("switches");
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, whatever_the_disk_holds_a_server_finds_what_it_had_promised, 0,
                        soak_is_full() ? 10 : 2);
    tcase_add_loop_test(cases, a_log_that_is_replaced_loses_nothing_at_any_moment, 0,
                        soak_is_full() ? 10 : 1);
    tcase_add_loop_test(cases, a_log_of_many_segments_loses_nothing_at_any_moment, 0,
                        soak_is_full() ? 10 : 2);
    tcase_add_loop_test(cases, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    suite_add_tcase(suite, cases);
    tcase_set_timeout(switches, soak_is_full() ? 3000 : 300);
    tcase_add_checked_fixture(switches, set_up, tear_down);
    tcase_add_loop_test(switches, a_log_that_ends_and_begins_loses_nothing_while_it_counts, 0,
                        soak_is_full() ? 10 : 1);
    tcase_add_loop_test(switches, a_mode_that_changes_loses_nothing_while_it_is_always, 0,
                        soak_is_full() ? 12 : 2);
    suite_add_tcase(suite, switches);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
