/* process.h - programs that a benchmark starts, and what the kernel says of them.
 *
 * Everything fails the benchmark (bench_fail) instead of returning an error, unless noted. Started
 * programs are noted with the guard. Main thread only, but for the readings and the sampler. */
#ifndef BENCH_LIB_PROCESS_H
#define BENCH_LIB_PROCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup;

/* Starts argv[0] (found in PATH) with stdout and stderr going to the file output_path, inside
 * cgroup unless that is NULL. It dies with the benchmark. */
pid_t process_start(char *const *argv, const char *output_path, const struct cgroup *cgroup);
/* SIGTERM, and SIGKILL when it is still there after 20 s; returns when it is gone. */
void process_stop(pid_t pid);
/* True once it has ended by itself (and is forgotten): *out_status as from waitpid. */
bool process_has_ended(pid_t pid, int *out_status);
/* Waits for its end; fails unless it exits with 0. */
void process_wait(pid_t pid, const char *name, const char *output_path);

/* CPU time of all live threads, user and system, in nanoseconds, from the scheduler's own counters;
 * from /proc/PID/stat (10 ms steps) on a kernel without them. */
uint64_t process_cpu_ns(pid_t pid);
/* RssAnon + RssShmem: the memory that is the process's own. 0: it has ended. */
uint64_t process_memory_bytes(pid_t pid);
/* RssFile: pages of files that are mapped, the program's own among them. 0: it has ended. */
uint64_t process_mapped_bytes(pid_t pid);
/* Of its main thread, since it started: how often that waited for a page to be read. */
uint64_t process_major_faults(pid_t pid);

/* MemAvailable of this machine. */
uint64_t memory_available_bytes(void);

/* A thread that reads process_memory_bytes every interval_ms. */
struct sampler;
struct sampler *sampler_start(pid_t pid, unsigned interval_ms);
/* The largest and last reading since the start or the last sampler_reset(). Any thread. */
uint64_t sampler_max_bytes(struct sampler *sampler);
void sampler_reset(struct sampler *sampler);
unsigned long sampler_count(struct sampler *sampler);
void sampler_stop(struct sampler *sampler);

/* Monotonic, in nanoseconds. */
uint64_t now_ns(void);
void sleep_ms(unsigned duration_ms);
/* The whole file as a string to free(); NULL when it cannot be read. */
char *file_text(const char *path);
#endif
