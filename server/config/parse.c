#include "server/config/parse.h"
#include "modules/base/words.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int parse_line(struct slice line, struct parse_words *out_words)
{
    struct parse_words words = { 0 };
    size_t capacity = line.size / 2 + 1; /* words are apart by at least a byte */
    int rc = -ENOMEM;

    if (capacity > INT32_MAX) return -EINVAL;
    words.words = calloc(capacity, sizeof(*words.words));
    words.bytes = malloc(line.size + 1);
    if (!words.words || !words.bytes) goto out;
    rc = words_split(line, words.bytes, words.words, (uint32_t)capacity);
    assert(rc != -E2BIG);
    if (rc < 0) goto out;
    words.count = (size_t)rc;
    *out_words = words;
    words = (struct parse_words){ 0 };
    rc = 0;
out:
    parse_words_finish(&words);
    return rc;
}

void parse_words_finish(struct parse_words *words)
{
    free(words->words);
    free(words->bytes);
    *words = (struct parse_words){ 0 };
}

bool parse_needs_quotes(struct slice word)
{
    if (word.size == 0 || word.bytes[0] == '#') return true;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t c = word.bytes[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\') return true;
    }
    return false;
}

void parse_write_quoted(struct slice word, FILE *out)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < word.size; i++) {
        uint8_t c = word.bytes[i];

        switch (c) {
        case '\\':
        case '"':
            (void)fprintf(out, "\\%c", c);
            break;
        case '\n':
            (void)fputs("\\n", out);
            break;
        case '\r':
            (void)fputs("\\r", out);
            break;
        case '\t':
            (void)fputs("\\t", out);
            break;
        case '\a':
            (void)fputs("\\a", out);
            break;
        case '\b':
            (void)fputs("\\b", out);
            break;
        default:
            if (c >= ' ' && c <= '~')
                (void)fputc(c, out);
            else
                (void)fprintf(out, "\\x%02x", c);
        }
    }
    (void)fputc('"', out);
}
