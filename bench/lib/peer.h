/* peer.h - the servers that are measured, each in a directory of its own on a free loopback port.
 *
 * Everything fails the benchmark (bench_fail) instead of returning an error. Main thread only. */
#ifndef BENCH_LIB_PEER_H
#define BENCH_LIB_PEER_H
#include <stdint.h>
#include <sys/types.h>

struct cgroup;

enum peer_kind {
    PEER_FLOOR, /* bench/floor: reads, counts requests, answers +PONG: the kernel's price of the
                   bytes */
    PEER_REDIS, /* redis-server from PATH, or $REDIS_SERVER; no snapshots, no log */
    PEER_SLUICE /* build/sluice-server, or $SLUICE_SERVER; no log unless an argument asks for it */
};
enum { PEER_KIND_COUNT = 3, PEER_ARGUMENT_MAX = 24 };

struct peer {
    enum peer_kind kind;
    pid_t pid;
    uint16_t port;
    char directory[300]; /* holds its output in "output" and, of ours, what it spills */
};

/* Starts it and returns when it answers PING. arguments: NULL or more command line, ended by NULL.
 * base: the directory in which its own is made. cgroup may be NULL. */
void peer_start(struct peer *peer, enum peer_kind kind, const char *const *arguments,
                const char *base, const struct cgroup *cgroup);
/* kill -9, then the same program in the same directory. Nanoseconds from its start to the first
 * +PONG
 * (-LOADING is none), by looks a millisecond apart. */
uint64_t peer_restart(struct peer *peer, const char *const *arguments);
/* Ends it and removes its directory. */
void peer_stop(struct peer *peer);
const char *peer_name(enum peer_kind kind);
#endif
