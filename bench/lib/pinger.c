#include "bench/lib/pinger.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/lib/connection.h"
#include "bench/lib/guard.h"
#include "bench/lib/process.h"

struct pinger {
    pthread_t thread;
    uint16_t port;
    atomic_int phase;
    atomic_bool is_stopping;
    struct histogram times_us[PINGER_PHASES_MAX];
};

/* As many as have become due while those before were on their way, as one who does not wait for
 * answers would have sent them: one by one each would take a turn of the server's, and where turns
 * are longer than the interval the last would tell how many there were, not how long one takes. */
static void ping(struct connection *connection, struct histogram *times_us, uint64_t *due_ns)
{
    static const char request[] = "*1\r\n$4\r\nPING\r\n";
    enum { REQUEST_BYTES = sizeof(request) - 1, AT_ONCE_MAX = 2000 };
    static _Thread_local uint8_t requests[AT_ONCE_MAX * REQUEST_BYTES];
    uint64_t sent_ns = now_ns(), from_ns = *due_ns,
             count = (sent_ns - from_ns) / PINGER_INTERVAL_NS;
    struct token token;

    if (count == 0) { /* that we woke late is not the server's fault */
        count = 1;
        from_ns = sent_ns;
    }
    if (count > AT_ONCE_MAX) count = AT_ONCE_MAX; /* the rest follows at once */
    for (uint64_t i = 0; i < count; i++)
        memcpy(requests + i * REQUEST_BYTES, request, REQUEST_BYTES);
    *due_ns = from_ns + count * PINGER_INTERVAL_NS;
    for (uint64_t i = 0; i < count; i++, from_ns += PINGER_INTERVAL_NS) {
        connection_call_encoded(connection, requests, i == 0 ? count * REQUEST_BYTES : 0, &token);
        histogram_add(times_us, (now_ns() - from_ns) / 1000);
    }
}

static void sleep_until(uint64_t time_ns)
{
    struct timespec until = { .tv_sec = (time_t)(time_ns / 1000000000u),
                              .tv_nsec = (long)(time_ns % 1000000000u) };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void *ping_in_thread(void *context)
{
    struct pinger *pinger = context;
    struct connection connection;
    uint64_t due_ns = now_ns();

    connection_open(&connection, pinger->port);
    while (!atomic_load(&pinger->is_stopping)) {
        ping(&connection, &pinger->times_us[atomic_load(&pinger->phase)], &due_ns);
        if (now_ns() < due_ns) sleep_until(due_ns);
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
