/* test_power_walk.h - for test_power_loss.c and test_power_switches.c: servers are started on what
 * the disk may hold behind each event of the record (power.h), and asked for what was promised:
 * with `always` all that was answered, with `everysec` all that was answered before the last sync
 * was asked for, and perhaps some that had been sent.
 *
 * They live some time later, as those do who find the power back: what has a time to live is not
 * to end in a walk, which may take long, on a machine that may sleep. */
#ifndef SERVER_TEST_POWER_WALK_H
#define SERVER_TEST_POWER_WALK_H
#include "modules/base/test_states.h"
#include "modules/base/test_soak.h"
#include "server/test_power_work.h"
#include "server/test_wrapped_clock.h"

/* How many of a client's commands must be there when the power went behind so many events. */
static inline unsigned promised(const struct client *client, size_t event_count)
{
    const struct off *off = offs_at(&fixture.offs, event_count);
    unsigned count = 0;

    if (off) return off->answered[client->number];
    if (syncs_each_second()) event_count = fixture.synced_at[event_count];
    while (count < client->answered && client->answered_at[count + 1] <= event_count)
        count++;
    return count;
}

/* Of all clients, for power.h: what holds too little looks as it did when less was promised. */
static inline uint64_t promised_to_all(void *context, size_t event_count)
{
    uint64_t all = 0;

    (void)context;
    for (unsigned i = 0; i < CLIENTS; i++)
        all = all * (COMMANDS + 1) + promised(&fixture.clients[i], event_count);
    return all;
}

static inline int wrong(const struct power_state *state, const char *why, unsigned client)
{
    char command[160];

    (void)fprintf(stderr, "state %llu behind event %zu (%s): %s, client %u\n",
                  (unsigned long long)state->number, state->event_count, state->text, why, client);
    (void)snprintf(command, sizeof(command), "tail -n 5 %s >&2", fixture.recovered.log_path);
    if (!getenv("SLUICE_TEST_QUIET")) (void)!system(command);
    return -1;
}

static inline int check_server(const struct power_state *state)
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

static inline int serve_later(void *os, int count, char *const *arguments)
{
    static const _Atomic int64_t month_ms = INT64_C(30) * 24 * 3600 * 1000;

    clock_ahead_ms = &month_ms;
    return process_serve(os, count, arguments);
}

static inline void recover(const struct power_state *state)
{
    process_start_as(&fixture.recovered, serve_later, os_real(), state->directory, fixture.fsync);
}

static inline int check_state(void *context, const struct power_state *state)
{
    int rc;

    (void)context;
    recover(state);
    rc = check_server(state);
    process_kill(&fixture.recovered);
    if (rc < 0 || state->number % 7 != 0) return rc;
    /* It was killed right after it had recovered: another finds the same. */
    recover(state);
    rc = check_server(state);
    process_kill(&fixture.recovered);
    return rc;
}

static inline int walk(unsigned points, unsigned states, struct power_figures *figures)
{
    size_t events = record_count(fixture.record);
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .seed = fixture.seed,
                              .states_per_event = states,
                              .event_step = (unsigned)(events / points) | 1,
                              .promise = promised_to_all,
                              .check = check_state };

    learn_syncs(fixture.record, &fixture.segments, fixture.synced_at);
    return states_walk(&all, figures);
}

/* Each state is a start of a server: `make check` has time for few, always the same. */
static inline int walk_scaled(struct power_figures *figures)
{
    return soak_is_full() ? walk(1000, 8, figures) : walk(75, 3, figures);
}
#endif
