/* client_kill.c - CLIENT KILL, in its old form (an address) and its new one (filters). */
#include "modules/base/number.h"
#include "server/commands/client_line.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/net/client.h"
#include "server/net/net.h"

struct filter {
    uint64_t id;              /* 0: any */
    struct slice peer, local; /* no bytes: any */
    bool has_class, skip_me;
    enum client_class class_;
    const struct session *me;
    uint64_t killed;
};

static bool matches(const struct filter *filter, const struct session *session)
{
    struct client *client = session->client;

    if (client_is_closing(client)) return false;
    if (filter->skip_me && session == filter->me) return false;
    if (filter->id && session->id != filter->id) return false;
    if (filter->has_class && filter->class_ != CLIENT_NORMAL) return false;
    if (filter->peer.bytes && !slice_equal(filter->peer, slice_of_string(client_peer_text(client))))
        return false;
    return !filter->local.bytes ||
           slice_equal(filter->local, slice_of_string(client_local_text(client)));
}

static bool kill_matching(void *context, struct client *client)
{
    struct filter *filter = context;
    struct session *session = session_of(client);

    if (!matches(filter, session)) return false;
    filter->killed++;
    if (session == filter->me)
        client_close_after_reply(client);
    else
        client_close(client);
    return false;
}

static int kill_address(struct call *call)
{
    struct filter filter = { .peer = call->arguments[2], .me = call->session };

    net_each_client(call->server->net, kill_matching, &filter);
    if (filter.killed == 0) return call_error(call, "ERR No such client");
    reply_ok(call->reply);
    return 0;
}

static int shown(struct slice text)
{
    return (int)(text.size < 128 ? text.size : 128);
}

/* One option and its value. False: an error was answered. */
static bool parse_option(struct call *call, uint32_t at, struct filter *filter)
{
    struct slice option = call->arguments[at], value = call->arguments[at + 1];
    int64_t id;

    if (slice_is(option, "ID")) {
        if (!number_parse_int64(value, &id) || id <= 0) {
            (void)call_error(call, "ERR client-id should be greater than 0");
            return false;
        }
        filter->id = (uint64_t)id;
    } else if (slice_is(option, "TYPE")) {
        filter->has_class = true;
        if (!client_type_by_name(value, &filter->class_)) {
            (void)call_errorf(call, "ERR Unknown client type '%.*s'", shown(value),
                              (const char *)value.bytes);
            return false;
        }
    } else if (slice_is(option, "ADDR")) {
        filter->peer = value;
    } else if (slice_is(option, "LADDR")) {
        filter->local = value;
    } else if (slice_is(option, "USER")) {
        if (!slice_equal(value, SLICE_LITERAL("default"))) {
            (void)call_errorf(call, "ERR No such user '%.*s'", shown(value),
                              (const char *)value.bytes);
            return false;
        }
    } else if (slice_is(option, "SKIPME") && (slice_is(value, "yes") || slice_is(value, "no"))) {
        filter->skip_me = slice_is(value, "yes");
    } else {
        (void)call_syntax_error(call);
        return false;
    }
    return true;
}

/* CLIENT KILL address | option value [option value ...] */
int client_kill(struct call *call)
{
    struct filter filter = { .skip_me = true, .me = call->session };

    if (call->argument_count == 3) return kill_address(call);
    for (uint32_t i = 2; i < call->argument_count; i += 2) {
        if (i + 1 >= call->argument_count) return call_syntax_error(call);
        if (!parse_option(call, i, &filter)) return 0;
    }
    net_each_client(call->server->net, kill_matching, &filter);
    reply_integer(call->reply, (int64_t)filter.killed);
    return 0;
}
