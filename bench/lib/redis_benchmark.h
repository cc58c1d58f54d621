/* redis_benchmark.h - a run of redis-benchmark against a peer. Everything fails the benchmark
 * (bench_fail) instead of returning an error. */
#ifndef BENCH_LIB_REDIS_BENCHMARK_H
#define BENCH_LIB_REDIS_BENCHMARK_H
#include "bench/lib/peer.h"

struct redis_benchmark {
    const char *words; /* the request, words parted by spaces; VALUE stands for value */
    const char *value;
    int clients, pipeline;
    long requests;
};
/* Requests a second, as it says. */
double redis_benchmark_run(const struct peer *peer, const struct redis_benchmark *run);
#endif
