#include "modules/base/words.h"

#include <assert.h>
#include <errno.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t unescaped(uint8_t c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* Decodes a quoted part that begins behind its quote. Where it goes on behind the closing quote;
 * NULL: there is none, or something else than a space follows it. */
static const uint8_t *decode_quoted(const uint8_t *at, const uint8_t *end, uint8_t quote,
                                    uint8_t **scratch)
{
    uint8_t *to = *scratch;

    for (; at < end && *at != quote; at++) {
        if (*at != '\\' || end - at < 2) {
            *to++ = *at;
        } else if (quote == '\'') {
            if (at[1] == '\'') at++;
            *to++ = *at;
        } else if (at[1] == 'x' && end - at >= 4 && hex_digit(at[2]) >= 0 &&
                   hex_digit(at[3]) >= 0) {
            *to++ = (uint8_t)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
            at += 3;
        } else {
            *to++ = unescaped(*++at);
        }
    }
    *scratch = to;
    if (at == end) return NULL;
    at++;
    return at == end || is_space(*at) ? at : NULL;
}

/* One word; quotes may begin in its middle but end it. */
static const uint8_t *decode_word(const uint8_t *at, const uint8_t *end, uint8_t **scratch)
{
    for (; at < end; at++) {
        if (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') return at;
        if (*at == '"' || *at == '\'') return decode_quoted(at + 1, end, *at, scratch);
        *(*scratch)++ = *at;
    }
    return at;
}

int words_split(struct slice line, uint8_t *scratch, struct slice *out_words, uint32_t capacity)
{
    const uint8_t *at = line.bytes, *end = line.bytes + line.size;
    uint32_t count = 0;

    assert(capacity <= INT32_MAX);
    for (;;) {
        uint8_t *word = scratch;

        while (at < end && is_space(*at))
            at++;
        if (at == end) return (int)count;
        if (count == capacity) return -E2BIG;
        at = decode_word(at, end, &scratch);
        if (!at) return -EINVAL;
        out_words[count++] = slice_of(word, (size_t)(scratch - word));
        *scratch++ = 0; /* in the place of what parts it from the next */
    }
}
