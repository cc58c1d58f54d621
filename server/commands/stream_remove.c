/* stream_remove.c - XTRIM XDEL */
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/stream_ids.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_references.h"
#include "server/commands/stream_trimmed.h"
#include "server/commands/stream_trimming.h"
#include "server/commands/stream_words.h"

/* ---- XTRIM ------------------------------------------------------------------------------------
 */

static bool parse_trim(struct call *call, struct stream_trimming *trimming)
{
    for (uint32_t i = 2; i < call->argument_count; i++) {
        int rc = stream_trimming_parse(call, &i, trimming);

        if (rc == 0) (void)call_syntax_error(call);
        if (rc <= 0) return false;
    }
    return stream_trimming_settle(call, trimming, true);
}

/* Done again it trims the same. */
static void say_trimmed(struct call *call, const struct stream_trimmed *trimmed)
{
    struct slice words[5] = { call->arguments[0], call->arguments[1] };

    memcpy(words + 2, trimmed->words, trimmed->word_count * sizeof(*words));
    effect_say(call, words, 2 + trimmed->word_count);
}

/* XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED] */
int stream_xtrim(struct call *call)
{
    struct stream_trimming trimming = { .is_asked = false };
    struct stream_key key;
    struct stream_trimmed trimmed = { .count = 0 };
    int rc;

    if (!parse_trim(call, &trimming)) return 0;
    rc = stream_key_find(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = stream_trimmed_prepare(call, &key, &trimming);
    if (rc == 0) rc = stream_trimmed_do(call, &key, &trimming, &trimmed);
    if (rc < 0) return rc;
    reply_integer(call->reply, (int64_t)trimmed.count);
    if (trimmed.count == 0) return 0;
    call_changed(call, call->arguments[1]);
    say_trimmed(call, &trimmed);
    return 0;
}

/* ---- XDEL --------------------------------------------------------------------------------------
 */

/* The ids that were deleted are said when not all were: memory was short. A replay does all or is
 * refused. */
static int delete_all(struct call *call, struct stream *stream, uint32_t first,
                      const struct stream_ids *ids, const uint64_t *ordinals)
{
    int64_t deleted = 0;
    uint32_t i = 0;
    int rc = 0;

    for (; i < ids->count && rc >= 0; i++) {
        (void)stream_ids_breathe(call, i, true);
        rc = ordinals[i] ? stream_delete(stream, ordinals[i], ids->ids[i]) : 0;
        deleted += rc == 1;
    }
    if (rc < 0 && (deleted == 0 || call->is_replay)) return rc;
    if (deleted > 0) call_changed(call, call->arguments[1]);
    reply_integer(call->reply, deleted);
    if (rc < 0) effect_say(call, call->arguments, first + i - 1);
    return 0;
}

/* All are found before any is deleted: what is on disk is waited for there. */
static int delete_found(struct call *call, struct stream *stream, uint32_t first,
                        const struct stream_ids *ids)
{
    uint64_t *ordinals;
    int rc = stream_find_ordinals(call, stream, ids->ids, ids->count, &ordinals);

    if (rc < 0) return rc;
    rc = delete_all(call, stream, first, ids, ordinals);
    free(ordinals);
    return rc;
}

/* XDEL key id [id ...] */
int stream_xdel(struct call *call)
{
    enum { FIRST = 2 };
    struct stream_ids ids;
    struct stream_key key;
    int rc = stream_key_find(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = stream_ids_take(call, FIRST, call->argument_count - FIRST, &ids);
    if (rc == 1) rc = delete_found(call, key.stream, FIRST, &ids);
    stream_ids_finish(&ids);
    return rc;
}
