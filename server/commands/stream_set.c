/* stream_set.c - XSETID */
#include "server/commands/handlers.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_reply.h"
#include "server/commands/stream_words.h"

struct setting {
    struct stream_id last_id, max_deleted_id;
    int64_t entries_added; /* -1: not given */
};

/* The option at *index and what belongs to it. False: an error was answered. */
static bool parse_option(struct call *call, uint32_t *index, struct setting *setting)
{
    bool has_value = *index + 1 < call->argument_count;
    struct slice word = call->arguments[(*index)++];

    if (has_value && slice_is(word, "ENTRIESADDED")) {
        if (!call_integer(call, *index, &setting->entries_added)) return false;
        if (setting->entries_added >= 0) return true;
        (void)call_error(call, "ERR entries_added must be positive");
    } else if (has_value && slice_is(word, "MAXDELETEDID")) {
        if (!stream_word_id(call, *index, &setting->max_deleted_id)) return false;
        if (stream_id_compare(setting->last_id, setting->max_deleted_id) >= 0) return true;
        (void)call_error(call, "ERR The ID specified in XSETID is smaller than the provided "
                               "max_deleted_entry_id");
    } else {
        (void)call_syntax_error(call);
    }
    return false;
}

static bool parse(struct call *call, struct setting *setting)
{
    if (!stream_word_id(call, 2, &setting->last_id)) return false;
    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (!parse_option(call, &i, setting)) return false;
    }
    return true;
}

/* NULL: what is asked fits to the stream. *out_rc: why that cannot be told. Redis takes less than
 * the greatest deleted id up to 7.0; ids would come again then, and not in order. */
static const char *find_contradiction(struct stream *stream, const struct setting *setting,
                                      int *out_rc)
{
    struct stream_info info;
    struct stream_id newest = STREAM_ID_MIN;

    stream_get_info(stream, &info);
    *out_rc = 0;
    if (info.count > 0) *out_rc = stream_newest_id(stream, &newest);
    if (*out_rc < 0) return NULL;
    if (info.count > 0 && stream_id_compare(setting->last_id, newest) < 0)
        return "ERR The ID specified in XSETID is smaller than the target stream top item";
    if (stream_id_compare(setting->last_id, info.max_deleted_id) < 0)
        return "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    if (setting->entries_added >= 0 && info.count > (uint64_t)setting->entries_added)
        return "ERR The entries_added specified in XSETID is smaller than the target stream length";
    return NULL;
}

/* XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id] */
int stream_xsetid(struct call *call)
{
    struct setting setting = { .max_deleted_id = STREAM_ID_MIN, .entries_added = -1 };
    struct stream_key key;
    const char *error;
    int rc;

    if (!parse(call, &setting)) return 0;
    rc = stream_key_find(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    error = find_contradiction(key.stream, &setting, &rc);
    if (rc < 0) return rc;
    if (error) return call_error(call, error);
    stream_set_last_id(key.stream, setting.last_id);
    if (setting.entries_added >= 0) stream_set_added(key.stream, (uint64_t)setting.entries_added);
    if (stream_id_compare(setting.max_deleted_id, STREAM_ID_MIN) > 0)
        stream_set_max_deleted(key.stream, setting.max_deleted_id);
    call_changed_unwatched(call); /* as in Redis */
    reply_ok(call->reply);
    return 0;
}
