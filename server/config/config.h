/* config.h - every directive's value: from defaults, file and command line, and CONFIG GET, SET and
 * REWRITE over them.
 *
 * A directive is one row of options.def; the fields of struct config come from those rows, with the
 * unit at the end of their names. Loop thread only, except config_rewrite_run. Functions return 0
 * or a negative errno; -EINVAL comes with words in *out_error, other errors do too where one is
 * taken. Nothing here logs, and nothing here acts: parts read the fields, or ask to be told of
 * changes. */
#ifndef SERVER_CONFIG_CONFIG_H
#define SERVER_CONFIG_CONFIG_H
#include "modules/base/slice.h"
#include <stdio.h>

struct os;

/* For the operator or the client: one or more lines, no line end after the last, cut when too long.
 */
struct config_error {
    char text[1024];
};
/* Writes text as printf does and returns -EINVAL: for listeners that refuse. */
__attribute__((format(printf, 2, 3))) int config_refuse(struct config_error *out_error,
                                                        const char *format, ...);

/* What fields of kind ENUM and NOTIFY hold where somebody acts on it. */
enum config_loglevel {
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_VERBOSE,
    CONFIG_LOG_NOTICE,
    CONFIG_LOG_WARNING
};
enum config_fsync { CONFIG_FSYNC_NO, CONFIG_FSYNC_EVERYSEC, CONFIG_FSYNC_ALWAYS };
/* enable-debug-command and its kin; LOCAL: from loopback and the unix socket only. */
enum config_access { CONFIG_ACCESS_NO, CONFIG_ACCESS_YES, CONFIG_ACCESS_LOCAL };
/* Words of shutdown-on-*: SAVE and NOSAVE exclude each other. NOW: Redis's, for replicas. */
enum config_shutdown {
    CONFIG_SHUTDOWN_SAVE = 1 << 0,
    CONFIG_SHUTDOWN_NOSAVE = 1 << 1,
    CONFIG_SHUTDOWN_NOW = 1 << 2,
    CONFIG_SHUTDOWN_FORCE = 1 << 3,
};
enum config_notify {
    CONFIG_NOTIFY_KEYSPACE = 1 << 0, /* K: __keyspace@N__ */
    CONFIG_NOTIFY_KEYEVENT = 1 << 1, /* E: __keyevent@N__ */
    CONFIG_NOTIFY_GENERIC = 1 << 2,  /* g */
    CONFIG_NOTIFY_STRING = 1 << 3,   /* $ */
    CONFIG_NOTIFY_LIST = 1 << 4,     /* l */
    CONFIG_NOTIFY_SET = 1 << 5,      /* s */
    CONFIG_NOTIFY_HASH = 1 << 6,     /* h */
    CONFIG_NOTIFY_ZSET = 1 << 7,     /* z */
    CONFIG_NOTIFY_EXPIRED = 1 << 8,  /* x */
    CONFIG_NOTIFY_EVICTED = 1 << 9,  /* e */
    CONFIG_NOTIFY_STREAM = 1 << 10,  /* t */
    CONFIG_NOTIFY_MODULE = 1 << 11,  /* d */
    CONFIG_NOTIFY_MISS = 1 << 12,    /* m; not part of A */
    CONFIG_NOTIFY_NEW = 1 << 13,     /* n; not part of A */
    CONFIG_NOTIFY_ALL = 0xFFC,       /* A: g$lshzxetd */
};

enum {
    CONFIG_PERCENTILES_MAX = 64,
    CONFIG_ADDRESSES_MAX = 16, /* bind */
    CONFIG_CLASSES = 3,        /* of clients: normal, replica, pubsub, in this order */
};

struct config_words {
    char **words; /* zero-terminated */
    size_t count;
};
struct config_percentiles {
    double values[CONFIG_PERCENTILES_MAX]; /* 0 to 100, in the order given */
    size_t count;
};
struct config_output_limits {
    struct config_output_limit {
        uint64_t hard_bytes, soft_bytes; /* 0: none */
        uint32_t soft_seconds;
    } classes[CONFIG_CLASSES];
};
/* Bytes, or a share of maxmemory. */
struct config_share {
    uint64_t bytes;
    uint32_t percent; /* 1 to 100, and then bytes is 0; 0: bytes holds */
};

/* All text is zero-terminated and never NULL; it stays good until the directive is set again. The
 * order is that of the rows: there is one config, and padding in it costs nothing. */
struct config { /* NOLINT(clang-analyzer-optin.performance.Padding) */
#define BOOLEAN(name, field, ...)           bool field;
#define INTEGER(name, field, ...)           int64_t field;
#define HERTZ(name, field, ...)             int64_t field;
#define OCTAL(name, field, ...)             uint32_t field;
#define MEMORY(name, field, ...)            uint64_t field;
#define SPAN(name, field, ...)              uint64_t field;
#define MEMORY_OR_PERCENT(name, field, ...) struct config_share field;
#define ENUM(name, field, ...)              int field;
#define FLAGS(name, field, ...)             int field;
#define NOTIFY(name, field, ...)            int field;
#define TEXT(name, field, ...)              char *field;
#define WORDS(name, field, ...)             struct config_words field;
#define PERCENTILES(name, field, ...)       struct config_percentiles field;
#define OUTPUT_LIMITS(name, field, ...)     struct config_output_limits field;
#include "server/config/options.def"
    struct config_state *state; /* config's own: file, listeners */
};

/* All defaults. os reads and writes files and must outlive the config. */
int config_create(struct os *os, struct config **out_config, struct config_error *out_error);
/* Accepts NULL. */
void config_destroy(struct config *config);

/* ---- at start ------------------------------------------------------------------------------- */
/* An error names line and text, in the shape of Redis's ("Reading the configuration file, at line
 * 2\n>>> 'foo bar'\nBad directive ..."), and leaves what came before it set: the caller stops. */

/* Reads path and what it includes, and remembers it as the file that CONFIG REWRITE writes. */
int config_load_file(struct config *config, const char *path, struct config_error *out_error);
/* Directives in text, one a line. */
int config_load_text(struct config *config, struct slice text, struct config_error *out_error);
/* As redis-server takes them: [file | -] [--directive value ...] ... [-]; arguments[0] is the
 * program. "-" reads directives from the descriptor stdin_fd, after the file and before the
 * options. */
int config_load_arguments(struct config *config, int count, char *const *arguments, int stdin_fd,
                          struct config_error *out_error);
/* The configuration file's absolute path; NULL: none. Good as long as the config. */
const char *config_file(const struct config *config);

/* ---- CONFIG GET and SET --------------------------------------------------------------------- */

/* Calls emit for each directive and alias that matches a pattern (glob, any case), once each, with
 * views that are good during the call; emit may be NULL. Returns the number of matches or -ENOMEM.
 * A name without wildcards is given back as it was asked for. */
int64_t config_get(const struct config *config, const struct slice *patterns, size_t count,
                   void (*emit)(void *context, struct slice name, struct slice value),
                   void *context);
/* One directive's value as CONFIG GET shows it, to be freed. -ENOENT: no such directive. */
int config_text(const struct config *config, const char *name, char **out_text);

/* The names, with spaces between, of directives whose values are not the default and that are only
 * remembered: whoever has set them may expect more. "": none. To be freed. -ENOMEM. */
int config_without_effect(const struct config *config, char **out_names);

struct config_pair {
    struct slice name, value;
};
/* Sets all of pairs or none. is_local: the client is on this host, which matters when protected
 * directives are "local". The error is what the client gets after "-ERR ". */
int config_set(struct config *config, const struct config_pair *pairs, size_t count, bool is_local,
               struct config_error *out_error);
/* The value of such a directive must not appear in SLOWLOG or MONITOR. */
bool config_is_sensitive(struct slice name);

/* changed runs within config_set when the value of the directive has become another one; config
 * holds the new values already. A negative result refuses them, with the reason in *out_error: the
 * old values are put back, and every listener that had accepted runs again to take them, which must
 * succeed. A pair of function and context that listens to several directives runs once for all of
 * them.
 *
 * Directives marked APPLIED in options.def keep their values at run time until somebody listens: a
 * change that nobody carries out is not accepted. name is the directive's name, not an alias. */
typedef int config_changed(void *context, const struct config *config,
                           struct config_error *out_error);
int config_on_change(struct config *config, const char *name, config_changed *changed,
                     void *context);

/* ---- CONFIG REWRITE ------------------------------------------------------------------------- */

/* The values at one moment, to be written by whichever thread may wait for a disk. */
struct config_rewrite;
/* -ENOENT: "The server is running without a config file". */
int config_rewrite_prepare(const struct config *config, struct config_rewrite **out_rewrite,
                           struct config_error *out_error);
/* Any thread. Lines whose value still holds stay as they are, comments and order too; other values
 * replace their first line or, if they have none and are not the default, are added at the end. The
 * new file takes the old one's place in one step and is durable when this returns. After an error
 * the old one is as it was, unless only the directory could not be synced: then the new one is
 * there, but a power cut may bring the old one back. */
int config_rewrite_run(struct config_rewrite *rewrite, struct config_error *out_error);
void config_rewrite_destroy(struct config_rewrite *rewrite); /* accepts NULL */
#endif
