#include "bench/lib/guard.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOTE_MAX = 64, NOTE_PATH_BYTES = 401, TREE_DESCRIPTORS = 16 };
enum note_kind { NOTE_NONE, NOTE_PROCESS, NOTE_DIRECTORY, NOTE_CGROUP };

/* Written by the child, read by the parent after the child has ended: no locks. The kind is stored
 * last when a note is made and cleared first, so that a child killed in between leaves no half
 * note. */
struct note {
    volatile int kind;
    pid_t pid;
    char path[NOTE_PATH_BYTES];
};

static struct note *notes;           /* shared by watcher and body */
static volatile sig_atomic_t caught; /* the signal that asked to stop */
static volatile pid_t child;

static void note_make(enum note_kind kind, pid_t pid, const char *path)
{
    if (strlen(path) >= NOTE_PATH_BYTES) bench_fail("path too long: %s", path);
    for (int i = 0; i < NOTE_MAX; i++) {
        if (notes[i].kind != NOTE_NONE) continue;
        notes[i].pid = pid;
        strcpy(notes[i].path, path);
        notes[i].kind = kind;
        return;
    }
    bench_fail("more than %d processes, directories and cgroups at once", NOTE_MAX);
}

static void note_drop(enum note_kind kind, pid_t pid, const char *path)
{
    for (int i = 0; i < NOTE_MAX; i++) {
        if (notes[i].kind == (int)kind && notes[i].pid == pid && !strcmp(notes[i].path, path))
            notes[i].kind = NOTE_NONE;
    }
}

void guard_note_process(pid_t pid)
{
    note_make(NOTE_PROCESS, pid, "");
}

void guard_forget_process(pid_t pid)
{
    note_drop(NOTE_PROCESS, pid, "");
}

void guard_note_directory(const char *path)
{
    note_make(NOTE_DIRECTORY, 0, path);
}

void guard_forget_directory(const char *path)
{
    note_drop(NOTE_DIRECTORY, 0, path);
}

void guard_note_cgroup(const char *path)
{
    note_make(NOTE_CGROUP, 0, path);
}

void guard_forget_cgroup(const char *path)
{
    note_drop(NOTE_CGROUP, 0, path);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    if (remove(path) < 0) fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
    return 0;
}

void guard_remove_tree(const char *path)
{
    if (nftw(path, remove_entry, TREE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        fprintf(stderr, "cannot walk %s: %s\n", path, strerror(errno));
}

/* A cgroup stays busy for a moment after its last process was reaped. */
static void remove_cgroup(const char *path)
{
    struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

    for (int attempt = 0; attempt < 100; attempt++) {
        if (rmdir(path) == 0 || errno == ENOENT) return;
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "cannot remove cgroup %s: %s\n", path, strerror(errno));
}

/* Ends every child of this process and theirs: it is their reaper, so that what loses its parent
 * (a job of fio's) becomes a child here. */
static void end_children(void)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    do {
        FILE *children = fopen(path, "re");
        int pid;
        while (children && fscanf(children, "%d", &pid) == 1)
            (void)kill(pid, SIGKILL);
        if (children) fclose(children);
    } while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

static void clean_up(void)
{
    for (int i = 0; i < NOTE_MAX; i++) {
        if (notes[i].kind == NOTE_PROCESS) (void)kill(notes[i].pid, SIGKILL);
    }
    end_children();
    for (int i = 0; i < NOTE_MAX; i++) {
        if (notes[i].kind == NOTE_DIRECTORY) guard_remove_tree(notes[i].path);
        if (notes[i].kind == NOTE_CGROUP) remove_cgroup(notes[i].path);
    }
}

static void on_signal(int number)
{
    caught = number;
    if (child > 0) (void)kill(child, SIGTERM);
}

static void die_with_parent(pid_t parent, int number)
{
    if (prctl(PR_SET_PDEATHSIG, number) < 0) bench_fail_errno("prctl");
    if (getppid() != parent) _exit(1); /* it went before that was asked for */
}

static void watch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static void run_body(pid_t parent, int argc, char **argv, int (*body)(int argc, char **argv))
{
    die_with_parent(parent, SIGKILL);
    /* The terminal sends its signals to the watcher too, which then ends this process. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    exit(body(argc, argv));
}

/* Waits for child, to which on_signal hands the wish to stop. */
static int wait_for_child(void)
{
    int status = 0;

    if (caught) (void)kill(child, SIGTERM); /* the signal came before child was known */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

/* The watcher: has no children but the body and, as their reaper, all that come of it. */
static int watch_body(pid_t parent, int argc, char **argv, int (*body)(int argc, char **argv))
{
    pid_t self = getpid();
    int status;

    child = 0;
    die_with_parent(parent, SIGTERM);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) bench_fail_errno("prctl");
    child = fork();
    if (child < 0) bench_fail_errno("fork");
    if (child == 0) run_body(self, argc, argv, body);
    status = wait_for_child();
    clean_up();
    if (caught) return 128 + caught;
    if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
    fprintf(stderr, "the benchmark was ended by signal %d\n", WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

/* The watcher is not this process, which may have been given children by the shell that became it.
 */
int guard_main(int argc, char **argv, int (*body)(int argc, char **argv))
{
    pid_t self = getpid();
    int status;

    notes = mmap(NULL, NOTE_MAX * sizeof(*notes), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED) bench_fail_errno("mmap");
    watch_signals();
    fflush(NULL);
    child = fork();
    if (child < 0) bench_fail_errno("fork");
    if (child == 0) exit(watch_body(self, argc, argv, body));
    status = wait_for_child();
    if (caught) return 128 + caught;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void report(const char *format, va_list arguments, int error)
{
    fflush(stdout);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    if (error) fprintf(stderr, ": %s", strerror(error));
    fputc('\n', stderr);
}

void bench_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(format, arguments, 0);
    va_end(arguments);
    _exit(1);
}

void bench_fail_errno(const char *format, ...)
{
    int error = errno;
    va_list arguments;

    va_start(arguments, format);
    report(format, arguments, error);
    va_end(arguments);
    _exit(1);
}

void bench_require(bool is_so, const char *what)
{
    if (!is_so) bench_fail("%s", what);
}
