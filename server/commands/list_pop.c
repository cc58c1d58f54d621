/* list_pop.c - LPOP RPOP LMPOP BLPOP BRPOP BLMPOP */
#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/server.h"

static int pop(struct call *call, enum spill_end end)
{
    struct list_at list;
    int64_t count = 1;
    bool has_count = call->argument_count > 2;
    uint64_t there;
    int rc;

    if (call->argument_count > 3) return call_wrong_arity(call);
    if (has_count && !call_integer_between(call, 2, 0, INT64_MAX,
                                           "ERR value is out of range, must be positive", &count))
        return 0;
    rc = list_find(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        if (has_count)
            reply_null_array(call->reply);
        else
            reply_null(call->reply);
        return 0;
    }
    if (!has_count) return list_reply_pop(call, &list, end, NULL);
    if (count == 0) {
        reply_array(call->reply, 0);
        return 0;
    }
    there = spill_deque_count(list.deque);
    return list_reply_taken(call, &list, end, (uint64_t)count < there ? (uint64_t)count : there,
                            NULL);
}

/* LPOP key [count] */
int list_lpop(struct call *call)
{
    return pop(call, SPILL_HEAD);
}

/* RPOP key [count] */
int list_rpop(struct call *call)
{
    return pop(call, SPILL_TAIL);
}

/* ---- the first of several keys that holds something
 * ------------------------------------------------ */

/* 1: *out_index is the argument that names a list; 0: none does. A call that is tried again for one
 * key looks at that key only, as the others had nothing when it blocked. */
static int first_list(struct call *call, uint32_t first, uint32_t count, uint32_t *out_index,
                      struct list_at *out_list)
{
    for (uint32_t i = first; i < first + count; i++) {
        int rc;

        if (call->served_key.bytes && !slice_equal(call->served_key, call->arguments[i])) continue;
        rc = list_find(call, call->arguments[i], out_list);
        if (rc < 0) return rc;
        *out_index = i;
        if (rc == 1) return 1;
    }
    return 0;
}

/* The name of the key goes out before the element: popped_key says which. */
static void reply_pair(struct call *call)
{
    reply_array(call->reply, 2);
    reply_bulk(call->reply, call->popped_key);
}

static int wait_for_lists(struct call *call, uint32_t first, uint32_t count, int64_t deadline_us)
{
    if (call->in_transaction) {
        reply_null_array(call->reply);
        return 0;
    }
    return call_block(call, VALUE_LIST, call->arguments + first, count, deadline_us);
}

static int pop_blocking(struct call *call, enum spill_end end)
{
    uint32_t last = call->argument_count - 1, index;
    struct list_at list;
    int64_t deadline_us;
    int rc;

    if (!call_timeout(call, last, &deadline_us)) return 0;
    rc = first_list(call, 1, last - 1, &index, &list);
    if (rc < 0) return rc;
    if (rc == 0) return wait_for_lists(call, 1, last - 1, deadline_us);
    call->popped_key = call->arguments[index];
    rc = list_reply_pop(call, &list, end, reply_pair);
    if (rc >= 0) effect_say_key(call, end == SPILL_HEAD ? "LPOP" : "RPOP", call->popped_key);
    return rc;
}

/* BLPOP key [key ...] timeout */
int list_blpop(struct call *call)
{
    return pop_blocking(call, SPILL_HEAD);
}

/* BRPOP key [key ...] timeout */
int list_brpop(struct call *call)
{
    return pop_blocking(call, SPILL_TAIL);
}

/* ---- LMPOP
 * ---------------------------------------------------------------------------------------- */

struct mpop {
    uint32_t key_first, key_count;
    enum spill_end end;
    int64_t count;
};

/* numkeys key [key ...] LEFT|RIGHT [COUNT count], numkeys at index at. False: an error was
 * answered. */
static bool parse_mpop(struct call *call, uint32_t at, struct mpop *out_mpop)
{
    int64_t key_count, where;
    bool has_count = false;

    if (!call_integer_between(call, at, 1, INT64_MAX, "ERR numkeys should be greater than 0",
                              &key_count))
        return false;
    where = (int64_t)at + 1;
    if (key_count > (int64_t)call->argument_count - where - 1) {
        (void)call_syntax_error(call);
        return false;
    }
    *out_mpop = (struct mpop){ .key_first = at + 1, .key_count = (uint32_t)key_count, .count = 1 };
    where += key_count;
    if (!list_parse_end(call, (uint32_t)where, &out_mpop->end)) return false;
    for (uint32_t i = (uint32_t)where + 1; i < call->argument_count; i += 2) {
        if (has_count || !slice_is(call->arguments[i], "COUNT") || i + 1 >= call->argument_count) {
            (void)call_syntax_error(call);
            return false;
        }
        has_count = true;
        if (!call_integer_between(call, i + 1, 1, INT64_MAX, "ERR count should be greater than 0",
                                  &out_mpop->count))
            return false;
    }
    return true;
}

/* 1: it replied; 0: all keys are empty; negative, CALL_STREAMING: as a handler. */
static int try_mpop(struct call *call, const struct mpop *mpop, int *out_result)
{
    struct list_at list;
    uint32_t index;
    uint64_t there, count = (uint64_t)mpop->count;
    int rc = first_list(call, mpop->key_first, mpop->key_count, &index, &list);

    if (rc <= 0) return rc;
    there = spill_deque_count(list.deque);
    call->popped_key = call->arguments[index];
    *out_result =
        list_reply_taken(call, &list, mpop->end, count < there ? count : there, reply_pair);
    return 1;
}

/* LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count] */
int list_lmpop(struct call *call)
{
    struct mpop mpop;
    int rc, result = 0;

    if (!parse_mpop(call, 1, &mpop)) return 0;
    rc = try_mpop(call, &mpop, &result);
    if (rc != 0) return rc < 0 ? rc : result;
    reply_null_array(call->reply);
    return 0;
}

/* BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count] */
int list_blmpop(struct call *call)
{
    struct mpop mpop;
    int64_t deadline_us;
    int rc, result = 0;

    if (!parse_mpop(call, 2, &mpop)) return 0;
    if (!call_timeout(call, 1, &deadline_us)) return 0;
    rc = try_mpop(call, &mpop, &result);
    if (rc != 0) return rc < 0 ? rc : result;
    return wait_for_lists(call, mpop.key_first, mpop.key_count, deadline_us);
}
