/* part_counters.h - what engines count since they were made, and INFO shows since CONFIG RESETSTAT.
 *
 * Engines never start anew: others compare their counters, too. So the figures of the last
 * RESETSTAT are kept in struct statistics and subtracted. Loop thread only. */
#ifndef SERVER_COMMANDS_PART_COUNTERS_H
#define SERVER_COMMANDS_PART_COUNTERS_H
#include <stdint.h>

struct server;

/* Only uint64_t, each a count that never falls. */
struct part_counters {
    uint64_t expired_keys;
    uint64_t evicted_chunks, evicted_bytes, fetched_chunks, fetched_bytes, prefetched_chunks;
    uint64_t writes, write_errors, reads, read_errors, checksum_errors;
    uint64_t punched_bytes, truncated_bytes, waits;
};

/* Since the last reset. */
void part_counters_since_reset(const struct server *server, struct part_counters *out_counters);
/* Since the engines were made. */
void part_counters_since_start(const struct server *server, struct part_counters *out_counters);
/* Another store has taken the place of the one that counted before: what is shown goes on. */
void part_counters_carry(struct server *server, const struct part_counters *before);
void part_counters_reset(struct server *server);
#endif
