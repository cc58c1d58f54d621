/* stream - far more than memory in one stream: is memory bounded, is it all there, how fast.
 *
 * Numbered entries of 1 KiB are added one a command, with the log. They are read back by 1, 10 and
 * 100 clients, each of which reads its part with XREAD, and then by as many consumers of one group
 * who share all of it and acknowledge what they got; each byte of each entry is verified, and that
 * the group hands each out once. Then XRANGE of 10 at random places, XLEN, XTRIM to half and DEL.
 * A pinger (lib/pinger.h) runs beside all that. Beside it: fio's sequential transfers in the same
 * cgroup. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/disk.h"
#include "bench/lib/element.h"
#include "bench/lib/entry.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/pinger.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"

enum {
    VALUE_BYTES = 1024,
    PER_READ = 100,
    PART = 100 * PER_READ, /* the number of entries is a multiple: each client reads as much */
    CLIENTS_MAX = 100,
    ADD_WINDOW = 256,
    WORDS_BYTES = 200,
    ID_BYTES = 32,
    RANDOM_READS = 2000,
    RANDOM_ENTRIES = 10,
    AFTER_MS = 3000,
    LOOKS_MASK = 1023, /* mapped pages are looked at once in so many requests */
    FIO_SECONDS = 20
};
static const double write_ratio_min = 0.4, read_ratio_min = 0.8, ping_us_max = 2000;

struct run {
    struct options options;
    struct limited limited;
    struct connection connection;
    struct pinger *pinger;
    struct disk_speed disk;
    uint64_t count; /* of entries; number n (from 1) has the id n-0 */
    struct table *table;
    /* Of the phase under way. */
    int phase;
    uint64_t mapped_bytes_max, faults, cpu_ns, begin_ns;
};

/* ---- phases -----------------------------------------------------------------------------------
 */

static void look_at_mapped(struct run *run)
{
    uint64_t bytes = process_mapped_bytes(run->limited.peer.pid);

    if (bytes > run->mapped_bytes_max) run->mapped_bytes_max = bytes;
}

static void phase_begin(struct run *run)
{
    pid_t pid = run->limited.peer.pid;

    pinger_set_phase(run->pinger, ++run->phase);
    sampler_reset(run->limited.sampler);
    run->mapped_bytes_max = 0;
    run->faults = process_major_faults(pid);
    run->cpu_ns = process_cpu_ns(pid);
    run->begin_ns = now_ns();
}

/* What a phase has to say beside what is said of each: cells of the columns of body(). */
struct phase_end {
    const char *name;
    double mb_s, mb_s_min; /* 0: it is not about speed */
    uint64_t us;           /* of the one call it is about, or p99 of many */
    uint64_t entries;      /* of which CPU is told */
};

static const char *verdict(const struct run *run, const struct phase_end *end, uint64_t own_bytes,
                           uint64_t faults)
{
    if (run->options.kind != PEER_SLUICE) return "";
    if (own_bytes > run->limited.maxmemory_bytes + LIMITED_MEMORY_EXTRA_BYTES)
        return "NOT MET: memory";
    if (faults > 0) return "NOT MET: major faults";
    if (end->mb_s < end->mb_s_min) return "NOT MET: speed";
    return "met";
}

static void phase_end(struct run *run, const struct phase_end *end)
{
    pid_t pid = run->limited.peer.pid;
    double cpu_us = (double)(process_cpu_ns(pid) - run->cpu_ns) / 1e3;
    uint64_t faults = process_major_faults(pid) - run->faults;
    uint64_t own_bytes = process_memory_bytes(pid),
             sampled_bytes = sampler_max_bytes(run->limited.sampler);
    char speed[64] = "|", time[32] = "", cpu[32] = "";

    look_at_mapped(run);
    if (sampled_bytes > own_bytes) own_bytes = sampled_bytes;
    if (end->mb_s > 0) snprintf(speed, sizeof(speed), "%.0f|%.0f", end->mb_s, end->mb_s_min);
    if (end->us > 0) snprintf(time, sizeof(time), "%.2f", (double)end->us / 1e3);
    if (end->entries > 0) snprintf(cpu, sizeof(cpu), "%.2f", cpu_us / (double)end->entries);
    table_row(run->table, "%s|%s|%s|%s|%.1f|%.1f|%" PRIu64 "|%s", end->name, speed, time, cpu,
              (double)own_bytes / 1048576, (double)run->mapped_bytes_max / 1048576, faults,
              verdict(run, end, own_bytes, faults));
    fprintf(stderr, "  %s: done, %.0f MB/s\n", end->name, end->mb_s);
    pinger_set_phase(run->pinger, 0);
}

static double mb_s(const struct run *run)
{
    return (double)run->count * VALUE_BYTES / 1e6 / ((double)(now_ns() - run->begin_ns) / 1e9);
}

/* ---- adding -----------------------------------------------------------------------------------
 */

static size_t encode_text(uint8_t *out, const char *text)
{
    return encode_bulk(out, text, strlen(text));
}

static size_t encode_id(uint8_t *out, uint64_t number)
{
    char id[ID_BYTES];

    snprintf(id, sizeof(id), "%" PRIu64 "-0", number);
    return encode_text(out, id);
}

static size_t encode_add(struct pump *pump, uint64_t index, uint8_t *out)
{
    if ((index & LOOKS_MASK) == 0) look_at_mapped(pump->context);
    return entry_encode(out, index + 1, "value", VALUE_BYTES);
}

static void add_all(struct run *run)
{
    struct pump pump = { .connection = run->connection,
                         .encode = encode_add,
                         .context = run,
                         .request_count = run->count,
                         .request_bytes_max = VALUE_BYTES + ENTRY_REQUEST_EXTRA_BYTES,
                         .window = ADD_WINDOW };

    phase_begin(run);
    pump_run(&pump, 1);
    run->connection = pump.connection;
    phase_end(run, &(struct phase_end){ .name = "XADD",
                                        .mb_s = mb_s(run),
                                        .mb_s_min = write_ratio_min * run->disk.write_mb_s,
                                        .entries = run->count });
}

/* ---- reading back -----------------------------------------------------------------------------
 */

struct reader {
    struct run *run;
    int number;                      /* of the consumer */
    uint64_t next;                   /* XREAD: the entry that comes next */
    bool is_group, is_in_entry;      /* in_entry: the id has come, and the value follows */
    uint64_t got[PER_READ], current; /* of the reply under way: entries */
    unsigned got_count;
    uint8_t *seen; /* of a group: entries that somebody got, a byte for each */
};

static uint64_t number_of_id(const struct token *token)
{
    char text[ID_BYTES];
    char *end;
    uint64_t number;

    if (token->size < 3 || token->size >= sizeof(text)) return 0;
    memcpy(text, token->bytes, token->size);
    text[token->size] = '\0';
    number = strtoull(text, &end, 10);
    return strcmp(end, "-0") == 0 ? number : 0;
}

static void take_entry(struct reader *reader, uint64_t number)
{
    if (!reader->is_group && number != reader->next)
        bench_fail("entry %" PRIu64 " came instead of %" PRIu64, number, reader->next);
    reader->next++;
    if (reader->is_group && reader->seen[number - 1]++)
        bench_fail("entry %" PRIu64 " came twice", number);
    if (reader->got_count == PER_READ) bench_fail("more came than were asked for");
    reader->got[reader->got_count++] = number;
}

/* An id, then "value", then the value. */
static void take_bulk(struct reader *reader, const struct token *token)
{
    uint64_t number;

    if (reader->is_in_entry && token->size == VALUE_BYTES) {
        if (!element_is(reader->current, VALUE_BYTES, token->bytes, token->size))
            bench_fail("entry %" PRIu64 " has another value", reader->current);
        take_entry(reader, reader->current);
        reader->is_in_entry = false;
        return;
    }
    number = number_of_id(token);
    if (number == 0 || number > reader->run->count) return; /* the key, or "value" */
    reader->current = number;
    reader->is_in_entry = true;
}

static void on_read_token(struct pump *pump, uint64_t index, const struct token *token)
{
    struct reader *reader = pump->context;

    (void)index;
    if (token->type == '$' && !token->is_null) take_bulk(reader, token);
    if (token->is_reply_end && reader->is_group && token->type == ':' &&
        token->number != (int64_t)reader->got_count)
        bench_fail("%" PRId64 " of %u were acknowledged", token->number, reader->got_count);
    if (token->is_reply_end && token->type != ':' && reader->got_count != PER_READ)
        bench_fail("%u of %d entries came", reader->got_count, PER_READ);
}

static size_t encode_read(struct pump *pump, uint64_t index, uint8_t *out)
{
    struct reader *reader = pump->context;
    char words[WORDS_BYTES];

    if ((index & LOOKS_MASK) == 0) look_at_mapped(reader->run);
    reader->got_count = 0; /* only one is on the way */
    snprintf(words, sizeof(words), "XREAD COUNT %d STREAMS stream %" PRIu64 "-0", PER_READ,
             reader->next - 1);
    return encode_words(out, words);
}

static size_t encode_acknowledge(const struct reader *reader, uint8_t *out)
{
    size_t at = encode_header(out, reader->got_count + 3);

    at += encode_text(out + at, "XACK");
    at += encode_text(out + at, "stream");
    at += encode_text(out + at, "group");
    for (unsigned i = 0; i < reader->got_count; i++)
        at += encode_id(out + at, reader->got[i]);
    return at;
}

static size_t encode_group_read(struct pump *pump, uint64_t index, uint8_t *out)
{
    struct reader *reader = pump->context;
    char words[WORDS_BYTES];

    if ((index & LOOKS_MASK) == 0) look_at_mapped(reader->run);
    if (index % 2 == 1) return encode_acknowledge(reader, out);
    reader->got_count = 0;
    snprintf(words, sizeof(words), "XREADGROUP GROUP group c%d COUNT %d STREAMS stream >",
             reader->number, PER_READ);
    return encode_words(out, words);
}

static void run_readers(struct run *run, int clients, bool is_group, uint8_t *seen)
{
    struct reader *readers = calloc((size_t)clients, sizeof(*readers));
    struct pump *pumps = calloc((size_t)clients, sizeof(*pumps));
    uint64_t part = run->count / (uint64_t)clients;

    if (!readers || !pumps) bench_fail("out of memory");
    for (int i = 0; i < clients; i++) {
        readers[i] = (struct reader){ .run = run,
                                      .number = i,
                                      .next = part * (uint64_t)i + 1,
                                      .is_group = is_group,
                                      .seen = seen };
        pumps[i] = (struct pump){ .encode = is_group ? encode_group_read : encode_read,
                                  .on_token = on_read_token,
                                  .context = &readers[i],
                                  .request_count = part / PER_READ * (is_group ? 2 : 1),
                                  .request_bytes_max = 16 * WORDS_BYTES + PER_READ * 40,
                                  .window = 1 };
        connection_open(&pumps[i].connection, run->limited.peer.port);
    }
    pump_run(pumps, (size_t)clients);
    for (int i = 0; i < clients; i++)
        connection_close(&pumps[i].connection);
    free(pumps);
    free(readers);
}

static void read_all(struct run *run, int clients, bool is_group)
{
    uint8_t *seen = calloc(run->count, 1);
    struct token token;
    char name[64];

    if (!seen) bench_fail("out of memory");
    if (is_group) connection_call(&run->connection, &token, "XGROUP CREATE stream group 0");
    snprintf(name, sizeof(name), "%s, %d clients", is_group ? "XREADGROUP and XACK" : "XREAD",
             clients);
    phase_begin(run);
    run_readers(run, clients, is_group, seen);
    phase_end(run, &(struct phase_end){ .name = name,
                                        .mb_s = mb_s(run),
                                        .mb_s_min = read_ratio_min * run->disk.read_mb_s,
                                        .entries = run->count });
    if (is_group && memchr(seen, 0, run->count)) bench_fail("an entry went to no consumer");
    if (is_group) connection_call(&run->connection, &token, "XGROUP DESTROY stream group");
    free(seen);
}

/* ---- single calls -----------------------------------------------------------------------------
 */

static void read_at_random(struct run *run)
{
    struct histogram *times_us = calloc(1, sizeof(*times_us));
    uint64_t random = 1;

    if (!times_us) bench_fail("out of memory");
    phase_begin(run);
    for (int i = 0; i < RANDOM_READS; i++) {
        uint64_t last = random_next(&random) % (run->count - RANDOM_ENTRIES) + RANDOM_ENTRIES;
        uint64_t begin_ns = now_ns();
        struct token token; /* at last: the value of the last entry */
        connection_call(&run->connection, &token, "XRANGE stream %" PRIu64 " + COUNT %d",
                        last - RANDOM_ENTRIES + 1, RANDOM_ENTRIES);
        histogram_add(times_us, (now_ns() - begin_ns) / 1000);
        if (token.type != '$' || !element_is(last, VALUE_BYTES, token.bytes, token.size))
            bench_fail("XRANGE did not end with entry %" PRIu64, last);
    }
    phase_end(run, &(struct phase_end){ .name = "XRANGE of 10 anywhere, p99",
                                        .us = histogram_quantile(times_us, 0.99),
                                        .entries = RANDOM_READS * RANDOM_ENTRIES });
    free(times_us);
}

/* The call may leave work to later turns of the loop: the phase goes on for a while. */
static void call(struct run *run, const char *name, const char *words, uint64_t expected)
{
    struct token token;
    uint64_t us;

    phase_begin(run);
    connection_call(&run->connection, &token, "%s", words);
    us = (now_ns() - run->begin_ns) / 1000;
    if (token.type != ':' || (uint64_t)token.number != expected)
        bench_fail("%s: %" PRId64 " instead of %" PRIu64, words, token.number, expected);
    sleep_ms(AFTER_MS);
    phase_end(run, &(struct phase_end){ .name = name, .us = us > 0 ? us : 1 });
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static void print_pings(const struct run *run)
{
    static const char *const names[] = {
        "idle",       "XADD",          "XREAD, 1",       "XREAD, 10",
        "XREAD, 100", "XREADGROUP, 1", "XREADGROUP, 10", "XREADGROUP, 100",
        "XRANGE",     "XLEN",          "XTRIM",          "DEL"
    };
    struct table *table = table_create("PING us while|PINGs|p50|p99|p99.9|max|");

    for (int phase = 0; phase <= run->phase; phase++) {
        const struct histogram *times_us = pinger_times_us(run->pinger, phase);
        uint64_t p999 = histogram_quantile(times_us, 0.999);
        table_row(table, "%s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%s",
                  names[phase], times_us->count, histogram_quantile(times_us, 0.5),
                  histogram_quantile(times_us, 0.99), p999, times_us->max,
                  (double)p999 <= ping_us_max ? "met" : "NOT MET");
    }
    table_finish(table);
}

static void run_phases(struct run *run)
{
    static const int clients[] = { 1, 10, CLIENTS_MAX };
    char trim[WORDS_BYTES];

    add_all(run);
    for (int is_group = 0; is_group <= 1; is_group++) {
        for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
            read_all(run, clients[i], is_group);
    }
    read_at_random(run);
    call(run, "XLEN", "XLEN stream", run->count);
    snprintf(trim, sizeof(trim), "XTRIM stream MAXLEN %" PRIu64, run->count / 2);
    call(run, "XTRIM to half", trim, run->count / 2);
    call(run, "DEL", "DEL stream", 1);
}

static int body(int argc, char **argv)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run) bench_fail("out of memory");
    run->options = (struct options){ .bytes = UINT64_C(8) << 30, .log_mode = "everysec" };
    options_parse(&run->options, argc, argv,
                  "stream: a stream many times as large as memory, added, read and deleted.");
    if (run->options.is_quick) run->options.bytes = UINT64_C(512) << 20;
    run->count = (run->options.bytes / VALUE_BYTES / PART + 1) * PART;
    run->table = table_create("|MB/s|wanted|ms|CPU us/entry|own MiB|mapped MiB|major faults|");
    run->disk = limited_measure_disk(&run->options, FIO_SECONDS);
    limited_start(&run->limited, &run->options);
    limited_describe(&run->limited, &run->options);
    connection_open(&run->connection, run->limited.peer.port);
    run->pinger = pinger_start(run->limited.peer.port);
    run_phases(run);
    pinger_stop(run->pinger);
    connection_close(&run->connection);
    limited_stop(&run->limited);
    printf("%" PRIu64 " entries of %d bytes, log %s; fio writes %.0f MB/s, reads %.0f MB/s\n",
           run->count, VALUE_BYTES, run->options.log_mode, run->disk.write_mb_s,
           run->disk.read_mb_s);
    table_finish(run->table);
    print_pings(run);
    pinger_destroy(run->pinger);
    free(run);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
