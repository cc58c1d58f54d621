#include "client-tests/lib/observe.h"
#include "client-tests/lib/clock.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WATCH_PAUSE_MS = 10 };

bool info_text(struct wire *wire, const char *field, struct text *out)
{
    struct text info = { 0 };
    size_t length = strlen(field);
    const char *line;
    bool found = false;

    wire_command(wire, "INFO everything");
    if (wire_read(wire, &info) != 1) ck_abort_msg("INFO: the server closed the connection");
    for (line = strchr(text_string(&info), '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncmp(line, field, length) != 0 || line[length] != ':') continue;
        text_add(out, line + length + 1, strcspn(line + length + 1, "\r\n"));
        found = true;
        break;
    }
    text_finish(&info);
    return found;
}

bool info_find(struct wire *wire, const char *field, int64_t *out_number)
{
    struct text value = { 0 };
    bool found = info_text(wire, field, &value);
    char *end = NULL;

    if (found) {
        errno = 0;
        *out_number = strtoll(text_string(&value), &end, 10);
        if (errno != 0 || *end != '\0')
            ck_abort_msg("INFO %s is no whole number: %s", field, text_string(&value));
    }
    text_finish(&value);
    return found;
}

int64_t info_number(struct wire *wire, const char *field)
{
    int64_t value = 0;

    if (!info_find(wire, field, &value)) ck_abort_msg("INFO has no field %s", field);
    return value;
}

void info_wait(struct wire *wire, const char *field, int64_t value)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS, seen;

    do {
        seen = info_number(wire, field);
        if (seen == value) return;
    } while (clock_probe(deadline_ms));
    ck_abort_msg("INFO %s stays %lld, expected %lld", field, (long long)seen, (long long)value);
}

void info_wait_least(struct wire *wire, const char *field, int64_t least)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS, seen;

    do {
        seen = info_number(wire, field);
        if (seen >= least) return;
    } while (clock_probe(deadline_ms));
    ck_abort_msg("INFO %s stays %lld, expected %lld or more", field, (long long)seen,
                 (long long)least);
}

void info_wait_most(struct wire *wire, const char *field, int64_t most)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS, seen;

    do {
        seen = info_number(wire, field);
        if (seen <= most) return;
    } while (clock_probe(deadline_ms));
    ck_abort_msg("INFO %s stays %lld, expected %lld or less", field, (long long)seen,
                 (long long)most);
}

/* The sum of two lines of /proc/PID/status; -1 when the process is gone. */
static int64_t status_kib(pid_t pid, const char *first, const char *second)
{
    char path[64], line[256], name[64];
    long long value, sum = 0;
    bool found = false;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    if (!file) return -1;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%63[^:]: %lld", name, &value) != 2) continue;
        if (strcmp(name, first) != 0 && strcmp(name, second) != 0) continue;
        sum += value;
        found = true;
    }
    (void)fclose(file);
    return found ? sum : -1;
}

int64_t server_memory_kib(const struct server *server)
{
    int64_t kib = status_kib(server->pid, "RssAnon", "RssShmem");

    if (kib < 0) server_must_live(server);
    return kib;
}

int server_descriptor_count(const struct server *server)
{
    char path[64];
    int count = 0;
    DIR *directory;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)server->pid);
    directory = opendir(path);
    if (!directory) ck_abort_msg("%s: %s", path, strerror(errno));
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count - 2; /* "." and ".." */
}

int64_t server_loop_major_faults(const struct server *server)
{
    char path[64];
    long long faults = -1;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)server->pid, (int)server->pid);
    file = fopen(path, "r");
    if (!file) ck_abort_msg("%s: %s", path, strerror(errno));
    /* state ppid pgrp session tty tpgid flags minflt cminflt majflt: man proc(5). */
    if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %lld", &faults) != 1)
        ck_abort_msg("%s: not as expected", path);
    (void)fclose(file);
    return faults;
}

int64_t server_read_bytes(const struct server *server)
{
    struct text io = { 0 };
    const char *found;
    char path[64];
    int64_t bytes;

    (void)snprintf(path, sizeof(path), "/proc/%d/io", (int)server->pid);
    if (text_add_file(&io, path) < 0) ck_abort_msg("%s: %s", path, strerror(errno));
    found = strstr(text_string(&io), "\nread_bytes: ");
    if (!found) ck_abort_msg("%s: not as expected", path);
    bytes = strtoll(found + sizeof("\nread_bytes: ") - 1, NULL, 10);
    text_finish(&io);
    return bytes;
}

struct memory_watch {
    pthread_t thread;
    pid_t pid;
    atomic_bool is_ending; /* written by stop, read by the thread */
    int64_t largest_kib;   /* the thread's until it was joined */
};

static void *watch_memory(void *context)
{
    struct memory_watch *watch = context;
    struct timespec pause = { .tv_nsec = WATCH_PAUSE_MS * 1000000 };

    while (!atomic_load(&watch->is_ending)) {
        int64_t kib = status_kib(watch->pid, "RssAnon", "RssShmem");
        if (kib > watch->largest_kib) watch->largest_kib = kib;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

struct memory_watch *memory_watch_start(const struct server *server)
{
    struct memory_watch *watch = calloc(1, sizeof(*watch));

    if (!watch) abort();
    watch->pid = server->pid;
    atomic_init(&watch->is_ending, false);
    if (pthread_create(&watch->thread, NULL, watch_memory, watch) != 0)
        ck_abort_msg("pthread_create failed");
    return watch;
}

int64_t memory_watch_stop(struct memory_watch *watch)
{
    int64_t largest_kib;

    atomic_store(&watch->is_ending, true);
    (void)pthread_join(watch->thread, NULL);
    largest_kib = watch->largest_kib;
    free(watch);
    return largest_kib;
}
