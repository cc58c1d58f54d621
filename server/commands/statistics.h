/* statistics.h - what dispatch counts, for INFO and LATENCY HISTOGRAM. Loop thread only. */
#ifndef SERVER_COMMANDS_STATISTICS_H
#define SERVER_COMMANDS_STATISTICS_H
#include "modules/base/clock.h"
#include "modules/base/slice.h"
#include "server/commands/part_counters.h"
#include "server/observe/rates.h"

enum { LATENCY_BUCKETS = 32, ERROR_CODES_MAX = 128, ERROR_CODE_BYTES = 32 };
enum { STATISTICS_LONG_TICK_US = 1000 };

struct command_statistics {
    uint64_t calls, ticks;   /* ticks: of clock_ticks */
    uint64_t rejected_calls; /* refused before they ran: arity, memory, authentication */
    uint64_t failed_calls;   /* ran and answered an error */
    uint64_t histogram[LATENCY_BUCKETS]; /* up to statistics_border_ns; the last takes the rest */
};

struct session;

struct statistics {
    struct ticks ticks;
    uint64_t bucket_fraction; /* of a histogram's unit a tick, times 2^32; 0: none are kept */
    /* When the last call ended, and whose it was: the next one of that client in this turn began
     * then, so one reading of the counter serves both. NULL: read it anew. */
    uint64_t ended_at;
    const struct session *ended_session;
    uint64_t commands_processed;
    uint64_t keyspace_hits, keyspace_misses;
    uint64_t
        slow_ticks; /* calls from here on go to the slow log or latency events; UINT64_MAX: none */
    int64_t slowlog_us, latency_ms; /* the thresholds that slow_ticks comes from */
    uint64_t error_replies;         /* total_error_replies */
    struct error_statistics {
        char code[ERROR_CODE_BYTES];
        uint64_t count;
    } errors[ERROR_CODES_MAX]; /* in order of appearance; beyond the last all count as the last */
    uint32_t error_count;
    uint64_t parked_commands;    /* that waited for the disk in a fiber */
    uint64_t queued_commands;    /* that queued behind a key in operation */
    uint64_t throttled_commands; /* that waited for eviction to make room */
    uint64_t unblocked_clients;
    /* Since start or CONFIG RESETSTAT: the longest turn of the loop, and the most that one which
     * took STATISTICS_LONG_TICK_US had of a processor (up to that much may be of the turns before
     * it); the rest it waited for one. */
    uint64_t max_tick_us, max_tick_cpu_us;
    uint64_t cpu_us, cpu_sampled_us; /* of the loop's thread; and when that was asked for */
    uint64_t expiry_caps;            /* turns that left keys which were due for the next */
    struct rates rates;              /* sampled once a turn at most */
    uint64_t slices;                 /* times that a long operation let others go first */
    struct part_counters at_reset;   /* what the last CONFIG RESETSTAT found */
};

/* At the end of each turn of the loop, on its thread. */
void statistics_end_tick(struct statistics *statistics, uint64_t began_us);
void statistics_count_error(struct statistics *statistics, const char *code);
/* latency-tracking: whether calls are counted in histograms from now on. */
void statistics_track_latency(struct statistics *statistics, bool is_tracking);
/* The longest time that a bucket's calls took, as Redis's histograms have it. */
uint64_t statistics_border_ns(unsigned bucket);

static inline void statistics_count_latency(const struct statistics *statistics,
                                            struct command_statistics *command, uint64_t ticks)
{
    uint64_t units;
    unsigned bucket;

    if (statistics->bucket_fraction == 0) return;
    units = (uint64_t)(((unsigned __int128)ticks * statistics->bucket_fraction) >> 32);
    bucket = units ? 64u - (unsigned)__builtin_clzll(units) : 0;
    command->histogram[bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1]++;
}
#endif
