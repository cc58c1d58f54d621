/* ticks - the longest turn of the event loop in each phase of a life with a log.
 *
 * For each kind of data: while it is filled in, saved for the first time, saved again when nothing
 * has changed, exported, dropped by half and saved at once, and after kill -9 from the start to the
 * first answer. INFO max_tick_us is the figure, CONFIG RESETSTAT is between;
 * max_tick_cpu_us is what of it is not waiting for a processor, on a machine that others use. A
 * large string is changed again and again while a checkpoint writes it. Full: 10 GB in 100,000
 * lists, a million small lists, one list of 10 GB. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/connection.h"
#include "bench/lib/element.h"
#include "bench/lib/guard.h"
#include "bench/lib/info.h"
#include "bench/lib/options.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/summary.h"

enum {
    LARGEST_BYTES = 1024,
    WINDOW = 64,
    POLL_MS = 5,
    STRING_BYTES = 100 * 1000 * 1000,
    STRING_CHANGES = 20,
    QUICK_PART = 50, /* of the full form */
};
static const double tick_us_max = 5000;

/* Elements that are pushed to lists in turn, so many a call. */
struct data {
    const char *name;
    uint64_t lists, elements_a_list;
    unsigned element_bytes, per_call;
};

static const struct data full[] = {
    { "100,000 lists of 100 KB", 100000, 100, 1000, 10 },
    { "1,000,000 lists of 3 x 10 bytes", 1000000, 3, 10, 3 },
    { "100,000 lists of 20 x 50 bytes", 100000, 20, 50, 20 },
    { "1 list of 10 GB", 1, 10000000, 1000, 10 },
};
enum { DATA_COUNT = sizeof(full) / sizeof(full[0]) };

/* ---- one server -------------------------------------------------------------------------------
 */

struct bench {
    const struct data *data;
    struct peer peer;
    struct connection connection;
    struct table *table;
};

static void call(struct bench *bench, const char *words)
{
    struct token token;

    connection_call(&bench->connection, &token, "%s", words);
}

static uint64_t number_of(struct bench *bench, const char *field)
{
    uint64_t number;

    if (!info_number(&bench->connection, field, &number)) bench_fail("INFO has no %s", field);
    return number;
}

static const char *verdict(uint64_t tick_us, uint64_t cpu_us)
{
    if ((double)tick_us <= tick_us_max) return "<= 5 ms: met";
    return (double)cpu_us <= tick_us_max ? "<= 5 ms: NOT MET, but for waiting" : "<= 5 ms: NOT MET";
}

/* What the phase that ends here has had. */
static void end_phase(struct bench *bench, const char *name, const char *phase, uint64_t began_ns)
{
    uint64_t tick_us = number_of(bench, "max_tick_us");
    uint64_t cpu_us = number_of(bench, "max_tick_cpu_us");

    fprintf(stderr, "  %s: %" PRIu64 " us, %" PRIu64 " of a processor\n", phase, tick_us, cpu_us);
    table_row(bench->table, "%s|%s|%.2f|%" PRIu64 "|%" PRIu64 "|%s", name, phase,
              (double)(now_ns() - began_ns) / 1e9, tick_us, cpu_us, verdict(tick_us, cpu_us));
    call(bench, "CONFIG RESETSTAT");
}

static void start(struct bench *bench, const char *const *arguments, const struct options *options)
{
    peer_start(&bench->peer, PEER_SLUICE, arguments, options->base, NULL);
    connection_open(&bench->connection, bench->peer.port);
}

static void stop(struct bench *bench)
{
    connection_close(&bench->connection);
    peer_stop(&bench->peer);
}

/* One that a rule has asked for may be under way: ours follows it. */
static uint64_t start_save(struct bench *bench)
{
    uint64_t saves = number_of(bench, "rdb_saves");

    call(bench, "BGSAVE SCHEDULE");
    return saves + 1;
}

static void wait_for_save(struct bench *bench, uint64_t saves)
{
    while (number_of(bench, "rdb_saves") < saves)
        sleep_ms(POLL_MS);
}

static void save(struct bench *bench)
{
    wait_for_save(bench, start_save(bench));
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static size_t encode_key(uint8_t *out, uint64_t list)
{
    char key[32];
    int length = snprintf(key, sizeof(key), "list:%" PRIu64, list);

    return encode_bulk(out, key, (size_t)length);
}

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct data *data = pump->context;
    uint8_t element[LARGEST_BYTES];
    size_t at = encode_header(out, data->per_call + 2);

    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_key(out + at, index % data->lists);
    for (unsigned i = 0; i < data->per_call; i++) {
        element_write(index * data->per_call + i, element, data->element_bytes);
        at += encode_bulk(out + at, element, data->element_bytes);
    }
    return at;
}

/* Every other one, so that what is kept lies between. */
static size_t encode_drop(struct pump *pump, uint64_t index, uint8_t *out)
{
    size_t at = encode_header(out, 2);

    (void)pump;
    at += encode_bulk(out + at, "DEL", 3);
    return at + encode_key(out + at, 2 * index);
}

static void run_pump(const struct bench *bench,
                     size_t (*encode)(struct pump *pump, uint64_t index, uint8_t *out),
                     uint64_t count)
{
    const struct data *data = bench->data;
    struct pump pump = { .encode = encode,
                         .context = (void *)(uintptr_t)data,
                         .request_count = count,
                         .request_bytes_max = data->per_call * (data->element_bytes + 24) + 200,
                         .window = WINDOW };

    connection_open(&pump.connection, bench->peer.port);
    pump_run(&pump, 1);
    connection_close(&pump.connection);
}

static void export(struct bench *bench)
{
    struct token token;
    char path[400];

    (void)snprintf(path, sizeof(path), "%s/exported", bench->peer.directory);
    connection_call(&bench->connection, &token, "SL.EXPORT %s", path);
    if (unlink(path) < 0) bench_fail_errno("unlink");
}

static void measure(const struct data *data, const struct options *options, struct table *table)
{
    char maxmemory[32];
    const char *arguments[] = { "--appendonly",
                                "yes",
                                "--auto-aof-rewrite-percentage",
                                "0",
                                "--maxmemory",
                                maxmemory,
                                "--enable-transfer-commands",
                                "yes",
                                NULL };
    struct bench bench = { .data = data, .table = table };
    uint64_t began_ns;

    fprintf(stderr, "%s\n", data->name);
    (void)snprintf(maxmemory, sizeof(maxmemory), "%" PRIu64, options->maxmemory_bytes);
    start(&bench, arguments, options);
    began_ns = now_ns();
    run_pump(&bench, encode_push, data->lists * data->elements_a_list / data->per_call);
    end_phase(&bench, data->name, "filling", began_ns);
    began_ns = now_ns();
    save(&bench);
    end_phase(&bench, "", "first checkpoint", began_ns);
    began_ns = now_ns();
    save(&bench);
    end_phase(&bench, "", "nothing changed", began_ns);
    began_ns = now_ns();
    export(&bench);
    end_phase(&bench, "", "export", began_ns);
    began_ns = now_ns();
    run_pump(&bench, encode_drop, (data->lists + 1) / 2);
    save(&bench);
    save(&bench);
    end_phase(&bench, "", "half dropped", began_ns);
    connection_close(&bench.connection);
    began_ns = now_ns();
    (void)peer_restart(&bench.peer, arguments);
    connection_open(&bench.connection, bench.peer.port);
    end_phase(&bench, "", "loading", began_ns);
    stop(&bench);
}

/* ---- a large string ---------------------------------------------------------------------------
 */

static void measure_string(const struct options *options, struct table *table)
{
    const char *arguments[] = { "--appendonly",
                                "yes",
                                "--auto-aof-rewrite-percentage",
                                "0",
                                "--maxmemory",
                                "2gb",
                                "--proto-max-bulk-len",
                                "512mb",
                                NULL };
    struct bench bench = { .table = table };
    uint64_t began_ns;
    char words[64];

    fprintf(stderr, "a string\n");
    (void)snprintf(words, sizeof(words), "SETRANGE string %d x", STRING_BYTES - 1);
    start(&bench, arguments, options);
    began_ns = now_ns();
    call(&bench, words);
    end_phase(&bench, "a string of 100 MB", "making it (as in Redis)", began_ns);
    began_ns = now_ns();
    for (int i = 0; i < STRING_CHANGES; i++) {
        uint64_t saves = start_save(&bench);

        call(&bench, "SETRANGE string 5 y");
        call(&bench, "APPEND string z");
        wait_for_save(&bench, saves);
    }
    end_phase(&bench, "", "changed while it is saved", began_ns);
    stop(&bench);
}

static int body(int argc, char **argv)
{
    struct options options = { .maxmemory_bytes = UINT64_C(512) << 20 };
    struct table *table = table_create("|phase|seconds|longest tick us|its CPU us|target");

    options_parse(&options, argc, argv, "ticks: the longest turn of the loop in each phase.");
    measure_string(&options, table);
    for (unsigned i = 0; i < DATA_COUNT; i++) {
        struct data data = full[i];

        if (options.is_quick && data.lists > 1) data.lists /= QUICK_PART;
        if (options.is_quick && data.lists == 1) data.elements_a_list /= QUICK_PART;
        measure(&data, &options, table);
    }
    printf("the longest turn of the loop%s\n",
           options.is_quick ? ", of a fiftieth of the data that is named" : "");
    table_finish(table);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
