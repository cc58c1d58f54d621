#include "client-tests/lib/pair.h"
#include "client-tests/lib/clock.h"
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 600, HISTORY_SHOWN_BYTES = 120, DIFFERENCES_SHOWN_MAX = 60 };

/* A reply that has not come by then counts as none: the walks of a test take far less. After a few
 * of them there is nothing to learn from the rest. */
enum { REPLY_WAIT_MS = WAIT_MS / 2, SILENCES_MAX = 3 };

/* ---- showing ------------------------------------------------------------------------------------
 */

/* A command in RESP as a line: its arguments, long ones shortened. */
static void show_command(struct text *out, const struct text *command)
{
    const char *at = strchr(text_string(command), '\n');
    const char *end = text_string(command) + command->size;

    if (command->size == 0 || command->bytes[0] != '*') {
        text_add_shortened(out, text_string(command), command->size, SHOWN_BYTES);
        return;
    }
    for (at = at ? at + 1 : end; at < end && *at == '$';) {
        size_t size = strtoul(at + 1, NULL, 10);
        at = strchr(at, '\n') + 1;
        if (out->size > 0) text_add_string(out, " ");
        text_add_shortened(out, at, size, 60);
        at += size + 2;
        if (out->size > SHOWN_BYTES) {
            text_add_string(out, " …");
            break;
        }
    }
}

/* ---- servers and connections -------------------------------------------------------------------
 */

void pair_start(struct pair *pair, const char *const *own_arguments)
{
    static const char *const redis_arguments[] = { "--enable-debug-command", "yes",
                                                   "--enable-module-command", "no", NULL };
    static const char *const both[] = { "--maxclients", "4000", NULL };
    struct server_options options = { .arguments = both,
                                      .own_arguments = own_arguments,
                                      .redis_arguments = redis_arguments };

    *pair = (struct pair){ .protocol = 2, .keeps_history = true };
    server_start(&pair->ours, &options);
    server_start_redis(&pair->redis, &options);
    pair->control_ours = wire_open(&pair->ours);
    pair->control_redis = wire_open(&pair->redis);
}

static void close_connection(struct pair_connection *both)
{
    wire_close(both->ours);
    wire_close(both->redis);
    *both = (struct pair_connection){ .ours = NULL };
}

void pair_finish(struct pair *pair)
{
    for (int i = 0; i < PAIR_CONNECTIONS_MAX; i++)
        close_connection(&pair->connections[i]);
    wire_close(pair->control_ours);
    wire_close(pair->control_redis);
    server_stop(&pair->ours);
    server_stop(&pair->redis);
    for (int i = 0; i < PAIR_HISTORY_MAX; i++) {
        text_finish(&pair->history[i].command);
        text_finish(&pair->history[i].ours);
        text_finish(&pair->history[i].redis);
    }
    text_finish(&pair->report);
}

void pair_finish_equal(struct pair *pair)
{
    unsigned count = pair->difference_count;

    /* Check has no room for a message of any length, and ending a server may find one more fault.
     */
    if (count > 0) printf("%s\n", text_string(&pair->report));
    (void)fflush(stdout);
    pair_finish(pair);
    ck_assert_msg(count == 0, "%u differences, printed above", count);
}

static void open_connection(struct pair *pair, int connection)
{
    struct pair_connection *both = &pair->connections[connection];

    ck_assert_int_lt(connection, PAIR_CONNECTIONS_MAX);
    if (both->ours) return;
    both->ours = wire_open(&pair->ours);
    both->redis = wire_open(&pair->redis);
    if (pair->protocol == 3) {
        wire_command(both->ours, "HELLO 3"); /* its reply names server and version: not compared */
        wire_command(both->redis, "HELLO 3");
        wire_skip(both->ours, 1);
        wire_skip(both->redis, 1);
    }
}

static long info_clients(struct wire *control, const char *field)
{
    struct text info = { 0 };
    const char *found;
    long value;

    wire_command(control, "INFO clients");
    if (wire_read(control, &info) != 1) ck_abort_msg("INFO clients: connection closed");
    found = strstr(text_string(&info), field);
    if (!found) ck_abort_msg("INFO clients has no %s", field);
    value = strtol(found + strlen(field), NULL, 10);
    text_finish(&info);
    return value;
}

static long blocked_count(struct wire *control)
{
    return info_clients(control, "\nblocked_clients:");
}

static void wait_connected(struct wire *control, long count)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (info_clients(control, "\nconnected_clients:") != count) {
        if (!clock_probe(deadline_ms)) ck_abort_msg("closed connections stay in connected_clients");
    }
}

void pair_reset(struct pair *pair, int protocol)
{
    for (int i = 0; i < PAIR_CONNECTIONS_MAX; i++)
        close_connection(&pair->connections[i]);
    wait_connected(pair->control_ours, 1);
    wait_connected(pair->control_redis, 1);
    wire_command(pair->control_ours, "FLUSHALL");
    wire_command(pair->control_redis, "FLUSHALL");
    wire_skip(pair->control_ours, 1);
    wire_skip(pair->control_redis, 1);
    pair->protocol = protocol;
    pair->command_count = 0;
}

static void wait_blocked(struct wire *control, long count)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (blocked_count(control) != count) {
        if (!clock_probe(deadline_ms)) ck_abort_msg("a client that vanished stays blocked");
    }
}

static long count_blocked(const struct pair *pair)
{
    long count = 0;

    for (int i = 0; i < PAIR_CONNECTIONS_MAX; i++)
        count += pair->connections[i].is_blocked ? 1 : 0;
    return count;
}

void pair_drop(struct pair *pair, int connection)
{
    bool was_blocked = pair->connections[connection].is_blocked;

    close_connection(&pair->connections[connection]);
    if (!was_blocked) return;
    wait_blocked(pair->control_redis, count_blocked(pair));
    wait_blocked(pair->control_ours, count_blocked(pair));
}

/* ---- differences -------------------------------------------------------------------------------
 */

static void add_history(struct pair *pair)
{
    uint64_t count = pair->command_count;
    uint64_t first = count > PAIR_HISTORY_MAX ? count - PAIR_HISTORY_MAX : 0;

    if (!pair->keeps_history) return;
    text_add_string(&pair->report, "  the commands before it, oldest first:\n");
    for (uint64_t i = first; i < count; i++) {
        struct pair_history *entry = &pair->history[i % PAIR_HISTORY_MAX];
        struct text shown = { 0 };
        show_command(&shown, &entry->command);
        text_format(&pair->report, "    @%d %s\n       -> ", entry->connection,
                    text_string(&shown));
        text_add_shortened(&pair->report, text_string(&entry->redis), entry->redis.size,
                           HISTORY_SHOWN_BYTES);
        text_add_string(&pair->report, "\n");
        text_finish(&shown);
    }
}

static bool is_reported(struct pair *pair)
{
    return ++pair->difference_count <= DIFFERENCES_SHOWN_MAX;
}

void pair_differ(struct pair *pair, const char *format, ...)
{
    char message[1000];
    va_list arguments;

    if (!is_reported(pair)) return;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    text_format(&pair->report, "%s: %s\n", pair->place, message);
    add_history(pair);
}

static struct pair_history *last_command(struct pair *pair, int connection)
{
    uint64_t count = pair->command_count;

    for (uint64_t i = count; i > 0 && count - i < PAIR_HISTORY_MAX; i--) {
        struct pair_history *entry = &pair->history[(i - 1) % PAIR_HISTORY_MAX];
        if (entry->connection == connection) return entry;
    }
    return NULL;
}

static void report_replies(struct pair *pair, int connection, const struct text *ours,
                           const struct text *redis)
{
    struct pair_history *entry = last_command(pair, connection);
    struct text shown = { 0 };

    if (!is_reported(pair)) return;
    if (entry) show_command(&shown, &entry->command);
    text_format(&pair->report, "%s: @%d (RESP%d) %s\n  redis: ", pair->place, connection,
                pair->protocol, text_string(&shown));
    text_add_shortened(&pair->report, text_string(redis), redis->size, SHOWN_BYTES);
    text_add_string(&pair->report, "\n  ours:  ");
    text_add_shortened(&pair->report, text_string(ours), ours->size, SHOWN_BYTES);
    text_add_string(&pair->report, "\n");
    add_history(pair);
    text_finish(&shown);
}

static bool equal_bytes(const struct text *a, const struct text *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static bool equal_sorted(const struct text *a, const struct text *b)
{
    struct text first = { 0 }, second = { 0 };
    bool equal;

    resp_render_sorted(&first, text_string(a), a->size);
    resp_render_sorted(&second, text_string(b), b->size);
    equal = equal_bytes(&first, &second);
    text_finish(&first);
    text_finish(&second);
    return equal;
}

/* The servers did not do it at the same moment, and on a busy machine a second may lie between.
 * What is no time (-1, -2) is compared as it is. */
static bool are_near(const struct text *a, const struct text *b)
{
    enum { SECONDS = 10 };
    long long first, second;

    if (text_string(a)[0] != ':' || text_string(b)[0] != ':') return equal_bytes(a, b);
    first = atoll(text_string(a) + 1);
    second = atoll(text_string(b) + 1);
    if (first < 0 || second < 0) return first == second;
    return llabs(first - second) <= SECONDS;
}

static bool have_one_head(const struct text *ours, const struct text *redis)
{
    size_t length = 1;

    if (redis->size > 0 && strchr("-*%~", redis->bytes[0])) length = strcspn(redis->bytes, "\r");
    return ours->size >= length && redis->size >= length &&
           memcmp(ours->bytes, redis->bytes, length) == 0;
}

/* A line that is there, with its end. */
static size_t line_size(const struct text *text, size_t at)
{
    const char *end = memchr(text->bytes + at, '\n', text->size - at);

    return end ? (size_t)(end - (text->bytes + at)) + 1 : text->size - at;
}

/* Rows of an id, a consumer, a time and a count, without the times. */
static void add_without_idle(struct text *out, const struct text *reply)
{
    int lines_left = -1; /* until the line with the time; -1: no row is near */

    for (size_t at = 0, size; at < reply->size; at += size) {
        size = line_size(reply, at);
        if (lines_left == 0)
            text_add_string(out, ":idle\r\n");
        else
            text_add(out, reply->bytes + at, size);
        if (lines_left >= 0) lines_left--;
        if (size == 4 && memcmp(reply->bytes + at, "*4\r\n", size) == 0) lines_left = 4;
    }
}

static bool equal_without_idle(const struct text *a, const struct text *b)
{
    struct text first = { 0 }, second = { 0 };
    bool equal;

    add_without_idle(&first, a);
    add_without_idle(&second, b);
    equal = equal_bytes(&first, &second);
    text_finish(&first);
    text_finish(&second);
    return equal;
}

static bool equal_replies(const struct text *ours, const struct text *redis,
                          enum pair_compare compare)
{
    switch (compare) {
    case PAIR_SORTED:
        return equal_sorted(ours, redis);
    case PAIR_NEAR:
        return are_near(ours, redis);
    case PAIR_TYPE:
        return text_string(ours)[0] == text_string(redis)[0];
    case PAIR_HEAD:
        return have_one_head(ours, redis);
    case PAIR_IDLE:
        return equal_without_idle(ours, redis);
    case PAIR_CODE:
        if (text_string(ours)[0] == '-' && text_string(redis)[0] == '-') {
            size_t length = strcspn(text_string(redis), " \r");
            return strcspn(text_string(ours), " \r") == length &&
                   memcmp(ours->bytes, redis->bytes, length) == 0;
        }
        return equal_bytes(ours, redis);
    case PAIR_NOTHING:
        return true;
    case PAIR_BYTES:
        break;
    }
    return equal_bytes(ours, redis);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static void note_command(struct pair *pair, int connection, const struct text *command)
{
    struct pair_history *entry = &pair->history[pair->command_count++ % PAIR_HISTORY_MAX];

    entry->connection = connection;
    text_clear(&entry->command);
    text_add(&entry->command, text_string(command), command->size);
    text_clear(&entry->ours);
    text_clear(&entry->redis);
}

void pair_send(struct pair *pair, int connection, const struct text *command)
{
    struct pair_connection *both = &pair->connections[connection];

    open_connection(pair, connection);
    note_command(pair, connection, command);
    (void)wire_send(both->redis, command->bytes, command->size); /* an end shows when reading */
    (void)wire_send(both->ours, command->bytes, command->size);
}

/* What one side says; "no reply" is a reply too, so that the report can show it. */
static int read_side(struct pair *pair, struct wire *wire, struct text *out)
{
    int rc = wire_wait(wire, REPLY_WAIT_MS) ? wire_read(wire, out) : -ETIMEDOUT;

    if (rc == 0) text_add_string(out, "(connection closed)");
    if (rc < 0) {
        text_add_string(out, "(no reply)");
        pair->silence_count++;
    }
    return rc;
}

bool pair_read(struct pair *pair, int connection, enum pair_compare compare, struct text *reply)
{
    struct pair_connection *both = &pair->connections[connection];
    struct pair_history *entry = last_command(pair, connection);
    struct text ours = { 0 }, redis = { 0 };
    int rc_redis = read_side(pair, both->redis, &redis);
    int rc_ours = read_side(pair, both->ours, &ours);
    bool equal = rc_redis == rc_ours && equal_replies(&ours, &redis, compare);

    if (entry) {
        text_add(&entry->redis, text_string(&redis), redis.size);
        text_add(&entry->ours, text_string(&ours), ours.size);
    }
    if (!equal) report_replies(pair, connection, &ours, &redis);
    if (reply) text_add(reply, text_string(&redis), redis.size);
    if (rc_redis != 1 || rc_ours != 1) pair_drop(pair, connection); /* opened anew when next used */
    text_finish(&ours);
    text_finish(&redis);
    return equal;
}

enum outcome { REPLIED, BLOCKED, SILENT };

/* Until there is a reply, or one client more is blocked than before. */
static enum outcome reply_or_block(struct wire *wire, struct wire *control, long blocked_before)
{
    int64_t deadline_ms = clock_ms() + REPLY_WAIT_MS;

    while (!wire_wait(wire, PROBE_MS)) {
        if (blocked_count(control) == blocked_before + 1) return BLOCKED;
        if (clock_ms() >= deadline_ms) return SILENT;
    }
    return REPLIED;
}

bool pair_settle(struct pair *pair)
{
    long before = count_blocked(pair), after = before ? blocked_count(pair->control_redis) : 0;
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    bool equal = true;

    if (after == before) {
        /* What our server may have done too much: it would show as a blocked client less. */
        if (before && blocked_count(pair->control_ours) != before) {
            pair_differ(pair, "%ld clients are blocked in redis, not in ours", before);
            return false;
        }
        return true;
    }
    for (long left = before - after; left > 0;) {
        int served = -1;
        for (int i = 0; i < PAIR_CONNECTIONS_MAX && served < 0; i++) {
            if (pair->connections[i].is_blocked && wire_wait(pair->connections[i].redis, 0))
                served = i;
        }
        if (served < 0) {
            if (!clock_probe(deadline_ms)) ck_abort_msg("a served client has no reply in redis");
            continue;
        }
        pair->connections[served].is_blocked = false;
        left--;
        equal = pair_read(pair, served, pair->connections[served].blocked_compare, NULL) && equal;
    }
    while (blocked_count(pair->control_ours) != after) {
        if (clock_probe(deadline_ms)) continue;
        pair_differ(pair, "%ld clients are blocked in redis, %ld in ours", after,
                    blocked_count(pair->control_ours));
        return false;
    }
    return equal;
}

bool pair_ask(struct pair *pair, int connection, const struct text *command,
              enum pair_compare compare, struct text *reply)
{
    static const char *const words[] = { "replied", "blocked", "said nothing" };
    struct pair_connection *both = &pair->connections[connection];
    long before = count_blocked(pair);
    enum outcome redis = REPLIED, ours = REPLIED;

    pair_send(pair, connection, command);
    /* Only a command that blocks is followed by silence; the rest answer before this looks twice.
     */
    if (!wire_wait(both->redis, 2 * PROBE_MS)) {
        redis = reply_or_block(both->redis, pair->control_redis, before);
        if (redis != REPLIED) ours = reply_or_block(both->ours, pair->control_ours, before);
    }
    if (redis == REPLIED) return pair_read(pair, connection, compare, reply) && pair_settle(pair);
    if (redis == BLOCKED && ours == BLOCKED) {
        both->is_blocked = true;
        both->blocked_compare = compare;
        return true;
    }
    pair->silence_count++;
    pair_differ(pair, "redis %s, ours %s", words[redis], words[ours]);
    pair_drop(pair, connection);
    return false;
}

bool pair_block(struct pair *pair, int connection, const struct text *command,
                enum pair_compare compare)
{
    if (!pair_ask(pair, connection, command, compare, NULL)) return false;
    if (pair->connections[connection].is_blocked) return true;
    pair_differ(pair, "the command should have blocked, but both replied");
    return false;
}

bool pair_expect_end(struct pair *pair, int connection)
{
    struct pair_connection *both = &pair->connections[connection];
    struct text ours = { 0 }, redis = { 0 };
    bool ended = wire_read(both->redis, &redis) == 0;

    ck_assert_msg(ended, "redis-server does not close the connection here");
    ended = wire_wait(both->ours, WAIT_MS / 10) && wire_read(both->ours, &ours) == 0;
    if (!ended) pair_differ(pair, "redis closes the connection, ours does not");
    text_finish(&ours);
    text_finish(&redis);
    pair_drop(pair, connection);
    return ended;
}

bool pair_is_hopeless(const struct pair *pair)
{
    return pair->silence_count >= SILENCES_MAX;
}
