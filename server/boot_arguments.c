#include "server/boot_arguments.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config/config.h"
#include "server/observe/info_version.h"

/* As redis-server: only when it is the one argument. */
bool boot_arguments_tell(int argument_count, char *const *arguments)
{
    const char *asked = argument_count == 2 ? arguments[1] : "";

    if (strcmp(asked, "-v") == 0 || strcmp(asked, "--version") == 0) {
        (void)printf("Sluice server v=%s redis=%s malloc=jemalloc bits=%zu\n", SLUICE_VERSION,
                     REDIS_VERSION, sizeof(long) * CHAR_BIT);
        return true;
    }
    if (strcmp(asked, "-h") != 0 && strcmp(asked, "--help") != 0) return false;
    (void)fputs("Usage: sluice-server [/path/to/sluice.conf] [options] [-]\n"
                "       sluice-server - (read config from stdin)\n"
                "       sluice-server ... --import /path/to/redis/files (before serving)\n"
                "       sluice-server -v or --version\n"
                "       sluice-server -h or --help\n\n"
                "Examples:\n"
                "       sluice-server (run the server with default conf)\n"
                "       echo 'maxmemory 128mb' | sluice-server -\n"
                "       sluice-server /etc/sluice/sluice.conf\n"
                "       sluice-server --port 7777 --maxmemory 64mb --dir /var/lib/sluice\n"
                "       sluice-server /etc/sluice/sluice.conf --loglevel verbose -\n",
                stdout);
    return true;
}

/* It is no directive, as a file that says so would import at each start. */
char *const *boot_arguments_take_import(int *argument_count, char *const *arguments,
                                        const char **out_path, struct config_error *out_error)
{
    char **rest = calloc((size_t)*argument_count + 1, sizeof(*rest));
    int count = 0;

    for (int i = 0; i < *argument_count && rest; i++) {
        if (strcmp(arguments[i], "--import") != 0) {
            rest[count++] = arguments[i];
        } else if (++i < *argument_count) {
            *out_path = arguments[i];
        } else {
            free(rest);
            (void)config_refuse(out_error, "--import is not followed by a file or directory");
            return NULL;
        }
    }
    *argument_count = count;
    return rest;
}
