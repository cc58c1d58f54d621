/* Real losses of power: a server works on a file system in a file, which is shut down under it at
 * any moment without writing anything more (the file systems' own ioctl for that), and is mounted
 * again. With `always` every command that was answered is there; with `everysec` those before a
 * WAITAOF that was answered; and behind them exactly what some of those that were sent have made.
 *
 * Wants root and loop devices, and is left out where they are not to be had; mounts are in a
 * namespace of their own, so that they go with the process. `make soak` cuts a hundred times.
 * SLUICE_SEED=N runs that seed. */
#include "client-tests/durability/power_state.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CUTS = 2, /* before scaling; of each file system */
    CLIENTS = 4,
    COMMANDS_MAX = 1 << 16, /* of a client, between two cuts */
    DUE_MAX = 16,           /* of a client, not yet answered */
    IMAGE_MIB = 320,        /* XFS wants 300 */
};

enum { SHUTDOWN_WITHOUT_LOG = 2 };
#define SHUTDOWN _IOR('X', 125, uint32_t) /* XFS_IOC_GOINGDOWN, and the same of ext4 */

static const char *arguments[] = {
    "--appendonly",      "yes",   "--appendfsync", "always", "--maxmemory", "64mb",
    "--list-memory-max", "256kb", "--maxdisk",     "200mb",  NULL
};
enum { MODE_ARGUMENT = 3 };

static const char *const file_systems[] = { "ext4", "xfs" };

struct client {
    struct wire *wire;
    struct state began, sent_all;       /* when this server began; after all that were sent */
    char commands[COMMANDS_MAX];        /* their kinds: see apply() */
    uint32_t sent, answered, is_stored; /* is_stored: so many are on the device, it was said */
};

static struct {
    struct server server;
    struct random random;
    struct client clients[CLIENTS];
    struct wire *saver;
    char image[600], mount_point[600], data[640];
    bool is_cut;
    char place[128];
} test;

static uint32_t below(uint32_t bound)
{
    return random_below(&test.random, bound);
}

/* ---- the file system --------------------------------------------------------------------------
 */

__attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
    char command[2000];
    va_list values;

    va_start(values, format);
    (void)vsnprintf(command, sizeof(command), format, values);
    va_end(values);
    return system(command) == 0;
}

static bool mount_image(void)
{
    return run("mount -o loop %s %s", test.image, test.mount_point);
}

static void unmount(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    /* What the killed server had under way may still hold it. */
    while (umount(test.mount_point) < 0)
        ck_assert_msg(clock_probe(deadline_ms), "umount: %s", strerror(errno));
}

/* NULL, or why not here. */
static const char *make_file_system(const char *kind)
{
    if (geteuid() != 0) return "power cuts want root, to mount";
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return "power cuts want a mount namespace";
    if (!run("command -v mkfs.%s >/dev/null", kind)) return "there is no mkfs of that file system";
    (void)snprintf(test.image, sizeof(test.image), "%s/image", suite_directory());
    (void)snprintf(test.mount_point, sizeof(test.mount_point), "%s/mounted", suite_directory());
    (void)snprintf(test.data, sizeof(test.data), "%s/data", test.mount_point);
    ck_assert(mkdir(test.mount_point, 0755) == 0 || errno == EEXIST);
    ck_assert(run("rm -f %s && truncate -s %dM %s", test.image, IMAGE_MIB, test.image));
    ck_assert(run("mkfs.%s -q %s %s >/dev/null", kind, strcmp(kind, "xfs") == 0 ? "-f" : "-F",
                  test.image));
    if (!mount_image()) return "a file cannot be mounted here";
    ck_assert_int_eq(mkdir(test.data, 0755), 0);
    return NULL;
}

/* The power goes: what the device does not hold is lost. */
static void cut(void)
{
    uint32_t how = SHUTDOWN_WITHOUT_LOG;
    int fd = open(test.mount_point, O_RDONLY | O_DIRECTORY);

    ck_assert_int_ge(fd, 0);
    test.is_cut = true;
    ck_assert_msg(ioctl(fd, SHUTDOWN, &how) == 0, "shutdown: %s", strerror(errno));
    close(fd);
}

/* ---- clients ----------------------------------------------------------------------------------
 */

static char choose_kind(const struct state *state)
{
    static const char kinds[] = "---------+++++++++aaaaaaaaarrrrrrkkkkkt";
    char kind = below(100) < 3 ? 'w' : kinds[below(sizeof(kinds) - 1)];

    if (kind == '-' && state->head == state->tail) return '+';
    if (kind == 'k' && state->acknowledged == state->delivered) return 'a';
    return kind;
}

static void send_kind(struct client *client, unsigned index, char kind)
{
    const struct state *state = &client->sent_all;
    uint32_t number = kind == 'a' ? state->end : state->tail;
    char element[ELEMENT_BYTES_MAX];
    size_t size = fill_element(element, index, number);

    switch (kind) {
    case 'w':
        wire_command(client->wire, "WAITAOF 1 0 0");
        break;
    case '-':
        wire_command(client->wire, "LPOP list%u", index);
        break;
    case '+':
        wire_command(client->wire, "RPUSH list%u %b", index, element, size);
        break;
    case 'a':
        wire_command(client->wire, "XADD stream%u %u-0 f %b", index, number, element, size);
        break;
    case 'r':
        wire_command(client->wire, "XREADGROUP GROUP g c COUNT 1 STREAMS stream%u >", index);
        break;
    case 'k':
        wire_command(client->wire, "XACK stream%u g %u-0", index, state->acknowledged + 1);
        break;
    default:
        wire_command(client->wire, "XTRIM stream%u MINID = %u-0", index, state->delivered + 1);
        break;
    }
}

static void send_one(struct client *client, unsigned index)
{
    char kind = choose_kind(&client->sent_all);

    ck_assert_uint_lt(client->sent, COMMANDS_MAX);
    send_kind(client, index, kind);
    apply(&client->sent_all, kind);
    client->commands[client->sent++] = kind;
}

static void feed(struct client *client, unsigned index)
{
    unsigned count = 1 + below(6);

    while (count-- > 0 && client->sent - client->answered < DUE_MAX)
        send_one(client, index);
}

/* What comes after the cut promises nothing: with the power nobody would have sent it. (ext4 may
 * still answer a sync well whose pages were written and whose extents then could not be.) */
static void take_reply(struct client *client, const char *reply)
{
    if (test.is_cut) return;
    ck_assert_msg(*reply != '-', "%s: %s", test.place, reply);
    client->answered++;
    if (client->commands[client->answered - 1] != 'w') return;
    if (strstr(reply, "\r\n:1\r\n")) client->is_stored = client->answered;
}

/* False: the server has closed the connection. */
static bool drain(struct client *client)
{
    struct text reply = { 0 };
    int rc;

    while ((rc = wire_read_now(client->wire, &reply)) == 1) {
        take_reply(client, reply.bytes);
        text_clear(&reply);
    }
    text_finish(&reply);
    return rc != 0;
}

static void feed_and_drain(void)
{
    struct text reply = { 0 };

    if (below(60) == 0) wire_command(test.saver, "BGSAVE");
    while (wire_read_now(test.saver, &reply) == 1)
        text_clear(&reply); /* begun, or one is under way */
    text_finish(&reply);
    for (unsigned i = 0; i < CLIENTS; i++) {
        feed(&test.clients[i], i);
        (void)drain(&test.clients[i]);
    }
}

static void open_clients(void)
{
    test.saver = wire_open(&test.server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &test.clients[i];
        client->wire = wire_open(&test.server);
        client->sent_all = client->began;
        client->sent = client->answered = client->is_stored = 0;
    }
}

static void close_clients(void)
{
    wire_close(test.saver);
    for (unsigned i = 0; i < CLIENTS; i++) {
        while (drain(&test.clients[i]))
            (void)wire_wait(test.clients[i].wire, WAIT_MS);
        wire_close(test.clients[i].wire);
    }
}

static void work_until_the_cut(void)
{
    bool is_always = strcmp(arguments[MODE_ARGUMENT], "always") == 0;
    int64_t end_ms = clock_ms() + 5 + below(is_always ? 300 : 1500);

    test.is_cut = false;
    open_clients();
    while (clock_ms() < end_ms || test.clients[0].answered == 0)
        feed_and_drain();
    cut();
    for (unsigned i = below(20); i > 0; i--)
        feed_and_drain();
    server_kill(&test.server);
    close_clients();
}

/* ---- what is there afterwards -----------------------------------------------------------------
 */

/* How many commands make what was found; -1: none of those from least on. */
static long commands_for(const struct client *client, uint32_t least, const struct state *found)
{
    struct state state = client->began;

    for (uint32_t i = 0;; i++) {
        if (i >= least && is_as_found(&state, found)) return (long)i;
        if (i == client->sent) return -1;
        apply(&state, client->commands[i]);
    }
}

static void check_client(struct wire *wire, struct client *client, unsigned index)
{
    bool is_always = strcmp(arguments[MODE_ARGUMENT], "always") == 0;
    uint32_t least = is_always ? client->answered : client->is_stored;
    char text[160], began[160];
    struct state found;
    long reached;

    ck_assert_msg(read_list(wire, index, &found) && read_entries(wire, index, &found) &&
                      read_group(wire, index, &found),
                  "%s: the keys of %u hold what nobody sent", test.place, index);
    reached = commands_for(client, least, &found);
    ck_assert_msg(reached >= 0,
                  "%s: %u has %s; it began with %s, %u commands were sent, %u answered, %u stored",
                  test.place, index, text_of(&found, text), text_of(&client->began, began),
                  client->sent, client->answered, client->is_stored);
    for (long i = 0; i < reached; i++)
        apply(&client->began, client->commands[i]);
}

static void check_all(void)
{
    struct wire *wire = wire_open(&test.server);

    for (unsigned i = 0; i < CLIENTS; i++)
        check_client(wire, &test.clients[i], i);
    wire_close(wire);
}

/* ---- rounds -----------------------------------------------------------------------------------
 */

static void make_groups(void)
{
    struct wire *wire = wire_open(&test.server);

    for (unsigned i = 0; i < CLIENTS; i++) {
        test.clients[i].began = (struct state){ .first = 1, .end = 1 };
        expect_ok(wire, "XGROUP CREATE stream%u g 0 MKSTREAM", i);
    }
    wire_close(wire);
}

static void cut_many_times(const char *kind, unsigned long seed)
{
    struct server_options options = { .own_arguments = arguments, .data_directory = test.data };
    unsigned cuts = suite_scaled(CUTS), answered = 0;

    server_start(&test.server, &options);
    make_groups();
    for (unsigned i = 0; i < cuts; i++) {
        (void)snprintf(test.place, sizeof(test.place), "seed %lu, %s, cut %u, %s", seed, kind, i,
                       arguments[MODE_ARGUMENT]);
        work_until_the_cut();
        for (unsigned k = 0; k < CLIENTS; k++)
            answered += test.clients[k].answered;
        unmount();
        ck_assert_msg(mount_image(), "%s: it cannot be mounted again", test.place);
        /* The mode of the cut counts until what was found has been compared. */
        server_restart(&test.server);
        check_all();
        server_stop(&test.server);
        arguments[MODE_ARGUMENT] = below(2) ? "always" : "everysec";
        server_restart(&test.server);
    }
    server_stop(&test.server);
    unmount();
    printf("%u commands: answered before %u cuts of %s\n", answered, cuts, kind);
}

START_TEST(what_was_promised_survives_the_loss_of_power)
{
    const char *seed_text = getenv("SLUICE_SEED");
    unsigned long seed = seed_text ? strtoul(seed_text, NULL, 10) : 1;
    const char *why = make_file_system(file_systems[_i]);

    if (why) {
        suite_skip(why);
        return;
    }
    test.random.state = seed;
    cut_many_times(file_systems[_i], seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power");
    TCase *cases = suite_case(suite, "power");

    tcase_set_timeout(cases, 600);
    tcase_add_loop_test(cases, what_was_promised_survives_the_loss_of_power, 0,
                        sizeof(file_systems) / sizeof(file_systems[0]));
    return suite_run(suite);
}
