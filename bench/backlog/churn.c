/* churn - elements of 10 B to 100 KB, changed in the middle while most of them are on disk.
 *
 * LSET, LINSERT and LREM at random places; a plain array of element numbers says what the list has
 * to be. In the end everything is popped and compared with it. LINSERT and LREM walk the list from
 * an end to find their element, so they are few and their time is the list's length. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/element.h"
#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"

enum {
    SMALLEST_BYTES = 10, /* ten hex digits: still no two elements alike */
    LARGEST_BYTES = 100000,
    SETS = 2000,
    WALKS = 50,
    WALKS_THROTTLED = 5,
    REQUEST_BYTES = 2 * LARGEST_BYTES + 1000
};

struct model {
    uint64_t *numbers; /* of the elements, in order */
    uint64_t count, next_number, random;
};

static size_t size_of(uint64_t number)
{
    return element_size(number, SMALLEST_BYTES, LARGEST_BYTES);
}

static size_t encode_element(uint8_t *out, uint64_t number)
{
    size_t size = size_of(number);
    size_t at = (size_t)sprintf((char *)out, "$%zu\r\n", size);

    element_write(number, out + at, size);
    at += size;
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}

static size_t encode_text(uint8_t *out, const char *text)
{
    return encode_bulk(out, text, strlen(text));
}

static uint64_t random_place(struct model *model)
{
    return random_next(&model->random) % model->count;
}

static size_t make_set(struct model *model, uint8_t *out)
{
    uint64_t place = random_place(model);
    char index[24];
    size_t at = encode_header(out, 4);

    snprintf(index, sizeof(index), "%" PRIu64, place);
    at += encode_text(out + at, "LSET");
    at += encode_text(out + at, "churn");
    at += encode_text(out + at, index);
    model->numbers[place] = model->next_number++;
    return at + encode_element(out + at, model->numbers[place]);
}

static size_t make_insert(struct model *model, uint8_t *out)
{
    uint64_t place = random_place(model);
    bool is_after = random_next(&model->random) & 1;
    size_t at = encode_header(out, 5);

    at += encode_text(out + at, "LINSERT");
    at += encode_text(out + at, "churn");
    at += encode_text(out + at, is_after ? "AFTER" : "BEFORE");
    at += encode_element(out + at, model->numbers[place]);
    at += encode_element(out + at, model->next_number);
    place += is_after;
    memmove(model->numbers + place + 1, model->numbers + place,
            (model->count - place) * sizeof(*model->numbers));
    model->numbers[place] = model->next_number++;
    model->count++;
    return at;
}

static size_t make_remove(struct model *model, uint8_t *out)
{
    uint64_t place = random_place(model);
    size_t at = encode_header(out, 4);

    at += encode_text(out + at, "LREM");
    at += encode_text(out + at, "churn");
    at += encode_text(out + at, random_next(&model->random) & 1 ? "1" : "-1");
    at += encode_element(out + at, model->numbers[place]);
    model->count--;
    memmove(model->numbers + place, model->numbers + place + 1,
            (model->count - place) * sizeof(*model->numbers));
    return at;
}

/* Calls make's requests one by one and adds a row of their latencies. LINSERT answers the new
 * length, LREM how many it removed: both are looked at. */
static void measure(struct connection *connection, struct model *model, struct table *table,
                    const char *name, unsigned calls,
                    size_t (*make)(struct model *model, uint8_t *out))
{
    uint8_t *request = malloc(REQUEST_BYTES);
    struct histogram *times = calloc(1, sizeof(*times));
    struct token token;

    if (!request || !times) bench_fail("out of memory");
    for (unsigned i = 0; i < calls; i++) {
        size_t size = make(model, request);
        uint64_t start_ns = now_ns();
        connection_call_encoded(connection, request, size, &token);
        histogram_add(times, (now_ns() - start_ns) / 1000);
        if (make == make_insert && token.number != (int64_t)model->count)
            bench_fail("LINSERT answered %" PRId64 ", the length is %" PRIu64, token.number,
                       model->count);
        if (make == make_remove && token.number != 1)
            bench_fail("LREM removed %" PRId64 " elements instead of one", token.number);
    }
    table_row(table, "%s|%u|%.2f|%.2f|%.2f", name, calls,
              (double)histogram_quantile(times, 0.5) / 1e3,
              (double)histogram_quantile(times, 0.99) / 1e3, (double)times->max / 1e3);
    free(times);
    free(request);
}

static size_t encode_pop(struct pump *pump, uint64_t index, uint8_t *out)
{
    (void)pump;
    (void)index;
    return encode_words(out, "LPOP churn");
}

static void verify(struct pump *pump, uint64_t index, const struct token *token)
{
    const struct model *model = pump->context;
    uint64_t number = model->numbers[index];

    if (token->is_null || !element_is(number, size_of(number), token->bytes, token->size))
        bench_fail("place %" PRIu64 " does not hold element %" PRIu64, index, number);
}

static double pop_all(const struct limited *limited, struct model *model)
{
    struct pump pump = { .encode = encode_pop,
                         .on_token = verify,
                         .context = model,
                         .request_count = model->count,
                         .request_bytes_max = 300,
                         .window = 64 };
    uint64_t start_ns, bytes = 0;
    struct token token;

    for (uint64_t i = 0; i < model->count; i++)
        bytes += size_of(model->numbers[i]);
    connection_open(&pump.connection, limited->peer.port);
    connection_call(&pump.connection, &token, "LLEN churn");
    if (token.number != (int64_t)model->count)
        bench_fail("the list has %" PRId64 " elements, %" PRIu64 " are expected", token.number,
                   model->count);
    start_ns = now_ns();
    pump_run(&pump, 1);
    connection_close(&pump.connection);
    return (double)bytes / 1e6 / ((double)(now_ns() - start_ns) / 1e9);
}

static void fill_model(struct model *model, uint64_t count)
{
    *model = (struct model){ .count = count, .next_number = count, .random = 20 };
    model->numbers = malloc((count + WALKS) * sizeof(*model->numbers));
    if (!model->numbers) bench_fail("out of memory");
    for (uint64_t i = 0; i < count; i++)
        model->numbers[i] = i;
}

static int body(int argc, char **argv)
{
    struct options options = { .bytes = UINT64_C(1) << 30 };
    struct limited limited;
    struct model model;
    struct connection connection;
    struct fifo fifo = {
        .key = "churn", .size_min = SMALLEST_BYTES, .size_max = LARGEST_BYTES, .window = 64
    };
    struct table *calls = table_create("|calls|p50 ms|p99 ms|max ms");
    struct table *memory = limited_memory_table();
    unsigned walks;
    double push_mb_s;

    options_parse(&options, argc, argv, "churn: elements of random sizes, changed on disk.");
    if (options.is_quick) options.bytes = UINT64_C(256) << 20;
    walks = options.throttle_bytes > 0 ? WALKS_THROTTLED : WALKS;
    fifo.count = options.bytes / ((SMALLEST_BYTES + LARGEST_BYTES) / 2);
    if (fifo.count < 1000) bench_fail("--bytes: at least 50mb");
    limited_start(&limited, &options);
    limited_describe(&limited, &options);
    fifo.port = limited.peer.port;
    push_mb_s = fifo_mb_s(fifo_push(&fifo));
    limited_memory_row(&limited, memory, "pushing");

    fill_model(&model, fifo.count);
    connection_open(&connection, limited.peer.port);
    measure(&connection, &model, calls, "LSET at random places", SETS, make_set);
    measure(&connection, &model, calls, "LINSERT beside random elements", walks, make_insert);
    measure(&connection, &model, calls, "LREM of random elements", walks, make_remove);
    connection_close(&connection);
    limited_memory_row(&limited, memory, "LSET, LINSERT, LREM");

    printf("%" PRIu64 " elements of %d B to %d B, %.0f MB/s pushed", fifo.count, SMALLEST_BYTES,
           LARGEST_BYTES, push_mb_s);
    printf(", %.0f MB/s popped and verified\n", pop_all(&limited, &model));
    limited_memory_row(&limited, memory, "popping");
    limited_stop(&limited);
    table_finish(calls);
    table_finish(memory);
    free(model.numbers);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
