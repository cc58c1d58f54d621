#include "modules/rdb/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "modules/base/words.h"

enum { LINE_BYTES_MAX = 1024, WORDS_MAX = 16 };

struct line {
    struct slice name;
    uint64_t sequence;
    char type; /* 0: not told */
    bool has_sequence;
};

struct parse {
    struct manifest manifest;
    unsigned capacity, line_number;
    uint64_t last_increment;
    bool has_base;
    char *error;
};

static int fail(struct parse *parse, const char *what)
{
    (void)snprintf(parse->error, MANIFEST_ERROR_BYTES, "line %u of the manifest: %s",
                   parse->line_number, what);
    return -EBADMSG;
}

static bool is_name(struct slice name)
{
    return name.size > 0 && !memchr(name.bytes, '/', name.size) &&
           !memchr(name.bytes, '\0', name.size) && !slice_is(name, ".") && !slice_is(name, "..");
}

/* Words come in pairs; what a later Redis may add is passed over. */
static int take_words(struct parse *parse, const struct slice *words, int count, struct line *line)
{
    for (int i = 0; i + 1 < count; i += 2) {
        struct slice value = words[i + 1];

        if (slice_is(words[i], "file")) line->name = value;
        if (slice_is(words[i], "type") && value.size == 1) line->type = (char)value.bytes[0];
        if (slice_is(words[i], "seq"))
            line->has_sequence = number_parse_uint64(value, &line->sequence);
    }
    if (count % 2 != 0 || !line->has_sequence || !line->type)
        return fail(parse, "it has no file, seq and type");
    return is_name(line->name) ? 0 : fail(parse, "its file has no plain name");
}

static int add_name(struct parse *parse, struct slice name)
{
    struct manifest *manifest = &parse->manifest;

    if (manifest->count == parse->capacity) {
        unsigned capacity = parse->capacity ? parse->capacity * 2 : 4;
        char **names = realloc(manifest->names, capacity * sizeof(*names));
        if (!names) return -ENOMEM;
        manifest->names = names;
        parse->capacity = capacity;
    }
    manifest->names[manifest->count] = strndup((const char *)name.bytes, name.size);
    if (!manifest->names[manifest->count]) return -ENOMEM;
    manifest->count++;
    return 0;
}

static int take_line(struct parse *parse, const struct line *line)
{
    switch (line->type) {
    case 'b':
        if (parse->has_base || parse->manifest.count > 0)
            return fail(parse, "a base must be the only one, and come first");
        parse->has_base = true;
        return add_name(parse, line->name);
    case 'i':
        if (line->sequence <= parse->last_increment)
            return fail(parse, "increments must have rising numbers");
        parse->last_increment = line->sequence;
        return add_name(parse, line->name);
    case 'h':
        return 0;
    default:
        return fail(parse, "its type is none of b, i and h");
    }
}

static int parse_line(struct parse *parse, struct slice text)
{
    uint8_t scratch[LINE_BYTES_MAX + 1];
    struct slice words[WORDS_MAX];
    struct line line = { 0 };
    int count, rc;

    parse->line_number++;
    if (text.size > 0 && text.bytes[0] == '#') return 0;
    if (text.size > LINE_BYTES_MAX) return fail(parse, "it is too long");
    count = words_split(text, scratch, words, WORDS_MAX);
    if (count < 0) return fail(parse, "its words cannot be told apart");
    if (count == 0) return 0;
    rc = take_words(parse, words, count, &line);
    return rc < 0 ? rc : take_line(parse, &line);
}

int manifest_parse(struct slice text, struct manifest *out_manifest, char *error)
{
    struct parse parse = { .error = error };
    int rc = 0;

    error[0] = '\0';
    while (rc == 0 && text.size > 0) {
        const uint8_t *end = memchr(text.bytes, '\n', text.size);
        size_t size = end ? (size_t)(end - text.bytes) : text.size;

        rc = parse_line(&parse, slice_of(text.bytes, size));
        if (end) size++;
        text = slice_of(text.bytes + size, text.size - size);
    }
    if (rc == 0 && parse.manifest.count == 0) rc = fail(&parse, "no file was named before its end");
    if (rc < 0)
        manifest_finish(&parse.manifest);
    else
        *out_manifest = parse.manifest;
    return rc;
}

void manifest_finish(struct manifest *manifest)
{
    for (unsigned i = 0; i < manifest->count; i++)
        free(manifest->names[i]);
    free(manifest->names);
    *manifest = (struct manifest){ 0 };
}
