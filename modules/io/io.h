/* io.h - a few threads that wait for the disk so that the event loop never does.
 *
 * The owner (one thread, usually the event loop's) submits jobs and takes their completions; worker
 * threads run them. A job carries all it may touch: until its done() runs, the memory it refers to
 * belongs to the worker. Jobs start in the order of submission, but that urgent ones go first, up
 * to eight in a row while others wait; with more than one thread they may end in any order.
 * io_submit, io_poll, io_wait and io_destroy are for the owner's thread only, unless noted. */
#ifndef MODULES_IO_IO_H
#define MODULES_IO_IO_H
#include <stdbool.h>
#include <stdint.h>

struct os;
struct io;

struct io_job {
    /* On a worker thread. Its result goes to rc (by convention 0 or a negative errno). */
    void (*run)(struct io_job *job, struct os *os);
    /* On the owner's thread, from io_poll or io_wait. May submit further jobs and free this one. */
    void (*done)(struct io_job *job);
    int rc;
    bool is_urgent;      /* somebody waits for it */
    struct io_job *next; /* io's own from submit to done */
};

/* thread_count 0: no threads; jobs run inside io_poll and io_wait, in order: deterministic tests.
 * os must outlive io. -ENOMEM, -EAGAIN (no thread could be started), -EMFILE. */
int io_create(struct os *os, unsigned thread_count, struct io **out_io);
/* Runs what was submitted, delivers no completion, joins the threads. Accepts NULL. */
void io_destroy(struct io *io);
/* Never fails, never blocks: the queue is a list through the jobs themselves. */
void io_submit(struct io *io, struct io_job *job);
/* Runs done() of every job that has ended; the number of them. Does not block. */
unsigned io_poll(struct io *io);
/* Blocks until at least one job has ended, then as io_poll. 0 at once when none is under way. */
unsigned io_wait(struct io *io);
/* Readable (poll, epoll) when io_poll has something to do, and sometimes once more when that was
 * done already. io_poll clears it. */
int io_event_fd(const struct io *io);
/* Jobs submitted whose done() has not run yet. */
unsigned io_in_flight(const struct io *io);
/* Kernel thread ids of the workers, for tests and INFO: fills at most capacity, returns the count.
 */
unsigned io_thread_ids(const struct io *io, int *out_ids, unsigned capacity);
#endif
