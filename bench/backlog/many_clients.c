/* many_clients - a backlog made by 2,000 clients at once, and taken by 2,000 at once.
 *
 * Twenty clients share each of a hundred lists. An element's number holds who pushed it and which
 * of its own it is. Afterwards every element has come exactly once, and no consumer has seen two
 * elements of one producer in the wrong order. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/lib/element.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"

enum {
    CLIENTS = 2000,
    LISTS = 100,
    CLIENTS_PER_LIST = CLIENTS / LISTS,
    ELEMENT_BYTES = 1024,
    WINDOW = 16,
    REQUEST_BYTES = ELEMENT_BYTES + 200,
    PRODUCER_SHIFT = 32
};

struct client {
    unsigned id, list;
    uint64_t seen_up_to[CLIENTS_PER_LIST]; /* consumed: of each producer, its last element + 1 */
    struct run *run;
};
struct run {
    uint64_t per_client;
    uint8_t *has_come; /* [producer * per_client + element] */
    struct client clients[CLIENTS];
    struct pump pumps[CLIENTS];
};

static size_t encode_list(uint8_t *out, unsigned list)
{
    char key[24];
    int length = snprintf(key, sizeof(key), "shared:%u", list);

    return encode_bulk(out, key, (size_t)length);
}

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct client *client = pump->context;
    uint8_t element[ELEMENT_BYTES];
    size_t at = encode_header(out, 3);

    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_list(out + at, client->list);
    element_write((uint64_t)client->id << PRODUCER_SHIFT | index, element, ELEMENT_BYTES);
    return at + encode_bulk(out + at, element, ELEMENT_BYTES);
}

static size_t encode_pop(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct client *client = pump->context;
    size_t at = encode_header(out, 2);

    (void)index;
    at += encode_bulk(out + at, "LPOP", 4);
    return at + encode_list(out + at, client->list);
}

static void verify(struct pump *pump, uint64_t index, const struct token *token)
{
    struct client *client = pump->context;
    struct run *run = client->run;
    char digits[ELEMENT_DIGITS + 1] = "";
    uint64_t number, producer, element, *seen;

    (void)index;
    if (token->is_null || token->size != ELEMENT_BYTES) bench_fail("an element is missing");
    memcpy(digits, token->bytes, ELEMENT_DIGITS);
    number = strtoull(digits, NULL, 16);
    producer = number >> PRODUCER_SHIFT;
    element = number & ((UINT64_C(1) << PRODUCER_SHIFT) - 1);
    if (producer >= CLIENTS || element >= run->per_client || producer % LISTS != client->list ||
        !element_is(number, ELEMENT_BYTES, token->bytes, token->size))
        bench_fail("an element came that nobody pushed to this list: %s", digits);
    if (run->has_come[producer * run->per_client + element]++)
        bench_fail("element %" PRIu64 " of client %" PRIu64 " came twice", element, producer);
    seen = &client->seen_up_to[producer / LISTS];
    if (element < *seen)
        bench_fail("element %" PRIu64 " of client %" PRIu64 " came after a later one", element,
                   producer);
    *seen = element + 1;
}

static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) bench_fail_errno("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) bench_fail_errno("setrlimit");
    if (limit.rlim_cur < CLIENTS + 100)
        bench_fail("only %llu descriptors are allowed here", (unsigned long long)limit.rlim_cur);
}

static void connect_clients(struct run *run, uint16_t port)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        run->clients[i] = (struct client){ .id = i, .list = i % LISTS, .run = run };
        run->pumps[i] = (struct pump){ .context = &run->clients[i],
                                       .request_count = run->per_client,
                                       .request_bytes_max = REQUEST_BYTES,
                                       .window = WINDOW };
        connection_open(&run->pumps[i].connection, port);
    }
}

static double
run_all(struct run *run, size_t (*encode)(struct pump *pump, uint64_t index, uint8_t *out),
        void (*on_token)(struct pump *pump, uint64_t index, const struct token *token))
{
    double bytes = (double)run->per_client * CLIENTS * ELEMENT_BYTES;
    uint64_t start_ns = now_ns();

    for (unsigned i = 0; i < CLIENTS; i++) {
        run->pumps[i].encode = encode;
        run->pumps[i].on_token = on_token;
    }
    pump_run(run->pumps, CLIENTS);
    return bytes / 1e6 / ((double)(now_ns() - start_ns) / 1e9);
}

static int body(int argc, char **argv)
{
    struct options options = { .bytes = UINT64_C(1) << 30 };
    struct limited limited;
    struct run *run = calloc(1, sizeof(*run));
    struct table *speeds = table_create("|clients|MB/s"), *memory = limited_memory_table();

    options_parse(&options, argc, argv, "many_clients: 2,000 producers, then 2,000 consumers.");
    if (options.is_quick) options.bytes = UINT64_C(256) << 20;
    if (!run) bench_fail("out of memory");
    allow_descriptors();
    run->per_client = options.bytes / ELEMENT_BYTES / CLIENTS;
    if (run->per_client == 0) bench_fail("--bytes: at least %d", CLIENTS * ELEMENT_BYTES);
    run->has_come = calloc(CLIENTS, run->per_client);
    if (!run->has_come) bench_fail("out of memory");
    limited_start(&limited, &options);
    limited_describe(&limited, &options);
    connect_clients(run, limited.peer.port);
    table_row(speeds, "push|%d|%.0f", CLIENTS, run_all(run, encode_push, NULL));
    limited_memory_row(&limited, memory, "pushing");
    table_row(speeds, "pop and verify|%d|%.0f", CLIENTS, run_all(run, encode_pop, verify));
    limited_memory_row(&limited, memory, "popping");
    for (unsigned i = 0; i < CLIENTS; i++)
        connection_close(&run->pumps[i].connection);
    limited_stop(&limited);
    /* As many were popped as pushed and none twice: so none is missing. */
    table_finish(speeds);
    table_finish(memory);
    free(run->has_come);
    free(run);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
