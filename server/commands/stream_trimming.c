#include "server/commands/stream_trimming.h"

#include "server/commands/server.h"
#include "server/commands/stream_words.h"
#include "server/config/config.h"

/* How many groups of entries (stream-node-max-entries) an approximate trim without LIMIT drops. */
enum { GROUPS_MAX = 100, LIMIT_DEFAULT = 10000, LIMIT_MAX = 1000000 };

bool stream_references_parse(struct slice text, enum stream_references *out_references)
{
    if (slice_is(text, "KEEPREF"))
        *out_references = STREAM_KEEP_REFERENCES;
    else if (slice_is(text, "DELREF"))
        *out_references = STREAM_DELETE_REFERENCES;
    else if (slice_is(text, "ACKED"))
        *out_references = STREAM_ONLY_ACKNOWLEDGED;
    else
        return false;
    return true;
}

static int refuse(struct call *call, const char *text)
{
    (void)call_error(call, text);
    return -1;
}

/* MAXLEN|MINID [=|~] threshold, at *index, and something follows. */
static int parse_threshold(struct call *call, uint32_t *index, bool by_id,
                           struct stream_trimming *trimming)
{
    struct stream_trim *trim = &trimming->trim;
    uint32_t at = *index + 1;
    int64_t length;

    if (trimming->is_asked)
        return refuse(call, "ERR syntax error, MAXLEN and MINID options at the same time are not "
                            "compatible");
    if (at + 1 < call->argument_count) {
        trim->is_approximate = slice_equal(call->arguments[at], SLICE_LITERAL("~"));
        if (trim->is_approximate || slice_equal(call->arguments[at], SLICE_LITERAL("="))) at++;
    }
    if (by_id) {
        if (!stream_word_id(call, at, &trim->id)) return -1;
    } else {
        if (!call_integer(call, at, &length)) return -1;
        if (length < 0) return refuse(call, "ERR The MAXLEN argument must be >= 0.");
        trim->length = (uint64_t)length;
    }
    trim->by_id = by_id;
    trimming->is_asked = true;
    *index = at;
    return 1;
}

static int parse_limit(struct call *call, uint32_t *index, struct stream_trimming *trimming)
{
    int64_t limit;

    if (!call_integer(call, *index + 1, &limit)) return -1;
    if (limit < 0) return refuse(call, "ERR The LIMIT argument must be >= 0.");
    trimming->trim.limit = (uint64_t)limit;
    trimming->has_limit = true;
    ++*index;
    return 1;
}

int stream_trimming_parse(struct call *call, uint32_t *index, struct stream_trimming *trimming)
{
    struct slice word = call->arguments[*index];
    bool has_more = *index + 1 < call->argument_count;

    if (has_more && slice_is(word, "MAXLEN")) return parse_threshold(call, index, false, trimming);
    if (has_more && slice_is(word, "MINID")) return parse_threshold(call, index, true, trimming);
    if (has_more && slice_is(word, "LIMIT")) return parse_limit(call, index, trimming);
    if (!stream_references_parse(word, &trimming->references)) return 0;
    if (trimming->has_references) {
        (void)call_syntax_error(call);
        return -1;
    }
    trimming->has_references = true;
    return 1;
}

static uint64_t default_limit(const struct call *call)
{
    int64_t entries = call->server->config->stream_node_max_entries;

    if (entries <= 0) return LIMIT_DEFAULT;
    return entries > LIMIT_MAX / GROUPS_MAX ? LIMIT_MAX : (uint64_t)entries * GROUPS_MAX;
}

bool stream_trimming_settle(struct call *call, struct stream_trimming *trimming, bool must_trim)
{
    struct stream_trim *trim = &trimming->trim;

    if (trim->limit > 0 && !trimming->is_asked) {
        (void)call_error(call, "ERR syntax error, LIMIT cannot be used without specifying a "
                               "trimming strategy");
        return false;
    }
    if (must_trim && !trimming->is_asked) {
        (void)call_error(call, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    if (trimming->has_limit && !trim->is_approximate) {
        (void)call_error(call, "ERR syntax error, LIMIT cannot be used without the special ~ "
                               "option");
        return false;
    }
    if (!trimming->has_limit && trim->is_approximate) trim->limit = default_limit(call);
    return true;
}
