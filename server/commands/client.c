/* client.c - CLIENT ID INFO LIST GETNAME SETNAME SETINFO REPLY UNBLOCK PAUSE UNPAUSE NO-EVICT
 * NO-TOUCH GETREDIR; killing clients is in client_kill.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/client_line.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/session_life.h"
#include "server/commands/transaction.h"
#include "server/keyspace/watch.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/net/net.h"

/* ---- one client in one line
 * -------------------------------------------------------------------------- */

static void flags_text(const struct session *session, char *text)
{
    char *at = text;

    if (session->is_monitor) *at++ = 'O';
    if (session->transaction) *at++ = 'x';
    if (session->parked &&
        (session->parked->state == PARKED_BLOCKED || session->parked->state == PARKED_SYNCING))
        *at++ = 'b';
    if (session->watcher.is_dirty) *at++ = 'd';
    if (client_is_closing(session->client)) *at++ = 'A';
    if (client_is_unix(session->client)) *at++ = 'U';
    if (session->no_evict) *at++ = 'e';
    if (session->no_touch) *at++ = 'T';
    if (at == text) *at++ = 'N';
    *at = '\0';
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

int client_line(const struct session *session, char *text, size_t size)
{
    struct client *client = session->client;
    struct client_buffers buffers;
    char flags[16];
    uint64_t now_us = loop_now_us(session->server->loop);
    uint64_t multi_bytes = transaction_bytes(session);

    flags_text(session, flags);
    client_buffers(client, &buffers);
    return snprintf(
        text, size,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=%u sub=0 psub=0 "
        "ssub=0 "
        "multi=%d qbuf=%llu qbuf-free=%llu argv-mem=0 multi-mem=%llu rbs=%llu rbp=%llu obl=%llu "
        "oll=%llu omem=%llu tot-mem=%llu events=%s cmd=%s user=default redir=-1 resp=%d "
        "lib-name=%s "
        "lib-ver=%s",
        (unsigned long long)session->id, client_peer_text(client), client_local_text(client),
        client_fd(client), text_or_empty(session->name),
        (unsigned long long)((now_us - client_connected_us(client)) / 1000000),
        (unsigned long long)((now_us - client_last_active_us(client)) / 1000000), flags,
        session->database, session->transaction ? (int)session->transaction->count : -1,
        (unsigned long long)buffers.input_used_bytes, (unsigned long long)buffers.input_free_bytes,
        (unsigned long long)multi_bytes, (unsigned long long)buffers.output_buffer_bytes,
        (unsigned long long)buffers.output_buffer_bytes,
        (unsigned long long)buffers.output_buffer_bytes,
        (unsigned long long)buffers.output_list_count,
        (unsigned long long)buffers.output_list_bytes,
        (unsigned long long)(buffers.total_bytes + multi_bytes), buffers.wants_write ? "rw" : "r",
        session->last_command ? session->last_command->full_name : "NULL",
        client_reply(client)->protocol, text_or_empty(session->library_name),
        text_or_empty(session->library_version));
}

/* A growing text of lines. */
struct lines {
    char *text;
    size_t size, capacity;
    bool is_out_of_memory;
};

static void add_line(struct lines *lines, const struct session *session)
{
    char line[CLIENT_LINE_BYTES];
    int size = client_line(session, line, sizeof(line));

    if (size >= (int)sizeof(line)) size = (int)sizeof(line) - 1;
    if (lines->size + (size_t)size + 1 > lines->capacity) {
        size_t capacity = lines->capacity * 2 + sizeof(line);
        char *text = realloc(lines->text, capacity);

        if (!text) {
            lines->is_out_of_memory = true;
            return;
        }
        lines->text = text;
        lines->capacity = capacity;
    }
    memcpy(lines->text + lines->size, line, (size_t)size);
    lines->size += (size_t)size;
    lines->text[lines->size++] = '\n';
}

static int reply_lines(struct call *call, struct lines *lines)
{
    bool failed = lines->is_out_of_memory;

    if (!failed) reply_verbatim(call->reply, "txt", slice_of(lines->text, lines->size));
    free(lines->text);
    return failed ? -ENOMEM : 0;
}

/* CLIENT ID */
int client_id_command(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->session->id);
    return 0;
}

/* CLIENT INFO */
int client_info(struct call *call)
{
    struct lines lines = { 0 };

    add_line(&lines, call->session);
    return reply_lines(call, &lines);
}

bool client_type_by_name(struct slice name, enum client_class *out_class)
{
    if (slice_is(name, "normal"))
        *out_class = CLIENT_NORMAL;
    else if (slice_is(name, "replica") || slice_is(name, "slave") || slice_is(name, "master"))
        *out_class = CLIENT_REPLICA;
    else if (slice_is(name, "pubsub"))
        *out_class = CLIENT_PUBSUB;
    else
        return false;
    return true;
}

static bool list_each(void *context, struct client *client)
{
    add_line(context, session_of(client));
    return false;
}

static int list_by_ids(struct call *call)
{
    struct lines lines = { 0 };

    for (uint32_t i = 3; i < call->argument_count; i++) {
        struct client *client;
        int64_t id;

        if (!number_parse_int64(call->arguments[i], &id)) {
            free(lines.text);
            return call_error(call, "ERR Invalid client ID");
        }
        client = id > 0 ? net_client_by_id(call->server->net, (uint64_t)id) : NULL;
        if (client) add_line(&lines, session_of(client));
    }
    return reply_lines(call, &lines);
}

/* CLIENT LIST [TYPE type] [ID id [id ...]] */
int client_list(struct call *call)
{
    struct lines lines = { 0 };

    if (call->argument_count == 4 && slice_is(call->arguments[2], "TYPE")) {
        enum client_class wanted;
        struct slice type = call->arguments[3];

        if (!client_type_by_name(type, &wanted))
            return call_errorf(call, "ERR Unknown client type '%.*s'",
                               (int)(type.size < 128 ? type.size : 128), (const char *)type.bytes);
        if (wanted != CLIENT_NORMAL) return reply_lines(call, &lines); /* there are none yet */
    } else if (call->argument_count > 3 && slice_is(call->arguments[2], "ID")) {
        return list_by_ids(call);
    } else if (call->argument_count != 2) {
        return call_syntax_error(call);
    }
    net_each_client(call->server->net, list_each, &lines);
    return reply_lines(call, &lines);
}

/* ---- names
 * --------------------------------------------------------------------------------------------- */

/* CLIENT GETNAME */
int client_getname(struct call *call)
{
    if (call->session->name)
        reply_bulk_string(call->reply, call->session->name);
    else
        reply_null(call->reply);
    return 0;
}

/* CLIENT SETNAME connection-name */
int client_setname(struct call *call)
{
    int rc;

    if (!session_name_is_valid(call, call->arguments[2])) return 0;
    rc = session_set_text(call->session, &call->session->name, call->arguments[2]);
    if (rc < 0) return rc;
    reply_ok(call->reply);
    return 0;
}

/* CLIENT SETINFO LIB-NAME|LIB-VER text */
int client_setinfo(struct call *call)
{
    struct slice option = call->arguments[2], value = call->arguments[3];
    bool is_name = slice_is(option, "LIB-NAME");
    int rc;

    if (!is_name && !slice_is(option, "LIB-VER"))
        return call_errorf(call, "ERR Unrecognized option '%.*s'",
                           (int)(option.size < 128 ? option.size : 128),
                           (const char *)option.bytes);
    for (size_t i = 0; i < value.size; i++) {
        if (value.bytes[i] < '!' || value.bytes[i] > '~')
            return call_errorf(call,
                               "ERR %s cannot contain spaces, newlines or special characters.",
                               is_name ? "lib-name" : "lib-ver");
    }
    rc = session_set_text(call->session,
                          is_name ? &call->session->library_name : &call->session->library_version,
                          value);
    if (rc < 0) return rc;
    reply_ok(call->reply);
    return 0;
}

/* ---- switches
 * -------------------------------------------------------------------------------------------- */

/* CLIENT REPLY ON|OFF|SKIP */
int client_reply_command(struct call *call)
{
    struct session *session = call->session;
    struct slice mode = call->arguments[2];

    if (slice_is(mode, "ON")) {
        session->reply_mode = SESSION_REPLY_ON;
        session->skip_next = false;
        call->reply->is_muted = false;
        reply_ok(call->reply);
    } else if (slice_is(mode, "OFF")) {
        session->reply_mode = SESSION_REPLY_OFF;
        call->reply->is_muted = true;
    } else if (slice_is(mode, "SKIP")) {
        session->skip_next = session->reply_mode == SESSION_REPLY_ON;
        call->reply->is_muted = true;
    } else {
        return call_syntax_error(call);
    }
    return 0;
}

/* 1: ON, 0: OFF; -1: neither, answered. */
static int parse_switch(struct call *call, struct slice word)
{
    if (slice_is(word, "ON")) return 1;
    if (slice_is(word, "OFF")) return 0;
    (void)call_syntax_error(call);
    return -1;
}

/* CLIENT NO-EVICT ON|OFF */
int client_no_evict(struct call *call)
{
    int on = parse_switch(call, call->arguments[2]);

    if (on < 0) return 0;
    call->session->no_evict = on;
    client_set_no_evict(call->session->client, on);
    reply_ok(call->reply);
    return 0;
}

/* CLIENT NO-TOUCH ON|OFF */
int client_no_touch(struct call *call)
{
    int on = parse_switch(call, call->arguments[2]);

    if (on < 0) return 0;
    call->session->no_touch = on;
    reply_ok(call->reply);
    return 0;
}

/* CLIENT GETREDIR: no client tracks keys yet, so none redirects. */
int client_getredir(struct call *call)
{
    reply_integer(call->reply, -1);
    return 0;
}

/* ---- what others wait for
 * ----------------------------------------------------------------------------------- */

/* CLIENT UNBLOCK client-id [TIMEOUT|ERROR] */
int client_unblock(struct call *call)
{
    struct client *client;
    bool with_error = false, was_blocked = false;
    int64_t id;

    if (call->argument_count > 4) return call_wrong_subcommand_arity(call);
    if (call->argument_count == 4) {
        with_error = slice_is(call->arguments[3], "ERROR");
        if (!with_error && !slice_is(call->arguments[3], "TIMEOUT"))
            return call_error(call, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    if (!call_integer(call, 2, &id)) return 0;
    client = id > 0 ? net_client_by_id(call->server->net, (uint64_t)id) : NULL;
    if (client && !client_is_closing(client))
        was_blocked = parking_unblock(call->server, session_of(client), with_error);
    reply_integer(call->reply, was_blocked);
    return 0;
}

/* CLIENT PAUSE timeout [WRITE|ALL]: a longer pause that is in force stays, and so does its kind. */
int client_pause(struct call *call)
{
    struct server *server = call->server;
    uint64_t until_us, now_us = loop_now_us(server->loop);
    int64_t timeout_ms;
    bool writes_only = false;

    if (call->argument_count > 4) return call_wrong_subcommand_arity(call);
    if (call->argument_count == 4) {
        writes_only = slice_is(call->arguments[3], "WRITE");
        if (!writes_only && !slice_is(call->arguments[3], "ALL"))
            return call_error(call, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
    if (!number_parse_int64(call->arguments[2], &timeout_ms) ||
        timeout_ms > (INT64_MAX - (int64_t)now_us) / 1000)
        return call_error(call, "ERR timeout is not an integer or out of range");
    if (timeout_ms < 0) return call_error(call, "ERR timeout is negative");
    until_us = now_us + (uint64_t)timeout_ms * 1000;
    if (server->paused_until_us > now_us) {
        if (!server->pause_is_for_writes_only) writes_only = false;
        if (server->paused_until_us > until_us) until_us = server->paused_until_us;
    }
    server->paused_until_us = until_us;
    server->pause_is_for_writes_only = writes_only;
    reply_ok(call->reply);
    return 0;
}

/* CLIENT UNPAUSE */
int client_unpause(struct call *call)
{
    reply_ok(call->reply);
    parking_end_pause(call->server);
    return 0;
}

/* CLIENT HELP */
int client_help(struct call *call)
{
    static const char *const lines[] = {
        "GETNAME",
        "    The connection's name.",
        "GETREDIR",
        "    The client that tracking messages are redirected to, or -1.",
        "ID",
        "    The connection's number.",
        "INFO",
        "    This connection, as LIST shows it.",
        "KILL <ip:port>",
        "    Closes the connection from ip:port.",
        "KILL <option> <value> [<option> <value> ...]",
        "    Closes connections. Options are: ADDR, LADDR <ip:port>, TYPE <type>, USER <name>,",
        "    ID <client-id>, SKIPME (YES|NO).",
        "LIST [TYPE <type>] [ID <client-id> ...]",
        "    All connections, or those of a type or with these numbers.",
        "NO-EVICT (ON|OFF)",
        "    Spares this connection when clients are closed for their memory.",
        "NO-TOUCH (ON|OFF)",
        "    Leaves the access times of keys alone.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Holds back all, or just writing, commands for timeout milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether this connection is answered.",
        "SETINFO (LIB-NAME|LIB-VER) <text>",
        "    What library is at the other end.",
        "SETNAME <name>",
        "    Names the connection.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    Ends the wait of a blocked client.",
        "UNPAUSE",
        "    Ends a pause.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* CLIENT */
int client_container(struct call *call)
{
    return call_wrong_arity(call);
}
