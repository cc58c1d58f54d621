/* fuzz_config.c - any text as a configuration file, and each of its words as a value for CONFIG
 * SET.
 *
 * What is accepted must be given back by CONFIG GET such that CONFIG SET accepts it again. Only
 * what the input has changed is set again: a change copies the whole configuration. Includes are
 * left out: they would read whatever file the input names. */
#include "modules/base/os.h"
#include "server/config/config.h"
#include "server/config/parse.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool contains_nocase(struct slice text, struct slice word)
{
    for (size_t i = 0; i + word.size <= text.size; i++) {
        if (slice_equal_nocase(slice_of(text.bytes + i, word.size), word)) return true;
    }
    return false;
}

static bool has(struct config *config, const char *name, const char *value)
{
    char *text = NULL;
    bool is_equal;

    assert(config_text(config, name, &text) == 0);
    is_equal = strcmp(text, value) == 0;
    free(text);
    return is_equal;
}

static void set_back(void *context, struct slice name, struct slice value)
{
    struct config *config = context;
    struct config_error error = { "" };
    const struct config_pair pair = { name, value };
    char *copy = malloc(value.size + 1), *named = strndup((const char *)name.bytes, name.size);

    assert(copy && named);
    memcpy(copy, value.bytes, value.size);
    copy[value.size] = 0;
    if (!has(config, named, copy) && config_set(config, &pair, 1, true, &error) == 0)
        assert(has(config, named, copy));
    free(copy);
    free(named);
}

static void set_words(struct config *config, struct slice text)
{
    struct parse_words words = { 0 };
    struct config_error error = { "" };
    struct config_pair pairs[4];
    size_t count = 0;

    if (parse_line(text, &words) < 0) return;
    for (size_t i = 0; i + 1 < words.count && count < 4; i += 2)
        pairs[count++] = (struct config_pair){ words.words[i], words.words[i + 1] };
    (void)config_set(config, pairs, count, true, &error);
    (void)config_get(config, words.words, words.count, NULL, NULL);
    parse_words_finish(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct slice text = slice_of(bytes, size), all = SLICE_LITERAL("*");
    struct config_error error = { "" };
    struct config *config = NULL, *copy = NULL;

    if (contains_nocase(text, SLICE_LITERAL("include"))) return 0;
    assert(config_create(os_real(), &config, &error) == 0);
    assert(config_create(os_real(), &copy, &error) == 0);
    (void)config_load_text(config, text, &error);
    set_words(config, text);
    (void)config_get(config, &all, 1, set_back, copy);
    config_destroy(config);
    config_destroy(copy);
    return 0;
}
