#include "server/observe/latency.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct latency_event {
    char name[LATENCY_NAME_BYTES_MAX + 1];
    uint32_t worst_ms;
    uint32_t begin, count; /* of the ring; count > 0 */
    struct latency_sample ring[LATENCY_SAMPLES_MAX];
};

struct latency {
    struct latency_event *events[LATENCY_EVENTS_MAX]; /* the first event_count are there */
    uint32_t event_count;
};

int latency_create(struct latency **out_latency)
{
    struct latency *latency = calloc(1, sizeof(*latency));

    if (!latency) return -ENOMEM;
    *out_latency = latency;
    return 0;
}

void latency_destroy(struct latency *latency)
{
    if (!latency) return;
    (void)latency_reset(latency, slice_of(NULL, 0));
    free(latency);
}

static int find_index(const struct latency *latency, struct slice name)
{
    for (uint32_t i = 0; i < latency->event_count; i++) {
        if (slice_equal(name, slice_of_string(latency->events[i]->name))) return (int)i;
    }
    return -1;
}

static struct latency_sample *sample_at(struct latency_event *event, uint32_t index)
{
    assert(index < event->count);
    return &event->ring[(event->begin + index) % LATENCY_SAMPLES_MAX];
}

static void add_sample(struct latency_event *event, struct latency_sample sample)
{
    if (sample.latency_ms > event->worst_ms) event->worst_ms = sample.latency_ms;
    if (event->count > 0) {
        struct latency_sample *last = sample_at(event, event->count - 1);

        if (last->time_s == sample.time_s) {
            if (sample.latency_ms > last->latency_ms) last->latency_ms = sample.latency_ms;
            return;
        }
    }
    if (event->count == LATENCY_SAMPLES_MAX)
        event->begin = (event->begin + 1) % LATENCY_SAMPLES_MAX;
    else
        event->count++;
    *sample_at(event, event->count - 1) = sample;
}

int latency_add(struct latency *latency, const char *name, int64_t time_s, uint32_t latency_ms)
{
    int index = find_index(latency, slice_of_string(name));
    struct latency_event *event;

    assert(strlen(name) <= LATENCY_NAME_BYTES_MAX);
    if (index >= 0) {
        event = latency->events[index];
    } else {
        if (latency->event_count == LATENCY_EVENTS_MAX) return -ENOSPC;
        event = calloc(1, sizeof(*event));
        if (!event) return -ENOMEM;
        strcpy(event->name, name);
        latency->events[latency->event_count++] = event;
    }
    add_sample(event, (struct latency_sample){ time_s, latency_ms });
    return 0;
}

static void remove_at(struct latency *latency, uint32_t index)
{
    free(latency->events[index]);
    latency->event_count--;
    for (uint32_t i = index; i < latency->event_count; i++)
        latency->events[i] = latency->events[i + 1];
}

uint32_t latency_reset(struct latency *latency, struct slice name)
{
    uint32_t count = 0;
    int index;

    if (name.size == 0) {
        count = latency->event_count;
        while (latency->event_count > 0)
            remove_at(latency, latency->event_count - 1);
        return count;
    }
    index = find_index(latency, name);
    if (index < 0) return 0;
    remove_at(latency, (uint32_t)index);
    return 1;
}

uint32_t latency_event_count(const struct latency *latency)
{
    return latency->event_count;
}

const struct latency_event *latency_event_at(const struct latency *latency, uint32_t index)
{
    assert(index < latency->event_count);
    return latency->events[index];
}

const struct latency_event *latency_event_find(const struct latency *latency, struct slice name)
{
    int index = find_index(latency, name);

    return index < 0 ? NULL : latency->events[index];
}

const char *latency_name(const struct latency_event *event)
{
    return event->name;
}

uint32_t latency_worst_ms(const struct latency_event *event)
{
    return event->worst_ms;
}

uint32_t latency_sample_count(const struct latency_event *event)
{
    return event->count;
}

struct latency_sample latency_sample_at(const struct latency_event *event, uint32_t index)
{
    assert(index < event->count);
    return event->ring[(event->begin + index) % LATENCY_SAMPLES_MAX];
}
