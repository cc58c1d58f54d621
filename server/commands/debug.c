/* debug.c - DEBUG: what tests need to steer and see. Off unless enable-debug-command says so. */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "modules/base/log.h"
#include "modules/base/number.h"
#include "modules/spill/deque.h"
#include "modules/stream/stream.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/local.h"
#include "server/commands/reload.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/types/list.h"
#include "server/types/stream.h"
#include "server/types/string.h"

/* ---- DEBUG PROTOCOL ------------------------------------------------------------------------- */

static void show_map(struct reply *reply)
{
    reply_map(reply, 3);
    for (int i = 0; i < 3; i++) {
        reply_integer(reply, i);
        reply_bool(reply, i == 1);
    }
}

static void show_attribute(struct reply *reply)
{
    if (reply->protocol > 2) {
        reply_attribute(reply, 1);
        reply_bulk_string(reply, "key-popularity");
        reply_array(reply, 2);
        reply_bulk_string(reply, "key:123");
        reply_integer(reply, 90);
    }
    reply_bulk_string(reply, "Some real reply following the attribute");
}

static void show_push(struct reply *reply)
{
    if (reply->protocol == 2) {
        reply_error(reply, SLICE_LITERAL("ERR RESP2 is not supported by this command"));
        return;
    }
    reply_push(reply, 2);
    reply_bulk_string(reply, "server-cpu-usage");
    reply_integer(reply, 42);
    reply_bulk_string(reply, "Some real reply following the push reply");
}

static void show_numbers(struct reply *reply, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        reply_integer(reply, (int64_t)i);
    }
}

/* DEBUG PROTOCOL type: the values that Redis's client tests expect. */
static int debug_protocol(struct call *call)
{
    enum { ITEMS = 3 };
    struct reply *reply = call->reply;
    struct slice type = call->arguments[2];

    if (slice_is(type, "string")) {
        reply_bulk_string(reply, "Hello World");
    } else if (slice_is(type, "integer")) {
        reply_integer(reply, 12345);
    } else if (slice_is(type, "double")) {
        reply_double(reply, 3.141);
    } else if (slice_is(type, "bignum")) {
        reply_big_number(reply, SLICE_LITERAL("1234567999999999999999999999999999999"));
    } else if (slice_is(type, "null")) {
        reply_null(reply);
    } else if (slice_is(type, "array")) {
        reply_array(reply, ITEMS);
        show_numbers(reply, ITEMS);
    } else if (slice_is(type, "set")) {
        reply_set(reply, ITEMS);
        show_numbers(reply, ITEMS);
    } else if (slice_is(type, "map")) {
        show_map(reply);
    } else if (slice_is(type, "attrib")) {
        show_attribute(reply);
    } else if (slice_is(type, "push")) {
        show_push(reply);
    } else if (slice_is(type, "verbatim")) {
        reply_verbatim(reply, "txt", SLICE_LITERAL("This is a verbatim\nstring"));
    } else if (slice_is(type, "true") || slice_is(type, "false")) {
        reply_bool(reply, slice_is(type, "true"));
    } else {
        return call_error(call,
                          "ERR Wrong protocol type name. Please use one of the following: "
                          "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|"
                          "true|false");
    }
    return 0;
}

/* ---- the others ----------------------------------------------------------------------------- */

/* DEBUG SLEEP seconds: the whole server stands still, which is what it is for. */
static int debug_sleep(struct call *call)
{
    double seconds, whole;
    struct timespec left;

    if (!number_parse_double(call->arguments[2], &seconds) || isnan(seconds) ||
        seconds > (double)INT32_MAX)
        return call_error(call, "ERR value is not a valid float");
    left.tv_nsec = (long)(modf(seconds > 0 ? seconds : 0, &whole) * 1e9);
    left.tv_sec = (time_t)whole;
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {}
    reply_ok(call->reply);
    return 0;
}

/* DEBUG SET-ACTIVE-EXPIRE 0|1 */
static int debug_set_active_expire(struct call *call)
{
    int64_t on;

    if (!call_integer(call, 2, &on)) return 0;
    keyspace_set_active_expiry(call->server->keyspace, on != 0);
    reply_ok(call->reply);
    return 0;
}

/* DEBUG QUICKLIST-PACKED-THRESHOLD size: Redis moves the size from which an element has a node of
 * its own. Here that is always what does not fit into a chunk, so a valid size is accepted and
 * changes nothing: tests that lower it still see what they look for. */
static int debug_packed_threshold(struct call *call)
{
    uint64_t bytes;

    if (!number_parse_memory(call->arguments[2], &bytes) || bytes > UINT32_MAX)
        return call_error(call, "ERR argument must be a memory value bigger than 1 and smaller "
                                "than 4gb");
    reply_ok(call->reply);
    return 0;
}

/* The part of DEBUG OBJECT that only lists have. A node is a chunk here. */
static int list_text(const struct value *value, char *text, size_t size)
{
    const struct spill_deque *deque = list_deque(value);
    uint64_t elements = spill_deque_count(deque), chunks = spill_deque_chunk_count(deque);

    return snprintf(text, size,
                    " ql_nodes:%llu ql_avg_node:%.2f ql_listpack_max:-2 ql_compressed:0 "
                    "ql_uncompressed_size:%llu",
                    (unsigned long long)chunks, chunks ? (double)elements / (double)chunks : 0.0,
                    (unsigned long long)spill_deque_bytes(deque));
}

static uint64_t content_bytes(const struct value *value)
{
    if (value->type->kind == VALUE_LIST) return spill_deque_bytes(list_deque(value));
    if (value->type->kind == VALUE_STREAM) return stream_image_size(stream_value_stream(value));
    return string_value_size(value);
}

/* DEBUG OBJECT key */
static int debug_object(struct call *call)
{
    enum { TEXT_BYTES = 512 };
    char text[TEXT_BYTES];
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key = keyspace_find(keyspace, call->database, call->arguments[2]);
    const struct value *value;
    int64_t idle_ms;
    int used;

    if (!key) return call_error(call, "ERR no such key");
    value = key_value(key);
    idle_ms = key_idle_ms(keyspace, key);
    used = snprintf(text, sizeof(text),
                    "Value at:%p refcount:1 encoding:%s serializedlength:%llu lru:%llu "
                    "lru_seconds_idle:%llu",
                    (const void *)value, value->type->encoding(value),
                    (unsigned long long)content_bytes(value),
                    (unsigned long long)((keyspace_now(keyspace) - idle_ms) / 1000 & 0xFFFFFF),
                    (unsigned long long)(idle_ms / 1000));
    if (value->type->kind == VALUE_LIST)
        (void)list_text(value, text + used, sizeof(text) - (size_t)used);
    reply_simple(call->reply, slice_of_string(text));
    return 0;
}

/* DEBUG ERROR text: that error, to test a client. */
static int debug_error(struct call *call)
{
    reply_error(call->reply, call->arguments[2]);
    return 0;
}

/* DEBUG LOG message */
static int debug_log(struct call *call)
{
    struct slice message = call->arguments[2];
    int size = message.size < 512 ? (int)message.size : 512;

    log_write(call->server->log, LOG_WARNING, "DEBUG LOG: %.*s", size, (const char *)message.bytes);
    reply_ok(call->reply);
    return 0;
}

static int debug_help(struct call *call)
{
    static const char *const lines[] = {
        "ERROR <string>",
        "    Answers that error.",
        "LOADAOF",
        "    Syncs the log, drops all data in memory, and recovers it from checkpoint and log.",
        "LOG <message>",
        "    Writes the message to the server's log.",
        "OBJECT <key>",
        "    How the value of a key is stored.",
        "PROTOCOL <type>",
        "    A value of that type: string, integer, double, bignum, null, array, set, map,",
        "    attrib, push, verbatim, true or false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Accepted and without effect: an element that fits into no chunk has one of its own.",
        "RELOAD [NOSAVE]",
        "    Makes a checkpoint (with NOSAVE: none), drops all data in memory, and recovers",
        "    it from the newest one and the log.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Whether keys whose time has come go before somebody looks at them.",
        "SLEEP <seconds>",
        "    Stops the whole server for that time, which may have a fraction.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* ---- DEBUG ---------------------------------------------------------------------------------- */

static bool is_allowed(const struct call *call)
{
    int64_t access = (int64_t)call->server->config->enable_debug_command;

    return access == CONFIG_ACCESS_YES || (access == CONFIG_ACCESS_LOCAL && call_is_local(call));
}

static bool takes(int wanted, uint32_t count)
{
    return wanted < 0 ? count >= (uint32_t)-wanted : count == (uint32_t)wanted;
}

/* DEBUG subcommand [argument]. One command, as in Redis: its subcommands are no rows. */
int debug_debug(struct call *call)
{
    static const struct {
        const char *name;
        int argument_count; /* below 0: that many at least */
        int (*run)(struct call *call);
    } subcommands[] = {
        { "help", 2, debug_help },
        { "error", 3, debug_error },
        { "loadaof", 2, reload_log },
        { "log", 3, debug_log },
        { "object", 3, debug_object },
        { "protocol", 3, debug_protocol },
        { "quicklist-packed-threshold", 3, debug_packed_threshold },
        { "reload", -2, reload_checkpoint },
        { "set-active-expire", 3, debug_set_active_expire },
        { "sleep", 3, debug_sleep },
    };
    struct slice name = call->arguments[1];

    if (!is_allowed(call))
        return call_error(call,
                          "ERR DEBUG command not allowed. If the enable-debug-command option is "
                          "set to \"local\", you can run it from a local connection, otherwise you "
                          "need to set this option in the configuration file, and then restart "
                          "the server.");
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
        if (slice_equal_nocase(slice_of_string(subcommands[i].name), name) &&
            takes(subcommands[i].argument_count, call->argument_count))
            return subcommands[i].run(call);
    }
    return call_wrong_subcommand_arity(call);
}
