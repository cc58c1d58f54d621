/* main.c - the server's program. */
#include "modules/base/os.h"
#include "server/boot.h"

/* Few arenas and early return of freed pages: maxmemory is a promise about RssAnon, and the loop
 * thread does almost all allocating. Pages go back from threads of the allocator: the kernel takes
 * milliseconds for what a burst of removals leaves. */
extern const char *malloc_conf;
const char *malloc_conf =
    "narenas:2,tcache:true,dirty_decay_ms:200,muzzy_decay_ms:0,background_thread:"
    "true,retain:true";

int main(int argc, char **argv)
{
    return boot_and_run(os_real(), argc, argv);
}
