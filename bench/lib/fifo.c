#include "bench/lib/fifo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/element.h"
#include "bench/lib/guard.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"

enum { WINDOW = 256, BULK_OVERHEAD = 24, REQUEST_OVERHEAD = 200 };

/* A fifo under way: what encode and on_token see. */
struct run {
    const struct fifo *fifo;
    unsigned per_call;
    uint64_t next; /* popped: the element that has to come next */
};

static size_t size_of(const struct fifo *fifo, uint64_t number)
{
    return element_size(number, fifo->size_min, fifo->size_max);
}

uint64_t fifo_bytes(const struct fifo *fifo)
{
    uint64_t bytes = 0;

    if (fifo->size_min == fifo->size_max) return fifo->count * fifo->size_min;
    for (uint64_t i = 0; i < fifo->count; i++)
        bytes += size_of(fifo, fifo->first + i);
    return bytes;
}

/* Elements of request number index; the last may have fewer. */
static unsigned elements_of(const struct run *run, uint64_t index)
{
    uint64_t left = run->fifo->count - index * run->per_call;

    return left < run->per_call ? (unsigned)left : run->per_call;
}

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct run *run = pump->context;
    const struct fifo *fifo = run->fifo;
    unsigned elements = elements_of(run, index);
    uint64_t number = fifo->first + index * run->per_call;
    size_t at = encode_header(out, elements + 2);

    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_bulk(out + at, fifo->key, strlen(fifo->key));
    for (unsigned i = 0; i < elements; i++, number++) {
        size_t size = size_of(fifo, number);
        at += (size_t)sprintf((char *)out + at, "$%zu\r\n", size);
        element_write(number, out + at, size);
        at += size;
        out[at++] = '\r';
        out[at++] = '\n';
    }
    return at;
}

static size_t encode_pop(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct run *run = pump->context;
    char count[16];
    size_t at = encode_header(out, run->per_call > 1 ? 3 : 2);

    at += encode_bulk(out + at, "LPOP", 4);
    at += encode_bulk(out + at, run->fifo->key, strlen(run->fifo->key));
    if (run->per_call == 1) return at;
    snprintf(count, sizeof(count), "%u", elements_of(run, index));
    return at + encode_bulk(out + at, count, strlen(count));
}

static void verify(struct pump *pump, uint64_t index, const struct token *token)
{
    struct run *run = pump->context;

    (void)index;
    if (token->type == '*' && !token->is_null) return;
    if (token->type != '$' || token->is_null)
        bench_fail("element %" PRIu64 " of %s is missing", run->next, run->fifo->key);
    if (!element_is(run->next, size_of(run->fifo, run->next), token->bytes, token->size))
        bench_fail("element %" PRIu64 " of %s: something else came, of %zu bytes: %.*s", run->next,
                   run->fifo->key, token->size, token->size < 32 ? (int)token->size : 32,
                   token->bytes);
    run->next++;
}

static struct fifo_result run_fifo(const struct fifo *fifo, bool is_push)
{
    struct run run = { .fifo = fifo,
                       .per_call = fifo->elements_per_call > 1 ? fifo->elements_per_call : 1,
                       .next = fifo->first };
    struct pump pump = { .encode = is_push ? encode_push : encode_pop,
                         .on_token = is_push ? NULL : verify,
                         .context = &run,
                         .request_count = (fifo->count + run.per_call - 1) / run.per_call,
                         .window = fifo->window ? fifo->window : WINDOW };
    struct fifo_result result = { .bytes = fifo_bytes(fifo) };
    uint64_t start_ns;

    pump.request_bytes_max = REQUEST_OVERHEAD + strlen(fifo->key);
    if (is_push) pump.request_bytes_max += run.per_call * (fifo->size_max + BULK_OVERHEAD);
    connection_open(&pump.connection, fifo->port);
    start_ns = now_ns();
    pump_run(&pump, 1);
    result.seconds = (double)(now_ns() - start_ns) / 1e9;
    connection_close(&pump.connection);
    if (!is_push && run.next != fifo->first + fifo->count)
        bench_fail("%" PRIu64 " elements came instead of %" PRIu64, run.next - fifo->first,
                   fifo->count);
    return result;
}

struct fifo_result fifo_push(const struct fifo *fifo)
{
    return run_fifo(fifo, true);
}

struct fifo_result fifo_pop(const struct fifo *fifo)
{
    return run_fifo(fifo, false);
}

double fifo_mb_s(struct fifo_result result)
{
    return (double)result.bytes / 1e6 / result.seconds;
}
