/* info.h - numbers out of a server's INFO. Fails the benchmark (bench_fail) on any error; any
 * thread. */
#ifndef BENCH_LIB_INFO_H
#define BENCH_LIB_INFO_H
#include <stdbool.h>
#include <stdint.h>

struct connection;

/* Asks INFO everything and finds "field:number". False: there is no such field. */
bool info_number(struct connection *connection, const char *field, uint64_t *out_number);
#endif
