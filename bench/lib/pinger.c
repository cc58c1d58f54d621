#include "bench/lib/pinger.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bench/lib/connection.h"
#include "bench/lib/guard.h"
#include "bench/lib/schedule.h"

struct pinger {
    pthread_t thread;
    uint16_t port;
    atomic_int phase;
    atomic_bool is_stopping;
    struct histogram times_us[PINGER_PHASES_MAX];
};

static void *ping_in_thread(void *context)
{
    struct pinger *pinger = context;
    struct connection connection;
    struct schedule schedule;
    struct token token;

    schedule_begin(&schedule, PINGER_INTERVAL_NS);
    connection_open(&connection, pinger->port);
    while (!atomic_load(&pinger->is_stopping)) {
        int phase = atomic_load(&pinger->phase);

        schedule_send(&schedule);
        connection_call(&connection, &token, "PING");
        histogram_add(&pinger->times_us[phase], schedule_taken_us(&schedule));
        schedule_wait(&schedule);
    }
    connection_close(&connection);
    return NULL;
}

struct pinger *pinger_start(uint16_t port)
{
    struct pinger *pinger = calloc(1, sizeof(*pinger));

    if (!pinger) bench_fail("out of memory");
    pinger->port = port;
    errno = pthread_create(&pinger->thread, NULL, ping_in_thread, pinger);
    if (errno) bench_fail_errno("pthread_create");
    return pinger;
}

void pinger_set_phase(struct pinger *pinger, int phase)
{
    if (phase < 0 || phase >= PINGER_PHASES_MAX) bench_fail("phase %d", phase);
    atomic_store(&pinger->phase, phase);
}

void pinger_stop(struct pinger *pinger)
{
    atomic_store(&pinger->is_stopping, true);
    pthread_join(pinger->thread, NULL);
}

const struct histogram *pinger_times_us(const struct pinger *pinger, int phase)
{
    return &pinger->times_us[phase];
}

void pinger_destroy(struct pinger *pinger)
{
    free(pinger);
}
