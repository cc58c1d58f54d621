/* get.c - CONFIG GET, and which directives are given back and nothing more. */
#include "server/config/config_internal.h"
#include "modules/base/glob.h"
#include <errno.h>
#include <stdlib.h>

static bool has_wildcard(struct slice pattern)
{
    for (size_t i = 0; i < pattern.size; i++) {
        if (strchr("*?[", pattern.bytes[i])) return true;
    }
    return false;
}

/* How pattern asks for the directive under this name; no bytes: it does not. */
static struct slice asked_as(struct slice pattern, const char *name, const struct option *option,
                             uint64_t *steps)
{
    const struct slice full = slice_of_string(name);

    if (!has_wildcard(pattern))
        return slice_equal_nocase(pattern, full) ? pattern : slice_of(NULL, 0);
    if ((option->flags & HIDDEN) || !glob_match_budgeted(pattern, full, GLOB_IGNORE_CASE, steps))
        return slice_of(NULL, 0);
    return full;
}

static int emit_value(const struct config *config, const struct option *option, struct slice name,
                      void (*emit)(void *context, struct slice name, struct slice value),
                      void *context)
{
    char *text = NULL;
    int rc = option_print(option, option_value_const(config, option), false, &text);

    if (rc < 0) return rc;
    emit(context, name, slice_of_string(text));
    free(text);
    return 0;
}

int64_t config_get(const struct config *config, const struct slice *patterns, size_t count,
                   void (*emit)(void *context, struct slice name, struct slice value),
                   void *context)
{
    const struct option *option;
    const char *name;
    uint64_t steps = GLOB_STEPS_MAX; /* for all names and patterns together */
    int64_t found = 0;

    for (size_t i = 0; (name = option_name_at(i, &option)) != NULL; i++) {
        struct slice asked = { 0 };

        for (size_t j = 0; j < count && asked.size == 0; j++)
            asked = asked_as(patterns[j], name, option, &steps);
        if (asked.size == 0) continue;
        found++;
        if (emit) {
            int rc = emit_value(config, option, asked, emit, context);
            if (rc < 0) return rc;
        }
    }
    return found;
}

int config_text(const struct config *config, const char *name, char **out_text)
{
    const struct option *option = option_find(slice_of_string(name), NULL);

    if (!option) return -ENOENT;
    return option_print(option, option_value_const(config, option), false, out_text);
}

static int is_default(const struct config *config, const struct config *defaults,
                      const struct option *option, bool *out_is_default)
{
    char *value = NULL, *usual = NULL;
    int rc = option_print(option, option_value_const(config, option), true, &value);

    if (rc == 0) rc = option_print(option, option_value_const(defaults, option), true, &usual);
    if (rc == 0) *out_is_default = strcmp(value, usual) == 0;
    free(value);
    free(usual);
    return rc;
}

static int write_names(const struct config *config, const struct config *defaults, FILE *out)
{
    const char *separator = "";

    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        bool is_usual = true;
        int rc = 0;

        if (option->flags & REMEMBERED) rc = is_default(config, defaults, option, &is_usual);
        if (rc < 0) return rc;
        if (is_usual) continue;
        if (fprintf(out, "%s%s", separator, option->name) < 0) return -ENOMEM;
        separator = " ";
    }
    return 0;
}

int config_without_effect(const struct config *config, char **out_names)
{
    struct config *defaults = NULL;
    struct config_error error;
    char *names = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&names, &size);
    int rc = -ENOMEM;

    if (!out) return rc;
    rc = config_create(config->state->os, &defaults, &error);
    if (rc == 0) rc = write_names(config, defaults, out);
    config_destroy(defaults);
    if (fclose(out) != 0 && rc == 0) rc = -ENOMEM;
    if (rc == 0)
        *out_names = names;
    else
        free(names);
    return rc;
}
