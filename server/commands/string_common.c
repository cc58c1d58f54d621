#include "server/commands/string_common.h"

#include <errno.h>

#include "modules/base/number.h"
#include "modules/pool/chain.h"
#include "modules/pool/packet.h"
#include "server/commands/effect.h"
#include "server/commands/lookup.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/observe/memory.h"
#include "server/types/string.h"

enum { MEMORY_SHARE = 8 }; /* a value has at most this part of maxmemory, as an element of a list */

int string_find(struct call *call, struct slice name, struct key **out_key)
{
    return key_access_kind(call, name, VALUE_STRING, out_key);
}

int string_find_read(struct call *call, struct slice name, struct key **out_key)
{
    int rc = string_find(call, name, out_key);

    key_count_look(call, rc != 0);
    return rc;
}

/* The bytes of a large string, to be sent from where they lie: a reader that is slow then holds a
 * reference and no copy. */
static struct packet *lend(struct call *call, const struct key *key)
{
    struct value *value = key_value(key);
    uint64_t before = value->type->counted_bytes(value);
    struct packet *packet = string_value_lend(value, chain_pool(call->reply->chain));

    if (packet)
        keyspace_account(call->server->keyspace,
                         (int64_t)(value->type->counted_bytes(value) - before));
    return packet;
}

void string_reply(struct call *call, const struct key *key)
{
    char digits[STRING_DIGITS_MAX];
    struct slice bytes = string_value_view(key_value(key), digits);

    string_reply_part(call, key, bytes);
}

void string_reply_part(struct call *call, const struct key *key, struct slice part)
{
    struct packet *packet = part.size >= STRING_LENT_BYTES_MIN ? lend(call, key) : NULL;

    if (packet)
        reply_bulk_packet(call->reply, packet, (size_t)(part.bytes - packet->payload.bytes),
                          part.size);
    else
        reply_bulk(call->reply, part);
}

int string_check_share(const struct call *call, uint64_t size)
{
    uint64_t memory_bytes = memory_limit(call->server->memory);

    if (call->is_replay) return 0;
    return memory_bytes > 0 && size > memory_bytes / MEMORY_SHARE ? -EMSGSIZE : 0;
}

int string_make(struct call *call, struct slice bytes, struct value **out_value)
{
    int rc = string_check_share(call, bytes.size);

    return rc < 0 ? rc : string_value_create(bytes, out_value);
}

int string_add(struct call *call, struct slice name, struct slice bytes, struct key **out_key)
{
    struct value *value;
    int rc = string_make(call, bytes, &value);

    if (rc < 0) return rc;
    rc = keyspace_add(call->server->keyspace, call->database, name, value, out_key);
    if (rc < 0) value->type->destroy(value);
    return rc;
}

int string_store(struct call *call, struct slice name, struct key *key, struct value *value,
                 bool keep_ttl)
{
    struct keyspace *keyspace = call->server->keyspace;
    int rc;

    if (key) {
        keyspace_replace(keyspace, key, value, keep_ttl);
        call_changed(call, name);
        return 0;
    }
    rc = keyspace_add(keyspace, call->database, name, value, NULL);
    if (rc < 0) value->type->destroy(value);
    return rc;
}

void string_say_set(struct call *call, struct slice name, struct slice bytes, int64_t at_ms,
                    bool keep_ttl)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    struct slice arguments[5] = { SLICE_LITERAL("SET"), name, bytes };
    uint32_t count = 3;

    if (keep_ttl) arguments[count++] = SLICE_LITERAL("KEEPTTL");
    if (at_ms != -1) {
        arguments[count++] = SLICE_LITERAL("PXAT");
        arguments[count++] = slice_of(digits, number_format_int64(digits, at_ms));
    }
    effect_say(call, arguments, count);
}

int string_check_size(struct call *call, uint64_t size, uint64_t added)
{
    if (call->is_replay) return 0;
    if (added > call->server->config->proto_max_bulk_len_bytes ||
        size > call->server->config->proto_max_bulk_len_bytes - added) {
        (void)call_error(call, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return 1;
    }
    return string_check_share(call, size + added);
}

int expiry_error(struct call *call)
{
    return call_errorf(call, "ERR invalid expire time in '%s' command", call->command->full_name);
}

bool expiry_parse(struct call *call, enum expiry_form form, struct slice argument,
                  int64_t *out_at_ms)
{
    bool is_seconds = form == EXPIRY_EX || form == EXPIRY_EXAT;
    bool is_relative = form == EXPIRY_EX || form == EXPIRY_PX;
    int64_t at_ms;

    if (!number_parse_int64(argument, &at_ms)) {
        (void)call_not_an_integer(call);
        return false;
    }
    if (at_ms <= 0 || (is_seconds && __builtin_mul_overflow(at_ms, 1000, &at_ms)) ||
        (is_relative &&
         __builtin_add_overflow(at_ms, keyspace_now(call->server->keyspace), &at_ms))) {
        (void)expiry_error(call);
        return false;
    }
    *out_at_ms = at_ms;
    return true;
}
