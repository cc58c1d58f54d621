/* backlog - far more than memory through one list: is memory bounded, is it all there, how fast.
 *
 * Numbered 1 KiB elements are pushed with RPUSH, one a command, then popped with LPOP, one a
 * command, and every byte of each is verified. Beside it, in the same round: fio's sequential 1 MiB
 * transfers in the same cgroup, and the same client against a server that holds everything in
 * memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/lib/disk.h"
#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"

enum { ELEMENT_BYTES = 1024, ROUND_MAX = 31, FIO_SECONDS = 20 };
static const double speed_ratio_min = 0.8, logged_speed_ratio_min = 0.4; /* bytes go there, too */

struct speeds {
    double push[ROUND_MAX], pop[ROUND_MAX];
};

struct run {
    struct options options;
    struct fifo fifo;
    int round;
    struct table *memory;
    struct speeds disk, spilled, held;
    struct speeds spilled_cpu_us, held_cpu_us; /* of the server, an element */
    int has_disk, has_held;
};

/* Pushes and pops everything; memory rows only when the server is limited. */
static void push_and_pop(struct run *run, struct limited *limited, struct speeds *speeds,
                         struct speeds *cpu_us, struct table *memory)
{
    double count = (double)run->fifo.count;
    uint64_t start_ns = process_cpu_ns(limited->peer.pid), middle_ns;

    run->fifo.port = limited->peer.port;
    sampler_reset(limited->sampler);
    speeds->push[run->round] = fifo_mb_s(fifo_push(&run->fifo));
    middle_ns = process_cpu_ns(limited->peer.pid);
    if (memory) limited_memory_row(limited, memory, "pushing");
    speeds->pop[run->round] = fifo_mb_s(fifo_pop(&run->fifo));
    if (memory) limited_memory_row(limited, memory, "popping");
    cpu_us->push[run->round] = (double)(middle_ns - start_ns) / 1e3 / count;
    cpu_us->pop[run->round] = (double)(process_cpu_ns(limited->peer.pid) - middle_ns) / 1e3 / count;
    fprintf(stderr, "  round %d: pushed %.0f MB/s, popped %.0f MB/s\n", run->round + 1,
            speeds->push[run->round], speeds->pop[run->round]);
}

static void measure_disk(struct run *run)
{
    struct disk_speed speed = limited_measure_disk(&run->options, FIO_SECONDS);

    run->disk.push[run->round] = speed.write_mb_s;
    run->disk.pop[run->round] = speed.read_mb_s;
    run->has_disk = speed.write_mb_s > 0;
    fprintf(stderr, "  round %d: fio writes %.0f MB/s, reads %.0f MB/s\n", run->round + 1,
            speed.write_mb_s, speed.read_mb_s);
}

static void run_round(struct run *run)
{
    struct limited limited;

    measure_disk(run);
    limited_start(&limited, &run->options);
    if (run->round == 0) limited_describe(&limited, &run->options);
    push_and_pop(run, &limited, &run->spilled, &run->spilled_cpu_us, run->memory);
    limited_stop(&limited);
    run->has_held = limited_start_roomy(&limited, &run->options, run->options.bytes);
    if (!run->has_held) return;
    push_and_pop(run, &limited, &run->held, &run->held_cpu_us, NULL);
    limited_stop(&limited);
}

static void speed_row(struct run *run, struct table *table, const char *what, double *spilled,
                      double *disk, double *held, double *cpu_us, double *held_cpu_us)
{
    size_t rounds = (size_t)run->options.rounds;
    double speed = median(spilled, rounds), wanted = 0, fio = 0, memory = 0;
    const char *verdict = "";

    if (run->has_disk) wanted = fio = median(disk, rounds);
    if (run->has_held) memory = median(held, rounds);
    if (memory > 0 && (wanted <= 0 || memory < wanted)) wanted = memory;
    wanted *= run->options.log_mode ? logged_speed_ratio_min : speed_ratio_min;
    if (run->options.kind == PEER_SLUICE && wanted > 0)
        verdict = speed >= wanted ? "met" : "NOT MET";
    table_row(table, "%s|%.0f|%.0f|%.0f|%.0f|%.2f|%.2f|%s", what, speed, fio, memory, wanted,
              median(cpu_us, rounds), run->has_held ? median(held_cpu_us, rounds) : 0, verdict);
}

static void print_speeds(struct run *run)
{
    struct table *table = table_create("|MB/s|fio MB/s|in memory MB/s|wanted MB/s|"
                                       "server CPU us/element|in memory us/element|");

    speed_row(run, table, "push 1 KiB elements", run->spilled.push, run->disk.push, run->held.push,
              run->spilled_cpu_us.push, run->held_cpu_us.push);
    speed_row(run, table, "pop and verify them", run->spilled.pop, run->disk.pop, run->held.pop,
              run->spilled_cpu_us.pop, run->held_cpu_us.pop);
    table_finish(table);
}

static int body(int argc, char **argv)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run) bench_fail("out of memory");
    run->options = (struct options){ .bytes = UINT64_C(4) << 30, .rounds = 3 };
    options_parse(&run->options, argc, argv,
                  "backlog: a list many times as large as memory, pushed, popped and verified.");
    run->fifo = (struct fifo){ .key = "backlog",
                               .count = run->options.bytes / ELEMENT_BYTES,
                               .size_min = ELEMENT_BYTES,
                               .size_max = ELEMENT_BYTES };
    run->memory = limited_memory_table();
    for (run->round = 0; run->round < run->options.rounds; run->round++)
        run_round(run);
    printf("%" PRIu64
           " elements, %.2f GiB, log %s, medians of %d rounds; wanted: %.1f of the lesser "
           "of fio and in memory\n",
           run->fifo.count, (double)run->options.bytes / 1073741824,
           run->options.log_mode ? run->options.log_mode : "none", run->options.rounds,
           run->options.log_mode ? logged_speed_ratio_min : speed_ratio_min);
    print_speeds(run);
    table_finish(run->memory);
    free(run);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
