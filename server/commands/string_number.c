/* string_number.c - INCR DECR INCRBY DECRBY INCRBYFLOAT */
#include <errno.h>
#include <math.h>

#include "modules/base/number.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/string_common.h"
#include "server/keyspace/keyspace.h"
#include "server/types/string.h"

/* An int changes in place; anything else becomes one. */
static int store_number(struct call *call, struct key *key, int64_t number)
{
    struct value *value;
    int rc;

    if (key && string_value_is_integer(key_value(key))) {
        string_value_set_integer(key_value(key), number);
        call_changed(call, call->arguments[1]);
        return 0;
    }
    rc = string_value_create_integer(number, &value);
    if (rc < 0) return rc;
    return string_store(call, call->arguments[1], key, value, true);
}

static int increment(struct call *call, int64_t by)
{
    struct key *key = NULL;
    int64_t number = 0;
    int rc = string_find(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (key && !string_value_number(key_value(key), &number)) return call_not_an_integer(call);
    if (__builtin_add_overflow(number, by, &number))
        return call_error(call, "ERR increment or decrement would overflow");
    rc = store_number(call, key, number);
    if (rc == 0) reply_integer(call->reply, number);
    return rc;
}

/* INCR key */
int string_incr(struct call *call)
{
    return increment(call, 1);
}

/* DECR key */
int string_decr(struct call *call)
{
    return increment(call, -1);
}

/* INCRBY key increment */
int string_incrby(struct call *call)
{
    int64_t by;

    if (!call_integer(call, 2, &by)) return 0;
    return increment(call, by);
}

/* DECRBY key decrement */
int string_decrby(struct call *call)
{
    int64_t by;

    if (!call_integer(call, 2, &by)) return 0;
    if (by == INT64_MIN) return call_error(call, "ERR decrement would overflow");
    return increment(call, -by);
}

/* INCRBYFLOAT key increment */
int string_incrbyfloat(struct call *call)
{
    char digits[STRING_DIGITS_MAX], text[NUMBER_HUMAN_BYTES_MAX];
    struct value *value;
    struct slice result;
    struct key *key = NULL;
    long double number = 0, by;
    int rc = string_find(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if ((key && !number_parse_long_double(string_value_view(key_value(key), digits), &number)) ||
        !number_parse_long_double(call->arguments[2], &by))
        return call_error(call, "ERR value is not a valid float");
    number += by;
    if (isnan(number) || isinf(number))
        return call_error(call, "ERR increment would produce NaN or Infinity");
    result = slice_of(text, number_format_human(text, number));
    rc = string_value_create_text(result, &value);
    if (rc == 0) rc = string_store(call, call->arguments[1], key, value, true);
    if (rc < 0) return rc;
    reply_bulk(call->reply, result);
    string_say_set(call, call->arguments[1], result, -1, true);
    return 0;
}
