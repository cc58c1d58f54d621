/* memory_command_allocator.h - what the allocator knows. Builds with a sanitizer have another one,
 * of which nothing is known. Loop thread only. */
#ifndef SERVER_COMMANDS_MEMORY_COMMAND_ALLOCATOR_H
#define SERVER_COMMANDS_MEMORY_COMMAND_ALLOCATOR_H
#include <stdbool.h>
#include <stdint.h>

struct allocator_figures {
    uint64_t allocated_bytes; /* handed out */
    uint64_t active_bytes;    /* of pages that hold something */
    uint64_t resident_bytes;  /* of pages that the kernel backs */
};

/* As Redis names it: "jemalloc-5.3.0", "libc". */
const char *allocator_name(void);
/* False: the allocator is not jemalloc; *out_figures is zeroed. */
bool allocator_figures(struct allocator_figures *out_figures);
/* Gives unused pages back to the kernel. True: done, or there is nothing to do. */
bool allocator_purge(void);
/* Calls write with pieces of jemalloc's report. False: the allocator is not jemalloc. */
bool allocator_report(void (*write)(void *context, const char *text), void *context);
#endif
