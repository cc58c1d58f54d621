#include "server/config/parse.h"
#include <errno.h>
#include <stdlib.h>

/* What is left of the line, and where the next byte of a word goes. The words cannot be longer than
 * the line, so one allocation holds them all. */
struct reader {
    const uint8_t *at, *end;
    uint8_t *out;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

/* at stands behind the backslash, on a byte that exists. */
static void read_escape(struct reader *reader)
{
    uint8_t c = *reader->at;

    if (c == 'x' && reader->end - reader->at >= 3 && hex_digit(reader->at[1]) >= 0 &&
        hex_digit(reader->at[2]) >= 0) {
        *reader->out++ = (uint8_t)(hex_digit(reader->at[1]) * 16 + hex_digit(reader->at[2]));
        reader->at += 3;
        return;
    }
    switch (c) {
    case 'n':
        c = '\n';
        break;
    case 'r':
        c = '\r';
        break;
    case 't':
        c = '\t';
        break;
    case 'a':
        c = '\a';
        break;
    case 'b':
        c = '\b';
        break;
    default:
        break;
    }
    *reader->out++ = c;
    reader->at++;
}

/* at stands on the opening quote. */
static int read_quoted(struct reader *reader)
{
    const uint8_t quote = *reader->at++;

    while (reader->at < reader->end) {
        uint8_t c = *reader->at++;
        bool has_next = reader->at < reader->end;

        if (c == quote) return (!has_next || is_space(*reader->at)) ? 0 : -EINVAL;
        if (c == '\\' && has_next && quote == '"') {
            read_escape(reader);
        } else if (c == '\\' && has_next && *reader->at == '\'') {
            *reader->out++ = *reader->at++;
        } else {
            *reader->out++ = c;
        }
    }
    return -EINVAL;
}

static int read_word(struct reader *reader)
{
    while (reader->at < reader->end && !is_space(*reader->at)) {
        if (*reader->at == '"' || *reader->at == '\'') return read_quoted(reader);
        *reader->out++ = *reader->at++;
    }
    return 0;
}

int parse_line(struct slice line, struct parse_words *out_words)
{
    struct parse_words words = { 0 };
    struct reader reader = { 0 };
    int rc = -ENOMEM;

    if (line.size == 0) line = SLICE_LITERAL("");
    /* Words are apart by at least a byte, which leaves room for the zero behind each. */
    words.words = calloc(line.size / 2 + 1, sizeof(*words.words));
    words.bytes = malloc(line.size + 1);
    if (!words.words || !words.bytes) goto out;
    reader.at = line.bytes;
    reader.end = reader.at + line.size;
    reader.out = words.bytes;
    for (;;) {
        const uint8_t *begin;

        while (reader.at < reader.end && is_space(*reader.at))
            reader.at++;
        if (reader.at == reader.end) break;
        begin = reader.out;
        rc = read_word(&reader);
        if (rc < 0) goto out;
        words.words[words.count++] = slice_of(begin, (size_t)(reader.out - begin));
        *reader.out++ = 0;
    }
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
