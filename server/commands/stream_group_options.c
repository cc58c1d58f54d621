/* stream_group_options.c - what XREADGROUP is asked for */
#include "server/commands/stream_group_reading.h"

static bool parse_min_idle(struct call *call, uint32_t index, struct group_reading *reading)
{
    if (!call_integer_between(call, index, INT64_MIN, INT64_MAX,
                              "ERR min-idle-time is not an integer", &reading->min_idle_ms))
        return false;
    if (reading->min_idle_ms >= 0) return true;
    (void)call_error(call, "ERR min-idle-time must be a positive integer");
    return false;
}

static bool parse_time(struct call *call, uint32_t index, struct group_reading *reading)
{
    int64_t ms;

    if (!call_integer(call, index, &ms)) return false;
    reading->now_ms = (uint64_t)ms;
    return true;
}

/* One that only groups know and that has a value, at index + 1. 1; 0: it is none of these; -1: an
 * error was answered. */
static int parse_valued(struct call *call, uint32_t index, struct group_reading *reading)
{
    struct slice word = call->arguments[index];
    bool is_fine;

    if (slice_is(word, "CLAIM"))
        is_fine = parse_min_idle(call, index + 1, reading);
    else if (call->is_replay && slice_is(word, "TIME")) /* ours: what the log has */
        is_fine = parse_time(call, index + 1, reading);
    else if (call->is_replay && slice_is(word, "TAKEN"))
        is_fine = call_integer(call, index + 1, &reading->taken_max);
    else
        return 0;
    return is_fine ? 1 : -1;
}

/* The option at *index; STREAMS is the last one. False: an error was answered. */
static bool parse_option(struct call *call, uint32_t *index, struct group_reading *reading)
{
    struct slice word = call->arguments[*index];
    uint32_t more = call->argument_count - *index - 1;
    int rc = reading_parse_option(call, index,
                                  "ERR Unbalanced 'xreadgroup' list of streams: for each stream "
                                  "key an ID or '>' must be specified.",
                                  &reading->asked);

    if (rc != 0) return rc == 1;
    if (more > 0) rc = parse_valued(call, *index, reading);
    if (rc != 0) {
        ++*index;
        return rc == 1;
    }
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
    *reading =
        (struct group_reading){ .min_idle_ms = -1, .taken_max = -1, .now_ms = stream_now_ms(call) };
    reading_begin(&reading->asked);
    for (uint32_t i = 1; i < call->argument_count && reading->asked.key_first == 0; i++)
        if (!parse_option(call, &i, reading)) return false;
    if (reading->asked.key_first == 0) {
        (void)call_syntax_error(call);
        return false;
    }
    if (!reading->group.bytes) {
        (void)call_error(call, "ERR Missing GROUP option for XREADGROUP");
        return false;
    }
    return reading_is_whole(call, &reading->asked);
}
