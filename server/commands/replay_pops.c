#include "server/commands/replay_pops.h"

#include <string.h>

#include "modules/base/number.h"
#include "server/commands/call_keys.h"
#include "server/commands/handlers.h"

static struct slice name_of(const struct replay_pop *pop)
{
    return slice_of(pop->name, pop->name_size);
}

/* The number of elements, or 0: it is no pop that can be kept. */
static int64_t count_of(const struct call *call)
{
    int64_t count = 1;

    if (call->command->handler != list_lpop && call->command->handler != list_rpop) return 0;
    if (call->arguments[1].size > REPLAY_POP_NAME_BYTES_MAX || call->argument_count > 3) return 0;
    if (call->argument_count == 3 && !number_parse_int64(call->arguments[2], &count)) return 0;
    return count > 0 ? count : 0;
}

static struct replay_pop *find(struct replay_pops *pops, unsigned database, struct slice name)
{
    for (uint32_t i = 0; i < pops->count; i++) {
        if (pops->items[i].database == database && slice_equal(name_of(&pops->items[i]), name))
            return &pops->items[i];
    }
    return NULL;
}

bool replay_pops_keep(struct replay_pops *pops, const struct call *call)
{
    int64_t count = count_of(call), sum;
    struct replay_pop *pop;

    if (count == 0) return false;
    pop = find(pops, call->database, call->arguments[1]);
    if (pop) {
        if (pop->command != call->command) return false; /* the other end */
        if (__builtin_add_overflow(pop->count, count, &sum)) return false;
        pop->count = sum;
        return true;
    }
    if (pops->count == REPLAY_POPS_MAX) return false;
    pop = &pops->items[pops->count++];
    pop->command = call->command;
    pop->database = call->database;
    pop->count = count;
    pop->name_size = (uint8_t)call->arguments[1].size;
    if (pop->name_size > 0) memcpy(pop->name, call->arguments[1].bytes, pop->name_size);
    return true;
}

static int settle_one(const struct replay_pop *pop, const struct call *pattern, replay_run run,
                      void *context)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    struct slice arguments[3] = { slice_of_string(pop->command->name), name_of(pop),
                                  slice_of(digits, number_format_int64(digits, pop->count)) };
    struct call call = *pattern;

    call.command = pop->command;
    call.database = pop->database;
    call.arguments = arguments;
    call.argument_count = 3;
    return run(context, &call);
}

static bool names(const struct call_names *names, const struct replay_pop *pop)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (names->items[i].database == pop->database &&
            slice_equal(names->items[i].name, name_of(pop)))
            return true;
    }
    return false;
}

int replay_pops_settle(struct replay_pops *pops, const struct call *call,
                       const struct call *pattern, replay_run run, void *context)
{
    struct call_names touched = { 0 };
    bool all = !call || pops->count == REPLAY_POPS_MAX;
    int rc = 0;

    if (pops->count == 0) return 0;
    if (!all) all = call_names_collect(call, &touched) < 0;
    for (uint32_t i = 0; i < pops->count && rc == 0;) {
        struct replay_pop pop = pops->items[i];

        if (!all && !names(&touched, &pop)) {
            i++;
            continue;
        }
        pops->items[i] = pops->items[--pops->count];
        rc = settle_one(&pop, pattern, run, context);
    }
    call_names_finish(&touched);
    return rc;
}
