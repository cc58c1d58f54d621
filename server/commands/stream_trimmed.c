#include "server/commands/stream_trimmed.h"

#include <errno.h>

#include "modules/base/number.h"
#include "modules/stream/group.h"
#include "server/commands/parking.h"
#include "server/types/stream.h"

enum { BREATH_ENTRIES = 64 };

/* The groups that have a say; NULL: none. */
static struct stream_groups *groups_that_matter(const struct stream_key *key,
                                                const struct stream_trimming *trimming)
{
    struct stream_groups *groups = stream_value_groups(key->value);

    if (trimming->references == STREAM_KEEP_REFERENCES) return NULL;
    return groups && stream_groups_count(groups) > 0 ? groups : NULL;
}

int stream_trimmed_prepare(struct call *call, const struct stream_key *key,
                           const struct stream_trimming *trimming)
{
    struct stream_info info;
    uint64_t end;

    if (groups_that_matter(key, trimming)) { /* entries are read, one behind the other */
        stream_get_info(key->stream, &info);
        if (!info.is_in_memory && !call_can_suspend(call)) return -EAGAIN;
    }
    return stream_trim_end(key->stream, &trimming->trim, &end);
}

/* ---- DELREF ------------------------------------------------------------------------------------
 */

/* What is trimmed is pending nowhere. *out_end: where it ends. That is end, or less without memory,
 * where something cannot be read, or when the client has gone: what was forgotten goes, too, as the
 * log would not be told of it otherwise. Negative: nothing was forgotten. */
static int forget_before(struct call *call, const struct stream_key *key,
                         struct stream_groups *groups, uint64_t end, uint64_t *out_end)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t count = 0;
    int rc;

    stream_cursor_begin(&cursor, key->stream, STREAM_ID_MIN, STREAM_FORWARD);
    while ((rc = stream_cursor_next(&cursor, &entry)) == 1 && entry.ordinal < end) {
        rc = stream_groups_forget(groups, entry.id);
        if (rc < 0) break;
        *out_end = entry.ordinal + 1;
        if (++count % BREATH_ENTRIES == 0) rc = parking_breathe(call->server);
        if (rc < 0) break;
    }
    if (rc >= 0) *out_end = end;
    return rc < 0 && count == 0 ? rc : 0;
}

/* ---- ACKED -------------------------------------------------------------------------------------
 */

static bool is_far_enough(struct stream *stream, const struct stream_trim *trim,
                          const struct stream_entry *entry, uint64_t count)
{
    if (trim->limit > 0 && count >= trim->limit) return true;
    if (trim->by_id) return stream_id_compare(entry->id, trim->id) >= 0;
    return stream_count(stream) <= trim->length;
}

/* The oldest that nobody refers to, until enough are gone: those between stay. An approximate trim
 * is an exact one here. */
static int delete_unreferenced(struct call *call, struct stream *stream,
                               const struct stream_groups *groups, const struct stream_trim *trim,
                               uint64_t *out_count, struct stream_id *out_below)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t looks = 0;
    int rc;

    *out_count = 0;
    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    while ((rc = stream_cursor_next(&cursor, &entry)) == 1) {
        if (is_far_enough(stream, trim, &entry, *out_count)) break;
        if (++looks % BREATH_ENTRIES == 0 && parking_breathe(call->server) < 0) rc = -ECANCELED;
        if (rc < 0) break;
        if (stream_groups_refer_to(groups, entry.id)) continue;
        rc = stream_delete(stream, entry.ordinal, entry.id);
        if (rc < 0) break;
        *out_below = entry.id;
        *out_count += rc == 1;
    }
    (void)stream_id_increment(out_below);
    return rc < 0 && *out_count == 0 ? rc : 0;
}

/* ---- both, and neither -------------------------------------------------------------------------
 */

static void say_below(struct stream_trimmed *trimmed, struct stream_id below)
{
    trimmed->words[0] = SLICE_LITERAL("ACKED");
    trimmed->words[1] = SLICE_LITERAL("MINID");
    trimmed->words[2] = slice_of(trimmed->text, stream_id_format(trimmed->text, below));
    trimmed->word_count = 3;
}

static void say_length(struct stream_trimmed *trimmed, bool forgets, uint64_t length)
{
    if (forgets) trimmed->words[trimmed->word_count++] = SLICE_LITERAL("DELREF");
    trimmed->words[trimmed->word_count++] = SLICE_LITERAL("MAXLEN");
    trimmed->words[trimmed->word_count++] =
        slice_of(trimmed->text, number_format_uint64(trimmed->text, length));
}

int stream_trimmed_do(struct call *call, const struct stream_key *key,
                      const struct stream_trimming *trimming, struct stream_trimmed *out_trimmed)
{
    struct stream_groups *groups = groups_that_matter(key, trimming);
    struct stream_id below = STREAM_ID_MIN;
    uint64_t end;
    int rc;

    *out_trimmed = (struct stream_trimmed){ .count = 0 };
    if (groups && trimming->references == STREAM_ONLY_ACKNOWLEDGED) {
        rc = delete_unreferenced(call, key->stream, groups, &trimming->trim, &out_trimmed->count,
                                 &below);
        if (rc == 0 && out_trimmed->count > 0) say_below(out_trimmed, below);
        return rc;
    }
    rc = stream_trim_end(key->stream, &trimming->trim, &end);
    if (rc == 0 && groups) rc = forget_before(call, key, groups, end, &end);
    if (groups) stream_key_recount(call, key);
    if (rc < 0) return rc;
    out_trimmed->count = stream_trim(key->stream, end);
    if (out_trimmed->count > 0) say_length(out_trimmed, groups != NULL, stream_count(key->stream));
    return 0;
}
