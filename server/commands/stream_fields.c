#include "server/commands/stream_fields.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/command.h"
#include "server/commands/session.h"
#include "server/net/client.h"

enum { DIGITS_MAX = 19 }; /* of a length: no request is longer */

/* "$", the length, and two times CR LF around the bytes. */
static size_t bulk_bytes(size_t size)
{
    size_t digits = 1;

    for (size_t bound = 10; size >= bound && digits < DIGITS_MAX; bound *= 10)
        digits++;
    return 1 + digits + 2 + size + 2;
}

/* What net has read, when the call runs right there. */
static bool is_as_it_came(const struct call *call)
{
    return !call->parked && !call->in_transaction && call->session;
}

/* The request's bytes are the fields when each argument lies just so far behind the one before it
 * as the shortest way to write its length makes it: an array has nothing else between them. */
static bool find_in_request(const struct call *call, uint32_t first, struct slice *out_bytes)
{
    struct slice request = client_request(call->session->client);
    const uint8_t *end = request.bytes + request.size, *begin, *at;

    if (request.size == 0 || request.bytes[0] != '*') return false;
    begin = call->arguments[first - 1].bytes + call->arguments[first - 1].size + 2;
    if (begin < request.bytes || begin > end) return false;
    at = begin;
    for (uint32_t i = first; i < call->argument_count; i++) {
        struct slice argument = call->arguments[i];

        at += bulk_bytes(argument.size);
        if (at > end || argument.bytes + argument.size + 2 != at) return false;
    }
    *out_bytes = slice_of(begin, (size_t)(at - begin));
    return true;
}

static uint8_t *put_bulk(uint8_t *at, struct slice argument)
{
    *at++ = '$';
    at += number_format_uint64((char *)at, argument.size);
    *at++ = '\r';
    *at++ = '\n';
    if (argument.size > 0) memcpy(at, argument.bytes, argument.size);
    at += argument.size;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static int copy(const struct call *call, uint32_t first, struct stream_fields *out_fields)
{
    size_t size = NUMBER_INT64_BYTES_MAX; /* room to format the last length in */
    uint8_t *bytes = out_fields->small, *at;

    for (uint32_t i = first; i < call->argument_count; i++)
        size += bulk_bytes(call->arguments[i].size);
    if (size > sizeof(out_fields->small)) {
        bytes = malloc(size);
        if (!bytes) return -ENOMEM;
        out_fields->copy = bytes;
    }
    at = bytes;
    for (uint32_t i = first; i < call->argument_count; i++)
        at = put_bulk(at, call->arguments[i]);
    out_fields->bytes = slice_of(bytes, (size_t)(at - bytes));
    return 0;
}

int stream_fields_take(const struct call *call, uint32_t first, struct stream_fields *out_fields)
{
    out_fields->copy = NULL;
    out_fields->is_in_request =
        is_as_it_came(call) && find_in_request(call, first, &out_fields->bytes);
    return out_fields->is_in_request ? 0 : copy(call, first, out_fields);
}

void stream_fields_finish(struct stream_fields *fields)
{
    if (fields->copy) free(fields->copy); /* mostly there is none */
}
