/* pending - a million entries that were delivered and not acknowledged: what does it cost to look
 * for some of them.
 *
 * A stream of numbered entries is read by one consumer of one group, but for the last hundredth,
 * which another one reads at the end. Then, beside Redis in turn: XAUTOCLAIM of 100 from places all
 * over the stream and from its start, and XPENDING with IDLE, for what has been idle for long
 * (there is much) and for longer than anything has (there is nothing: all that is not returned has
 * to be passed over). The time of each call, round trip included, and the CPU of the server for it.
 * What is replied is counted. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/lib/argument.h"
#include "bench/lib/connection.h"
#include "bench/lib/element.h"
#include "bench/lib/entry.h"
#include "bench/lib/guard.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/summary.h"

static const char usage[] =
    "usage: pending [--entries N] [--calls N] [--dir DIRECTORY] [-- argument of ours ...]\n"
    "  --entries  that are pending (1,000,000)\n"
    "  --calls    of each kind; a fiftieth of that where Redis looks at all (2,000)\n"
    "  --dir      where the servers get their directories ($TMPDIR or /var/tmp)\n";

enum {
    PER_READ = 1000,
    VALUE_BYTES = 16,
    WINDOW = 64,
    WORDS_BYTES = 160,
    SLOW_SHARE = 50,
    CLAIMED = 100
};

struct options {
    long entries, calls;
    const char *base;
    const char *const *own_arguments;
};

/* What a call asks. */
struct question {
    const char *name;
    const char *begin, *end;   /* of the request; between them the id of some entry */
    bool is_slow;              /* at Redis: all that is pending is looked at */
    uint64_t replied_at_least; /* bulks and integers in the reply */
};
static const struct question questions[] = {
    { "XAUTOCLAIM COUNT 100", "XAUTOCLAIM stream group other 0 ", " COUNT 100 JUSTID", false,
      CLAIMED },
    { "XAUTOCLAIM COUNT 100, nothing idle so long", "XAUTOCLAIM stream group other 3600000 ",
      " COUNT 100 JUSTID", false, 1 },
    { "XPENDING IDLE, 100 of many", "XPENDING stream group IDLE 1 ", " + 100", false, CLAIMED },
    { "XPENDING IDLE, nothing idle so long", "XPENDING stream group IDLE 3600000 - + 100", NULL,
      true, 0 },
    { "XPENDING IDLE of a consumer, nothing so long",
      "XPENDING stream group IDLE 3600000 - + 100 consumer", NULL, true, 0 },
    { "XPENDING", "XPENDING stream group", NULL, false, 1 },
};
enum { QUESTIONS = sizeof(questions) / sizeof(questions[0]) };

struct answer {
    uint64_t p50_us, p99_us;
    double cpu_us;
};

/* ---- filling ----------------------------------------------------------------------------------
 */

static size_t encode_add(struct pump *pump, uint64_t index, uint8_t *out)
{
    (void)pump;
    return entry_encode(out, index + 1, "n", VALUE_BYTES);
}

static void add_entries(struct connection *connection, uint64_t count)
{
    struct pump pump = { .connection = *connection,
                         .encode = encode_add,
                         .request_count = count,
                         .request_bytes_max = VALUE_BYTES + ENTRY_REQUEST_EXTRA_BYTES,
                         .window = WINDOW };

    pump_run(&pump, 1);
    *connection = pump.connection;
}

static void fill(struct connection *connection, uint64_t entries)
{
    struct token token;

    connection_call(connection, &token, "XGROUP CREATE stream group 0 MKSTREAM");
    add_entries(connection, entries);
    for (uint64_t read = 0; read < entries; read += PER_READ)
        connection_call(connection, &token, "XREADGROUP GROUP group %s COUNT %d STREAMS stream >",
                        read >= entries - entries / 100 ? "other" : "consumer", PER_READ);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void count_value(void *context, const struct token *token)
{
    *(uint64_t *)context += (token->type == '$' && !token->is_null) || token->type == ':';
}

static void ask_once(struct connection *connection, const struct question *question, uint64_t place,
                     struct histogram *times_us)
{
    uint8_t request[16 * WORDS_BYTES + 32];
    char words[WORDS_BYTES];
    uint64_t begin_ns, replied = 0;
    size_t size;

    if (question->end)
        snprintf(words, sizeof(words), "%s%" PRIu64 "-0%s", question->begin, place, question->end);
    else
        snprintf(words, sizeof(words), "%s", question->begin);
    size = encode_words(request, words);
    begin_ns = now_ns();
    connection_call_each(connection, request, size, count_value, &replied);
    histogram_add(times_us, (now_ns() - begin_ns) / 1000);
    if (replied < question->replied_at_least)
        bench_fail("%s replied %" PRIu64 " values", words, replied);
}

static void ask(const struct peer *peer, struct connection *connection,
                const struct question *question, const struct options *options,
                struct answer *answer)
{
    long calls = question->is_slow ? options->calls / SLOW_SHARE + 1 : options->calls;
    uint64_t random = 1, cpu_ns = process_cpu_ns(peer->pid);
    struct histogram *times_us = calloc(1, sizeof(*times_us));

    if (!times_us) bench_fail("out of memory");
    for (long i = 0; i < calls; i++) {
        /* As many as are asked for follow. */
        uint64_t places = (uint64_t)options->entries - 2 * CLAIMED;

        ask_once(connection, question, random_next(&random) % places + 1, times_us);
    }
    answer->p50_us = histogram_quantile(times_us, 0.5);
    answer->p99_us = histogram_quantile(times_us, 0.99);
    answer->cpu_us = (double)(process_cpu_ns(peer->pid) - cpu_ns) / 1e3 / (double)calls;
    free(times_us);
}

static void measure(enum peer_kind kind, const struct options *options, struct answer *answers,
                    double *out_mib)
{
    struct connection connection;
    struct peer peer;

    peer_start(&peer, kind, kind == PEER_SLUICE ? options->own_arguments : NULL, options->base,
               NULL);
    connection_open(&connection, peer.port);
    fill(&connection, (uint64_t)options->entries);
    *out_mib = (double)process_memory_bytes(peer.pid) / 1048576;
    fprintf(stderr, "  %s: filled\n", peer_name(kind));
    for (int i = 0; i < QUESTIONS; i++)
        ask(&peer, &connection, &questions[i], options, &answers[i]);
    connection_close(&connection);
    peer_stop(&peer);
}

/* ---- arguments --------------------------------------------------------------------------------
 */

static void parse_options(struct options *options, int argc, char **argv)
{
    const struct argument arguments[] = { { "entries", .requests = &options->entries },
                                          { "calls", .requests = &options->calls },
                                          { "dir", .text = &options->base },
                                          { 0 } };

    *options = (struct options){ .entries = 1000000, .calls = 2000 };
    options->base = argument_base();
    options->own_arguments = argument_parse(argc, argv, arguments, usage);
    if (options->entries < 10 * PER_READ) bench_fail("at least %d entries", 10 * PER_READ);
}

static int body(int argc, char **argv)
{
    struct answer answers[PEER_KIND_COUNT][QUESTIONS];
    double mib[PEER_KIND_COUNT];
    struct options options;
    struct table *table =
        table_create("|redis p50 us|p99|CPU|sluice p50 us|p99|CPU|p99, sluice/redis");

    parse_options(&options, argc, argv);
    for (int kind = PEER_REDIS; kind < PEER_KIND_COUNT; kind++)
        measure((enum peer_kind)kind, &options, answers[kind], &mib[kind]);
    for (int i = 0; i < QUESTIONS; i++) {
        const struct answer *redis = &answers[PEER_REDIS][i], *own = &answers[PEER_SLUICE][i];
        table_row(table, "%s|%" PRIu64 "|%" PRIu64 "|%.0f|%" PRIu64 "|%" PRIu64 "|%.0f|%.2f",
                  questions[i].name, redis->p50_us, redis->p99_us, redis->cpu_us, own->p50_us,
                  own->p99_us, own->cpu_us, (double)own->p99_us / (double)redis->p99_us);
    }
    printf("%ld entries pending; own memory with them: redis %.0f MiB, sluice %.0f MiB\n",
           options.entries, mib[PEER_REDIS], mib[PEER_SLUICE]);
    table_finish(table);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
