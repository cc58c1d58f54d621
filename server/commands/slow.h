/* slow.h - what becomes of a call that took long: slow log and latency events. */
#ifndef SERVER_COMMANDS_SLOW_H
#define SERVER_COMMANDS_SLOW_H
#include "server/commands/command.h"

/* ticks: its own work, without what it waited for. */
void slow_call(struct call *call, uint64_t ticks);
/* slowlog-log-slower-than and latency-monitor-threshold changed: sets statistics->slow_ticks. */
void slow_set_thresholds(struct server *server, int64_t slowlog_us, int64_t latency_ms);
#endif
