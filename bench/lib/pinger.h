/* pinger.h - another client, which sends a PING every half millisecond and measures its round trip.
 *
 * A server that stands still for a second has delayed two thousand of them: those that became due
 * while one was on its way are sent together then, and count from when they were due. It runs on a
 * thread of its own. What it measured is kept by phases, which are numbers of the caller's.
 * Everything fails the benchmark (bench_fail) instead of returning an error. */
#ifndef BENCH_LIB_PINGER_H
#define BENCH_LIB_PINGER_H
#include <stdint.h>

#include "bench/lib/summary.h"

enum { PINGER_PHASES_MAX = 16, PINGER_INTERVAL_NS = 500 * 1000 };

struct pinger;

/* Phase 0. */
struct pinger *pinger_start(uint16_t port);
/* Of the PINGs that are sent from now on; below PINGER_PHASES_MAX. */
void pinger_set_phase(struct pinger *pinger, int phase);
/* Returns when it has ended. */
void pinger_stop(struct pinger *pinger);
/* Of one that has been stopped; good until pinger_destroy. */
const struct histogram *pinger_times_us(const struct pinger *pinger, int phase);
/* Of one that has been stopped, or NULL. */
void pinger_destroy(struct pinger *pinger);
#endif
