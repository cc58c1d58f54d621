/* fifo.h - the load of most benchmarks: numbered elements pushed at the tail of a list and popped
 * from its head, each verified. Fails the benchmark (bench_fail) on any error and on the first
 * element that is not the next one. Any thread; one call uses one connection. */
#ifndef BENCH_LIB_FIFO_H
#define BENCH_LIB_FIFO_H
#include <stddef.h>
#include <stdint.h>

struct fifo {
    uint16_t port;
    const char *key;
    uint64_t first, count;      /* numbers of the elements: first, first + 1, … */
    size_t size_min, size_max;  /* of an element, by its number */
    unsigned elements_per_call; /* of one RPUSH or LPOP; 0 or 1: one, LPOP without a count */
    unsigned window;            /* requests on the way; 0: 256 */
};

struct fifo_result {
    uint64_t bytes; /* of the elements */
    double seconds;
};

struct fifo_result fifo_push(const struct fifo *fifo);
/* There must be at least count elements. */
struct fifo_result fifo_pop(const struct fifo *fifo);
/* 10^6 bytes a second. */
double fifo_mb_s(struct fifo_result result);
/* Bytes of elements first to first + count - 1. */
uint64_t fifo_bytes(const struct fifo *fifo);
#endif
