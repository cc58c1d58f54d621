/* maxmemory is a ceiling with the log on, too: frames on their way to the disk, answers that wait
 * for a sync, transactions, and what a replay does again all fit. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MIB = 1048576,
    MAXMEMORY_MIB = 64,
    SLACK_MIB = 16,
    CLIENTS_MAX = 50,
    MODES = 3,
};

static const char *const modes[MODES] = { "always", "everysec", "no" };

/* One client: the same bytes again and again, each time answered by so many replies. */
struct client {
    struct wire *wire;
    struct text bytes;
    size_t sent;      /* of bytes */
    unsigned rounds;  /* that are left */
    unsigned replies; /* of a round */
    unsigned awaited; /* of what was sent */
};

struct load {
    struct client clients[CLIENTS_MAX];
    unsigned count;
    char *filler;
};

/* Sanitizers keep freed memory and shadow it; what they measure says nothing about the server. */
static bool memory_counts(void)
{
    return strstr(suite_build_directory(), "/release/") != NULL;
}

/* ---- what clients send ------------------------------------------------------------------------
 */

static struct client *add_client(struct load *load, unsigned rounds)
{
    struct client *client = &load->clients[load->count++];

    *client = (struct client){ .rounds = suite_scaled(rounds) };
    return client;
}

static void add(struct load *load, struct client *client, const char *name, unsigned key,
                unsigned count, size_t size)
{
    char key_name[32];

    (void)snprintf(key_name, sizeof(key_name), "%s:%u", name, key);
    command_begin(&client->bytes, 2 + (int)count);
    command_add_string(&client->bytes, name);
    command_add_string(&client->bytes, key_name);
    for (unsigned i = 0; i < count; i++)
        command_add(&client->bytes, load->filler, size);
    client->replies++;
}

static void add_word(struct client *client, const char *word)
{
    (void)command_from_line(&client->bytes, word);
    client->replies++;
}

static void add_short_pushes(struct load *load, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++) {
        struct client *client = add_client(load, 20);

        for (int k = 0; k < 32; k++)
            add(load, client, "RPUSH", i % 4, 1, 1024);
    }
}

static void add_long_elements(struct load *load, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++)
        add(load, add_client(load, 2), "LPUSH", i % 4, 1, 4 * MIB);
}

static void add_transactions(struct load *load, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++) {
        struct client *client = add_client(load, 2);

        add_word(client, "MULTI");
        for (int k = 0; k < 2000; k++)
            add(load, client, "RPUSH", i, 1, 8192);
        add_word(client, "EXEC");
    }
}

static void add_many_elements(struct load *load, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++)
        add(load, add_client(load, 6), "RPUSH", i, 1900, 8000);
}

static void add_strings(struct load *load, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++)
        add(load, add_client(load, 2), "SET", i % 3, 1, 8 * MIB);
}

static void add_moves(struct load *load, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++) {
        struct client *client = add_client(load, 2);
        char line[128];

        add(load, client, "RPUSH", i, 4000, 1024);
        (void)snprintf(line, sizeof(line), "LMOVEM RPUSH:%u LPUSH:%u LEFT RIGHT COUNT 4000 BULK", i,
                       i);
        add_word(client, line);
    }
}

static void short_pushes(struct load *load)
{
    add_short_pushes(load, 50);
}

static void long_elements(struct load *load)
{
    add_long_elements(load, 8);
}

static void transactions(struct load *load)
{
    add_transactions(load, 3);
}

static void many_elements(struct load *load)
{
    add_many_elements(load, 1);
}

static void strings(struct load *load)
{
    add_strings(load, 4);
}

static void moves(struct load *load)
{
    add_moves(load, 4);
}

static void all_together(struct load *load)
{
    add_short_pushes(load, 8);
    add_long_elements(load, 2);
    add_transactions(load, 3);
}

/* ---- sending it -------------------------------------------------------------------------------
 */

/* Takes what has come. True: something has. */
static bool take_replies(struct client *client)
{
    struct text reply = { 0 };
    bool has_taken = false;
    int rc;

    while (client->awaited > 0 && (rc = wire_read_now(client->wire, &reply)) != -EAGAIN) {
        ck_assert_int_eq(rc, 1);
        if (reply.bytes[0] == '-') ck_abort_msg("answered %s", text_string(&reply));
        text_clear(&reply);
        client->awaited--;
        has_taken = true;
    }
    text_finish(&reply);
    return has_taken;
}

/* The next round begins when the last one was answered. True: something was sent. */
static bool send_some(struct client *client)
{
    size_t sent;

    if (client->sent == client->bytes.size && client->awaited == 0 && client->rounds > 0) {
        client->rounds--;
        client->sent = 0;
        client->awaited = client->replies;
    }
    if (client->sent == client->bytes.size) return false;
    sent = wire_send_some(client->wire, client->bytes.bytes + client->sent,
                          client->bytes.size - client->sent);
    client->sent += sent;
    return sent > 0;
}

static bool is_done(const struct client *client)
{
    return client->rounds == 0 && client->sent == client->bytes.size && client->awaited == 0;
}

static void run(struct load *load)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    unsigned done;

    do {
        bool has_moved = false;

        done = 0;
        for (unsigned i = 0; i < load->count; i++) {
            struct client *client = &load->clients[i];

            has_moved |= send_some(client);
            has_moved |= take_replies(client);
            done += is_done(client);
        }
        if (has_moved)
            deadline_ms = clock_ms() + WAIT_MS;
        else if (done < load->count && !clock_probe(deadline_ms))
            ck_abort_msg("nothing moves any more: %u of %u are done", done, load->count);
    } while (done < load->count);
}

static void begin(struct load *load, const struct server *server, void (*make)(struct load *load))
{
    *load = (struct load){ .filler = malloc(8 * MIB) };
    ck_assert_ptr_nonnull(load->filler);
    memset(load->filler, 'x', 8 * MIB);
    make(load);
    for (unsigned i = 0; i < load->count; i++) {
        load->clients[i].wire = wire_open(server);
        load->clients[i].sent = load->clients[i].bytes.size; /* of the round before the first */
    }
}

static void end(struct load *load)
{
    for (unsigned i = 0; i < load->count; i++) {
        wire_close(load->clients[i].wire);
        text_finish(&load->clients[i].bytes);
    }
    free(load->filler);
}

/* ---- the tests --------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    void (*make)(struct load *load);
} loads[] = {
    { "short pushes", short_pushes }, { "long elements", long_elements },
    { "transactions", transactions }, { "many elements at once", many_elements },
    { "long strings", strings },      { "moves of many", moves },
    { "all together", all_together },
};

enum { LOADS = sizeof(loads) / sizeof(loads[0]) };

static void expect_within(int64_t largest_kib, const char *what, const char *mode, const char *when)
{
    if (!memory_counts() || largest_kib <= (MAXMEMORY_MIB + SLACK_MIB) * 1024) return;
    ck_abort_msg("%s, appendfsync %s, %s: %lld KiB", what, mode, when, (long long)largest_kib);
}

static void make_backlog(struct load *load)
{
    for (unsigned i = 0; i < 2; i++)
        add(load, add_client(load, 400), "RPUSH", i, 1000, 256);
    add(load, add_client(load, 5000), "RPUSH", 2, 1, 16);
    add_strings(load, 2);
    add_long_elements(load, 4);
}

/* 200 MB of lists and what stays in memory, as far as the log goes that no checkpoint cuts. */
static void fill(struct server *server, const char *const *arguments)
{
    struct server_options options = { .own_arguments = arguments };
    struct load load;

    server_start(server, &options);
    begin(&load, server, make_backlog);
    run(&load);
    end(&load);
}

/* The largest while it is answered. */
static void expect_command_within(struct server *server, struct wire *wire, const char *line)
{
    struct memory_watch *watch = memory_watch_start(server);
    struct text reply = { 0 };

    wire_command_line(wire, line);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    expect_within(memory_watch_stop(watch), line, "everysec", "while it ran");
    if (reply.bytes[0] == '-') ck_abort_msg("%s: %s", line, text_string(&reply));
    text_finish(&reply);
}

START_TEST(what_goes_through_all_that_is_kept_fits)
{
    static const char *const lines[] = { "SL.EXPORT out.resp", "SL.BACKUP backup", "DEBUG RELOAD",
                                         "DEBUG RELOAD NOSAVE", "DEBUG LOADAOF" };
    static const char *const arguments[] = { "--maxmemory",
                                             "64mb",
                                             "--appendonly",
                                             "yes",
                                             "--save",
                                             "",
                                             "--enable-transfer-commands",
                                             "local",
                                             "--enable-debug-command",
                                             "local",
                                             NULL };
    char line[PATH_MAX + 32];
    struct server server;
    struct wire *wire;

    fill(&server, arguments);
    wire = wire_open(&server);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strcmp(lines[i], "SL.BACKUP backup") == 0)
            (void)snprintf(line, sizeof(line), "SL.BACKUP %s/backup", server.directory);
        else
            (void)snprintf(line, sizeof(line), "%s", lines[i]);
        expect_command_within(&server, wire, line);
    }
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* Nothing makes a checkpoint: all that was done is done again at the start. */
START_TEST(the_replay_of_a_long_log_fits)
{
    static const char *const arguments[] = {
        "--maxmemory", "64mb", "--appendonly", "yes", "--save", "", "--auto-aof-rewrite-percentage",
        "0",           NULL
    };
    struct memory_watch *watch;
    struct server server;
    struct wire *wire;

    fill(&server, arguments);
    server_kill(&server);
    server_restart_unready(&server);
    watch = memory_watch_start(&server);
    wire = wire_open(&server);
    info_wait(wire, "loading", 0);
    expect_within(memory_watch_stop(watch), "a long log", "everysec", "while it was replayed");
    expect_within(info_number(wire, "rss_anon_peak") / 1024, "a long log", "everysec",
                  "before the first look");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* And so does the start that does all of it again. */
START_TEST(whatever_clients_send_fits_and_so_does_its_replay)
{
    const char *mode = modes[_i % MODES];
    const char *const arguments[] = { "--maxmemory",   "64mb",   "--appendonly",
                                      "yes",           "--save", "",
                                      "--appendfsync", mode,     NULL };
    struct memory_watch *watch;
    struct server server;
    struct load load;
    struct wire *wire;

    server_start_with(&server, arguments);
    begin(&load, &server, loads[_i / MODES].make);
    watch = memory_watch_start(&server);
    run(&load);
    expect_within(memory_watch_stop(watch), loads[_i / MODES].name, mode, "while it was sent");
    end(&load);
    server_kill(&server);
    server_restart(&server);
    watch = memory_watch_start(&server);
    wire = wire_open(&server);
    info_wait(wire, "loading", 0);
    expect_within(memory_watch_stop(watch), loads[_i / MODES].name, mode, "while it was replayed");
    expect_within(info_number(wire, "rss_anon_peak") / 1024, loads[_i / MODES].name, mode,
                  "before the first look");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory with the log");
    TCase *tcase = suite_case(suite, "memory"), *kept = suite_case(suite, "kept");

    tcase_add_loop_test(tcase, whatever_clients_send_fits_and_so_does_its_replay, 0, LOADS * MODES);
    tcase_add_test(kept, what_goes_through_all_that_is_kept_fits);
    tcase_add_test(kept, the_replay_of_a_long_log_fits);
    return suite_run(suite);
}
