#include "server/commands/monitor.h"

#include <stdio.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/base/log.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/session.h"
#include "server/net/client.h"

/* One line a command: `+SECONDS.MICROSECONDS [DB PEER] "command" "argument"…`. Bytes that do not
 * print are escaped, so a line never breaks; an argument may quadruple. */

enum { HEAD_BYTES = 256 };

static size_t escape(uint8_t *out, struct slice argument)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\n\r\t\a\b\\\"", to[] = "nrtab\\\"";
    size_t used = 0;

    out[used++] = '"';
    for (size_t i = 0; i < argument.size; i++) {
        uint8_t c = argument.bytes[i];
        const char *special = c ? strchr(from, c) : NULL;

        if (special) {
            out[used++] = '\\';
            out[used++] = (uint8_t)to[special - from];
        } else if (c >= 0x20 && c < 0x7f) {
            out[used++] = c;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = (uint8_t)hex[c >> 4];
            out[used++] = (uint8_t)hex[c & 15];
        }
    }
    out[used++] = '"';
    return used;
}

static uint8_t *make_line(const struct call *call, size_t *out_size)
{
    size_t room = HEAD_BYTES, used;
    int64_t now_us = clock_realtime_us();
    uint8_t *line;
    int head;

    for (uint32_t i = 0; i < call->argument_count; i++) {
        room += call->arguments[i].size * 4 + 3;
    }
    line = malloc(room);
    if (!line) return NULL;
    head = snprintf((char *)line, HEAD_BYTES, "%lld.%06lld [%u %.200s]",
                    (long long)(now_us / 1000000), (long long)(now_us % 1000000), call->database,
                    call->session ? client_peer_text(call->session->client) : "");
    used = (size_t)head;
    for (uint32_t i = 0; i < call->argument_count; i++) {
        line[used++] = ' ';
        used += escape(line + used, call->arguments[i]);
    }
    *out_size = used;
    return line;
}

/* A line must not come between the parts of a reply that the monitor itself is waiting for, and
 * with its RESET it is none any more. */
static bool is_left_out(const struct session *session, const struct call *call)
{
    if (session == call->session && call->in_transaction) return true;
    if (session == call->session && call->command->handler == connection_reset) return true;
    return session->parked &&
           (session->parked->state == PARKED_RUNNING || session->parked->state == PARKED_STREAMING);
}

/* It is sent what others do, so it must not read more slowly than they write. */
static void close_slow_monitor(struct server *server, struct session *session)
{
    log_write(server->log, LOG_WARNING,
              "Closing client id=%llu addr=%s: it monitors and does not read, and fills the memory "
              "for answers",
              (unsigned long long)session->id, client_peer_text(session->client));
    client_close(session->client);
}

void monitors_show_call(struct call *call)
{
    struct monitors *monitors = call->server->monitors;
    size_t size = 0;
    uint8_t *line;

    if (call->command->flags & (COMMAND_SKIP_MONITOR | COMMAND_ADMIN)) return;
    line = make_line(call, &size);
    if (!line) return; /* an observer must not make a command fail */
    list_for_each(link, &monitors->sessions)
    {
        struct session *session = list_container(link, struct session, monitor_link);

        if (client_is_closing(session->client) || is_left_out(session, call)) continue;
        reply_simple(client_reply(session->client), slice_of(line, size));
        if (client_hoards_output(session->client, monitors->count))
            close_slow_monitor(call->server, session);
    }
    free(line);
}

/* MONITOR */
int monitor_monitor(struct call *call)
{
    struct session *session = call->session;

    if (call->in_transaction) return call_error(call, "ERR MONITOR isn't allowed in a transaction");
    if (session->is_monitor) return 0; /* as in Redis: no answer */
    session->is_monitor = true;
    list_push_back(&call->server->monitors->sessions, &session->monitor_link);
    call->server->monitors->count++;
    client_set_idle_exempt(session->client, true);
    reply_ok(call->reply);
    return 0;
}

void monitors_forget(struct session *session)
{
    if (!session->is_monitor) return;
    session->is_monitor = false;
    list_remove(&session->monitor_link);
    session->server->monitors->count--;
}
