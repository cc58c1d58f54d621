/* boot.h - builds the parts, connects them, runs the loop, and takes all apart again. */
#ifndef SERVER_BOOT_H
#define SERVER_BOOT_H

struct os;

/* The whole life of a server; arguments as of main, files through os (os_real, or a test's). Its
 * exit code: 0 after SHUTDOWN or SIGTERM. What went wrong at start was said on standard error or in
 * the log. */
int boot_and_run(struct os *os, int argument_count, char *const *arguments);
#endif
