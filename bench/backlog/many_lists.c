/* many_lists - 100,000 lists of 100 KB each: a backlog without one long list in it.
 *
 * Elements of 1 KiB, ten a command. Pushed in turn: each visit to a list comes after one to every
 * other, so that no list's tail is warm when it is needed. Popped list by list in a scattered
 * order, every byte verified. The directory of keys has to stay in memory whatever is spilled: the
 * memory needed for that is part of what is measured. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/element.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"

enum {
    LIST_BYTES = 100 * 1024,
    ELEMENT_BYTES = 1024,
    LIST_ELEMENTS = LIST_BYTES / ELEMENT_BYTES,
    PER_CALL = 10,
    VISITS = LIST_ELEMENTS / PER_CALL,
    WINDOW = 64,
    KEY_BYTES = 32
};
static const uint64_t scatter_step = UINT64_C(1000000007); /* a prime: visits every list once */

struct run {
    uint64_t lists, next_in_call;
};

static size_t encode_key(uint8_t *out, uint64_t list)
{
    char key[KEY_BYTES];
    int length = snprintf(key, sizeof(key), "list:%" PRIu64, list);

    return encode_bulk(out, key, (size_t)length);
}

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct run *run = pump->context;
    uint64_t list = index % run->lists;
    uint64_t number = list * LIST_ELEMENTS + index / run->lists * PER_CALL;
    uint8_t element[ELEMENT_BYTES];
    size_t at = encode_header(out, PER_CALL + 2);

    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_key(out + at, list);
    for (int i = 0; i < PER_CALL; i++) {
        element_write(number + (uint64_t)i, element, ELEMENT_BYTES);
        at += encode_bulk(out + at, element, ELEMENT_BYTES);
    }
    return at;
}

static uint64_t popped_list(const struct run *run, uint64_t index)
{
    return index / VISITS * scatter_step % run->lists;
}

static size_t encode_pop(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct run *run = pump->context;
    size_t at = encode_header(out, 3);

    at += encode_bulk(out + at, "LPOP", 4);
    at += encode_key(out + at, popped_list(run, index));
    return at + encode_bulk(out + at, "10", 2);
}

static void verify(struct pump *pump, uint64_t index, const struct token *token)
{
    struct run *run = pump->context;
    uint64_t number = popped_list(run, index) * LIST_ELEMENTS + index % VISITS * PER_CALL;

    if (token->type == '*') {
        if (token->is_null || token->number != PER_CALL)
            bench_fail("list %" PRIu64 " is too short", popped_list(run, index));
        run->next_in_call = 0;
        return;
    }
    number += run->next_in_call++;
    if (!element_is(number, ELEMENT_BYTES, token->bytes, token->size))
        bench_fail("element %" PRIu64 " of list %" PRIu64 " is not what was pushed", number,
                   popped_list(run, index));
}

static double run_pump(struct pump *pump, uint16_t port)
{
    uint64_t start_ns;

    connection_open(&pump->connection, port);
    start_ns = now_ns();
    pump_run(pump, 1);
    connection_close(&pump->connection);
    return (double)(now_ns() - start_ns) / 1e9;
}

static int body(int argc, char **argv)
{
    struct options options = { .bytes = UINT64_C(100000) * LIST_BYTES };
    struct limited limited;
    struct run run;
    struct pump push, pop;
    struct table *speeds = table_create("|lists|MB/s"), *memory = limited_memory_table();
    double bytes, seconds;

    options_parse(&options, argc, argv, "many_lists: a backlog in very many lists of 100 KB.");
    if (options.is_quick) options.bytes = UINT64_C(10000) * LIST_BYTES;
    run = (struct run){ .lists = options.bytes / LIST_BYTES };
    if (run.lists == 0) bench_fail("--bytes: at least %d", LIST_BYTES);
    bytes = (double)run.lists * LIST_BYTES;
    push = (struct pump){ .encode = encode_push,
                          .context = &run,
                          .request_count = run.lists * VISITS,
                          .request_bytes_max = PER_CALL * (ELEMENT_BYTES + 24) + 200,
                          .window = WINDOW };
    pop = push;
    pop.encode = encode_pop;
    pop.on_token = verify;
    pop.request_bytes_max = 200;

    limited_start(&limited, &options);
    limited_describe(&limited, &options);
    seconds = run_pump(&push, limited.peer.port);
    table_row(speeds, "push ten elements a visit, lists in turn|%" PRIu64 "|%.0f", run.lists,
              bytes / 1e6 / seconds);
    limited_memory_row(&limited, memory, "pushing");
    seconds = run_pump(&pop, limited.peer.port);
    table_row(speeds, "pop list by list, scattered|%" PRIu64 "|%.0f", run.lists,
              bytes / 1e6 / seconds);
    limited_memory_row(&limited, memory, "popping");
    limited_stop(&limited);
    table_finish(speeds);
    table_finish(memory);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
