/* config_internal.h - directives as data: what the files of this folder share. */
#ifndef SERVER_CONFIG_CONFIG_INTERNAL_H
#define SERVER_CONFIG_CONFIG_INTERNAL_H
#include "server/config/config.h"

struct kind;

/* See options.def. */
enum option_flags {
    IMMUTABLE = 1 << 0,
    PROTECTED = 1 << 1,
    APPLIED = 1 << 2,
    HIDDEN = 1 << 3,
    SENSITIVE = 1 << 4,
    REMEMBERED = 1 << 5,
    ADDS_UP = 1 << 6,
};

struct option_word {
    const char *word; /* NULL: the end */
    int value;
};

struct option {
    const char *name, *default_text;
    const char *unit; /* "": none or bytes */
    const struct kind *kind;
    size_t offset; /* of the field in struct config */
    unsigned flags;
    int64_t least; /* of numbers */
    uint64_t greatest;
    const struct option_word *words; /* of ENUM and FLAGS */
    /* TEXT: checks *text, and may put another allocation in its place. */
    int (*check_text)(const struct option *option, char **text, struct config_error *error);
    int (*check_words)(const struct option *option, const struct slice *words, size_t count,
                       struct config_error *error);
};

/* How values of one type come and go. A value lies in the field, or for a while in a struct
 * value_room: it may be moved by copying its bytes. */
struct kind {
    size_t size_bytes;
    bool takes_many_words; /* in a file; CONFIG SET cuts its one argument at each space */
    bool names_parts; /* what words do not mention stays as it was: base is the present value */
    /* Makes *out_value from words; base, if any, is the value that words add to. On error there is
     * nothing to finish. */
    int (*parse)(const struct option *option, const struct slice *words, size_t count,
                 const void *base, void *out_value, struct config_error *error);
    /* As CONFIG GET shows it. */
    void (*print)(const struct option *option, const void *value, FILE *out);
    /* As a file has it, behind the name and a space. */
    void (*print_line)(const struct option *option, const void *value, FILE *out);
    void (*finish)(void *value); /* NULL: nothing to free */
};
/* Each is known by the row's macro. */
extern const struct kind kind_boolean, kind_integer, kind_hertz, kind_octal, kind_memory, kind_span,
    kind_memory_or_percent, kind_enum, kind_flags, kind_notify, kind_text, kind_words,
    kind_percentiles, kind_output_limits;

/* Room for any value. */
struct value_room {
    _Alignas(max_align_t) uint8_t bytes[sizeof(struct config_percentiles)];
};

/* ---- options.c: the table ------------------------------------------------------------------- */

size_t option_count(void);
const struct option *option_at(size_t index);
size_t option_index(const struct option *option);
/* NULL: none. name in any case; *out_name, unless NULL, is the row's name or the alias in its own
 * spelling. */
const struct option *option_find(struct slice name, const char **out_name);
/* Names that CONFIG GET '*' goes through: directives in order, then aliases. NULL: past the end. */
const char *option_name_at(size_t index, const struct option **out_option);
/* Why name, which is no directive, is refused in words of its own; NULL: just unknown. */
const char *option_refusal(struct slice name);

void *option_value(struct config *config, const struct option *option);
const void *option_value_const(const struct config *config, const struct option *option);

/* kind->parse, and refuses what ONLY_DEFAULT rows refuse. */
int option_parse(const struct option *option, const struct slice *words, size_t count,
                 const void *base, void *out_value, struct config_error *error);
/* CONFIG GET's text, or with for_line the rest of a line in a file; to be freed. -ENOMEM. */
int option_print(const struct option *option, const void *value, bool for_line, char **out_text);
void option_finish(const struct option *option, void *value);

/* ---- load.c ---------------------------------------------------------------------------------- */

struct config_state {
    struct os *os;
    char *file;        /* absolute, links resolved; NULL: none */
    uint32_t *loaded;  /* for each directive: lines that have set it since the start */
    uint8_t *included; /* for each directive: 1 when an included file has set it */
    struct listener {
        size_t option;
        config_changed *changed;
        void *context;
    } * listeners;
    size_t listener_count;
};

enum {
    CONFIG_FILE_BYTES_MAX = 16 << 20,
    CONFIG_INCLUDE_DEPTH_MAX = 16,
};
/* All of path as one allocation of *out_size bytes and a zero. -EFBIG: above CONFIG_FILE_BYTES_MAX.
 */
int config_read_file(struct os *os, const char *path, char **out_text, size_t *out_size);

/* ---- set.c ----------------------------------------------------------------------------------- */

/* The words of a value that was given as one; *out_words to be freed. Redis cuts at every single
 * space, so that two in a row make an empty word between them. -ENOMEM. */
int config_split_at_spaces(struct slice text, struct slice **out_words, size_t *out_count);
#endif
