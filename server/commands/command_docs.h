/* command_docs.h - what COMMAND tells of a command beyond its row in commands.def: arguments,
 * history, tips, keys that one specification cannot describe. A row of command_docs.def each; a
 * command without one has nothing to add. Constant data; any thread. */
#ifndef SERVER_COMMANDS_COMMAND_DOCS_H
#define SERVER_COMMANDS_COMMAND_DOCS_H
#include <stdbool.h>
#include <stdint.h>

#include "modules/base/slice.h"

enum argument_type {
    ARGUMENT_STRING,
    ARGUMENT_INTEGER,
    ARGUMENT_DOUBLE,
    ARGUMENT_KEY,
    ARGUMENT_PATTERN,
    ARGUMENT_UNIX_TIME,
    ARGUMENT_PURE_TOKEN, /* the token alone */
    ARGUMENT_ONEOF,      /* one of its children */
    ARGUMENT_BLOCK,      /* all of its children, in order */
};

enum argument_flag {
    ARGUMENT_OPTIONAL = 1u << 0,
    ARGUMENT_MULTIPLE = 1u << 1,       /* may be given again and again */
    ARGUMENT_MULTIPLE_TOKEN = 1u << 2, /* and its token with it each time */
};

/* Lists of these end with a name of NULL. */
struct command_argument {
    const char *name;
    enum argument_type type;
    uint32_t flags;
    int key_number;                       /* of a key: its specification, counted from 1; 0: none */
    const char *token;                    /* the word before it, or that it is; NULL: none */
    const char *since, *deprecated_since; /* NULL: as the command */
    const struct command_argument *children; /* of ONEOF and BLOCK */
};

enum key_begin { KEY_BEGIN_NONE, KEY_BEGIN_UNKNOWN, KEY_BEGIN_INDEX, KEY_BEGIN_KEYWORD };
enum key_find { KEY_FIND_UNKNOWN, KEY_FIND_RANGE, KEY_FIND_NUMBER };

/* Where some keys of a command stand and what is done with them. Lists end with KEY_BEGIN_NONE. */
struct key_spec {
    const char *notes; /* or NULL */
    uint32_t flags;    /* enum key_flag */
    const char
        *reads; /* with KEY_VARIABLE_FLAGS: without this option the key is overwritten unread */
    enum key_begin begin;
    int index;           /* where the search begins; or where the search for the keyword does */
    const char *keyword; /* keys stand behind it */
    enum key_find find;
    int last; /* RANGE: from the beginning, or from the end when negative */
    int step;
    int limit; /* RANGE: with last -1, 2: half of what is left; 0 and 1: all */
    int number_at,
        number_to; /* NUMBER: from the beginning, where the count and the first key are */
};

/* Redis's flags that mean nothing here. */
enum docs_flag {
    DOCS_NO_ASYNC_LOADING = 1u << 0,
    DOCS_SYSTEM_COMMAND = 1u << 1,
    DOCS_NOT_SKIP_MONITOR = 1u << 2, /* MONITOR leaves it out here, and Redis does not say so */
};

struct command_change {
    const char *since, *what;
};

struct command_docs {
    const char *name;    /* in full: "client|kill" */
    uint32_t flags;      /* enum docs_flag */
    uint32_t categories; /* enum acl_category: besides what the flags lead to, and instead of what
                            the group does; 0: what the group does */
    const char *deprecated_since, *replaced_by; /* NULL: it is not */
    const char *const *tips;                    /* ends with NULL; or NULL */
    const struct command_change *history;       /* ends with a since of NULL; or NULL */
    const struct key_spec *key_specs;           /* NULL: as the row says */
    const struct command_argument *arguments;   /* NULL: it has none */
};

/* NULL: nothing beyond the row. */
const struct command_docs *command_docs_find(struct slice full_name);
/* The row of a number counted from 0, NULL behind the last. */
const struct command_docs *command_docs_at(uint32_t index);
#endif
