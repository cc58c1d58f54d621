#include "server/commands/stream_reading.h"

#include "server/commands/server.h"
#include "server/net/loop.h"

void reading_begin(struct reading *reading)
{
    *reading = (struct reading){ .deadline_us = -1 };
}

/* BLOCK milliseconds. False: an error was answered. */
static bool parse_block(struct call *call, uint32_t index, struct reading *reading)
{
    int64_t now_us = (int64_t)loop_now_us(call->server->loop), ms;

    if (!call_integer_between(call, index, INT64_MIN, INT64_MAX,
                              "ERR timeout is not an integer or out of range", &ms))
        return false;
    if (ms < 0 || ms > (INT64_MAX - now_us) / 1000) {
        (void)call_error(call, ms < 0 ? "ERR timeout is negative" : "ERR timeout is out of range");
        return false;
    }
    reading->may_block = true;
    reading->deadline_us = ms == 0 ? -1 : now_us + ms * 1000;
    return true;
}

static bool parse_count(struct call *call, uint32_t index, struct reading *reading)
{
    if (!call_integer(call, index, &reading->count)) return false;
    if (reading->count < 0) reading->count = 0;
    return true;
}

static bool parse_streams(struct call *call, uint32_t index, const char *unbalanced,
                          struct reading *reading)
{
    uint32_t count = call->argument_count - index;

    if (count % 2 != 0) {
        (void)call_error(call, unbalanced);
        return false;
    }
    reading->key_first = index;
    reading->key_count = count / 2;
    return true;
}

int reading_parse_option(struct call *call, uint32_t *index, const char *unbalanced,
                         struct reading *reading)
{
    struct slice word = call->arguments[*index];
    uint32_t at = *index + 1;
    bool is_fine;

    if (at == call->argument_count) return 0; /* each has a value */
    if (slice_is(word, "BLOCK"))
        is_fine = parse_block(call, at, reading);
    else if (slice_is(word, "COUNT"))
        is_fine = parse_count(call, at, reading);
    else if (slice_is(word, "MAXCOUNT"))
        is_fine = call_integer_between(
            call, at, 1, INT64_MAX, "ERR MAXCOUNT must be a positive integer", &reading->max_count);
    else if (slice_is(word, "MAXSIZE"))
        is_fine = call_integer_between(
            call, at, 1, INT64_MAX, "ERR MAXSIZE must be a positive integer", &reading->max_bytes);
    else if (slice_is(word, "STREAMS"))
        is_fine = parse_streams(call, at, unbalanced, reading);
    else
        return 0;
    *index = at;
    return is_fine ? 1 : -1;
}

bool reading_is_whole(struct call *call, const struct reading *reading)
{
    if (reading->max_count == 0 || reading->count <= reading->max_count) return true;
    (void)call_error(call, "ERR MAXCOUNT must be greater than or equal to COUNT");
    return false;
}

uint64_t reading_count_wanted(const struct call *call, const struct reading *reading)
{
    if (reading->count > 0) return (uint64_t)reading->count;
    return call->served_key.bytes ? READING_BLOCKED_COUNT : UINT64_MAX;
}

void reading_keys(const struct call *call, const struct reading *reading, uint32_t *out_first,
                  uint32_t *out_end)
{
    const struct slice *names = call->arguments + reading->key_first;
    uint32_t first = 0;

    *out_first = 0;
    *out_end = reading->key_count;
    if (!call->served_key.bytes) return;
    while (first < reading->key_count && !slice_equal(call->served_key, names[first]))
        first++;
    *out_first = first;
    *out_end = first < reading->key_count ? first + 1 : first;
}
