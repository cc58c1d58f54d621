/* A queue of jobs, workers that take from it, and a list of what has ended.
 *
 * When all goes well: io_submit links the job into `submitted` and posts `work`; a worker moves all
 * of that to `queued`, runs the first one, links it into `ended`, and makes the event descriptor
 * readable if it is not yet (so a burst of completions costs one write, and an owner that polls
 * anyway reads once); io_poll moves all of `ended` to `ready` and runs done() from there.
 *
 * The owner takes no lock and waits for no worker: one that is preempted amid a critical section,
 * or was woken and does not run yet, would hold up everybody who uses the loop. (Even
 * pthread_cond_signal can sleep until those who were signalled before have run: 150 ms were seen.)
 * `submitted` and `ended` are stacks that one side pushes to and the other takes whole, so nothing
 * that was read is ever compared with what came back to the same address (Treiber, Systems
 * Programming: Coping with Parallelism, 1986). Workers share a mutex among themselves.
 *
 * `ready` belongs to the owner and is emptied one job at a time, because done() may resume code
 * that itself calls io_poll or io_wait: what the outer call has taken must be visible to the inner
 * one.
 *
 * Shutdown: `work` is posted once a job, and at the end once a worker: who is let through and finds
 * no job ends. */
#include "modules/io/io.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
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

    _Atomic(struct io_job *) submitted; /* the newest first */
    _Atomic(struct io_job *) ended;     /* the newest first */
    sem_t work;
    /* Set before event_fd is written, and until it is read: what ends meanwhile need not write.
     * Nothing is in `ended` for long that this does not tell of. */
    atomic_bool event_is_set;

    pthread_mutex_t mutex; /* among workers (no threads: unused); guards the rest */
    pthread_cond_t started;
    struct job_list urgent, queued;
    unsigned urgent_in_a_row;
    unsigned started_count;

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

static void stack_push(_Atomic(struct io_job *) *stack, struct io_job *job)
{
    struct io_job *top = atomic_load_explicit(stack, memory_order_relaxed);

    do {
        job->next = top;
    } while (!atomic_compare_exchange_weak_explicit(stack, &top, job, memory_order_release,
                                                    memory_order_relaxed));
}

/* All of a stack, the oldest first. */
static struct job_list stack_take(_Atomic(struct io_job *) *stack)
{
    struct io_job *job = atomic_exchange(stack, NULL);
    struct job_list list = { NULL, job };

    while (job) {
        struct io_job *older = job->next;

        job->next = list.first;
        list.first = job;
        job = older;
    }
    return list;
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

/* A counter of 1 can always be added to 0: neither call can block or fail but for a signal. */
static void set_event(struct io *io)
{
    const uint64_t one = 1;

    if (atomic_exchange(&io->event_is_set, true)) return;
    while (write(io->event_fd, &one, sizeof(one)) < 0)
        assert(errno == EINTR);
}

/* Before `ended` is taken, so that whoever ends a job behind that sets the event again. Who has set
 * it and not yet written keeps it set: his write still comes. */
static void clear_event(struct io *io)
{
    uint64_t count;
    ssize_t got;

    while ((got = read(io->event_fd, &count, sizeof(count))) < 0 && errno == EINTR) {}
    assert(got == (ssize_t)sizeof(count) || errno == EAGAIN);
    if (got >= 0) atomic_store(&io->event_is_set, false);
}

static void sort_submitted(struct io *io)
{
    struct job_list list = stack_take(&io->submitted);
    struct io_job *job;

    while ((job = list_pop(&list)) != NULL)
        list_push(job->is_urgent ? &io->urgent : &io->queued, job);
}

/* Urgent ones first, but not for ever: somebody may have come to wait for the others, too. */
static struct io_job *take_job(struct io *io)
{
    bool is_others_turn;
    struct io_job *job;

    sort_submitted(io);
    is_others_turn = io->urgent_in_a_row >= URGENT_IN_A_ROW_MAX && io->queued.first;
    job = is_others_turn ? NULL : list_pop(&io->urgent);
    io->urgent_in_a_row = job ? io->urgent_in_a_row + 1 : 0;
    return job ? job : list_pop(&io->queued);
}

/* ---- workers
 * -------------------------------------------------------------------------------------- */

static struct io_job *wait_for_job(struct io *io)
{
    struct io_job *job;

    while (sem_wait(&io->work) < 0)
        assert(errno == EINTR);
    lock(io);
    job = take_job(io);
    unlock(io);
    return job;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct io *io = worker->io;
    struct io_job *job;

    lock(io);
    worker->id = (int)gettid();
    io->started_count++;
    pthread_cond_signal(&io->started);
    unlock(io);
    while ((job = wait_for_job(io)) != NULL) {
        job->run(job, io->os);
        stack_push(&io->ended, job);
        set_event(io);
    }
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
    pthread_cond_init(&io->started, NULL);
    (void)sem_init(&io->work, 0, 0);
    io->thread_count = start_workers(io, thread_count);
    if (io->thread_count == 0 && thread_count > 0) {
        io_destroy(io);
        return -EAGAIN;
    }
    *out_io = io;
    return 0;
}

/* Each post is for one of the jobs that are under way, which are fewer than SEM_VALUE_MAX. */
static void post_work(struct io *io)
{
    int rc = sem_post(&io->work);
    assert(rc == 0);
    (void)rc;
}

void io_destroy(struct io *io)
{
    struct io_job *job;
    if (!io) return;
    for (unsigned i = 0; i < io->thread_count; i++)
        post_work(io);
    for (unsigned i = 0; i < io->thread_count; i++) {
        int rc = pthread_join(io->workers[i].thread, NULL);
        assert(rc == 0);
        (void)rc;
    }
    while ((job = take_job(io)) != NULL)
        job->run(job, io->os); /* there are no threads */
    pthread_cond_destroy(&io->started);
    (void)sem_destroy(&io->work);
    pthread_mutex_destroy(&io->mutex);
    close(io->event_fd);
    free(io);
}

void io_submit(struct io *io, struct io_job *job)
{
    assert(job->run && job->done);
    io->in_flight++;
    stack_push(&io->submitted, job);
    if (io->thread_count == 0)
        set_event(io);
    else
        post_work(io);
}

/* Without threads: the jobs queued now; those that they or their done() submit come next time. */
static void run_queued(struct io *io)
{
    struct job_list batch = { 0 };
    struct io_job *job;
    clear_event(io);
    while ((job = take_job(io)) != NULL)
        list_push(&batch, job);
    while ((job = list_pop(&batch)) != NULL) {
        job->run(job, io->os);
        list_push(&io->ready, job);
    }
}

static void take_ended(struct io *io)
{
    struct job_list ended;
    struct io_job *job;

    if (!atomic_load(&io->event_is_set)) return;
    if (io->thread_count == 0) {
        run_queued(io);
        return;
    }
    clear_event(io);
    ended = stack_take(&io->ended);
    while ((job = list_pop(&ended)) != NULL)
        list_push(&io->ready, job);
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
