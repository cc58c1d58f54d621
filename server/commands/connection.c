/* connection.c - PING ECHO AUTH HELLO QUIT RESET SELECT TIME, and the life of a session. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/base/number.h"
#include "server/commands/handlers.h"
#include "server/commands/monitor.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/session_life.h"
#include "server/commands/transaction.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/observe/info_version.h"

/* PING [message] */
int connection_ping(struct call *call)
{
    if (call->argument_count > 2) return call_wrong_arity(call);
    if (call->argument_count == 2)
        reply_bulk(call->reply, call->arguments[1]);
    else
        reply_simple(call->reply, SLICE_LITERAL("PONG"));
    return 0;
}

/* ECHO message */
int connection_echo(struct call *call)
{
    reply_bulk(call->reply, call->arguments[1]);
    return 0;
}

/* QUIT */
int connection_quit(struct call *call)
{
    reply_ok(call->reply);
    client_close_after_reply(call->session->client);
    return 0;
}

/* SELECT index */
int connection_select(struct call *call)
{
    int64_t index;

    if (!call_integer_between(call, 1, INT32_MIN, INT32_MAX, NULL, &index)) return 0;
    if (index < 0 || index >= (int64_t)keyspace_database_count(call->server->keyspace))
        return call_error(call, "ERR DB index is out of range");
    call->session->database = (unsigned)index;
    call->database = (unsigned)index;
    reply_ok(call->reply);
    return 0;
}

/* TIME */
int connection_time(struct call *call)
{
    int64_t now_us = clock_realtime_us();

    reply_array(call->reply, 2);
    reply_bulk_integer(call->reply, now_us / 1000000);
    reply_bulk_integer(call->reply, now_us % 1000000);
    return 0;
}

/* ---- who it is ----------------------------------------------------------------------------------
 */

/* Takes the same time for each wrong password of one length. The one user is "default". */
static bool password_is_right(const struct server *server, struct slice user, struct slice password)
{
    const char *secret = server->config->requirepass;
    size_t size = strlen(secret);

    if (!slice_equal(user, SLICE_LITERAL("default"))) return false;
    if (size == 0) return true;
    return password.size == size && CRYPTO_memcmp(password.bytes, secret, size) == 0;
}

static bool authenticate(struct call *call, struct slice user, struct slice password)
{
    if (!password_is_right(call->server, user, password)) {
        (void)call_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    call->session->is_authenticated = true;
    client_set_trusted(call->session->client, true);
    return true;
}

/* AUTH [username] password */
int connection_auth(struct call *call)
{
    struct slice user = SLICE_LITERAL("default");

    if (call->argument_count > 3) return call_syntax_error(call);
    if (call->argument_count == 2 && call->server->config->requirepass[0] == '\0')
        return call_error(call,
                          "ERR AUTH <password> called without any password configured for the "
                          "default user. Are you sure your configuration is correct?");
    if (call->argument_count == 3) user = call->arguments[1];
    if (authenticate(call, user, call->arguments[call->argument_count - 1])) reply_ok(call->reply);
    return 0;
}

static void reply_hello(struct call *call)
{
    struct reply *reply = call->reply;

    reply_map(reply, 7);
    reply_bulk_string(reply, "server");
    reply_bulk_string(reply, "redis");
    reply_bulk_string(reply, "version");
    reply_bulk_string(reply, REDIS_VERSION);
    reply_bulk_string(reply, "proto");
    reply_integer(reply, reply->protocol);
    reply_bulk_string(reply, "id");
    reply_integer(reply, (int64_t)call->session->id);
    reply_bulk_string(reply, "mode");
    reply_bulk_string(reply, "standalone");
    reply_bulk_string(reply, "role");
    reply_bulk_string(reply, "master");
    reply_bulk_string(reply, "modules");
    reply_array(reply, 0);
}

/* HELLO [protover [AUTH username password] [SETNAME clientname]] */
int connection_hello(struct call *call)
{
    int64_t version = call->reply->protocol;
    struct slice user = { 0 }, password = { 0 }, name = { 0 };
    uint32_t i = 2;

    if (call->argument_count > 1 && !number_parse_int64(call->arguments[1], &version))
        return call_error(call, "ERR Protocol version is not an integer or out of range");
    if (version < 2 || version > 3) return call_error(call, "NOPROTO unsupported protocol version");
    for (; i < call->argument_count; i++) {
        uint32_t behind = call->argument_count - i - 1;

        if (slice_is(call->arguments[i], "AUTH") && behind >= 2) {
            user = call->arguments[i + 1];
            password = call->arguments[i + 2];
            i += 2;
        } else if (slice_is(call->arguments[i], "SETNAME") && behind >= 1) {
            name = call->arguments[++i];
            if (!session_name_is_valid(call, name)) return 0;
        } else {
            struct slice option = call->arguments[i];

            return call_errorf(call, "ERR Syntax error in HELLO option '%.*s'",
                               (int)(option.size < 128 ? option.size : 128),
                               (const char *)option.bytes);
        }
    }
    if (user.bytes && !authenticate(call, user, password)) return 0;
    if (!call->session->is_authenticated)
        return call_error(call,
                          "NOAUTH HELLO must be called with the client already authenticated, "
                          "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                          "authenticate the client and select the RESP protocol version at the "
                          "same time");
    if (name.bytes) {
        int rc = session_set_text(call->session, &call->session->name, name);

        if (rc < 0) return rc;
    }
    call->reply->protocol = (uint8_t)version;
    reply_hello(call);
    return 0;
}

/* ---- sessions
 * ------------------------------------------------------------------------------------- */

void session_open(void *context, struct client *client)
{
    struct server *server = context;
    struct session *session = session_of(client);
    bool is_open = server->config->requirepass[0] == '\0';

    session->server = server;
    session->client = client;
    session->id = client_id(client);
    session->is_authenticated = is_open;
    list_init(&session->monitor_link);
    client_set_trusted(client, is_open);
}

static void free_text(char **text)
{
    free(*text);
    *text = NULL;
}

void session_close(void *context, struct client *client)
{
    struct session *session = session_of(client);

    (void)context;
    parking_forget(session);
    transaction_discard(session);
    monitors_forget(session);
    free_text(&session->name);
    free_text(&session->library_name);
    free_text(&session->library_version);
}

int session_set_text(struct session *session, char **text, struct slice value)
{
    char *copy = NULL;

    (void)session;
    if (value.size > 0) {
        copy = malloc(value.size + 1);
        if (!copy) return -ENOMEM;
        memcpy(copy, value.bytes, value.size);
        copy[value.size] = '\0';
    }
    free(*text);
    *text = copy;
    return 0;
}

bool session_name_is_valid(struct call *call, struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.bytes[i] < '!' || name.bytes[i] > '~') {
            (void)call_error(call, "ERR Client names cannot contain spaces, newlines or special "
                                   "characters.");
            return false;
        }
    }
    return true;
}

/* RESET */
int connection_reset(struct call *call)
{
    struct session *session = call->session;

    transaction_discard(session);
    monitors_forget(session);
    client_set_idle_exempt(session->client, false);
    session->database = 0;
    session->reply_mode = SESSION_REPLY_ON;
    session->skip_next = false;
    session->no_evict = false;
    session->no_touch = false;
    client_set_no_evict(session->client, false);
    free_text(&session->name);
    if (call->server->config->requirepass[0] != '\0') {
        session->is_authenticated = false;
        client_set_trusted(session->client, false);
    }
    call->reply->protocol = 2;
    call->reply->is_muted = false;
    reply_simple(call->reply, SLICE_LITERAL("RESET"));
    return 0;
}
