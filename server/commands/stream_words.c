#include "server/commands/stream_words.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/command.h"

enum { TEXT_BYTES_MAX = 127 };

/* Digits only, as nearly all ids are. False: look more closely. */
static bool parse_digits(const uint8_t *at, const uint8_t *end, uint64_t *out_value)
{
    enum { SAFE_DIGITS = 19 };
    uint64_t value = 0;

    if (at == end || end - at > SAFE_DIGITS) return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *out_value = value;
    return true;
}

/* What Redis takes for a number: what strtoull does, but no negative one that is written plainly.
 */
static bool parse_number(const char *text, uint64_t *out_value)
{
    int64_t number;
    char *end;

    if (number_parse_int64(slice_of_string(text), &number)) {
        *out_value = (uint64_t)number;
        return number >= 0;
    }
    errno = 0;
    *out_value = strtoull(text, &end, 10);
    return errno == 0 && *text != '\0' && *end == '\0';
}

/* As C strings, which end at a zero byte. */
static bool parse_slowly(struct slice text, uint64_t missing_seq, bool *out_has_seq,
                         struct stream_id *out_id)
{
    char copy[TEXT_BYTES_MAX + 1];
    char *dash;

    if (text.size > TEXT_BYTES_MAX) return false;
    if (text.size > 0) memcpy(copy, text.bytes, text.size);
    copy[text.size] = '\0';
    dash = strchr(copy, '-');
    if (dash) *dash++ = '\0';
    if (!parse_number(copy, &out_id->ms)) return false;
    if (!dash) {
        out_id->seq = missing_seq;
        return true;
    }
    if (out_has_seq && strcmp(dash, "*") == 0) {
        *out_has_seq = false;
        out_id->seq = 0;
        return true;
    }
    return parse_number(dash, &out_id->seq);
}

bool stream_id_parse(struct slice text, uint64_t missing_seq, bool *out_has_seq,
                     struct stream_id *out_id)
{
    const uint8_t *end = text.bytes + text.size;
    const uint8_t *dash = text.size > 0 ? memchr(text.bytes, '-', text.size) : NULL;

    if (out_has_seq) *out_has_seq = true;
    if (text.size > 0 && parse_digits(text.bytes, dash ? dash : end, &out_id->ms)) {
        out_id->seq = missing_seq;
        if (!dash || parse_digits(dash + 1, end, &out_id->seq)) return true;
    }
    return parse_slowly(text, missing_seq, out_has_seq, out_id);
}

size_t stream_id_format(char text[STREAM_ID_TEXT_BYTES], struct stream_id id)
{
    size_t size = number_format_uint64(text, id.ms);

    text[size++] = '-';
    return size + number_format_uint64(text + size, id.seq);
}

void stream_id_reply(struct reply *reply, struct stream_id id)
{
    char text[STREAM_ID_TEXT_BYTES];

    reply_bulk(reply, slice_of(text, stream_id_format(text, id)));
}

int stream_wrong_id(struct call *call)
{
    return call_error(call, "ERR Invalid stream ID specified as stream command argument");
}

bool stream_word_id(struct call *call, uint32_t index, struct stream_id *out_id)
{
    if (stream_id_parse(call->arguments[index], 0, NULL, out_id)) return true;
    (void)stream_wrong_id(call);
    return false;
}

/* An end of a range without its "(". */
static bool parse_end(struct slice text, uint64_t missing_seq, bool may_be_open,
                      struct stream_id *out_id)
{
    if (may_be_open && slice_equal(text, SLICE_LITERAL("-"))) {
        *out_id = STREAM_ID_MIN;
        return true;
    }
    if (may_be_open && slice_equal(text, SLICE_LITERAL("+"))) {
        *out_id = STREAM_ID_MAX;
        return true;
    }
    return stream_id_parse(text, missing_seq, NULL, out_id);
}

bool stream_word_loose_id(struct call *call, uint32_t index, struct stream_id *out_id)
{
    if (parse_end(call->arguments[index], 0, true, out_id)) return true;
    (void)stream_wrong_id(call);
    return false;
}

static bool word_of_range(struct call *call, uint32_t index, uint64_t missing_seq,
                          bool (*step_inside)(struct stream_id *id), const char *none_inside,
                          struct stream_id *out_id)
{
    struct slice text = call->arguments[index];
    bool is_exclusive = text.size > 1 && text.bytes[0] == '(';

    if (is_exclusive) text = slice_of(text.bytes + 1, text.size - 1);
    if (!parse_end(text, missing_seq, !is_exclusive, out_id)) {
        (void)stream_wrong_id(call);
        return false;
    }
    if (is_exclusive && !step_inside(out_id)) {
        (void)call_error(call, none_inside);
        return false;
    }
    return true;
}

bool stream_word_start(struct call *call, uint32_t index, struct stream_id *out_id)
{
    return word_of_range(call, index, 0, stream_id_increment,
                         "ERR invalid start ID for the interval", out_id);
}

bool stream_word_end(struct call *call, uint32_t index, struct stream_id *out_id)
{
    return word_of_range(call, index, UINT64_MAX, stream_id_decrement,
                         "ERR invalid end ID for the interval", out_id);
}
