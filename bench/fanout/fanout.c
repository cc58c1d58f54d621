/* fanout - one stream, and a thousand clients that wait for what comes next in it.
 *
 * Each client has an XREAD BLOCK under way. An entry is added, and when all of them have it and
 * have asked for the next one, that is added: so each entry is a thousand answers to clients that
 * waited, and nobody gets two at once. Every entry is verified at each client. In turn and round
 * after round: Redis and ours. CPU of an entry is that of all threads of the server, for the XADD,
 * a thousand answers and a thousand requests. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/lib/argument.h"
#include "bench/lib/connection.h"
#include "bench/lib/element.h"
#include "bench/lib/entry.h"
#include "bench/lib/guard.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/summary.h"

static const char usage[] =
    "usage: fanout [--clients N] [--entries N] [--rounds N] [--dir DIRECTORY] [-- argument ...]\n"
    "  --clients   that wait (1,000)\n"
    "  --entries   of a run (500)\n"
    "  --rounds    runs of each (3)\n"
    "  --dir       where the servers get their directories ($TMPDIR or /var/tmp)\n"
    "  --          arguments of ours\n";

enum {
    VALUE_BYTES = 64,
    WORDS_BYTES = 80,
    CLIENTS_MAX = 10000,
    FILES_BESIDE = 100,
    EVENTS_AT_ONCE = 256,
    STALL_MS = 120 * 1000
};
static const double ratio_max = 0.5;

struct options {
    int rounds;
    long clients, entries;
    const char *base;
    const char *const *own_arguments;
};

struct reader {
    struct connection connection;
    bool has_value; /* of the reply under way: the entry that was added */
};

/* Clients of one server, and how far they are. */
struct crowd {
    struct reader *readers;
    size_t count;
    int epoll_fd;
    uint64_t entry;  /* the one that is awaited; its id is entry-0 */
    size_t answered; /* of the readers, with that */
};

/* ---- readers ----------------------------------------------------------------------------------
 */

/* For the entries behind the one that came last. */
static void ask(const struct crowd *crowd, struct reader *reader)
{
    uint8_t request[16 * WORDS_BYTES + 32];
    char words[WORDS_BYTES];
    size_t size;

    snprintf(words, sizeof(words), "XREAD BLOCK 0 STREAMS stream %" PRIu64 "-0", crowd->entry - 1);
    size = encode_words(request, words);
    /* So little always has room in a socket from which the last answer was read. */
    if (connection_send_some(&reader->connection, request, size) != size)
        bench_fail("a socket took no request");
}

/* True: with it the reader has its answer. */
static bool take(const struct crowd *crowd, struct reader *reader, const struct token *token)
{
    if (token->type == '-')
        bench_fail("XREAD got: %.*s", (int)token->size, (const char *)token->bytes);
    if (token->type == '$' && !token->is_null && token->size == VALUE_BYTES)
        reader->has_value = element_is(crowd->entry, VALUE_BYTES, token->bytes, token->size);
    if (!token->is_reply_end) return false;
    if (!reader->has_value) bench_fail("entry %" PRIu64 " came not whole", crowd->entry);
    reader->has_value = false;
    return true;
}

static void receive(struct crowd *crowd, struct reader *reader)
{
    struct token token;

    if (!connection_read_some(&reader->connection)) return;
    while (connection_token(&reader->connection, &token))
        crowd->answered += take(crowd, reader, &token);
}

static void wait_for_all(struct crowd *crowd)
{
    struct epoll_event events[EVENTS_AT_ONCE];

    while (crowd->answered < crowd->count) {
        int ready = epoll_wait(crowd->epoll_fd, events, EVENTS_AT_ONCE, STALL_MS);
        if (ready < 0 && errno != EINTR) bench_fail_errno("epoll_wait");
        if (ready == 0)
            bench_fail("%zu of %zu clients got entry %" PRIu64, crowd->answered, crowd->count,
                       crowd->entry);
        for (int i = 0; i < ready; i++)
            receive(crowd, events[i].data.ptr);
    }
}

static void crowd_open(struct crowd *crowd, uint16_t port, size_t count)
{
    *crowd = (struct crowd){ .count = count, .entry = 1 };
    crowd->readers = calloc(count, sizeof(*crowd->readers));
    crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!crowd->readers || crowd->epoll_fd < 0) bench_fail("no memory, or no epoll");
    for (size_t i = 0; i < count; i++) {
        struct reader *reader = &crowd->readers[i];
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = reader };
        connection_open(&reader->connection, port);
        if (epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, reader->connection.fd, &event) < 0)
            bench_fail_errno("epoll_ctl");
        ask(crowd, reader);
    }
}

static void crowd_close(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        connection_close(&crowd->readers[i].connection);
    close(crowd->epoll_fd);
    free(crowd->readers);
}

/* ---- a run ------------------------------------------------------------------------------------
 */

static void add_entry(struct connection *connection, uint64_t entry)
{
    uint8_t request[VALUE_BYTES + ENTRY_REQUEST_EXTRA_BYTES];
    struct token token;
    size_t size = entry_encode(request, entry, "field", VALUE_BYTES);

    connection_call_encoded(connection, request, size, &token);
}

static void pass_entry(struct crowd *crowd, struct connection *writer)
{
    add_entry(writer, crowd->entry);
    wait_for_all(crowd);
    crowd->entry++;
    crowd->answered = 0;
    for (size_t i = 0; i < crowd->count; i++)
        ask(crowd, &crowd->readers[i]);
}

struct series {
    double cpu_us[ROUND_MAX], entries_s[ROUND_MAX];
};

static void run_once(const struct peer *peer, const struct options *options, int round,
                     struct series *series)
{
    struct connection writer;
    struct crowd crowd;
    struct token token;
    uint64_t begin_ns, cpu_ns;

    connection_open(&writer, peer->port);
    connection_call(&writer, &token, "FLUSHALL");
    crowd_open(&crowd, peer->port, (size_t)options->clients);
    pass_entry(&crowd, &writer); /* all have come now */
    begin_ns = now_ns();
    cpu_ns = process_cpu_ns(peer->pid);
    for (long i = 0; i < options->entries; i++)
        pass_entry(&crowd, &writer);
    series->cpu_us[round] =
        (double)(process_cpu_ns(peer->pid) - cpu_ns) / 1e3 / (double)options->entries;
    series->entries_s[round] = (double)options->entries * 1e9 / (double)(now_ns() - begin_ns);
    crowd_close(&crowd);
    connection_close(&writer);
    fprintf(stderr, "  round %d, %s: done\n", round + 1, peer_name(peer->kind));
}

static void print_results(const struct options *options, struct series *series)
{
    struct table *table = table_create("|CPU us an entry|CPU ns an answer|entries a second|");
    double cpu_us[PEER_KIND_COUNT];

    for (int kind = PEER_REDIS; kind < PEER_KIND_COUNT; kind++) {
        cpu_us[kind] = median(series[kind].cpu_us, (size_t)options->rounds);
        table_row(table, "%s|%.0f|%.0f|%.0f|", peer_name((enum peer_kind)kind), cpu_us[kind],
                  cpu_us[kind] * 1e3 / (double)options->clients,
                  median(series[kind].entries_s, (size_t)options->rounds));
    }
    table_row(table, "sluice/redis|%.2f|||%s", cpu_us[PEER_SLUICE] / cpu_us[PEER_REDIS],
              cpu_us[PEER_SLUICE] <= ratio_max * cpu_us[PEER_REDIS] ? "<= 0.5 x redis: met"
                                                                    : "<= 0.5 x redis: NOT MET");
    printf("%ld clients in XREAD BLOCK, %ld entries of %d bytes, medians of %d rounds:\n",
           options->clients, options->entries, VALUE_BYTES, options->rounds);
    table_finish(table);
}

/* ---- arguments --------------------------------------------------------------------------------
 */

static void parse_options(struct options *options, int argc, char **argv)
{
    const struct argument arguments[] = { { "clients", .requests = &options->clients },
                                          { "entries", .requests = &options->entries },
                                          { "rounds", .rounds = &options->rounds },
                                          { "dir", .text = &options->base },
                                          { 0 } };

    *options = (struct options){ .rounds = 3, .clients = 1000, .entries = 500 };
    options->base = argument_base();
    options->own_arguments = argument_parse(argc, argv, arguments, usage);
    if (options->clients > CLIENTS_MAX) bench_fail("at most %d clients", CLIENTS_MAX);
}

static void allow_files(const struct options *options)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) bench_fail_errno("getrlimit");
    if (limit.rlim_cur >= (rlim_t)options->clients + FILES_BESIDE) return;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur < (rlim_t)options->clients + FILES_BESIDE ||
        setrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_fail("the limit on open files is too low for %ld clients", options->clients);
}

static int body(int argc, char **argv)
{
    struct series series[PEER_KIND_COUNT];
    struct peer peers[PEER_KIND_COUNT];
    struct options options;

    parse_options(&options, argc, argv);
    allow_files(&options);
    peer_start(&peers[PEER_REDIS], PEER_REDIS, NULL, options.base, NULL);
    peer_start(&peers[PEER_SLUICE], PEER_SLUICE, options.own_arguments, options.base, NULL);
    for (int round = 0; round < options.rounds; round++) {
        for (int kind = PEER_REDIS; kind < PEER_KIND_COUNT; kind++)
            run_once(&peers[kind], &options, round, &series[kind]);
    }
    for (int kind = PEER_REDIS; kind < PEER_KIND_COUNT; kind++)
        peer_stop(&peers[kind]);
    print_results(&options, series);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
