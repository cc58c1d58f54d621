/* call.c - what handlers share: Redis's errors, arguments as numbers, marking keys changed. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "modules/base/log.h"
#include "modules/base/number.h"
#include "modules/spill/store.h"
#include "modules/stream/stream.h"
#include "server/commands/command.h"
#include "server/commands/disk_log.h"
#include "server/commands/parking.h"
#include "server/commands/read_error.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/observe/memory.h"

enum { ERROR_BYTES_MAX = 1024 };

int call_error(struct call *call, const char *text)
{
    reply_error(call->reply, slice_of_string(text));
    return 0;
}

int call_errorf(struct call *call, const char *format, ...)
{
    char text[ERROR_BYTES_MAX];
    va_list list;
    size_t size;

    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    /* Ends of lines at the end, which came with an argument, are dropped; others become spaces. */
    for (size = strlen(text); size > 0 && strchr("\r\n", text[size - 1]);)
        text[--size] = '\0';
    return call_error(call, text);
}

int call_syntax_error(struct call *call)
{
    return call_error(call, "ERR syntax error");
}

int call_wrong_type(struct call *call)
{
    return call_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

int call_not_an_integer(struct call *call)
{
    return call_error(call, "ERR value is not an integer or out of range");
}

int call_wrong_arity(struct call *call)
{
    return call_errorf(call, "ERR wrong number of arguments for '%s' command",
                       call->command->full_name);
}

static const struct command *container_of(const struct call *call)
{
    return call->command->parent ? call->command->parent : call->command;
}

static void container_in_capitals(const struct call *call, char *out, size_t size)
{
    const char *name = container_of(call)->name;
    size_t i = 0;

    for (; name[i] && i + 1 < size; i++)
        out[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
    out[i] = '\0';
}

int call_unknown_subcommand(struct call *call)
{
    char upper[64];
    struct slice word = call->arguments[1];

    container_in_capitals(call, upper, sizeof(upper));
    return call_errorf(call, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                       (int)(word.size < 128 ? word.size : 128), (const char *)word.bytes, upper);
}

int call_wrong_subcommand_arity(struct call *call)
{
    char upper[64];
    struct slice word = call->arguments[1];

    container_in_capitals(call, upper, sizeof(upper));
    return call_errorf(call,
                       "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s "
                       "HELP.",
                       (int)(word.size < 128 ? word.size : 128), (const char *)word.bytes, upper);
}

int call_help(struct call *call, const char *const *lines, uint32_t line_count)
{
    char title[128];
    const char *name = container_of(call)->name;
    int size = snprintf(title, sizeof(title),
                        "%s <subcommand> [<arg> [value] [opt] ...]. "
                        "Subcommands are:",
                        name);

    for (int i = 0; i < size && name[i]; i++) {
        if (title[i] >= 'a' && title[i] <= 'z') title[i] = (char)(title[i] - 32);
    }
    reply_array(call->reply, (uint64_t)line_count + 3);
    reply_simple(call->reply, slice_of_string(title));
    for (uint32_t i = 0; i < line_count; i++) {
        reply_simple(call->reply, slice_of_string(lines[i]));
    }
    reply_simple(call->reply, SLICE_LITERAL("HELP"));
    reply_simple(call->reply, SLICE_LITERAL("    Prints this help."));
    return 0;
}

static void answer_read_error(struct call *call, const char *what)
{
    char text[READ_ERROR_BYTES];

    read_error_describe(call, text);
    read_error_log(call, text);
    (void)call_errorf(call, "ERR %s: %s", what, text);
}

/* Nothing was done, and it may be tried again; unless what the stream had written is lost. */
static void answer_sync_error(struct call *call)
{
    struct stream_trouble trouble;

    stream_store_get_trouble(call->server->streams, &trouble);
    if (trouble.suspect_count == 0 && trouble.damaged_count > 0)
        (void)call_error(call, "MISCONF What this stream had written is damaged since a sync has "
                               "failed: nothing was changed. Reads go on; a restart takes it from "
                               "the log.");
    else
        (void)call_errorf(call,
                          "MISCONF A stream could not be brought to the disk (%s): nothing was "
                          "changed. What it had written is written once more; reads go on.",
                          strerror(trouble.last_error < 0 ? -trouble.last_error : EROFS));
}

/* Lists tell what has stopped them. Streams at their limit have -EDQUOT, as file systems have. */
static void answer_no_room(struct call *call, int rc)
{
    struct server *server = call->server;
    enum spill_disk disk = SPILL_DISK_FULL;
    struct stream_disk streams;

    stream_store_get_disk(server->streams, &streams);
    if (rc == -ENOSPC ? spill_store_disk(server->store) == SPILL_DISK_AT_LIMIT
                      : streams.is_at_limit)
        disk = SPILL_DISK_AT_LIMIT;
    /* What streams have ahead of their ends may be all that is missing: for the next one. */
    if (rc == -ENOSPC && disk == SPILL_DISK_AT_LIMIT) stream_store_give_room(server->streams);
    disk_log_refused(server, disk);
    (void)call_errorf(
        call, "MISCONF %s%s%s: nothing was changed. Reads and commands that remove go on.",
        disk == SPILL_DISK_AT_LIMIT ? "maxdisk is reached" : "The disk is full (",
        disk == SPILL_DISK_AT_LIMIT ? "" : strerror(-rc), disk == SPILL_DISK_AT_LIMIT ? "" : ")");
}

void call_engine_error(struct call *call, int rc)
{
    switch (rc) {
    case -ENOSPC:
    case -EDQUOT:
        answer_no_room(call, rc);
        break;
    case -EROFS:
        answer_sync_error(call);
        break;
    case -ENOMEM:
        (void)call_error(call, CALL_OUT_OF_MEMORY);
        break;
    case -EMSGSIZE:
        (void)call_error(call, "ERR value is larger than the smaller of proto-max-bulk-len and an "
                               "eighth of maxmemory");
        break;
    case -EBADMSG:
        answer_read_error(call, "data on disk is damaged");
        break;
    case -EIO:
        answer_read_error(call, "reading from disk failed");
        break;
    case -EPROTOTYPE:
        (void)call_wrong_type(call);
        break;
    case -ECANCELED: /* nobody is there to be told */
        break;
    default:
        (void)call_errorf(call, "ERR internal error %d (%s)", -rc, strerror(-rc));
        break;
    }
}

void call_break_off(struct call *call)
{
    char text[READ_ERROR_BYTES];

    if (!call->session) return;
    read_error_describe(call, text);
    log_write(call->server->log, LOG_WARNING, "A reply broke off, its client is closed: %s", text);
    client_close(call->session->client);
}

bool call_integer(struct call *call, uint32_t index, int64_t *out_value)
{
    if (number_parse_int64(call->arguments[index], out_value)) return true;
    (void)call_not_an_integer(call);
    return false;
}

bool call_integer_between(struct call *call, uint32_t index, int64_t least, int64_t most,
                          const char *error_text, int64_t *out_value)
{
    int64_t value;

    if (!number_parse_int64(call->arguments[index], &value)) {
        (void)(error_text ? call_error(call, error_text) : call_not_an_integer(call));
        return false;
    }
    if (value < least || value > most) {
        if (error_text)
            (void)call_error(call, error_text);
        else
            (void)call_errorf(call, "ERR value is out of range, value must between %lld and %lld",
                              (long long)least, (long long)most);
        return false;
    }
    *out_value = value;
    return true;
}

bool call_timeout(struct call *call, uint32_t index, int64_t *out_deadline_us)
{
    long double seconds, timeout_us;

    if (!number_parse_long_double(call->arguments[index], &seconds)) {
        (void)call_error(call, "ERR timeout is not a float or out of range");
        return false;
    }
    if (seconds < 0) {
        (void)call_error(call, "ERR timeout is negative");
        return false;
    }
    timeout_us =
        ceill(seconds * 1000.0L) * 1000.0L; /* Redis's grain is a millisecond, rounded up */
    if (timeout_us > (long double)(INT64_MAX / 2)) {
        (void)call_error(call, "ERR timeout is out of range");
        return false;
    }
    *out_deadline_us =
        seconds == 0 ? -1 : (int64_t)loop_now_us(call->server->loop) + (int64_t)timeout_us;
    return true;
}

bool call_can_suspend(const struct call *call)
{
    return call->in_transaction || call->is_replay || parking_can_suspend(call->server->parking);
}

bool call_has_own_fiber(const struct call *call)
{
    return !call->in_transaction && !call->is_replay && parking_can_suspend(call->server->parking);
}

bool call_names_exceed_memory(const struct call *call, uint32_t count)
{
    enum { NAME_BYTES = 160, LARGE_BYTES = 256 * 1024 };
    struct memory *memory = call->server->memory;
    uint64_t bytes = (uint64_t)count * NAME_BYTES;

    if (bytes < LARGE_BYTES) return false;
    memory_update(memory); /* others may have come in this turn */
    return memory_is_exhausted(memory, bytes);
}

int call_block_keeping(struct call *call, enum value_kind kind, const struct slice *names,
                       uint32_t name_count, int64_t deadline_us, const void *kept,
                       size_t kept_bytes)
{
    struct blocking blocking = { .kind = kind,
                                 .names = names,
                                 .name_count = name_count,
                                 .deadline_us = deadline_us,
                                 .look_again_us = -1,
                                 .kept = slice_of(kept, kept_bytes) };

    return parking_block(call, &blocking);
}

int call_block(struct call *call, enum value_kind kind, const struct slice *names,
               uint32_t name_count, int64_t deadline_us)
{
    return call_block_keeping(call, kind, names, name_count, deadline_us, NULL, 0);
}

int call_block_while_there(struct call *call, enum value_kind kind, const struct slice *names,
                           uint32_t name_count, int64_t deadline_us, int64_t look_again_us)
{
    struct blocking blocking = { .kind = kind,
                                 .minds_going = true,
                                 .names = names,
                                 .name_count = name_count,
                                 .deadline_us = deadline_us,
                                 .look_again_us = look_again_us };

    return parking_block(call, &blocking);
}

const void *call_kept(const struct call *call)
{
    return call->parked ? call->parked->kept : NULL;
}

void call_changed(struct call *call, struct slice name)
{
    keyspace_changed(call->server->keyspace, call->database, name);
}

void call_changed_unwatched(struct call *call)
{
    keyspace_count_change(call->server->keyspace);
}

void call_changed_signal(struct call *call, struct slice name)
{
    keyspace_changed(call->server->keyspace, call->database, name);
    blocked_signal(call->server->blocked, call->database, name);
}
