/* load.h - requests of one kind, from many clients at once, on data that was put there before.
 *
 * Everything fails the benchmark (bench_fail) instead of returning an error. Main thread only. */
#ifndef BENCH_LIB_LOAD_H
#define BENCH_LIB_LOAD_H
#include "bench/lib/peer.h"

enum {
    LOAD_CLIENTS = 50,
    LOAD_VALUE_BYTES = 64,
    LOAD_GRAIN = 6400 /* a multiple of every usual depth: redis-benchmark sends whole batches */
};

/* What is there before the first request; nothing else is. */
enum load_data {
    LOAD_NO_DATA,
    LOAD_LIST_OF_HUNDRED,    /* "list" */
    LOAD_LIST_FOR_EVERYBODY, /* "list", with more elements than there are requests */
    LOAD_STREAM,             /* "stream", of 1,000 entries */
    LOAD_STREAM_OF_GROUPS,   /* "stream", with as many entries as a client has pairs, and a group
                              * for each client that has read none of them */
};

struct load {
    /* The request, words parted by spaces; VALUE stands for the value. NULL: pairs of an
     * XREADGROUP of one entry and the XACK of what that gave, as two requests. */
    const char *words;
    enum load_data data;
};

/* Clears the server and puts there what the load needs; the floor holds nothing. */
void load_prepare(const struct peer *peer, const struct load *load, long requests);
/* requests: a multiple of LOAD_GRAIN. Requests a second. */
double load_run(const struct peer *peer, const struct load *load, int pipeline, long requests);
#endif
