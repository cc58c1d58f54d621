/* stream_add.c - XADD */
#include <assert.h>
#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_fields.h"
#include "server/commands/stream_idmp.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_retention.h"
#include "server/commands/stream_room.h"
#include "server/commands/stream_trimmed.h"
#include "server/commands/stream_trimming.h"
#include "server/commands/stream_words.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/observe/memory.h"

/* Of what is said before the fields: name, key, MAXLEN and IDMP with theirs, id. */
enum { WORDS_MAX = 9 };

struct adding {
    struct stream_trimming trimming;
    struct stream_idmp idmp;
    bool must_exist; /* NOMKSTREAM */
    bool has_id, has_seq;
    struct stream_id id;
    uint32_t id_index; /* the fields stand behind it */
};

/* ---- what is asked --------------------------------------------------------------------------- */

/* 1: it is the id, the last word before the fields. */
static int parse_word(struct call *call, uint32_t *index, struct adding *adding)
{
    struct slice word = call->arguments[*index];
    int rc;

    if (slice_equal(word, SLICE_LITERAL("*"))) return 1;
    rc = stream_trimming_parse(call, index, &adding->trimming);
    if (rc == 0) rc = stream_idmp_parse(call, index, &adding->idmp);
    if (rc != 0) return rc < 0 ? rc : 0;
    if (slice_is(word, "NOMKSTREAM")) {
        adding->must_exist = true;
        return 0;
    }
    if (!stream_id_parse(word, 0, &adding->has_seq, &adding->id)) {
        (void)stream_wrong_id(call);
        return -1;
    }
    adding->has_id = true;
    return 1;
}

/* False: an error was answered. */
static bool parse(struct call *call, struct adding *adding)
{
    uint32_t fields;
    int rc = 0;

    adding->id_index = 2;
    while (adding->id_index < call->argument_count) {
        rc = parse_word(call, &adding->id_index, adding);
        if (rc < 0) return false;
        if (rc == 1) break;
        adding->id_index++;
    }
    if (!stream_trimming_settle(call, &adding->trimming, false)) return false;
    if (adding->idmp.producer.bytes && adding->has_id && !call->is_replay) {
        (void)call_error(call, "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");
        return false;
    }
    fields = rc == 1 ? call->argument_count - adding->id_index - 1 : 0;
    if (fields < 2 || fields % 2 == 1) {
        (void)call_wrong_arity(call);
        return false;
    }
    if (adding->has_id && adding->has_seq && stream_id_compare(adding->id, STREAM_ID_MIN) == 0) {
        (void)call_error(call, "ERR The ID specified in XADD must be greater than 0-0");
        return false;
    }
    stream_idmp_settle(call, adding->id_index + 1, &adding->idmp);
    return true;
}

/* The ms of an id that is made here never goes back, whatever the clock does. */
static struct stream_id next_id(const struct call *call, struct stream_id last)
{
    uint64_t now_ms = (uint64_t)keyspace_now(call->server->keyspace);
    struct stream_id id = { now_ms, 0 };

    if (now_ms > last.ms) return id;
    (void)stream_id_increment(&last); /* it is not the greatest: see resolve_id */
    return last;
}

/* False: an error was answered. */
static bool resolve_id(struct call *call, struct adding *adding, struct stream_id last)
{
    if (stream_id_compare(last, STREAM_ID_MAX) == 0) {
        (void)call_error(call, "ERR The stream has exhausted the last possible ID, unable to add "
                               "more items");
        return false;
    }
    if (!adding->has_id) {
        adding->id = next_id(call, last);
        return true;
    }
    if (!adding->has_seq && adding->id.ms == last.ms && last.seq < UINT64_MAX)
        adding->id.seq = last.seq + 1;
    if (stream_id_compare(adding->id, last) > 0) return true;
    (void)call_error(call, "ERR The ID specified in XADD is equal or smaller than the target "
                           "stream top item");
    return false;
}

/* ---- trimming ---- */

/* What would have to be read for it is fetched before anything is added. */
static int prepare_trim(struct call *call, const struct stream_key *key,
                        const struct adding *adding)
{
    return adding->trimming.is_asked ? stream_trimmed_prepare(call, key, &adding->trimming) : 0;
}

/* The entry is there whatever happens here: what cannot be read now is trimmed the next time. */
static void trim(struct call *call, const struct stream_key *key, const struct adding *adding,
                 struct stream_trimmed *out_trimmed)
{
    out_trimmed->word_count = 0;
    if (adding->trimming.is_asked)
        (void)stream_trimmed_do(call, key, &adding->trimming, out_trimmed);
}

/* ---- what the log gets ---- */

/* Done again it does the same: the id as it came out, and what was trimmed as a length. Fields that
 * are in the request go from there. */
static void say_with_fields(struct call *call, const struct slice *words, uint32_t word_count,
                            const struct adding *adding, const struct stream_fields *fields)
{
    uint32_t first = adding->id_index + 1;
    struct slice sent[WORDS_MAX], *places = call->arguments + first - word_count;

    if (fields->is_in_request) {
        effect_say_raw(call, words, word_count, fields->bytes, call->argument_count - first);
        return;
    }
    /* The words take the places of those that were sent, which come back. */
    for (uint32_t i = 0; i < word_count; i++) {
        sent[i] = places[i];
        places[i] = words[i];
    }
    effect_say(call, places, call->argument_count - first + word_count);
    for (uint32_t i = 0; i < word_count; i++)
        places[i] = sent[i];
}

static void say(struct call *call, const struct adding *adding, const struct stream_key *key,
                const struct stream_fields *fields, struct slice id,
                const struct stream_trimmed *trimmed)
{
    const struct stream_idmp *idmp = &adding->idmp;
    struct slice words[WORDS_MAX];
    uint32_t count = 0;

    words[count++] = call->arguments[0];
    words[count++] = call->arguments[1];
    for (uint32_t i = 0; i < trimmed->word_count; i++)
        words[count++] = trimmed->words[i];
    for (uint32_t i = 0; i < idmp->word_count; i++)
        words[count++] = call->arguments[idmp->word_index + i];
    words[count++] = id;
    if (idmp->producer.bytes) stream_idmp_say_bounds(call, key->value);
    say_with_fields(call, words, count, adding, fields);
}

/* Whether the same words do the same again. */
static bool is_said_as_sent(const struct adding *adding)
{
    return adding->has_id && adding->has_seq && !adding->trimming.is_asked;
}

/* ---- adding -----------------------------------------------------------------------------------
 */

static bool is_too_long(const struct call *call, struct slice fields)
{
    const struct server *server = call->server;

    return !call->is_replay && (fields.size > server->config->proto_max_bulk_len_bytes ||
                                fields.size > memory_limit(server->memory) / 8);
}

/* What a producer has added is known in memory, wherever the entry goes. */
static int may_remember(const struct call *call, const struct stream_idmp *idmp)
{
    uint64_t bytes = (uint64_t)idmp->producer.size + idmp->iid.size;

    if (!idmp->producer.bytes || call->is_replay) return 0;
    return memory_is_exhausted(call->server->memory, bytes) ? -ENOMEM : 0;
}

/* All that can fail. What a producer calls the entry is kept before the stream gets a name: without
 * one it goes, and that with it. */
static int prepare(struct call *call, const struct adding *adding, struct stream_key *key,
                   struct slice fields)
{
    int rc = may_remember(call, &adding->idmp);

    if (rc == 0) rc = prepare_trim(call, key, adding);
    if (rc == 0) rc = stream_room_reserve(call, key->stream, fields.size, !key->key);
    if (rc == 0 && adding->idmp.producer.bytes)
        rc = stream_idmp_add(call, key->value, &adding->idmp, adding->id);
    if (rc == 0 && !key->key) return stream_key_add(call, call->arguments[1], key);
    if (rc == 0 && adding->idmp.producer.bytes) stream_key_recount(call, key);
    return rc;
}

static int add(struct call *call, const struct adding *adding, struct stream_key *key,
               const struct stream_fields *fields)
{
    uint32_t field_count = call->argument_count - adding->id_index - 1;
    char text[STREAM_ID_TEXT_BYTES];
    struct slice id = slice_of(text, stream_id_format(text, adding->id));
    struct stream_trimmed trimmed;
    int rc = prepare(call, adding, key, fields->bytes);

    if (rc < 0) return rc;
    rc = stream_add(key->stream, adding->id, field_count, fields->bytes);
    assert(rc == 0); /* it was looked at, and there is room */
    trim(call, key, adding, &trimmed);
    call_changed_signal(call, call->arguments[1]);
    reply_bulk(call->reply, id);
    if (!is_said_as_sent(adding)) say(call, adding, key, fields, id, &trimmed);
    stream_retention_grown(call, call->arguments[1], key);
    return 0;
}

/* XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer | IDMP producer id] [<MAXLEN
 * | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...] */
int stream_xadd(struct call *call)
{
    struct adding adding = { .has_seq = true };
    struct stream_fields fields;
    struct stream_key key = { .key = NULL };
    int rc;

    if (!parse(call, &adding)) return 0;
    rc = stream_key_find(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0 && adding.must_exist) {
        reply_null(call->reply);
        return 0;
    }
    if (rc == 1 && adding.idmp.producer.bytes && !call->is_replay &&
        stream_idmp_find(call, key.value, &adding.idmp, &adding.id) == 1) {
        stream_id_reply(call->reply, adding.id);
        return 0;
    }
    if (rc == 0) rc = stream_key_make(call, &key);
    if (rc < 0) return rc;
    if (!resolve_id(call, &adding, stream_last_id(key.stream))) {
        if (!key.key) stream_key_drop(&key);
        return 0;
    }
    rc = stream_fields_take(call, adding.id_index + 1, &fields);
    if (rc == 0) rc = is_too_long(call, fields.bytes) ? -EMSGSIZE : 0;
    if (rc == 0) rc = add(call, &adding, &key, &fields);
    stream_fields_finish(&fields);
    if (rc < 0 && !key.key) stream_key_drop(&key);
    return rc;
}
