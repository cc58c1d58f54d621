#include "server/commands/command_docs.h"

#include "server/commands/acl_category.h"
#include "server/commands/command.h"

/* The short names that command_docs.def uses. */
#define OPTIONAL       ARGUMENT_OPTIONAL
#define MULTIPLE       ARGUMENT_MULTIPLE
#define MULTIPLE_TOKEN ARGUMENT_MULTIPLE_TOKEN

/* clang-format off */
#define TIPS(...)      (const char *const[]){ __VA_ARGS__, NULL }
#define HISTORY(...)   (const struct command_change[]){ __VA_ARGS__, { NULL, NULL } }
#define KEY_SPECS(...) (const struct key_spec[]){ __VA_ARGS__, { .begin = KEY_BEGIN_NONE } }
#define KEYS_AT(first, to, by, ...) \
    { .begin = KEY_BEGIN_INDEX, .index = first, .find = KEY_FIND_RANGE, .last = to, .step = by, \
      .flags = __VA_ARGS__ }
#define KEYS_BEHIND(word, from, ...) \
    { .begin = KEY_BEGIN_KEYWORD, .index = from, .keyword = word, .find = KEY_FIND_RANGE, \
      .last = -1, .step = 1, .limit = 2, .flags = __VA_ARGS__ }
#define ARGS(...)      (const struct command_argument[]){ __VA_ARGS__, { .name = NULL } }
/* Without further fields a comma is left at the end, which an initializer may have. */
#define ARG(word, kind, ...) \
    { .name = word, .type = ARGUMENT_##kind, __VA_ARGS__ }
#define KEY_ARG(word, number, ...) \
    { .name = word, .type = ARGUMENT_KEY, .key_number = number, __VA_ARGS__ }
#define WORD(word, text, ...) \
    { .name = word, .type = ARGUMENT_PURE_TOKEN, .token = text, __VA_ARGS__ }
#define REFERENCE_ARGS \
    ARGS(WORD("keepref", "KEEPREF"), WORD("delref", "DELREF"), WORD("acked", "ACKED"))
#define TRIM_ARGS ARGS( \
    ARG("strategy", ONEOF, \
        .children = ARGS(WORD("maxlen", "MAXLEN"), WORD("minid", "MINID", .since = "6.2.0"))), \
    ARG("operator", ONEOF, .flags = OPTIONAL, \
        .children = ARGS(WORD("equal", "="), WORD("approximately", "~"))), \
    ARG("threshold", STRING), \
    ARG("count", INTEGER, .token = "LIMIT", .flags = OPTIONAL, .since = "6.2.0"))
/* clang-format on */

#define DOCS(full_name, ...) { .name = full_name, __VA_ARGS__ },
static const struct command_docs rows[] = {
#include "server/commands/command_docs.def"
};
#undef DOCS

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

const struct command_docs *command_docs_find(struct slice full_name)
{
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        if (slice_equal(slice_of_string(rows[i].name), full_name)) return &rows[i];
    }
    return NULL;
}

const struct command_docs *command_docs_at(uint32_t index)
{
    return index < ROW_COUNT ? &rows[index] : NULL;
}
