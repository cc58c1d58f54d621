#include "server/commands/memory_command_allocator.h"

#include <jemalloc/jemalloc.h>
#include <stddef.h>

/* Weak: programs that are linked without jemalloc see NULL. */
#pragma weak mallctl
#pragma weak malloc_stats_print

static bool is_jemalloc(void)
{
    return mallctl && malloc_stats_print;
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

const char *allocator_name(void)
{
    if (!is_jemalloc()) return "libc";
    return "jemalloc-" TEXT(JEMALLOC_VERSION_MAJOR) "." TEXT(JEMALLOC_VERSION_MINOR) "." TEXT(
        JEMALLOC_VERSION_BUGFIX);
}

static uint64_t figure(const char *name)
{
    size_t value = 0, size = sizeof(value);

    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

bool allocator_figures(struct allocator_figures *out_figures)
{
    uint64_t epoch = 1;
    size_t size = sizeof(epoch);

    *out_figures = (struct allocator_figures){ 0 };
    if (!is_jemalloc()) return false;
    /* Writing the epoch brings the figures up to date. */
    if (mallctl("epoch", &epoch, &size, &epoch, size) != 0) return false;
    out_figures->allocated_bytes = figure("stats.allocated");
    out_figures->active_bytes = figure("stats.active");
    out_figures->resident_bytes = figure("stats.resident");
    return true;
}

#define ARENA_NAME_(number) "arena." #number ".purge"
#define ARENA_NAME(number)  ARENA_NAME_(number)

bool allocator_purge(void)
{
    if (!is_jemalloc()) return true;
    return mallctl(ARENA_NAME(MALLCTL_ARENAS_ALL), NULL, NULL, NULL, 0) == 0;
}

bool allocator_report(void (*write)(void *context, const char *text), void *context)
{
    if (!is_jemalloc()) return false;
    malloc_stats_print(write, context, NULL);
    return true;
}
