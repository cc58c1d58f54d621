/* stream_group_options.c - what XREADGROUP is asked for */
#include "server/commands/server.h"
#include "server/commands/stream_group_reading.h"
#include "server/net/loop.h"

/* BLOCK milliseconds. */
static bool parse_block(struct call *call, uint32_t index, struct group_reading *reading)
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

static bool parse_streams(struct call *call, uint32_t index, struct group_reading *reading)
{
    uint32_t count = call->argument_count - index;

    if (count % 2 != 0) {
        (void)call_error(call, "ERR Unbalanced 'xreadgroup' list of streams: for each stream key "
                               "an ID or '>' must be specified.");
        return false;
    }
    reading->key_first = index;
    reading->key_count = count / 2;
    return true;
}

static bool parse_time(struct call *call, uint32_t index, struct group_reading *reading)
{
    int64_t ms;

    if (!call_integer(call, index, &ms)) return false;
    reading->now_ms = (uint64_t)ms;
    return true;
}

/* One that has a value, at *index + 1. 1; 0: it is none of these; -1: an error was answered. */
static int parse_valued(struct call *call, uint32_t *index, struct group_reading *reading)
{
    struct slice word = call->arguments[*index];
    uint32_t at = *index + 1;
    bool is_fine;

    if (slice_is(word, "BLOCK"))
        is_fine = parse_block(call, at, reading);
    else if (slice_is(word, "COUNT"))
        is_fine = call_integer(call, at, &reading->count);
    else if (slice_is(word, "MAXCOUNT"))
        is_fine = call_integer_between(
            call, at, 1, INT64_MAX, "ERR MAXCOUNT must be a positive integer", &reading->max_count);
    else if (slice_is(word, "MAXSIZE"))
        is_fine = call_integer_between(
            call, at, 1, INT64_MAX, "ERR MAXSIZE must be a positive integer", &reading->max_bytes);
    else if (slice_is(word, "CLAIM"))
        is_fine = call_integer_between(call, at, 0, INT64_MAX,
                                       "ERR min-idle-time must be a positive integer",
                                       &reading->min_idle_ms);
    else if (call->is_replay && slice_is(word, "TIME")) /* ours: what the log has */
        is_fine = parse_time(call, at, reading);
    else
        return 0;
    *index = at;
    return is_fine ? 1 : -1;
}

/* The option at *index; STREAMS is the last one. False: an error was answered. */
static bool parse_option(struct call *call, uint32_t *index, struct group_reading *reading)
{
    struct slice word = call->arguments[*index];
    uint32_t more = call->argument_count - *index - 1;
    int rc = more > 0 ? parse_valued(call, index, reading) : 0;

    if (rc != 0) return rc == 1;
    if (more > 0 && slice_is(word, "STREAMS")) return parse_streams(call, *index + 1, reading);
    if (more > 1 && slice_is(word, "GROUP")) {
        reading->group = call->arguments[*index + 1];
        reading->consumer = call->arguments[*index + 2];
        *index += 2;
        return true;
    }
    if (slice_is(word, "NOACK")) {
        reading->no_ack = true;
        return true;
    }
    (void)call_syntax_error(call);
    return false;
}

bool group_reading_parse(struct call *call, struct group_reading *reading)
{
    *reading = (struct group_reading){ .deadline_us = -1,
                                       .min_idle_ms = -1,
                                       .now_ms = stream_now_ms(call) };
    for (uint32_t i = 1; i < call->argument_count && reading->key_first == 0; i++)
        if (!parse_option(call, &i, reading)) return false;
    if (reading->count < 0) reading->count = 0;
    if (reading->key_first == 0) {
        (void)call_syntax_error(call);
        return false;
    }
    if (!reading->group.bytes) {
        (void)call_error(call, "ERR Missing GROUP option for XREADGROUP");
        return false;
    }
    if (reading->max_count > 0 && reading->count > reading->max_count) {
        (void)call_error(call, "ERR MAXCOUNT must be greater than or equal to COUNT");
        return false;
    }
    return true;
}
