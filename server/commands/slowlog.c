/* slowlog.c - SLOWLOG GET LEN RESET over server/observe/slowlog.h. */
#include "server/observe/slowlog.h"

#include "modules/base/number.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"

int slowlog_container(struct call *call)
{
    return call_unknown_subcommand(call);
}

/* SLOWLOG HELP */
int slowlog_help(struct call *call)
{
    static const char *const lines[] = {
        "GET [<count>]",
        "    The latest slow calls: 10, or count, or -1 for all. Each has its id, time,",
        "    microseconds, arguments, client address, client name.",
        "LEN",
        "    How many there are.",
        "RESET",
        "    Forgets them.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

static void reply_entry(struct reply *reply, const struct slowlog_entry *entry)
{
    reply_array(reply, 6);
    reply_integer(reply, (int64_t)entry->id);
    reply_integer(reply, entry->time_s);
    reply_integer(reply, (int64_t)entry->duration_us);
    reply_array(reply, entry->argument_count);
    for (uint32_t i = 0; i < entry->argument_count; i++)
        reply_bulk(reply, entry->arguments[i]);
    reply_bulk(reply, entry->peer);
    reply_bulk(reply, entry->client_name);
}

/* SLOWLOG GET [count] */
int slowlog_get(struct call *call)
{
    const struct slowlog *slowlog = call->server->slowlog;
    const struct slowlog_entry *entry = slowlog_latest(slowlog);
    uint64_t count = slowlog_length(slowlog);
    int64_t wanted = 10;

    if (call->argument_count > 3) return call_wrong_subcommand_arity(call);
    if (call->argument_count == 3 &&
        (!number_parse_int64(call->arguments[2], &wanted) || wanted < -1))
        return call_error(call, "ERR count should be greater than or equal to -1");
    if (wanted >= 0 && (uint64_t)wanted < count) count = (uint64_t)wanted;
    reply_array(call->reply, count);
    while (count-- > 0) {
        reply_entry(call->reply, entry);
        entry = slowlog_before(entry);
    }
    return 0;
}

/* SLOWLOG LEN */
int slowlog_len(struct call *call)
{
    reply_integer(call->reply, (int64_t)slowlog_length(call->server->slowlog));
    return 0;
}

/* SLOWLOG RESET */
int slowlog_reset_command(struct call *call)
{
    slowlog_reset(call->server->slowlog);
    reply_ok(call->reply);
    return 0;
}
