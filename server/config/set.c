/* set.c - CONFIG SET: all of several directives or none.
 *
 * check: every name is known, may be set now, and appears once    nothing has changed yet
 * parse: every value is made beside the one in force              nothing has changed yet
 * swap:  new values into struct config, old ones into the changes
 * tell:  each listener concerned, once; if one refuses, swap back and tell those before it again
 *
 * Whatever is then in the changes (the old values, or the new ones that were not taken) is freed.
 */
#include "server/config/config_internal.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct change {
    const struct option *option;
    const char *name; /* the directive's or the alias's that was asked for */
    struct value_room value;
    bool has_value, is_another;
};

static bool has_listener(const struct config *config, const struct option *option)
{
    for (size_t i = 0; i < config->state->listener_count; i++) {
        if (config->state->listeners[i].option == option_index(option)) return true;
    }
    return false;
}

static bool may_set_protected(const struct config *config, bool is_local)
{
    return config->enable_protected_configs == CONFIG_ACCESS_YES ||
           (config->enable_protected_configs == CONFIG_ACCESS_LOCAL && is_local);
}

static int blame(struct slice name, const struct config_error *reason, struct config_error *error)
{
    return config_refuse(error, "CONFIG SET failed (possibly related to argument '%.*s') - %.900s",
                         (int)name.size, (const char *)name.bytes, reason->text);
}

/* given: the directive's name as the client wrote it, which is what Redis blames here; of a value
 * it blames the name in lower case. */
static int check_change(const struct config *config, const struct change *changes, size_t index,
                        struct slice given, bool is_local, struct config_error *error)
{
    const struct option *option = changes[index].option;
    struct config_error reason;

    if ((option->flags & PROTECTED) && !may_set_protected(config, is_local))
        (void)config_refuse(&reason, "can't set protected config");
    else if (option->flags & IMMUTABLE)
        (void)config_refuse(&reason, "can't set immutable config");
    else {
        for (size_t i = 0; i < index; i++) {
            if (changes[i].option != option) continue;
            (void)config_refuse(&reason, "duplicate parameter");
            return blame(given, &reason, error);
        }
        return 0;
    }
    return blame(given, &reason, error);
}

static int check(const struct config *config, const struct config_pair *pairs, size_t count,
                 bool is_local, struct change *changes, struct config_error *error)
{
    for (size_t i = 0; i < count; i++) {
        int rc;

        changes[i].option = option_find(pairs[i].name, &changes[i].name);
        if (!changes[i].option)
            return config_refuse(error,
                                 "Unknown option or number of arguments for CONFIG SET - '%.*s'",
                                 (int)(pairs[i].name.size < 128 ? pairs[i].name.size : 128),
                                 (const char *)pairs[i].name.bytes);
        rc = check_change(config, changes, i, pairs[i].name, is_local, error);
        if (rc < 0) return rc;
    }
    return 0;
}

int config_split_at_spaces(struct slice text, struct slice **out_words, size_t *out_count)
{
    struct slice *words = calloc(text.size + 1, sizeof(*words));
    size_t count = 0, begin = 0;

    if (!words) return -ENOMEM;
    for (size_t i = 0; i <= text.size; i++) {
        if (i < text.size && text.bytes[i] != ' ') continue;
        words[count++] = slice_of(text.size > 0 ? text.bytes + begin : NULL, i - begin);
        begin = i + 1;
    }
    *out_words = words;
    *out_count = count;
    return 0;
}

static int is_another_value(const struct option *option, const void *a, const void *b,
                            bool *out_is_another)
{
    char *text_a = NULL, *text_b = NULL;
    int rc = option_print(option, a, true, &text_a);

    if (rc == 0) rc = option_print(option, b, true, &text_b);
    if (rc == 0) *out_is_another = strcmp(text_a, text_b) != 0;
    free(text_a);
    free(text_b);
    return rc;
}

static int parse_value(struct config *config, struct change *change, struct slice text,
                       struct config_error *error)
{
    const struct option *option = change->option;
    const void *present = option_value(config, option);
    struct config_error reason = { "" };
    struct slice *words = NULL;
    size_t count = 0;
    int rc = 0;

    if (option->kind->takes_many_words) rc = config_split_at_spaces(text, &words, &count);
    if (rc == 0)
        rc = option_parse(option, words ? words : &text, words ? count : 1,
                          option->kind->names_parts ? present : NULL, &change->value, &reason);
    free(words);
    if (rc == 0) {
        change->has_value = true;
        rc = is_another_value(option, present, &change->value, &change->is_another);
    }
    if (rc == 0 && change->is_another && (option->flags & APPLIED) && !has_listener(config, option))
        rc = config_refuse(&reason, "can't set immutable config");
    if (rc < 0 && rc != -EINVAL) (void)config_refuse(&reason, "%s", strerror(-rc));
    if (rc < 0) (void)blame(slice_of_string(change->name), &reason, error);
    return rc;
}

/* Values in force against those in the changes. */
static void swap_all(struct config *config, struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct option *option = changes[i].option;
        void *field = option_value(config, option);
        struct value_room room;

        memcpy(&room, field, option->kind->size_bytes);
        memcpy(field, &changes[i].value, option->kind->size_bytes);
        memcpy(&changes[i].value, &room, option->kind->size_bytes);
    }
}

/* The old values are back: everyone who had taken the new ones takes the old ones. */
static void tell_again(struct config *config, const uint8_t *told, struct config_error *error)
{
    for (size_t i = 0; i < config->state->listener_count; i++) {
        const struct listener *listener = &config->state->listeners[i];
        struct config_error reason = { "" };
        size_t used = strlen(error->text);

        if (!told[i] || listener->changed(listener->context, config, &reason) == 0) continue;
        (void)snprintf(error->text + used, sizeof(error->text) - used,
                       " (and what it had changed could not be undone: %s)", reason.text);
    }
}

/* Marks in told each listener that ran and took the values, and those that need not run any more.
 */
static int tell_option(struct config *config, const struct option *option, uint8_t *told,
                       struct config_error *reason)
{
    const struct config_state *state = config->state;

    for (size_t i = 0; i < state->listener_count; i++) {
        const struct listener *listener = &state->listeners[i];
        bool is_done = false;
        int rc;

        if (listener->option != option_index(option)) continue;
        for (size_t j = 0; j < state->listener_count; j++)
            is_done |= told[j] && state->listeners[j].changed == listener->changed &&
                       state->listeners[j].context == listener->context;
        if (is_done) continue;
        rc = listener->changed(listener->context, config, reason);
        if (rc < 0) return rc;
        told[i] = 1;
    }
    return 0;
}

static int swap_and_tell(struct config *config, struct change *changes, size_t count,
                         struct config_error *error)
{
    uint8_t *told = calloc(config->state->listener_count + 1, sizeof(*told));
    int rc = 0;

    if (!told) {
        (void)config_refuse(error, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    swap_all(config, changes, count);
    for (size_t i = 0; i < count; i++) {
        struct config_error reason = { "" };

        if (!changes[i].is_another) continue;
        rc = tell_option(config, changes[i].option, told, &reason);
        if (rc == 0) continue;
        (void)blame(slice_of_string(changes[i].name), &reason, error);
        swap_all(config, changes, count);
        tell_again(config, told, error);
        break;
    }
    free(told);
    return rc;
}

int config_set(struct config *config, const struct config_pair *pairs, size_t count, bool is_local,
               struct config_error *out_error)
{
    struct change *changes = calloc(count + 1, sizeof(*changes));
    int rc = -ENOMEM;

    if (!changes) {
        (void)config_refuse(out_error, "%s", strerror(ENOMEM));
        goto out;
    }
    rc = check(config, pairs, count, is_local, changes, out_error);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = parse_value(config, &changes[i], pairs[i].value, out_error);
    if (rc == 0) rc = swap_and_tell(config, changes, count, out_error);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].has_value) option_finish(changes[i].option, &changes[i].value);
    }
out:
    free(changes);
    return rc;
}

bool config_is_sensitive(struct slice name)
{
    const struct option *option = option_find(name, NULL);

    return option && (option->flags & SENSITIVE);
}

int config_on_change(struct config *config, const char *name, config_changed *changed,
                     void *context)
{
    struct config_state *state = config->state;
    const char *found = NULL;
    const struct option *option = option_find(slice_of_string(name), &found);
    struct listener *listeners;

    assert(option && strcmp(found, option->name) == 0);
    listeners = realloc(state->listeners, (state->listener_count + 1) * sizeof(*listeners));
    if (!listeners) return -ENOMEM;
    listeners[state->listener_count] = (struct listener){ option_index(option), changed, context };
    state->listeners = listeners;
    state->listener_count++;
    return 0;
}
