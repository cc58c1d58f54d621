/* options.h - the command line that the benchmarks share.
 *
 *   --bytes SIZE      how much is pushed; each program says its default
 *   --maxmemory SIZE  of ours (64mb)
 *   --rounds N        of which medians are printed
 *   --throttle SIZE   bytes a second that the disk gives; 0: all it can
 *   --peer NAME       sluice or redis, which then holds all in memory: to try the benchmark itself
 *   --dir DIRECTORY   where servers and fio keep their files ($TMPDIR or /var/tmp)
 *   --log MODE        ours with its operation log, appendfsync MODE; none without
 *   --quick, --large  the short and the long form, where there is one
 *   -- …              more arguments of ours
 * SIZE: bytes, or with kb, mb, gb as in the server's configuration (powers of 1024). */
#ifndef BENCH_LIB_OPTIONS_H
#define BENCH_LIB_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>

#include "bench/lib/peer.h"

struct options {
    uint64_t bytes, maxmemory_bytes, throttle_bytes;
    int rounds;
    enum peer_kind kind;
    const char *base;
    const char *log_mode; /* NULL: no log */
    bool is_quick, is_large;
    const char *const *own_arguments; /* ended by NULL */
};

/* Fields that hold something before are the defaults of the program. Exits with the usage, which
 * has about as its first line, when it does not understand. */
void options_parse(struct options *options, int argc, char **argv, const char *about);
#endif
