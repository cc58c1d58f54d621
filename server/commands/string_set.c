/* string_set.c - SET SETNX SETEX PSETEX MSET MSETNX */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/string_options.h"
#include "server/keyspace/keyspace.h"
#include "server/types/string.h"

/* ---- options -------------------------------------------------------------------------------- */

static enum expiry_form expiry_word(struct slice word)
{
    if (slice_is(word, "EX")) return EXPIRY_EX;
    if (slice_is(word, "PX")) return EXPIRY_PX;
    if (slice_is(word, "EXAT")) return EXPIRY_EXAT;
    if (slice_is(word, "PXAT")) return EXPIRY_PXAT;
    return EXPIRY_NONE;
}

/* A word without an argument. False: it is none, or contradicts one before it. */
static bool parse_word(struct slice word, enum string_options_of command,
                       struct string_options *options)
{
    bool is_set = command == STRING_OPTIONS_SET;

    if (slice_is(word, "NX") && is_set && !options->only_if_there)
        options->only_if_missing = true;
    else if (slice_is(word, "XX") && is_set && !options->only_if_missing)
        options->only_if_there = true;
    else if (slice_is(word, "GET") && is_set)
        options->get = true;
    else if (slice_is(word, "KEEPTTL") && is_set && options->expiry == EXPIRY_NONE)
        options->keep_ttl = true;
    else if (slice_is(word, "PERSIST") && !is_set && options->expiry == EXPIRY_NONE)
        options->persist = true;
    else
        return false;
    return true;
}

bool string_options_parse(struct call *call, uint32_t from, enum string_options_of command,
                          struct string_options *out_options)
{
    struct string_options options = { .expiry = EXPIRY_NONE };

    for (uint32_t i = from; i < call->argument_count; i++) {
        enum expiry_form form = expiry_word(call->arguments[i]);
        bool has_other = options.keep_ttl || options.persist ||
                         (options.expiry != EXPIRY_NONE && options.expiry != form);

        if (form != EXPIRY_NONE && !has_other && i + 1 < call->argument_count) {
            options.expiry = form;
            options.expiry_argument = call->arguments[++i];
        } else if (form != EXPIRY_NONE || !parse_word(call->arguments[i], command, &options)) {
            (void)call_syntax_error(call);
            return false;
        }
    }
    *out_options = options;
    return true;
}

/* ---- SET ------------------------------------------------------------------------------------- */

/* What a SET in any form shall do. */
struct setting {
    struct slice name, bytes;
    bool keep_ttl;
    int64_t at_ms; /* -1: no time to live */
};

static int set_new(struct call *call, const struct setting *setting)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key;
    int rc = string_add(call, setting->name, setting->bytes, &key);

    if (rc < 0 || setting->at_ms == -1) return rc;
    rc = keyspace_set_expiry(keyspace, key, setting->at_ms);
    if (rc < 0) keyspace_remove(keyspace, key);
    return rc;
}

/* show_old: the value it had is the answer. */
static int set_over(struct call *call, struct key *key, const struct setting *setting,
                    bool show_old)
{
    struct value *value;
    bool has_expiry = setting->at_ms != -1;
    int rc = string_make(call, setting->bytes, &value);

    if (rc < 0) return rc;
    if (has_expiry) rc = keyspace_set_expiry(call->server->keyspace, key, setting->at_ms);
    if (rc < 0) {
        value->type->destroy(value);
        return rc;
    }
    if (show_old) string_reply(call, key);
    return string_store(call, setting->name, key, value, setting->keep_ttl || has_expiry);
}

/* SET ... GET: key is NULL or holds a string. */
static int set_and_get(struct call *call, struct key *key, const struct setting *setting,
                       bool is_refused)
{
    int rc = 0;

    if (is_refused && key) {
        string_reply(call, key);
    } else if (key) {
        rc = set_over(call, key, setting, true);
    } else {
        if (!is_refused) rc = set_new(call, setting);
        if (rc == 0) reply_null(call->reply);
    }
    return rc;
}

static int set(struct call *call, const struct setting *setting, bool *out_was_set,
               const struct string_options *options)
{
    struct key *key = keyspace_find(call->server->keyspace, call->database, setting->name);

    *out_was_set = !(options->only_if_missing && key) && !(options->only_if_there && !key);
    if (!*out_was_set) return 0;
    return key ? set_over(call, key, setting, false) : set_new(call, setting);
}

static void say_set(struct call *call, const struct setting *setting)
{
    string_say_set(call, setting->name, setting->bytes, setting->at_ms, setting->keep_ttl);
}

/* SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] */
int string_set(struct call *call)
{
    struct setting setting = { call->arguments[1], call->arguments[2], false, -1 };
    struct string_options options;
    struct key *key = NULL;
    bool was_set, is_refused;
    int rc;

    if (!string_options_parse(call, 3, STRING_OPTIONS_SET, &options)) return 0;
    if (options.expiry != EXPIRY_NONE &&
        !expiry_parse(call, options.expiry, options.expiry_argument, &setting.at_ms))
        return 0;
    setting.keep_ttl = options.keep_ttl;
    if (options.get) {
        rc = string_find_read(call, setting.name, &key);
        if (rc < 0) return rc;
        is_refused = (options.only_if_missing && key) || (options.only_if_there && !key);
        rc = set_and_get(call, key, &setting, is_refused);
        if (rc == 0 && !is_refused) say_set(call, &setting);
        return rc;
    }
    rc = set(call, &setting, &was_set, &options);
    if (rc < 0) return rc;
    if (was_set)
        reply_ok(call->reply);
    else
        reply_null(call->reply);
    if (was_set && call->argument_count > 3) say_set(call, &setting);
    return 0;
}

/* SETNX key value */
int string_setnx(struct call *call)
{
    struct setting setting = { call->arguments[1], call->arguments[2], false, -1 };
    struct string_options options = { .only_if_missing = true };
    bool was_set;
    int rc = set(call, &setting, &was_set, &options);

    if (rc < 0) return rc;
    reply_integer(call->reply, was_set);
    return 0;
}

static int set_for(struct call *call, enum expiry_form form)
{
    struct setting setting = { call->arguments[1], call->arguments[3], false, -1 };
    struct string_options options = { .expiry = form };
    bool was_set;
    int rc;

    if (!expiry_parse(call, form, call->arguments[2], &setting.at_ms)) return 0;
    rc = set(call, &setting, &was_set, &options);
    if (rc < 0) return rc;
    reply_ok(call->reply);
    say_set(call, &setting);
    return 0;
}

/* SETEX key seconds value */
int string_setex(struct call *call)
{
    return set_for(call, EXPIRY_EX);
}

/* PSETEX key milliseconds value */
int string_psetex(struct call *call)
{
    return set_for(call, EXPIRY_PX);
}

/* ---- several at once ------------------------------------------------------------------------- */

/* All or none: values are made first, then the keys that are not there yet; both can be undone.
 * What is left, putting values into keys that are there, cannot fail. */
struct assignment {
    struct value *value; /* NULL: the keyspace has it */
    bool was_added;
};

static void undo(struct call *call, struct assignment *assignments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (assignments[i].was_added)
            keyspace_remove(
                call->server->keyspace,
                keyspace_find(call->server->keyspace, call->database, call->arguments[1 + 2 * i]));
        else if (assignments[i].value)
            assignments[i].value->type->destroy(assignments[i].value);
    }
}

static int add_missing(struct call *call, struct assignment *assignments, uint32_t count)
{
    struct keyspace *keyspace = call->server->keyspace;

    for (uint32_t i = 0; i < count; i++) {
        struct slice name = call->arguments[1 + 2 * i];
        int rc;

        if (keyspace_find(keyspace, call->database, name)) continue;
        rc = keyspace_add(keyspace, call->database, name, assignments[i].value, NULL);
        if (rc < 0) return rc;
        assignments[i] = (struct assignment){ NULL, true };
    }
    return 0;
}

static void replace_others(struct call *call, struct assignment *assignments, uint32_t count)
{
    struct keyspace *keyspace = call->server->keyspace;

    for (uint32_t i = 0; i < count; i++) {
        struct slice name = call->arguments[1 + 2 * i];

        if (!assignments[i].value) continue;
        keyspace_replace(keyspace, keyspace_find(keyspace, call->database, name),
                         assignments[i].value, false);
        call_changed(call, name);
    }
}

static int set_all(struct call *call, uint32_t count)
{
    struct assignment *assignments;
    int rc;

    assert(count > 0); /* by the row's arity */
    assignments = calloc(count, sizeof(*assignments));
    rc = assignments ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = string_make(call, call->arguments[2 + 2 * i], &assignments[i].value);
    if (rc == 0) rc = add_missing(call, assignments, count);
    if (rc == 0)
        replace_others(call, assignments, count);
    else if (assignments)
        undo(call, assignments, count);
    free(assignments);
    return rc;
}

/* MSET key value [key value ...] */
int string_mset(struct call *call)
{
    int rc;

    if (call->argument_count % 2 == 0) return call_wrong_arity(call);
    rc = set_all(call, call->argument_count / 2);
    if (rc == 0) reply_ok(call->reply);
    return rc;
}

/* MSETNX key value [key value ...] */
int string_msetnx(struct call *call)
{
    int rc;

    if (call->argument_count % 2 == 0) return call_wrong_arity(call);
    for (uint32_t i = 1; i < call->argument_count; i += 2) {
        if (!keyspace_find(call->server->keyspace, call->database, call->arguments[i])) continue;
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = set_all(call, call->argument_count / 2);
    if (rc == 0) reply_integer(call->reply, 1);
    return rc;
}
