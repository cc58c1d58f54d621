/* A whole server after the power went at any moment: clients work with it while its system calls
 * are recorded; then servers are started on what the disk may hold behind each of them (power.h).
 *
 * Each client has keys of its own, so what the server holds of them is what the first so many of
 * its commands have made: with `always` all that were answered, with `everysec` all that were
 * answered before the last sync was asked for, and perhaps some that had been sent. */
#include "server/test_power_client.h"

#include "modules/base/power.h"
#include "modules/base/random.h"
#include "modules/base/record.h"
#include "modules/base/test_soak.h"

#include <sys/stat.h>

enum {
    CLIENTS = 3,
    COMMANDS = 120, /* of each client */
    WINDOW = 3,     /* sent and not answered */
    LENGTH_MAX = COMMANDS + 1,
    EVENTS_MAX = 100000,
    RECORD_BYTES = 512 << 20,
};

/* What a client's keys hold: two lists and a string; values are told by their numbers. */
struct model {
    uint32_t lists[2][LENGTH_MAX];
    unsigned lengths[2];
    uint32_t string; /* 0: there is none */
};

struct client {
    struct connection connection;
    unsigned number, sent, answered;
    unsigned replies_left[WINDOW];    /* of those that were sent, oldest first */
    struct model model;               /* after all that were sent */
    size_t answered_at[COMMANDS + 1]; /* events there were when that many had been answered */
};

static struct {
    char directory[64], data[80], after[80];
    struct record *record;
    struct process server, recovered;
    struct client clients[CLIENTS];
    const char *fsync;
    uint64_t seed;
    int plant; /* -1: none */
    /* With everysec: behind so many events, the one before which answers promise. */
    size_t synced_at[EVENTS_MAX];
} fixture;

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.plant = -1;
    (void)snprintf(fixture.directory, sizeof(fixture.directory), "/dev/shm/sluice-power-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fixture.directory));
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
    char command[128];

    process_kill(&fixture.server);
    process_kill(&fixture.recovered);
    record_destroy(fixture.record);
    (void)snprintf(command, sizeof(command), "rm -r %s", fixture.directory);
    ck_assert_int_eq(system(command), 0);
}

/* ---- commands and what they do ----------------------------------------------------------------
 */

struct text {
    char bytes[65536];
    size_t size;
};

static size_t value_bytes(uint32_t number)
{
    static const size_t sizes[] = { 12, 100, 700, 3000, 9000 };

    return sizes[number * 2654435761u % 5];
}

static void add_value(struct text *text, unsigned client, uint32_t number)
{
    size_t size = value_bytes(number);
    int head;

    head = snprintf(text->bytes + text->size, 64, "$%zu\r\n", size);
    text->size += (size_t)head;
    memset(text->bytes + text->size, 'a' + (int)(number % 26), size);
    head = snprintf(text->bytes + text->size, 16, "%u:%u:", client, number);
    text->bytes[text->size + (size_t)head] = '-';
    text->size += size;
    memcpy(text->bytes + text->size, "\r\n", 2);
    text->size += 2;
}

/* Words, apart by one space: "@" is the client's number, a last word "=" the value. */
static void add_command(struct text *text, unsigned client, const char *words, uint32_t value)
{
    unsigned count = 1;

    for (const char *c = words; *c; c++)
        count += *c == ' ';
    text->size += (size_t)sprintf(text->bytes + text->size, "*%u\r\n", count);
    for (const char *c = words; *c;) {
        char word[32];
        size_t size = strcspn(c, " ");
        (void)snprintf(word, sizeof(word), "%.*s", (int)size, c);
        if (strcmp(word, "=") == 0) {
            add_value(text, client, value);
        } else {
            char *at = strchr(word, '@');
            if (at) *at = (char)('0' + client);
            text->size += (size_t)sprintf(text->bytes + text->size, "$%zu\r\n%s\r\n", size, word);
        }
        c += size + (c[size] == ' ');
    }
}

static void push(struct model *model, unsigned list, bool is_head, uint32_t value)
{
    uint32_t *values = model->lists[list];
    unsigned length = model->lengths[list]++;

    ck_assert_uint_lt(length, LENGTH_MAX);
    if (is_head) memmove(values + 1, values, length * sizeof(*values));
    values[is_head ? 0 : length] = value;
}

static uint32_t pop(struct model *model, unsigned list, bool is_head)
{
    uint32_t *values = model->lists[list], value;
    unsigned length = model->lengths[list];

    if (length == 0) return 0;
    value = values[is_head ? 0 : length - 1];
    if (is_head) memmove(values, values + 1, (length - 1) * sizeof(*values));
    model->lengths[list]--;
    return value;
}

/* Command `index` of a client: what it does to the model, its bytes, how many replies it has. */
static unsigned do_command(unsigned client, unsigned index, struct model *model, struct text *text)
{
    uint32_t value = index + 1, moved;
    struct random random;

    random_init(&random, fixture.seed * 1000003 + client * 1009 + index);
    text->size = 0;
    switch (random_below(&random, 14)) {
    case 0:
        add_command(text, client, "LPUSH a@ =", value);
        push(model, 0, true, value);
        return 1;
    case 1:
        add_command(text, client, "LPOP a@", 0);
        (void)pop(model, 0, true);
        return 1;
    case 2:
        add_command(text, client, "RPOP b@", 0);
        (void)pop(model, 1, false);
        return 1;
    case 3:
    case 4:
        add_command(text, client, "LMOVE a@ b@ LEFT RIGHT", 0);
        moved = pop(model, 0, true);
        if (moved > 0) push(model, 1, false, moved);
        return 1;
    case 5:
        add_command(text, client, "SET s@ =", value);
        model->string = value;
        return 1;
    case 6:
        add_command(text, client, "MULTI", 0);
        add_command(text, client, "RPUSH a@ =", value);
        add_command(text, client, "LPOP b@", 0);
        add_command(text, client, "SET s@ =", value);
        add_command(text, client, "EXEC", 0);
        push(model, 0, false, value);
        (void)pop(model, 1, true);
        model->string = value;
        return 5;
    case 7:
        add_command(text, client, "LTRIM b@ 2 -1", 0);
        (void)pop(model, 1, true);
        (void)pop(model, 1, true);
        return 1;
    case 8:
        if (model->lengths[0] == 0) break;
        add_command(text, client, "LSET a@ -1 =", value);
        model->lists[0][model->lengths[0] - 1] = value;
        return 1;
    case 9:
        add_command(text, client, "SET s@ = EX 1000", value);
        model->string = value;
        return 1;
    default:
        break;
    }
    add_command(text, client, "RPUSH a@ =", value);
    push(model, 0, false, value);
    return 1;
}

/* ---- clients at work --------------------------------------------------------------------------
 */

static void send_next(struct client *client)
{
    static struct text text;
    unsigned replies = do_command(client->number, client->sent, &client->model, &text);

    client->replies_left[client->sent % WINDOW] = replies;
    client->sent++;
    connection_send(&client->connection, text.bytes, text.size);
}

static void take_answers(struct client *client, int timeout_ms)
{
    const char *reply;

    if (!connection_receive(&client->connection, timeout_ms)) return;
    while ((reply = connection_next(&client->connection)) != NULL) {
        ck_assert_msg(*reply != '-', "%.80s", reply);
        ck_assert_uint_lt(client->answered, client->sent);
        if (--client->replies_left[client->answered % WINDOW] > 0) continue;
        client->answered++;
        client->answered_at[client->answered] = record_count(fixture.record);
    }
}

static bool work_a_little(struct client *client)
{
    if (client->answered == COMMANDS) return false;
    while (client->sent < COMMANDS && client->sent - client->answered < WINDOW)
        send_next(client);
    take_answers(client, client->answered == client->sent ? 0 : 2);
    return true;
}

static void run_clients(unsigned commands_between_checkpoints, unsigned pause_us)
{
    struct connection admin;
    unsigned asked = 0;
    bool is_working = true;

    ck_assert(connection_open(&admin, &fixture.server));
    for (unsigned i = 0; i < CLIENTS; i++) {
        fixture.clients[i].number = i;
        ck_assert(connection_open(&fixture.clients[i].connection, &fixture.server));
    }
    if (fixture.plant >= 0) record_plant(fixture.record, (enum record_plant)fixture.plant);
    while (is_working) {
        is_working = false;
        for (unsigned i = 0; i < CLIENTS; i++)
            is_working |= work_a_little(&fixture.clients[i]);
        if (pause_us > 0) usleep(pause_us);
        if (fixture.clients[0].answered / commands_between_checkpoints == asked) continue;
        asked = fixture.clients[0].answered / commands_between_checkpoints;
        (void)connection_ask(&admin, "BGSAVE"); /* or one is under way */
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        connection_close(&fixture.clients[i].connection);
    connection_close(&admin);
}

static void record_a_server(const char *fsync)
{
    fixture.fsync = fsync;
    record_set_sync_delay(fixture.record, 300);
    process_start(&fixture.server, record_os(fixture.record), fixture.data, fsync);
    /* Long enough for some syncs of everysec. */
    run_clients(COMMANDS / 5, strcmp(fsync, "everysec") == 0 ? 100000 : 0);
    process_kill(&fixture.server);
    ck_assert_uint_lt(record_count(fixture.record), EVENTS_MAX);
}

/* ---- what a server holds ----------------------------------------------------------------------
 */

/* The number of the bulk string at *at, which moves behind it. 0: none, or not as it was sent. */
static uint32_t take_value(const char **at, unsigned client)
{
    const char *bytes = strchr(*at, '\n') + 1;
    long size = strtol(*at + 1, NULL, 10);
    static struct text expected;
    unsigned owner = 0, number = 0;

    if (**at != '$' || size < 0) return 0;
    *at = bytes + size + 2;
    if (sscanf(bytes, "%u:%u:", &owner, &number) != 2 || owner != client) return 0;
    expected.size = 0;
    add_value(&expected, client, number);
    if (value_bytes(number) != (size_t)size) return 0;
    return memcmp(bytes, strchr(expected.bytes, '\n') + 1, (size_t)size) == 0 ? number : 0;
}

static bool read_list(struct connection *connection, unsigned client, unsigned list,
                      struct model *out)
{
    char command[32];
    const char *reply;
    long count;

    (void)snprintf(command, sizeof(command), "LRANGE %c%u 0 -1", 'a' + (int)list, client);
    reply = connection_ask(connection, command);
    count = strtol(reply + 1, NULL, 10);
    if (*reply != '*' || count > LENGTH_MAX) return false;
    reply = strchr(reply, '\n') + 1;
    out->lengths[list] = (unsigned)count;
    for (long i = 0; i < count; i++) {
        out->lists[list][i] = take_value(&reply, client);
        if (out->lists[list][i] == 0) return false;
    }
    return true;
}

static bool read_model(struct connection *connection, unsigned client, struct model *out)
{
    char command[32];
    const char *reply;

    memset(out, 0, sizeof(*out));
    if (!read_list(connection, client, 0, out) || !read_list(connection, client, 1, out))
        return false;
    (void)snprintf(command, sizeof(command), "GET s%u", client);
    reply = connection_ask(connection, command);
    if (strncmp(reply, "$-1", 3) == 0) return true;
    out->string = take_value(&reply, client);
    return out->string > 0;
}

static bool models_are_equal(const struct model *a, const struct model *b)
{
    if (a->string != b->string) return false;
    for (unsigned i = 0; i < 2; i++) {
        size_t bytes = a->lengths[i] * sizeof(a->lists[i][0]);
        if (a->lengths[i] != b->lengths[i]) return false;
        if (memcmp(a->lists[i], b->lists[i], bytes) != 0) return false;
    }
    return true;
}

/* Whether it is what the first so many commands, at least and at most, have made. */
static bool is_reached(unsigned client, const struct model *found, unsigned least, unsigned most)
{
    static struct model model;
    static struct text text;

    memset(&model, 0, sizeof(model));
    for (unsigned i = 0;; i++) {
        if (i >= least && models_are_equal(&model, found)) return true;
        if (i == most) return false;
        (void)do_command(client, i, &model, &text);
    }
}

/* ---- the oracle -------------------------------------------------------------------------------
 */

/* How many of a client's commands must be there when the power went behind so many events. */
static unsigned promised(const struct client *client, size_t event_count)
{
    unsigned count = 0;

    if (strcmp(fixture.fsync, "everysec") == 0) event_count = fixture.synced_at[event_count];
    while (count < client->answered && client->answered_at[count + 1] <= event_count)
        count++;
    return count;
}

/* For everysec. The log has one segment here. A sync was asked for some time before it began: after
 * the one before it had ended, that much can be seen. */
static void learn_syncs(void)
{
    uint32_t log_file = UINT32_MAX;
    size_t synced_at = 0, last_end = 0;

    for (size_t i = 0; i < record_count(fixture.record); i++) {
        const struct record_event *event = record_event(fixture.record, i);
        if (event->kind == RECORD_NAME && strstr(event->name, "1.log")) log_file = event->file;
        if (event->kind == RECORD_SYNC_END && event->file == log_file) {
            synced_at = last_end;
            last_end = i;
        }
        fixture.synced_at[i + 1] = synced_at;
    }
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

static bool is_loading(struct connection *connection)
{
    return strncmp(connection_ask(connection, "EXISTS a0"), "-LOADING", 8) == 0;
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
        } else if (!is_reached(i, &found, least, fixture.clients[i].sent)) {
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
    learn_syncs();
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
    ck_assert_msg(walk(soak_is_full() ? 1000 : 60, soak_is_full() ? 8 : 3, &figures) == 0,
                  "%s, seed %llu", fixture.fsync, (unsigned long long)soak_seed());
    (void)printf("%s: %llu states of %llu events\n", fixture.fsync,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
    ck_assert_uint_gt(figures.checked_count, 50);
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
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, whatever_the_disk_holds_a_server_finds_what_it_had_promised, 0,
                        soak_is_full() ? 10 : 2);
    tcase_add_loop_test(cases, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
