#include "modules/io/disposal.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/list.h"
#include "modules/io/io.h"

struct disposal {
    struct io *io;
    struct list_link jobs; /* under way; what io's end leaves is freed with us */
    uint64_t pending_bytes;
};

struct job {
    struct io_job io;
    struct list_link link;
    struct disposal *disposal;
    void *block;
    size_t bytes;
};

int disposal_create(struct io *io, struct disposal **out_disposal)
{
    struct disposal *disposal = calloc(1, sizeof(*disposal));

    if (!disposal) return -ENOMEM;
    disposal->io = io;
    list_init(&disposal->jobs);
    *out_disposal = disposal;
    return 0;
}

static void forget(struct job *job)
{
    job->disposal->pending_bytes -= job->bytes;
    list_remove(&job->link);
    free(job);
}

void disposal_destroy(struct disposal *disposal)
{
    if (!disposal) return;
    list_for_each(link, &disposal->jobs) forget(list_container(link, struct job, link));
    free(disposal);
}

static void run(struct io_job *io_job, struct os *os)
{
    (void)os;
    free(((struct job *)(void *)io_job)->block);
}

static void done(struct io_job *io_job)
{
    forget((struct job *)(void *)io_job);
}

static bool fits(const struct disposal *disposal, size_t bytes, uint64_t pending_max)
{
    return bytes <= pending_max && disposal->pending_bytes <= pending_max - bytes;
}

void disposal_free(struct disposal *disposal, void *block, size_t bytes, uint64_t pending_max)
{
    struct job *job = NULL;

    if (block && bytes >= DISPOSAL_BYTES_MIN && fits(disposal, bytes, pending_max))
        job = malloc(sizeof(*job));
    if (!job) {
        free(block);
        return;
    }
    *job = (struct job){ .io = { .run = run, .done = done, .is_urgent = true },
                         .disposal = disposal,
                         .block = block,
                         .bytes = bytes };
    list_init(&job->link);
    list_push_back(&disposal->jobs, &job->link);
    disposal->pending_bytes += bytes;
    io_submit(disposal->io, &job->io);
}

uint64_t disposal_pending_bytes(const struct disposal *disposal)
{
    return disposal->pending_bytes;
}
