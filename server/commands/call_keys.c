#include "server/commands/call_keys.h"

#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/reload.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/table.h"
#include "server/commands/transaction.h"
#include "server/keyspace/keyspace.h"

/* What a claim keeps of each name is many times what was sent of it. */
enum { NAMES_MAX = 16384 };

static bool add_name(struct call_names *names, unsigned database, struct slice name)
{
    if (names->count == NAMES_MAX) return false;
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity * 2;
        struct claim_name *items = malloc(capacity * sizeof(*items));

        if (!items) return false;
        memcpy(items, names->items, names->count * sizeof(*items));
        if (names->items != names->inline_items) free(names->items);
        names->items = items;
        names->capacity = capacity;
    }
    names->items[names->count++] = (struct claim_name){ .database = database, .name = name };
    return true;
}

/* MOVE and COPY name a second database in an argument behind their keys: its keys count too. */
static bool add_other_databases(struct call_names *names, uint32_t first, const struct call *call,
                                uint32_t last_key)
{
    uint32_t end = names->count;

    for (uint32_t i = last_key + 1; i < call->argument_count; i++) {
        int64_t database;

        if (!number_parse_int64(call->arguments[i], &database) || database < 0 ||
            database >= (int64_t)keyspace_database_count(call->server->keyspace))
            continue;
        for (uint32_t k = first; k < end; k++) {
            if (!add_name(names, (unsigned)database, names->items[k].name)) return false;
        }
    }
    return true;
}

static bool add_call(struct call_names *names, const struct call *call, unsigned database)
{
    enum { INDEXES = 64 };
    uint32_t small[INDEXES], *indexes = small, first = names->count;
    int count = command_keys(call->command, call->arguments, call->argument_count, small, INDEXES);
    bool is_complete = true;

    if ((call->command->flags & COMMAND_ALL_KEYS) || reload_is_asked(call)) return false;
    if (count <= 0) return true; /* a wrong numkeys is the handler's to answer */
    if (count > INDEXES) {
        indexes = malloc((size_t)count * sizeof(*indexes));
        if (!indexes) return false;
        (void)command_keys(call->command, call->arguments, call->argument_count, indexes,
                           (uint32_t)count);
    }
    for (int i = 0; i < count && is_complete; i++) {
        is_complete = add_name(names, database, call->arguments[indexes[i]]);
    }
    if (is_complete && (call->command->flags & COMMAND_OTHER_DATABASE))
        is_complete = add_other_databases(names, first, call, indexes[count - 1]);
    if (indexes != small) free(indexes);
    return is_complete;
}

static bool add_transaction(struct call_names *names, const struct call *call)
{
    const struct transaction *transaction = call->session->transaction;
    unsigned database = call->database;

    for (uint32_t i = 0; i < transaction->count; i++) {
        struct call queued = transaction_call(transaction, i, call);

        if (!add_call(names, &queued, database)) return false;
        transaction_follow_select(&queued, &database);
    }
    return true;
}

int call_names_collect(const struct call *call, struct call_names *out_names)
{
    *out_names = (struct call_names){ .capacity = CALL_NAMES_INLINE };
    out_names->items = out_names->inline_items;
    if (transaction_is_exec(call)) {
        if (add_transaction(out_names, call)) return 0;
    } else if (add_call(out_names, call, call->database)) {
        return 0;
    }
    call_names_finish(out_names);
    return -1;
}

void call_names_finish(struct call_names *names)
{
    if (names->items != names->inline_items) free(names->items);
    names->items = names->inline_items;
    names->count = 0;
}

static uint32_t flags_of(const struct call *call)
{
    return transaction_is_exec(call) ? call->session->transaction->flags : call->command->flags;
}

bool call_writes(const struct call *call)
{
    return flags_of(call) & COMMAND_WRITE;
}

bool call_may_grow(const struct call *call)
{
    uint32_t flags = call->command->flags;

    if (transaction_is_exec(call)) return call->session->transaction->has_growing;
    /* What can spill is slowed down instead; only a list's root needs memory (list_common.c). */
    return (flags & COMMAND_MAY_GROW) && !(flags & COMMAND_SPILLS);
}

bool call_rewrites(const struct call *call)
{
    return flags_of(call) & COMMAND_REWRITES;
}

bool call_spills(const struct call *call)
{
    if (transaction_is_exec(call)) return call->session->transaction->has_spilling;
    return call->command->flags & COMMAND_SPILLS;
}
