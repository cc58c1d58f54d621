/* stream_range.c - XLEN XRANGE XREVRANGE */
#include "server/commands/handlers.h"
#include "server/commands/stream_answer.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_reply.h"
#include "server/commands/stream_words.h"

/* XLEN key */
int stream_xlen(struct call *call)
{
    struct stream_key key;
    int rc = stream_key_find_read(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    reply_integer(call->reply, rc ? (int64_t)stream_count(key.stream) : 0);
    return 0;
}

/* False: an error was answered. *out_count -1: all. */
static bool parse_count(struct call *call, int64_t *out_count)
{
    *out_count = -1;
    for (uint32_t i = 4; i < call->argument_count; i += 2) {
        if (!slice_is(call->arguments[i], "COUNT") || i + 1 == call->argument_count) {
            (void)call_syntax_error(call);
            return false;
        }
        if (!call_integer(call, i + 1, out_count)) return false;
        if (*out_count < 0) *out_count = 0;
    }
    return true;
}

static int range(struct call *call, enum stream_direction direction)
{
    bool is_forward = direction == STREAM_FORWARD;
    struct stream_id first, last;
    struct stream_range range;
    struct stream_key key;
    int64_t count;
    int rc;

    if (!stream_word_start(call, is_forward ? 2 : 3, &first)) return 0;
    if (!stream_word_end(call, is_forward ? 3 : 2, &last)) return 0;
    if (!parse_count(call, &count)) return 0;
    rc = stream_key_find_read(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_array(call->reply, 0);
        return 0;
    }
    if (count == 0) {
        reply_null_array(call->reply);
        return 0;
    }
    rc = stream_range_find(key.stream, first, last, direction,
                           count < 0 ? UINT64_MAX : (uint64_t)count, &range);
    return rc < 0 ? rc : stream_answer_range(call, &range);
}

/* XRANGE key start end [COUNT count] */
int stream_xrange(struct call *call)
{
    return range(call, STREAM_FORWARD);
}

/* XREVRANGE key end start [COUNT count] */
int stream_xrevrange(struct call *call)
{
    return range(call, STREAM_BACKWARD);
}
