#include "client-tests/lib/suite.h"
#include "client-tests/lib/text.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CASE_TIMEOUT_S = 240, LOG_TAIL_BYTES = 4000, OPEN_DIRECTORIES_MAX = 16 };

/* One program, one suite: these belong to the process, as its working directory does. */
static char program_directory[PATH_MAX], build_directory[PATH_MAX];
static pid_t program_pid;
static bool program_failed;

static void claim_program(void)
{
    if (program_pid == 0) program_pid = getpid();
}

TCase *suite_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, CASE_TIMEOUT_S);
    suite_add_tcase(suite, tcase);
    return tcase;
}

const char *suite_directory(void)
{
    const char *parent = getenv("TMPDIR");

    claim_program();
    if (program_directory[0] == '\0') {
        (void)snprintf(program_directory, sizeof(program_directory), "%s/sluice-test-XXXXXX",
                       parent && *parent ? parent : "/tmp");
        if (!mkdtemp(program_directory)) {
            perror("client tests: mkdtemp");
            exit(2);
        }
    }
    return program_directory;
}

const char *suite_build_directory(void)
{
    char *found = NULL, *next;
    ssize_t length;

    if (build_directory[0] != '\0') return build_directory;
    length = readlink("/proc/self/exe", build_directory, sizeof(build_directory) - 1);
    build_directory[length > 0 ? length : 0] = '\0';
    for (next = strstr(build_directory, "/client-tests/"); next;
         next = strstr(next + 1, "/client-tests/"))
        found = next;
    if (found) {
        found[1] = '\0';
    } else {
        (void)snprintf(build_directory, sizeof(build_directory), "build/release/");
    }
    return build_directory;
}

unsigned suite_scaled(unsigned count)
{
    const char *text = getenv("SLUICE_TEST_SCALE");
    unsigned long percent = text ? strtoul(text, NULL, 10) : 100, scaled;

    if (percent == 0 || percent > 100000) percent = 100;
    scaled = count * percent / 100;
    return scaled > 0 ? (unsigned)scaled : 1;
}

void suite_skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    (void)fflush(stdout);
}

void suite_fail(const char *format, ...)
{
    char message[2000];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    claim_program();
    if (getpid() != program_pid) ck_abort_msg("%s", message);
    printf("failed outside a test: %s\n", message);
    program_failed = true;
}

/* What servers say in the ordinary course of things (level "*", and what ours says of itself at its
 * start and end) has never explained a failure. */
static bool is_ordinary(const char *line, size_t length)
{
    static const char *const words[] = { " * ", " # Data does not survive", " # Received SIG",
                                         " # WARNING" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (memmem(line, length, words[i], strlen(words[i]))) return true;
    }
    return length == 0;
}

static int print_log(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    struct text log = { 0 }, shown = { 0 };

    (void)status;
    if (kind != FTW_F || strcmp(path + walk->base, "log") != 0) return 0;
    if (text_add_file(&log, path) == 0 && !strstr(text_string(&log), "Redis is starting")) {
        for (const char *line = text_string(&log); *line;) {
            size_t length = strcspn(line, "\n");
            if (!is_ordinary(line, length)) text_format(&shown, "%.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
    if (shown.size > 0) {
        size_t skipped = shown.size > LOG_TAIL_BYTES ? shown.size - LOG_TAIL_BYTES : 0;
        printf("---- from %s\n%s", path, text_string(&shown) + skipped);
    }
    text_finish(&log);
    text_finish(&shown);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    if (remove(path) != 0) fprintf(stderr, "client tests: %s: %s\n", path, strerror(errno));
    return 0;
}

int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    const char *keep = getenv("SLUICE_TEST_KEEP");
    int failed;

    (void)suite_directory();
    (void)signal(SIGPIPE, SIG_IGN);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner) + (program_failed ? 1 : 0);
    srunner_free(runner);
    if (failed > 0) (void)nftw(program_directory, print_log, OPEN_DIRECTORIES_MAX, FTW_PHYS);
    if (keep && strcmp(keep, "1") == 0) {
        printf("kept: %s\n", program_directory);
    } else {
        (void)nftw(program_directory, remove_entry, OPEN_DIRECTORIES_MAX, FTW_PHYS | FTW_DEPTH);
    }
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
