/* guard.h - a benchmark that leaves nothing behind, however it ends.
 *
 * guard_main() runs the benchmark in a child process and waits. What the child starts or makes
 * (processes, directories, cgroups) it notes in memory shared with the waiting parent; when the
 * child ends, fails, crashes, or the user sends SIGINT, SIGTERM or SIGHUP, the parent ends and
 * removes what is still noted. So the benchmark itself needs no clean-up paths: whatever goes
 * wrong, it fails.
 *
 * The functions that note and forget are for the child's main thread. */
#ifndef BENCH_LIB_GUARD_H
#define BENCH_LIB_GUARD_H
#include <stdbool.h>
#include <sys/types.h>

/* To be called once, first thing in main(). Returns the exit status of body; 128 + signal when body
 * was ended by one. */
int guard_main(int argc, char **argv, int (*body)(int argc, char **argv));

void guard_note_process(pid_t pid);
void guard_forget_process(pid_t pid);
/* The directory and all below it are removed at the end. At most 400 bytes of path. */
void guard_note_directory(const char *path);
void guard_forget_directory(const char *path);
/* An empty cgroup's directory: removed with rmdir after the noted processes have ended. */
void guard_note_cgroup(const char *path);
void guard_forget_cgroup(const char *path);

/* Removes a directory and all below it; what cannot be removed is reported on stderr. */
void guard_remove_tree(const char *path);

/* A benchmark has nothing to save: it says what went wrong and exits with 1. Any thread. */
void bench_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* The same, with the text of errno behind the message. */
void bench_fail_errno(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Fails with that text unless it is so. */
void bench_require(bool is_so, const char *what);
#endif
