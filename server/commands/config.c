/* config.c - CONFIG GET SET RESETSTAT REWRITE over server/config. */
#include "server/config/config.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/io/io.h"
#include "modules/spill/store.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/local.h"
#include "server/commands/parking.h"
#include "server/commands/part_counters.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/commands/table.h"
#include "server/net/net.h"

int config_container(struct call *call)
{
    return call_unknown_subcommand(call);
}

/* CONFIG HELP */
int config_help(struct call *call)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    Names and values of the directives that match.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Sets all of them, or none if one is refused.",
        "RESETSTAT",
        "    Counts anew what INFO counts.",
        "REWRITE",
        "    Brings the configuration file up to date.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* ---- GET ------------------------------------------------------------------------------------ */

static void emit_pair(void *context, struct slice name, struct slice value)
{
    struct reply *reply = context;

    reply_bulk(reply, name);
    reply_bulk(reply, value);
}

/* CONFIG GET pattern [pattern ...] */
int config_get_command(struct call *call)
{
    const struct config *config = call->server->config;
    const struct slice *patterns = call->arguments + 2;
    const size_t count = call->argument_count - 2;
    int64_t found = config_get(config, patterns, count, NULL, NULL);

    if (found < 0) return (int)found;
    reply_map(call->reply, (uint64_t)found);
    if (config_get(config, patterns, count, emit_pair, call->reply) < 0) call_break_off(call);
    return 0;
}

/* ---- SET ------------------------------------------------------------------------------------ */

/* The slow log shows the call after it ran. */
static void hide_secrets(struct call *call)
{
    for (uint32_t i = 2; i + 1 < call->argument_count; i += 2) {
        if (config_is_sensitive(call->arguments[i]))
            call->arguments[i + 1] = SLICE_LITERAL("(redacted)");
    }
}

/* CONFIG SET directive value [directive value ...] */
int config_set_command(struct call *call)
{
    const uint32_t count = (call->argument_count - 2) / 2;
    struct config_error error = { .text = "" };
    struct config_pair *pairs;
    int rc;

    if (call->argument_count % 2 != 0) {
        hide_secrets(call);
        return call_syntax_error(call);
    }
    pairs = calloc(count, sizeof(*pairs));
    if (!pairs) return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        pairs[i] = (struct config_pair){ call->arguments[2 + 2 * i], call->arguments[3 + 2 * i] };
    rc = config_set(call->server->config, pairs, count, call_is_local(call), &error);
    free(pairs);
    hide_secrets(call);
    if (rc < 0) return call_errorf(call, "ERR %s", error.text);
    reply_ok(call->reply);
    return 0;
}

/* ---- RESETSTAT ------------------------------------------------------------------------------ */

static void reset_command(const struct command *command)
{
    *command->statistics = (struct command_statistics){ 0 };
}

/* CONFIG RESETSTAT */
int config_resetstat(struct call *call)
{
    struct server *server = call->server;
    struct statistics *statistics = server->statistics;

    for (uint32_t i = 0; i < command_count(server->table); i++) {
        const struct command *command = command_at(server->table, i);

        reset_command(command);
        for (uint32_t k = 0; k < command->child_count; k++)
            reset_command(command->children[k]);
    }
    *statistics = (struct statistics){ .ticks = statistics->ticks,
                                       .bucket_fraction = statistics->bucket_fraction,
                                       .slow_ticks = statistics->slow_ticks,
                                       .slowlog_us = statistics->slowlog_us,
                                       .latency_ms = statistics->latency_ms,
                                       .cpu_us = statistics->cpu_us,
                                       .cpu_sampled_us = statistics->cpu_sampled_us };
    part_counters_reset(server);
    net_reset_statistics(server->net);
    reply_ok(call->reply);
    return 0;
}

/* ---- REWRITE: in a fiber, while an I/O thread writes -------------------------------------------
 */

struct rewrite_job {
    struct io_job job;
    struct config_rewrite *rewrite;
    struct config_error error;
    struct spill_hooks hooks; /* that suspend the call and wake it again */
    bool is_done, is_abandoned;
};

static void run_job(struct io_job *job, struct os *os)
{
    struct rewrite_job *self = (struct rewrite_job *)job;

    (void)os; /* the configuration has its own, which is the same */
    job->rc = config_rewrite_run(self->rewrite, &self->error);
}

static void destroy_job(struct rewrite_job *self)
{
    config_rewrite_destroy(self->rewrite);
    free(self);
}

static void job_done(struct io_job *job)
{
    struct rewrite_job *self = (struct rewrite_job *)job;

    self->is_done = true;
    if (self->is_abandoned)
        destroy_job(self);
    else
        self->hooks.on_ready(self->hooks.context);
}

/* The client went while the file was being written: that goes on, and frees its job itself. */
static int wait_for_job(struct rewrite_job *self)
{
    while (!self->is_done) {
        int rc = self->hooks.wait(self->hooks.context);

        if (rc < 0 && !self->is_done) {
            self->is_abandoned = true;
            return rc;
        }
    }
    return 0;
}

/* CONFIG REWRITE */
int config_rewrite_command(struct call *call)
{
    struct rewrite_job *self;
    int rc;

    if (!call_can_suspend(call)) return -EAGAIN;
    self = calloc(1, sizeof(*self));
    if (!self) return -ENOMEM;
    self->job = (struct io_job){ .run = run_job, .done = job_done };
    self->hooks = parking_hooks(call->server);
    if (config_rewrite_prepare(call->server->config, &self->rewrite, &self->error) < 0) {
        (void)call_errorf(call, "ERR %s", self->error.text);
        destroy_job(self);
        return 0;
    }
    io_submit(call->server->io, &self->job);
    rc = wait_for_job(self);
    if (rc < 0) return rc;
    if (self->job.rc < 0)
        (void)call_errorf(call, "ERR %s", self->error.text);
    else
        reply_ok(call->reply);
    destroy_job(self);
    return 0;
}
