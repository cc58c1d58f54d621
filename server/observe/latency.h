/* latency.h - when which kind of work took long: what LATENCY shows.
 *
 * An event has a name and its latest LATENCY_SAMPLES_MAX samples, one for each second in which
 * something of that name took long: the longest of it. Nothing here reads a clock. Loop thread
 * only. */
#ifndef SERVER_OBSERVE_LATENCY_H
#define SERVER_OBSERVE_LATENCY_H
#include "modules/base/slice.h"
#include <stdio.h>

struct latency;

enum {
    LATENCY_SAMPLES_MAX = 160,
    LATENCY_EVENTS_MAX = 32,
    LATENCY_NAME_BYTES_MAX = 31,
};

struct latency_sample {
    int64_t time_s; /* since 1970 */
    uint32_t latency_ms;
};

int latency_create(struct latency **out_latency);
void latency_destroy(struct latency *latency); /* accepts NULL */

/* name: at most LATENCY_NAME_BYTES_MAX bytes. With LATENCY_EVENTS_MAX other names there already,
 * the sample is not kept: -ENOSPC. -ENOMEM. */
int latency_add(struct latency *latency, const char *name, int64_t time_s, uint32_t latency_ms);

/* Forgets the event, or with no bytes in name all. Returns how many there were. */
uint32_t latency_reset(struct latency *latency, struct slice name);

uint32_t latency_event_count(const struct latency *latency);
/* In the order in which they first occurred; index < latency_event_count. Each of the following is
 * for one event, which is good until latency_reset. */
struct latency_event;
const struct latency_event *latency_event_at(const struct latency *latency, uint32_t index);
const struct latency_event *latency_event_find(const struct latency *latency, struct slice name);
const char *latency_name(const struct latency_event *event);
uint32_t latency_worst_ms(const struct latency_event *event);     /* of all time */
uint32_t latency_sample_count(const struct latency_event *event); /* at least 1 */
/* 0 is the oldest. */
struct latency_sample latency_sample_at(const struct latency_event *event, uint32_t index);

/* LATENCY GRAPH: a column a sample, its age below it. Errors are left in out (ferror). */
void latency_graph(const struct latency_event *event, int64_t now_s, FILE *out);
/* LATENCY DOCTOR: what was seen, and what to look at. threshold_ms: latency-monitor-threshold, 0
 * when off. */
void latency_doctor(const struct latency *latency, int64_t threshold_ms, int64_t now_s, FILE *out);
#endif
