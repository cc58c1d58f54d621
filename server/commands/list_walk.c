/* list_walk.c - LREM LPOS LINSERT: commands that look at elements one after the other. Above a
 * small size they run in a fiber, in slices, and hold their key: commands on it queue behind them.
 */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"

enum { BREATH_ELEMENTS = 256, MATCHES_HELD = 4096 };

static bool equals(void *context, struct slice item)
{
    return slice_equal(item, *(const struct slice *)context);
}

/* LREM key count element */
int list_lrem(struct call *call)
{
    struct list_at list;
    int64_t count, removed;
    int rc;

    if (!call_integer(call, 2, &count)) return 0;
    rc = list_find(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = list_may_walk(call, list.deque);
    if (rc < 0) return rc;
    removed = spill_deque_remove_matching(list.deque, count < 0 ? SPILL_TAIL : SPILL_HEAD,
                                          count < 0 ? 0 - (uint64_t)count : (uint64_t)count, equals,
                                          &call->arguments[3]);
    if (removed < 0) return (int)removed;
    if (removed > 0) list_removed_some(call, &list);
    reply_integer(call->reply, removed);
    return 0;
}

/* ---- searching
 * ------------------------------------------------------------------------------------ */

struct search {
    struct slice element;
    enum spill_end towards;
    uint64_t skip;    /* matches to pass over first */
    uint64_t wanted;  /* matches; 0: all */
    uint64_t look_at; /* elements at most; 0: all */
    /* Called for each match with its index from the head. */
    void (*found)(void *context, uint64_t index);
    void *context;
};

/* The number of matches told, or a negative errno. */
static int64_t search(struct call *call, struct spill_deque *deque, const struct search *search)
{
    uint64_t total = spill_deque_count(deque), told = 0, skipped = 0;
    uint64_t limit = search->look_at && search->look_at < total ? search->look_at : total;
    bool forward = search->towards == SPILL_TAIL;
    struct spill_snapshot *snapshot = NULL;
    struct spill_cursor *cursor = NULL;
    int rc = spill_deque_snapshot(deque, &snapshot);

    if (rc == 0)
        rc = spill_cursor_create(snapshot, forward ? 0 : total - 1, search->towards, &cursor);
    for (uint64_t i = 0; i < limit && rc >= 0; i++) {
        struct slice item;

        rc = spill_cursor_next(cursor, &item);
        if (rc == 1 && slice_equal(item, search->element) && skipped++ >= search->skip) {
            search->found(search->context, forward ? i : total - 1 - i);
            if (++told == search->wanted) break;
        }
        if (rc >= 0 && (i + 1) % BREATH_ELEMENTS == 0) rc = parking_breathe(call->server);
    }
    spill_cursor_destroy(cursor);
    spill_snapshot_release(snapshot);
    return rc < 0 ? rc : (int64_t)told;
}

static void keep_index(void *context, uint64_t index)
{
    *(uint64_t *)context = index;
}

/* LINSERT key BEFORE|AFTER pivot element */
int list_linsert(struct call *call)
{
    struct list_at list;
    struct search pivot = { .element = call->arguments[3], .towards = SPILL_TAIL, .wanted = 1 };
    uint64_t index = 0;
    int64_t found;
    bool after = slice_is(call->arguments[2], "AFTER");
    int rc;

    if (!after && !slice_is(call->arguments[2], "BEFORE")) return call_syntax_error(call);
    rc = list_find(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = list_may_walk(call, list.deque);
    if (rc < 0) return rc;
    pivot.found = keep_index;
    pivot.context = &index;
    found = search(call, list.deque, &pivot);
    if (found < 0) return (int)found;
    if (found == 0) {
        reply_integer(call->reply, -1);
        return 0;
    }
    rc = spill_deque_insert(list.deque, index + (after ? 1 : 0), call->arguments[4]);
    if (rc < 0) return rc;
    call_changed_signal(call, call->arguments[1]);
    reply_integer(call->reply, (int64_t)spill_deque_count(list.deque));
    return 0;
}

/* ---- LPOS
 * ------------------------------------------------------------------------------------------- */

struct lpos {
    int64_t rank, count, maxlen;
    bool has_count;
};

static bool parse_lpos(struct call *call, struct lpos *out_lpos)
{
    *out_lpos = (struct lpos){ .rank = 1, .count = 1 };
    for (uint32_t i = 3; i < call->argument_count; i += 2) {
        struct slice option = call->arguments[i];

        if (i + 1 >= call->argument_count) {
            (void)call_syntax_error(call);
            return false;
        }
        if (slice_is(option, "RANK")) {
            if (!call_integer_between(call, i + 1, -INT64_MAX, INT64_MAX, NULL, &out_lpos->rank))
                return false;
            if (out_lpos->rank == 0) {
                (void)call_error(call,
                                 "ERR RANK can't be zero: use 1 to start from the first match, "
                                 "2 from the second ... or use negative to start from the end "
                                 "of the list");
                return false;
            }
        } else if (slice_is(option, "COUNT")) {
            if (!call_integer_between(call, i + 1, 0, INT64_MAX, "ERR COUNT can't be negative",
                                      &out_lpos->count))
                return false;
            out_lpos->has_count = true;
        } else if (slice_is(option, "MAXLEN")) {
            if (!call_integer_between(call, i + 1, 0, INT64_MAX, "ERR MAXLEN can't be negative",
                                      &out_lpos->maxlen))
                return false;
        } else {
            (void)call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* The first matches are remembered, so that the usual reply takes one walk; with more, a second one
 * writes. */
struct matches {
    uint64_t indexes[MATCHES_HELD];
    uint64_t count;
};

static void remember(void *context, uint64_t index)
{
    struct matches *matches = context;

    if (matches->count < MATCHES_HELD) matches->indexes[matches->count] = index;
    matches->count++;
}

static void write_index(void *context, uint64_t index)
{
    reply_integer(((struct call *)context)->reply, (int64_t)index);
}

static int reply_all_matches(struct call *call, struct spill_deque *deque, struct search *query)
{
    struct matches *matches = malloc(sizeof(*matches));
    int64_t rc;

    if (!matches) return -ENOMEM;
    matches->count = 0;
    query->found = remember;
    query->context = matches;
    rc = search(call, deque, query);
    if (rc < 0) goto out;
    reply_array(call->reply, matches->count);
    if (matches->count > MATCHES_HELD) {
        query->found = write_index;
        query->context = call;
        rc = search(call, deque, query);
        if (rc < 0) call_break_off(call); /* the promised number cannot be kept */
        rc = 0;
        goto out;
    }
    for (uint64_t i = 0; i < matches->count; i++) {
        reply_integer(call->reply, (int64_t)matches->indexes[i]);
    }
out:
    free(matches);
    return rc < 0 ? (int)rc : 0;
}

/* LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len] */
int list_lpos(struct call *call)
{
    struct list_at list;
    struct lpos lpos;
    struct search query;
    uint64_t index = 0;
    int64_t found;
    int rc;

    if (!parse_lpos(call, &lpos)) return 0;
    rc = list_find_read(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        if (lpos.has_count)
            reply_array(call->reply, 0);
        else
            reply_null(call->reply);
        return 0;
    }
    rc = list_may_walk(call, list.deque);
    if (rc < 0) return rc;
    query = (struct search){
        .element = call->arguments[2],
        .towards = lpos.rank < 0 ? SPILL_HEAD : SPILL_TAIL,
        .skip = (lpos.rank < 0 ? 0 - (uint64_t)lpos.rank : (uint64_t)lpos.rank) - 1,
        .wanted = (uint64_t)lpos.count,
        .look_at = (uint64_t)lpos.maxlen,
        .found = keep_index,
        .context = &index,
    };
    if (lpos.has_count) return reply_all_matches(call, list.deque, &query);
    query.wanted = 1;
    found = search(call, list.deque, &query);
    if (found < 0) return (int)found;
    if (found == 0)
        reply_null(call->reply);
    else
        reply_integer(call->reply, (int64_t)index);
    return 0;
}
