/* A queue of jobs, workers that take from it, and a list of what has ended.
 *
 * When all goes well: io_submit links the job into `queued` and wakes one worker that sleeps; the
 * worker runs it, links it into `ended`, and makes the event descriptor readable if it is not yet
 * (so a burst of completions costs one write, and an owner that polls anyway reads once); io_poll
 * moves all of `ended` to `ready` and runs done() from there.
 *
 * `ready` belongs to the owner and is emptied one job at a time, because done() may resume code
 * that itself calls io_poll or io_wait: what the outer call has taken must be visible to the inner
 * one.
 *
 * Shutdown: `is_stopping` lets workers end once `urgent` and `queued` are empty. */
#include "modules/io/io.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { URGENT_IN_A_ROW_MAX = 8 };

struct job_list {
    struct io_job *first, *last; /* last means nothing when first is NULL */
};

struct worker {
    struct io *io;
    pthread_t thread;
    int id; /* the kernel's; set by the thread before started_count counts it */
};

struct io {
    struct os *os;
    int event_fd;
    unsigned in_flight;    /* owner only */
    struct job_list ready; /* owner only: ended, taken, done() not yet called */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t work_or_stop;
    pthread_cond_t started;
    struct job_list urgent, queued, ended;
    unsigned urgent_in_a_row;
    unsigned sleeping_count, started_count;
    bool event_is_set; /* event_fd is readable; so while ended (no threads: queued) is not empty */
    bool is_stopping;

    atomic_bool may_have_ended; /* set with event_is_set; lets io_poll return without the mutex */

    unsigned thread_count;
    struct worker workers[];
};

static void list_push(struct job_list *list, struct io_job *job)
{
    job->next = NULL;
    if (list->first) {
        list->last->next = job;
    } else {
        list->first = job;
    }
    list->last = job;
}

static struct io_job *list_pop(struct job_list *list)
{
    struct io_job *job = list->first;
    if (job) {
        list->first = job->next;
        job->next = NULL;
    }
    return job;
}

static void list_append(struct job_list *list, struct job_list *from)
{
    if (!from->first) return;
    if (list->first) {
        list->last->next = from->first;
    } else {
        list->first = from->first;
    }
    list->last = from->last;
    from->first = NULL;
}

static void lock(struct io *io)
{
    int rc = pthread_mutex_lock(&io->mutex);
    assert(rc == 0);
    (void)rc;
}

static void unlock(struct io *io)
{
    int rc = pthread_mutex_unlock(&io->mutex);
    assert(rc == 0);
    (void)rc;
}

/* Under the mutex. A counter of 1 can always be added to 0: neither call can block or fail but for
 * a signal. */
static void set_event(struct io *io)
{
    const uint64_t one = 1;
    if (io->event_is_set) return;
    io->event_is_set = true;
    atomic_store_explicit(&io->may_have_ended, true, memory_order_release);
    while (write(io->event_fd, &one, sizeof(one)) < 0)
        assert(errno == EINTR);
}

static void clear_event(struct io *io)
{
    uint64_t count;
    if (!io->event_is_set) return;
    io->event_is_set = false;
    atomic_store_explicit(&io->may_have_ended, false, memory_order_relaxed);
    while (read(io->event_fd, &count, sizeof(count)) < 0)
        assert(errno == EINTR);
}

/* Urgent ones first, but not for ever: somebody may have come to wait for the others, too. */
static struct io_job *take_job(struct io *io)
{
    bool is_others_turn = io->urgent_in_a_row >= URGENT_IN_A_ROW_MAX && io->queued.first;
    struct io_job *job = is_others_turn ? NULL : list_pop(&io->urgent);

    io->urgent_in_a_row = job ? io->urgent_in_a_row + 1 : 0;
    return job ? job : list_pop(&io->queued);
}

/* ---- workers
 * -------------------------------------------------------------------------------------- */

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct io *io = worker->io;
    lock(io);
    worker->id = (int)gettid();
    io->started_count++;
    pthread_cond_signal(&io->started);
    for (;;) {
        struct io_job *job = take_job(io);
        if (job) {
            unlock(io);
            job->run(job, io->os);
            lock(io);
            list_push(&io->ended, job);
            set_event(io);
        } else if (io->is_stopping) {
            break;
        } else {
            io->sleeping_count++;
            pthread_cond_wait(&io->work_or_stop, &io->mutex);
            io->sleeping_count--;
        }
    }
    unlock(io);
    return NULL;
}

/* Starts as many as it can and returns how many; they have their ids when it returns. Signals are
 * the main thread's business, so workers block all of them. */
static unsigned start_workers(struct io *io, unsigned wanted)
{
    sigset_t all, before;
    unsigned count = 0;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return 0;
    while (count < wanted) {
        struct worker *worker = &io->workers[count];
        worker->io = io;
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) break;
        count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* it was valid a moment ago */
    lock(io);
    while (io->started_count < count)
        pthread_cond_wait(&io->started, &io->mutex);
    unlock(io);
    return count;
}

/* ---- the owner's side
 * ----------------------------------------------------------------------------- */

int io_create(struct os *os, unsigned thread_count, struct io **out_io)
{
    struct io *io = calloc(1, sizeof(*io) + thread_count * sizeof(io->workers[0]));
    assert(os);
    if (!io) return -ENOMEM;
    io->os = os;
    io->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->event_fd < 0) {
        int rc = -errno;
        free(io);
        return rc;
    }
    /* With default attributes these three only fill in structures. */
    pthread_mutex_init(&io->mutex, NULL);
    pthread_cond_init(&io->work_or_stop, NULL);
    pthread_cond_init(&io->started, NULL);
    io->thread_count = start_workers(io, thread_count);
    if (io->thread_count == 0 && thread_count > 0) {
        io_destroy(io);
        return -EAGAIN;
    }
    *out_io = io;
    return 0;
}

void io_destroy(struct io *io)
{
    struct io_job *job;
    if (!io) return;
    lock(io);
    io->is_stopping = true;
    pthread_cond_broadcast(&io->work_or_stop);
    unlock(io);
    for (unsigned i = 0; i < io->thread_count; i++) {
        int rc = pthread_join(io->workers[i].thread, NULL);
        assert(rc == 0);
        (void)rc;
    }
    while ((job = take_job(io)) != NULL)
        job->run(job, io->os); /* there are no threads */
    pthread_cond_destroy(&io->started);
    pthread_cond_destroy(&io->work_or_stop);
    pthread_mutex_destroy(&io->mutex);
    close(io->event_fd);
    free(io);
}

void io_submit(struct io *io, struct io_job *job)
{
    bool is_somebody_asleep;
    assert(job->run && job->done);
    io->in_flight++;
    lock(io);
    list_push(job->is_urgent ? &io->urgent : &io->queued, job);
    is_somebody_asleep = io->sleeping_count > 0;
    if (io->thread_count == 0) set_event(io);
    unlock(io);
    if (is_somebody_asleep) pthread_cond_signal(&io->work_or_stop);
}

/* Without threads: the jobs queued now; those that they or their done() submit come next time. */
static void run_queued(struct io *io)
{
    struct job_list batch = { 0 };
    struct io_job *job;
    lock(io);
    while ((job = take_job(io)) != NULL)
        list_push(&batch, job);
    clear_event(io);
    unlock(io);
    while ((job = list_pop(&batch)) != NULL) {
        job->run(job, io->os);
        list_push(&io->ready, job);
    }
}

static void take_ended(struct io *io)
{
    if (!atomic_load_explicit(&io->may_have_ended, memory_order_acquire)) return;
    if (io->thread_count == 0) {
        run_queued(io);
        return;
    }
    lock(io);
    list_append(&io->ready, &io->ended);
    clear_event(io);
    unlock(io);
}

unsigned io_poll(struct io *io)
{
    unsigned count = 0;
    struct io_job *job;
    take_ended(io);
    while ((job = list_pop(&io->ready)) != NULL) {
        assert(io->in_flight > 0);
        io->in_flight--;
        count++;
        job->done(job);
    }
    return count;
}

unsigned io_wait(struct io *io)
{
    unsigned count;
    while ((count = io_poll(io)) == 0 && io->in_flight > 0) {
        struct pollfd event = { .fd = io->event_fd, .events = POLLIN };
        /* No timeout: a worker sets the event for certain. ENOMEM only makes us look again. */
        if (poll(&event, 1, -1) < 0) assert(errno == EINTR || errno == ENOMEM);
    }
    return count;
}

int io_event_fd(const struct io *io)
{
    return io->event_fd;
}

unsigned io_in_flight(const struct io *io)
{
    return io->in_flight;
}

unsigned io_thread_ids(const struct io *io, int *out_ids, unsigned capacity)
{
    unsigned count = io->thread_count < capacity ? io->thread_count : capacity;
    for (unsigned i = 0; i < count; i++)
        out_ids[i] = io->workers[i].id;
    return count;
}
