/* load.c - defaults, files with what they include, and the command line.
 *
 * Everything becomes lines of words; load_words sets one directive from one line. The first error
 * ends it, worded for the operator who reads it on a terminal. */
#include "server/config/config_internal.h"
#include "modules/base/os.h"
#include "server/config/parse.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

/* Where lines come from. */
struct source {
    const char *what; /* "the configuration file" */
    const char *path; /* NULL: not worth naming */
    unsigned depth;   /* of includes */
};

static int load_text(struct config *config, struct slice text, const struct source *source,
                     struct config_error *error);

/* Puts the place in front of the reason that *error holds. */
static int blame_line(const struct source *source, size_t number, struct slice line, int rc,
                      struct config_error *error)
{
    enum { SHOWN_BYTES_MAX = 300 };
    struct config_error reason = *error;
    char shown[SHOWN_BYTES_MAX + 1];
    size_t size = line.size < SHOWN_BYTES_MAX ? line.size : SHOWN_BYTES_MAX;
    char place[32] = "";

    if (rc != -EINVAL) (void)config_refuse(&reason, "%s", strerror(-rc));
    /* A terminal reads this: no control bytes. */
    for (size_t i = 0; i < size; i++)
        shown[i] = line.bytes[i] < ' ' || line.bytes[i] == 127 ? '?' : (char)line.bytes[i];
    shown[size] = 0;
    if (number > 0) (void)snprintf(place, sizeof(place), ", at line %zu", number);
    (void)config_refuse(error, "Reading %s%s%.200s%s%s\n>>> '%s'\n%.400s", source->what,
                        source->path ? " '" : "", source->path ? source->path : "",
                        source->path ? "'" : "", place, shown, reason.text);
    return rc;
}

/* ---- one line ------------------------------------------------------------------------------- */

static int set_from_words(struct config *config, const struct option *option,
                          const struct slice *words, size_t count, bool is_included,
                          struct config_error *error)
{
    struct config_state *state = config->state;
    const size_t index = option_index(option);
    const bool adds_up = (option->flags & ADDS_UP) && state->loaded[index] > 0;
    void *field = option_value(config, option);
    struct value_room room;
    int rc;

    rc = option_parse(option, words, count, option->kind->names_parts || adds_up ? field : NULL,
                      &room, error);
    if (rc < 0) return rc;
    option_finish(option, field);
    memcpy(field, &room, option->kind->size_bytes);
    state->loaded[index]++;
    if (is_included) state->included[index] = 1;
    return 0;
}

/* As Redis: --save "3600 1 60 100", quoted, is four words. */
static int set_from_line(struct config *config, const struct option *option,
                         const struct slice *words, size_t count, bool is_included,
                         struct config_error *error)
{
    struct slice *parts = NULL;
    size_t part_count = 0;
    int rc = 0;

    if (!option->kind->takes_many_words || count != 1 || words[0].size == 0)
        return set_from_words(config, option, words, count, is_included, error);
    rc = config_split_at_spaces(words[0], &parts, &part_count);
    if (rc == 0) rc = set_from_words(config, option, parts, part_count, is_included, error);
    free(parts);
    return rc;
}

static int include_file(struct config *config, const char *path, const struct source *source,
                        struct config_error *error)
{
    const struct source included = { "the included file", path, source->depth + 1 };
    char *text = NULL;
    size_t size = 0;
    int rc;

    if (included.depth > CONFIG_INCLUDE_DEPTH_MAX)
        return config_refuse(error, "files include each other more than %d deep",
                             CONFIG_INCLUDE_DEPTH_MAX);
    rc = config_read_file(config->state->os, path, &text, &size);
    if (rc < 0)
        return config_refuse(error, "can't open config file '%.400s': %s", path, strerror(-rc));
    rc = load_text(config, slice_of(text, size), &included, error);
    free(text);
    return rc;
}

/* A pattern that matches nothing includes nothing, as in Redis. */
static int include(struct config *config, const char *pattern, const struct source *source,
                   struct config_error *error)
{
    glob_t found = { 0 };
    int rc;

    if (!strpbrk(pattern, "*?[")) return include_file(config, pattern, source, error);
    rc = glob(pattern, 0, NULL, &found);
    if (rc == GLOB_NOSPACE) {
        rc = -ENOMEM;
    } else if (rc == GLOB_ABORTED) {
        rc = config_refuse(error, "can't read a directory of '%.400s'", pattern);
    } else {
        rc = 0;
        for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
            rc = include_file(config, found.gl_pathv[i], source, error);
    }
    globfree(&found);
    return rc;
}

static int load_words(struct config *config, const struct slice *words, size_t count,
                      const struct source *source, struct config_error *error)
{
    const struct option *option = option_find(words[0], NULL);
    const char *reason = option_refusal(words[0]);

    if (option)
        return set_from_line(config, option, words + 1, count - 1, source->depth > 0, error);
    if (reason) return config_refuse(error, "%s", reason);
    if (slice_is(words[0], "include") && count == 2 && !memchr(words[1].bytes, 0, words[1].size))
        return include(config, (const char *)words[1].bytes, source, error);
    return config_refuse(error, "Bad directive or wrong number of arguments");
}

static int load_line(struct config *config, struct slice line, const struct source *source,
                     struct config_error *error)
{
    struct parse_words words = { 0 };
    size_t start = 0;
    int rc;

    while (start < line.size && (line.bytes[start] == ' ' || line.bytes[start] == '\t'))
        start++;
    if (start == line.size || line.bytes[start] == '#') return 0;
    if (memchr(line.bytes, 0, line.size))
        return config_refuse(error, "Zero byte in configuration line");
    rc = parse_line(line, &words);
    if (rc == -EINVAL) return config_refuse(error, "Unbalanced quotes in configuration line");
    if (rc < 0) return rc;
    rc = words.count > 0 ? load_words(config, words.words, words.count, source, error) : 0;
    parse_words_finish(&words);
    return rc;
}

/* ---- texts and files ------------------------------------------------------------------------ */

static int load_text(struct config *config, struct slice text, const struct source *source,
                     struct config_error *error)
{
    size_t number = 0;

    while (text.size > 0) {
        const uint8_t *newline = memchr(text.bytes, '\n', text.size);
        struct slice line =
            slice_of(text.bytes, newline ? (size_t)(newline - text.bytes) : text.size);
        const size_t taken = line.size + (newline ? 1 : 0);
        int rc;

        number++;
        text = slice_of(text.bytes + taken, text.size - taken);
        while (line.size > 0 &&
               (line.bytes[line.size - 1] == '\r' || line.bytes[line.size - 1] == ' '))
            line.size--;
        rc = load_line(config, line, source, error);
        if (rc < 0) return blame_line(source, number, line, rc, error);
    }
    return 0;
}

int config_load_text(struct config *config, struct slice text, struct config_error *out_error)
{
    return load_text(config, text, &(struct source){ "the configuration", NULL, 0 }, out_error);
}

/* Text that grows as it is read, with room for a zero behind it. */
struct growing {
    char *bytes;
    size_t size, capacity;
};

static int make_room(struct growing *text)
{
    size_t capacity = text->capacity ? text->capacity * 2 : 16384;
    char *bytes;

    if (text->size + 1 < text->capacity) return 0;
    if (text->size > CONFIG_FILE_BYTES_MAX) return -EFBIG;
    bytes = realloc(text->bytes, capacity);
    if (!bytes) return -ENOMEM;
    text->bytes = bytes;
    text->capacity = capacity;
    return 0;
}

/* From a pipe or terminal, which struct os does not know; this is at start, before any engine. */
static int read_stream(int fd, struct growing *text)
{
    for (;;) {
        ssize_t transferred;
        int rc = make_room(text);

        if (rc < 0) return rc;
        transferred = read(fd, text->bytes + text->size, text->capacity - text->size - 1);
        if (transferred < 0 && errno == EINTR) continue;
        if (transferred < 0) return -errno;
        if (transferred == 0) return 0;
        text->size += (size_t)transferred;
    }
}

static int read_descriptor(struct os *os, int fd, struct growing *text)
{
    for (;;) {
        ssize_t transferred;
        int rc = make_room(text);

        if (rc < 0) return rc;
        transferred = os->pread(os, fd, text->bytes + text->size, text->capacity - text->size - 1,
                                text->size);
        if (transferred == -ESPIPE) return read_stream(fd, text);
        if (transferred < 0) return (int)transferred;
        if (transferred == 0) return 0;
        text->size += (size_t)transferred;
    }
}

int config_read_file(struct os *os, const char *path, char **out_text, size_t *out_size)
{
    struct growing text = { 0 };
    int fd, rc;

    fd = os->open(os, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    rc = read_descriptor(os, fd, &text);
    (void)os->close(os, fd); /* only read: nothing to lose */
    if (rc < 0) {
        free(text.bytes);
        return rc;
    }
    text.bytes[text.size] = 0;
    *out_text = text.bytes;
    *out_size = text.size;
    return 0;
}

int config_load_file(struct config *config, const char *path, struct config_error *out_error)
{
    const struct source source = { "the configuration file", NULL, 0 };
    char *text = NULL;
    size_t size = 0;
    int rc;

    rc = config_read_file(config->state->os, path, &text, &size);
    if (rc < 0) {
        (void)config_refuse(out_error, "Fatal error, can't open config file '%.800s': %s", path,
                            strerror(-rc));
        return rc;
    }
    rc = load_text(config, slice_of(text, size), &source, out_error);
    free(text);
    free(config->state->file);
    /* NULL for what has no name to be rewritten under, such as a pipe. */
    config->state->file = realpath(path, NULL);
    return rc;
}

/* ---- the command line ----------------------------------------------------------------------- */

static int load_stdin(struct config *config, int fd, struct config_error *error)
{
    struct growing text = { 0 };
    int rc = read_stream(fd, &text);

    if (rc < 0)
        (void)config_refuse(error, "Reading standard input\n%s", strerror(-rc));
    else
        rc = load_text(config, slice_of(text.bytes, text.size),
                       &(struct source){ "standard input", NULL, 0 }, error);
    free(text.bytes);
    return rc;
}

static bool is_option_name(const char *argument)
{
    return argument[0] == '-' && argument[1] == '-';
}

/* The line that "--name value ..." stands for. The words of name are read as in a file, so that
 * "--port 7777" may also be one argument; values are taken as they are. */
static int write_option_line(char *const *arguments, size_t count, FILE *out)
{
    size_t next = 0;

    if (is_option_name(arguments[0])) {
        (void)fputs(arguments[0] + 2, out);
        next = 1;
    }
    for (; next < count; next++) {
        if (next > 0) (void)fputc(' ', out);
        parse_write_quoted(slice_of_string(arguments[next]), out);
    }
    return ferror(out) ? -ENOMEM : 0;
}

static int load_option(struct config *config, char *const *arguments, size_t count,
                       struct config_error *error)
{
    const struct source source = { "the command line", NULL, 0 };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int rc;

    if (!out) return -ENOMEM;
    rc = write_option_line(arguments, count, out);
    if (fclose(out) != 0) rc = -ENOMEM;
    if (rc == 0) {
        rc = load_line(config, slice_of(text, size), &source, error);
        if (rc < 0) rc = blame_line(&source, 0, slice_of(text, size), rc, error);
    }
    free(text);
    return rc;
}

/* How many of arguments belong to the first: all up to the next name. What follows a lone name is
 * its value even if it looks like a name, except after --save, where nothing means "". */
static size_t option_extent(char *const *arguments, size_t count)
{
    size_t extent = 1;

    if (extent < count && is_option_name(arguments[0]) && !strchr(arguments[0], ' ') &&
        !(strcasecmp(arguments[0], "--save") == 0 && is_option_name(arguments[1])))
        extent++;
    while (extent < count && !is_option_name(arguments[extent]))
        extent++;
    return extent;
}

int config_load_arguments(struct config *config, int count, char *const *arguments, int stdin_fd,
                          struct config_error *out_error)
{
    size_t next = 1, end = count > 0 ? (size_t)count : 1;
    bool from_stdin = false;
    int rc = 0;

    if (end > 1 && strcmp(arguments[end - 1], "-") == 0) {
        from_stdin = true;
        end--;
    }
    if (next < end && arguments[next][0] != '-')
        rc = config_load_file(config, arguments[next++], out_error);
    if (rc == 0 && from_stdin) rc = load_stdin(config, stdin_fd, out_error);
    while (rc == 0 && next < end) {
        const size_t extent = option_extent(arguments + next, end - next);

        rc = load_option(config, arguments + next, extent, out_error);
        next += extent;
    }
    return rc;
}

const char *config_file(const struct config *config)
{
    return config->state->file;
}

/* ---- life ----------------------------------------------------------------------------------- */

static int set_default(struct config *config, const struct option *option,
                       struct config_error *error)
{
    const struct slice word = slice_of_string(option->default_text);
    struct parse_words words = { 0 };
    int rc;

    if (!option->kind->takes_many_words)
        return option_parse(option, &word, 1, NULL, option_value(config, option), error);
    rc = parse_line(word, &words);
    if (rc < 0) return rc;
    rc = option_parse(option, words.words, words.count, NULL, option_value(config, option), error);
    parse_words_finish(&words);
    return rc;
}

int config_create(struct os *os, struct config **out_config, struct config_error *out_error)
{
    struct config *config = calloc(1, sizeof(*config));
    int rc = -ENOMEM;

    if (!config) goto out;
    config->state = calloc(1, sizeof(*config->state));
    if (!config->state) goto out;
    config->state->os = os;
    config->state->loaded = calloc(option_count(), sizeof(*config->state->loaded));
    config->state->included = calloc(option_count(), sizeof(*config->state->included));
    if (!config->state->loaded || !config->state->included) goto out;
    for (size_t i = 0; i < option_count(); i++) {
        struct config_error reason;

        rc = set_default(config, option_at(i), &reason);
        if (rc == -EINVAL)
            (void)config_refuse(out_error, "the default of %s: %.900s", option_at(i)->name,
                                reason.text);
        if (rc < 0) goto out;
    }
    *out_config = config;
    config = NULL;
out:
    if (rc == -ENOMEM) (void)config_refuse(out_error, "%s", strerror(ENOMEM));
    config_destroy(config);
    return rc;
}

void config_destroy(struct config *config)
{
    if (!config) return;
    if (config->state) {
        /* A field that was never set is all zero, which has nothing to free. */
        for (size_t i = 0; i < option_count(); i++)
            option_finish(option_at(i), option_value(config, option_at(i)));
        free(config->state->file);
        free(config->state->loaded);
        free(config->state->included);
        free(config->state->listeners);
        free(config->state);
    }
    free(config);
}
