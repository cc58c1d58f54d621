#include "bench/lib/redis_benchmark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/guard.h"
#include "bench/lib/process.h"

/* redis-benchmark prints a line of CSV: "title","requests a second",... */
static double parse_requests_s(const char *path)
{
    char *text = file_text(path);
    char *line = text ? strstr(text, "\",\"") : NULL;
    double requests_s = 0;

    while (line && requests_s <= 0) {
        requests_s = strtod(line + 3, NULL); /* 0 in the heading line */
        line = strchr(line, '\n');
        line = line ? strstr(line, "\",\"") : NULL;
    }
    if (requests_s <= 0) bench_fail("redis-benchmark printed: %s", text ? text : "nothing");
    free(text);
    return requests_s;
}

double redis_benchmark_run(const struct peer *peer, const struct redis_benchmark *run)
{
    char port[8], count[24], depth[12], clients[12], output[400], words[100], *rest = words;
    const char *argv[24] = {
        "redis-benchmark", "-h", "127.0.0.1", "-p",   port, "-n", count, "-P", depth, "-c",
        clients,           "-r", "100000",    "--csv"
    };
    int argc = 14;

    snprintf(port, sizeof(port), "%u", (unsigned)peer->port);
    snprintf(count, sizeof(count), "%ld", run->requests);
    snprintf(depth, sizeof(depth), "%d", run->pipeline);
    snprintf(clients, sizeof(clients), "%d", run->clients);
    snprintf(output, sizeof(output), "%s/redis-benchmark", peer->directory);
    snprintf(words, sizeof(words), "%s", run->words);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = strcmp(word, "VALUE") == 0 ? run->value : word;
    argv[argc] = NULL;
    process_wait(process_start((char *const *)argv, output, NULL), "redis-benchmark", output);
    return parse_requests_s(output);
}
