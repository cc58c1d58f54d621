#include "server/boot_limits.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "modules/base/log.h"
#include "modules/base/os.h"
#include "server/boot_code.h"

enum {
    /* Two pages each of 64 streams' journals, and of the logs while one takes another's place. */
    LOCKED_BYTES_OF_JOURNALS = 2 * 4096 * (64 + 2),
    /* That, the code, and what the log has touched ahead, which does without where the system
     * allows the 8 MiB of its default only. */
    LOCKED_BYTES_MAX = 16 * 1024 * 1024
};

void boot_limits_descriptors(struct log *log, uint64_t clients_max)
{
    /* 64 streams' journals with up to four each, 128 readers of them, and all else. */
    enum { OWN_DESCRIPTORS = 512 };
    struct rlimit limit;
    rlim_t wanted = (rlim_t)clients_max + OWN_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;        /* as far as an unprivileged process may */
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* never more than the hard limit: it is told below */
    log_write(log, LOG_WARNING,
              "Only %llu descriptors are allowed: fewer than maxclients (%llu) can connect",
              (unsigned long long)limit.rlim_cur, (unsigned long long)clients_max);
}

/* Tried, because privileges count more than the limit, which is in force all the same where they
 * are missing. */
static int try_to_lock(struct os *os, size_t size_bytes)
{
    void *pages =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc;

    if (pages == MAP_FAILED) return 0; /* that is not what is asked here */
    rc = os->pin(os, pages, size_bytes);
    (void)munmap(pages, size_bytes);
    return rc;
}

static void lock_code(struct os *os, struct log *log)
{
    int rc = boot_code_pin(os);

    if (rc == 0) return;
    log_write(
        log, LOG_WARNING,
        "The program's code may not be locked in memory: %s (see RLIMIT_MEMLOCK). When memory "
        "is short the server may wait for code that it has not used of late",
        strerror(-rc));
}

static void lock_pages_of_journals(struct os *os, struct log *log)
{
    int rc = try_to_lock(os, LOCKED_BYTES_OF_JOURNALS);

    if (rc == 0) return;
    log_write(
        log, LOG_WARNING,
        "%d KiB may not be locked in memory: %s (see RLIMIT_MEMLOCK). When memory is short the "
        "server may wait for its own journals' first pages to come back from the disk",
        LOCKED_BYTES_OF_JOURNALS / 1024, strerror(-rc));
}

void boot_limits_locked_memory(struct os *os, struct log *log)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < LOCKED_BYTES_MAX) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &limit); /* mlock will tell */
    }
    lock_code(os, log);
    lock_pages_of_journals(os, log);
}
