/* summary.h - medians, a latency histogram, and tables on stdout. Plain memory; no threads. */
#ifndef BENCH_LIB_SUMMARY_H
#define BENCH_LIB_SUMMARY_H
#include <stddef.h>
#include <stdint.h>

/* Sorts values; the mean of the middle two when count is even. count > 0. */
double median(double *values, size_t count);

/* Log-linear: each power of two is cut into 64 steps, so a value is off by less than 1.6%. Counts
 * all of uint64_t; about 30 KiB. Zero-initialized: empty. */
enum { HISTOGRAM_STEP_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEP_BITS + 1) * 64 };
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, max;
};
void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The upper edge of the bucket in which the quantile lies (0 to 1), at most the largest value; 0
 * when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

/* A table that is printed at once, its columns as wide as their widest cell; the first column is
 * aligned left, the others right. */
struct table;
/* headings separated by '|'. */
struct table *table_create(const char *headings);
/* One row: cells separated by '|', formatted as with printf. Cells that are missing stay empty. */
void table_row(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints with an empty line behind, and frees it. */
void table_finish(struct table *table);
#endif
