#include "server/commands/slow.h"

#include "modules/base/clock.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/statistics.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/observe/latency.h"
#include "server/observe/slowlog.h"

static struct slice text_slice(const char *text)
{
    return text ? slice_of_string(text) : (struct slice){ 0 };
}

static void add_to_slowlog(struct call *call, uint64_t us)
{
    const struct session *session = call->session;
    struct slowlog_entry entry = {
        .time_s = loop_now_ms(call->server->loop) / 1000,
        .duration_us = us,
        .arguments = call->arguments,
        .argument_count = call->argument_count,
        .peer = session ? text_slice(client_peer_text(session->client)) : (struct slice){ 0 },
        .client_name = session ? text_slice(session->name) : (struct slice){ 0 },
    };

    (void)slowlog_add(call->server->slowlog, &entry); /* an observer must not make a command fail */
}

void slow_call(struct call *call, uint64_t ticks)
{
    const struct statistics *statistics = call->server->statistics;
    uint64_t us = ticks_to_us(&statistics->ticks, ticks);

    if (statistics->slowlog_us >= 0 && us >= (uint64_t)statistics->slowlog_us &&
        !(call->command->flags & COMMAND_SKIP_SLOWLOG))
        add_to_slowlog(call, us);
    if (statistics->latency_ms > 0 && us / 1000 >= (uint64_t)statistics->latency_ms)
        (void)latency_add(call->server->latency,
                          call->command->flags & COMMAND_FAST ? "fast-command" : "command",
                          loop_now_ms(call->server->loop) / 1000,
                          us / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(us / 1000));
}

/* us in ticks, rounded down: slow_call looks again at the exact figures. */
static uint64_t ticks_of(const struct ticks *ticks, uint64_t us)
{
    uint64_t ticks_a_second =
        ticks->us_per_tick_fraction
            ? (uint64_t)(((unsigned __int128)1000000 << 32) / ticks->us_per_tick_fraction)
            : 0;
    unsigned __int128 wide = (unsigned __int128)us * ticks_a_second / 1000000;

    return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

void slow_set_thresholds(struct server *server, int64_t slowlog_us, int64_t latency_ms)
{
    struct statistics *statistics = server->statistics;
    uint64_t least_us = UINT64_MAX;

    statistics->slowlog_us = slowlog_us;
    statistics->latency_ms = latency_ms;
    if (slowlog_us >= 0) least_us = (uint64_t)slowlog_us;
    if (latency_ms > 0 && (uint64_t)latency_ms < least_us / 1000)
        least_us = (uint64_t)latency_ms * 1000;
    statistics->slow_ticks =
        least_us == UINT64_MAX ? UINT64_MAX : ticks_of(&statistics->ticks, least_us);
}
