/* latency.c - LATENCY: events over server/observe/latency.h, histograms from what dispatch counts.
 */
#include "server/observe/latency.h"

#include <errno.h>
#include <stdlib.h>

#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/commands/table.h"
#include "server/config/config.h"
#include "server/net/loop.h"

int latency_container(struct call *call)
{
    return call_unknown_subcommand(call);
}

/* LATENCY HELP */
int latency_help(struct call *call)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    A report for people.",
        "GRAPH <event>",
        "    The samples of an event, drawn with characters.",
        "HISTORY <event>",
        "    The samples of an event: time and milliseconds.",
        "LATEST",
        "    The latest sample of every event: name, time, milliseconds, longest of all time.",
        "RESET [<event> ...]",
        "    Forgets these events, or all.",
        "HISTOGRAM [<command> ...]",
        "    For these commands, or all: calls that took at most so many microseconds.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* ---- events --------------------------------------------------------------------------------- */

/* LATENCY LATEST */
int latency_latest(struct call *call)
{
    const struct latency *latency = call->server->latency;
    const uint32_t count = latency_event_count(latency);

    reply_array(call->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct latency_event *event = latency_event_at(latency, i);
        const struct latency_sample last =
            latency_sample_at(event, latency_sample_count(event) - 1);

        reply_array(call->reply, 4);
        reply_bulk_string(call->reply, latency_name(event));
        reply_integer(call->reply, last.time_s);
        reply_integer(call->reply, last.latency_ms);
        reply_integer(call->reply, latency_worst_ms(event));
    }
    return 0;
}

/* LATENCY HISTORY event */
int latency_history(struct call *call)
{
    const struct latency_event *event =
        latency_event_find(call->server->latency, call->arguments[2]);
    const uint32_t count = event ? latency_sample_count(event) : 0;

    reply_array(call->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct latency_sample sample = latency_sample_at(event, i);

        reply_array(call->reply, 2);
        reply_integer(call->reply, sample.time_s);
        reply_integer(call->reply, sample.latency_ms);
    }
    return 0;
}

/* LATENCY RESET [event ...] */
int latency_reset_command(struct call *call)
{
    struct latency *latency = call->server->latency;
    int64_t count = 0;

    if (call->argument_count == 2) count = latency_reset(latency, slice_of(NULL, 0));
    for (uint32_t i = 2; i < call->argument_count; i++) {
        /* An empty name is no event; to latency_reset it would mean all. */
        if (call->arguments[i].size > 0) count += latency_reset(latency, call->arguments[i]);
    }
    reply_integer(call->reply, count);
    return 0;
}

/* ---- texts ---------------------------------------------------------------------------------- */

/* Closes out; -ENOMEM when what was written to it is not all there. */
static int finish_text(FILE *out)
{
    bool failed = ferror(out) != 0;

    failed |= fclose(out) != 0;
    return failed ? -ENOMEM : 0;
}

/* LATENCY GRAPH event */
int latency_graph_command(struct call *call)
{
    const struct latency_event *event =
        latency_event_find(call->server->latency, call->arguments[2]);
    char *text = NULL;
    size_t size = 0;
    FILE *out;
    int rc;

    if (!event)
        return call_errorf(call, "ERR No samples available for event '%.*s'",
                           (int)(call->arguments[2].size < 128 ? call->arguments[2].size : 128),
                           (const char *)call->arguments[2].bytes);
    out = open_memstream(&text, &size);
    if (!out) return -ENOMEM;
    latency_graph(event, loop_now_ms(call->server->loop) / 1000, out);
    rc = finish_text(out);
    if (rc == 0) reply_verbatim(call->reply, "txt", slice_of(text, size));
    free(text);
    return rc;
}

/* LATENCY DOCTOR */
int latency_doctor_command(struct call *call)
{
    const struct server *server = call->server;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int rc;

    if (!out) return -ENOMEM;
    latency_doctor(server->latency, server->config->latency_monitor_threshold_ms,
                   loop_now_ms(server->loop) / 1000, out);
    rc = finish_text(out);
    if (rc == 0) reply_verbatim(call->reply, "txt", slice_of(text, size));
    free(text);
    return rc;
}

/* ---- histograms ----------------------------------------------------------------------------- */

struct histogram {
    uint64_t border_us[LATENCY_BUCKETS], calls[LATENCY_BUCKETS]; /* calls: up to that border */
    uint32_t count;
};

/* Buckets that end at the same microsecond become one. */
static void make_histogram(const struct command_statistics *counts, struct histogram *histogram)
{
    uint64_t calls = 0;

    histogram->count = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        uint64_t us = statistics_border_ns(i) / 1000;

        if (counts->histogram[i] == 0) continue;
        if (us == 0) us = 1;
        calls += counts->histogram[i];
        if (histogram->count == 0 || histogram->border_us[histogram->count - 1] != us)
            histogram->border_us[histogram->count++] = us;
        histogram->calls[histogram->count - 1] = calls;
    }
}

/* False: nothing was counted, latency-tracking was off all the time. */
static bool has_histogram(const struct command *command)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        if (command->statistics->histogram[i] > 0) return true;
    }
    return false;
}

static void reply_histogram(struct call *call, const struct command *command)
{
    struct histogram histogram;

    make_histogram(command->statistics, &histogram);
    reply_bulk_string(call->reply, command->full_name);
    reply_map(call->reply, 2);
    reply_bulk_string(call->reply, "calls");
    reply_integer(call->reply, (int64_t)histogram.calls[histogram.count - 1]);
    reply_bulk_string(call->reply, "histogram_usec");
    reply_map(call->reply, histogram.count);
    for (uint32_t i = 0; i < histogram.count; i++) {
        reply_integer(call->reply, (int64_t)histogram.border_us[i]);
        reply_integer(call->reply, (int64_t)histogram.calls[i]);
    }
}

/* A command and its subcommands, as far as they were called; with is_shown they are answered.
 * Returns how many they are. */
static uint64_t each_called(struct call *call, const struct command *command, bool is_shown)
{
    uint64_t count = has_histogram(command);

    if (count > 0 && is_shown) reply_histogram(call, command);
    for (uint32_t i = 0; i < command->child_count; i++) {
        if (!has_histogram(command->children[i])) continue;
        count++;
        if (is_shown) reply_histogram(call, command->children[i]);
    }
    return count;
}

static uint64_t each_asked_for(struct call *call, bool is_shown)
{
    const struct command_table *table = call->server->table;
    uint64_t count = 0;

    if (call->argument_count == 2) {
        for (uint32_t i = 0; i < command_count(table); i++)
            count += each_called(call, command_at(table, i), is_shown);
    }
    for (uint32_t i = 2; i < call->argument_count; i++) {
        const struct command *command = command_find_full(call->server->table, call->arguments[i]);

        if (command) count += each_called(call, command, is_shown);
    }
    return count;
}

/* LATENCY HISTOGRAM [command ...] */
int latency_histogram(struct call *call)
{
    reply_map(call->reply, each_asked_for(call, false));
    (void)each_asked_for(call, true);
    return 0;
}
