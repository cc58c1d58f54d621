/* stream_delex.c - XDELEX */
#include <stdlib.h>

#include "server/commands/handlers.h"
#include "server/commands/stream_ids.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_references.h"
#include "server/types/stream.h"

/* Without memory the rest stays as it is: what was done is answered, and said. A replay does all or
 * is refused. ordinals are overwritten. */
static int delete_all(struct call *call, const struct stream_key *key,
                      const struct stream_id_options *options, uint64_t *ordinals)
{
    struct stream_groups *groups = stream_value_groups(key->value);
    const struct stream_ids *ids = &options->ids;
    uint64_t count = stream_count(key->stream);
    bool has_forgotten = false, has_changed;
    uint32_t done = 0;
    int rc = 0;

    for (; done < ids->count; done++) {
        bool was_referred_to;

        (void)stream_ids_breathe(call, done, true);
        rc = stream_remove_entry(key->stream, groups, options->references, ids->ids[done],
                                 ordinals[done], &was_referred_to);
        if (rc < 0) break;
        has_forgotten |= was_referred_to;
        ordinals[done] = (uint64_t)rc;
    }
    has_changed = has_forgotten || stream_count(key->stream) != count;
    if (rc < 0 && (!has_changed || call->is_replay)) return rc;
    stream_reply_removals(call->reply, ordinals, done, ids->count);
    if (!has_changed) return 0;
    stream_key_recount(call, key);
    if (stream_count(key->stream) != count)
        call_changed(call, call->arguments[1]);
    else
        call_changed_unwatched(call);
    if (done < ids->count) stream_ids_say_first(call, options->numids_index, ids->count, done);
    return 0;
}

static int delete_from(struct call *call, const struct stream_id_options *options)
{
    const struct stream_ids *ids = &options->ids;
    struct stream_key key;
    uint64_t *ordinals;
    int rc = stream_key_find(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (rc == 0) {
        stream_reply_removals(call->reply, NULL, 0, ids->count);
        return 0;
    }
    rc = stream_find_ordinals(call, key.stream, ids->ids, ids->count, &ordinals);
    if (rc < 0) return rc;
    rc = delete_all(call, &key, options, ordinals);
    free(ordinals);
    return rc;
}

/* XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...] */
int stream_xdelex(struct call *call)
{
    struct stream_id_options options;
    int rc = stream_id_options_parse(call, 2, &options);

    if (rc == 1) rc = delete_from(call, &options);
    stream_ids_finish(&options.ids);
    return rc;
}
