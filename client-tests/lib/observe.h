/* observe.h - a server seen from outside: its INFO, its memory, its threads. */
#ifndef CLIENT_TESTS_LIB_OBSERVE_H
#define CLIENT_TESTS_LIB_OBSERVE_H
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"
#include <stdbool.h>
#include <stdint.h>

/* A field of INFO that is a whole number. Fails the test when there is no such field. */
int64_t info_number(struct wire *wire, const char *field);
/* The same; false when there is no such field. */
bool info_find(struct wire *wire, const char *field, int64_t *out_number);
/* The text of a field; false when there is none. */
bool info_text(struct wire *wire, const char *field, struct text *out);
/* Waits until the field has this value. */
void info_wait(struct wire *wire, const char *field, int64_t value);
/* Waits until the field is at least this. */
void info_wait_least(struct wire *wire, const char *field, int64_t least);
/* Waits until the field is at most this. */
void info_wait_most(struct wire *wire, const char *field, int64_t most);

/* RssAnon + RssShmem of the process, in KiB: what maxmemory bounds. */
int64_t server_memory_kib(const struct server *server);
/* Open descriptors of the process. */
int server_descriptor_count(const struct server *server);
/* Major page faults of the thread that runs the loop (the first one). */
int64_t server_loop_major_faults(const struct server *server);

/* What the process has had read from disks. */
int64_t server_read_bytes(const struct server *server);

/* Samples server_memory_kib from a thread of its own every few ms and keeps the largest. */
struct memory_watch;
struct memory_watch *memory_watch_start(const struct server *server);
/* Ends it; the largest sample, KiB. */
int64_t memory_watch_stop(struct memory_watch *watch);
#endif
