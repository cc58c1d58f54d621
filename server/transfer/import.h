/* import.h - takes the data of a Redis file into a server, by a thread that sends it commands.
 *
 * The thread reads the files (modules/rdb), twice: at first only to see that they are whole, then
 * to send what they hold as commands over a socket, as any client would: so all of it is slowed
 * down, refused, logged and counted as everything else, and no other client waits. The server's
 * thread only starts it, looks at its progress, and takes the summary when it has ended. */
#ifndef SERVER_TRANSFER_IMPORT_H
#define SERVER_TRANSFER_IMPORT_H
#include "modules/rdb/source.h"
#include "server/transfer/replies.h"

struct import;
struct os;

enum { IMPORT_NAMES_MAX = 16, IMPORT_NAME_BYTES = 32, IMPORT_ERROR_BYTES = 600 };

struct import_options {
    const char *path;           /* copied */
    int fd;                     /* a stream socket whose other end the server reads; taken over */
    unsigned database_count;    /* keys of databases beyond are skipped */
    uint64_t value_bytes_max;   /* longer strings, elements, names and arguments are skipped */
    uint64_t command_bytes_max; /* and longer commands of append-only files, entries of streams;
                                 * a group's pending entries take as much memory at most */
    bool replaces; /* keys that are there already are replaced; else they are left alone */
    bool is_alone; /* no other client writes: in an empty server no list need be asked for */
    bool is_empty; /* the server holds no key: commands of an append-only file can be run */
    /* Whether a command of an append-only file is to be run: what only writes, and does not wait.
     * Called by the thread. */
    bool (*is_run)(void *context, struct slice name);
    void *context;
};

struct import_summary {
    uint64_t strings, lists, elements; /* taken from RDB files */
    uint64_t streams, entries, groups;
    uint64_t commands; /* run, from append-only files */
    /* skipped: */
    uint64_t kinds[RDB_KIND_COUNT]; /* keys of types that are not here */
    uint64_t existing, expired;     /* keys */
    uint64_t other_databases;       /* keys, and commands */
    uint64_t long_names, long_values, long_elements, long_entries, long_commands;
    uint64_t long_names_inside; /* of groups, consumers, producers, and entries with such fields */
    uint64_t pending_too_many;  /* groups whose pending entries were left out */
    uint64_t functions, module_data;
    uint64_t replaced; /* keys that commands gave a value which is not here: they are gone */
    struct {
        char name[IMPORT_NAME_BYTES];
        uint64_t count;
    } unknown[IMPORT_NAMES_MAX]; /* commands, by name; the last one also stands for all further */
    unsigned unknown_count;
    uint64_t torn_bytes;  /* at the end, of no whole command */
    uint64_t error_count; /* commands that the server answered with an error */
    char first_error[REPLIES_LINE_BYTES];
    uint64_t bytes;                 /* read */
    int rc;                         /* 0: all of it was read and sent */
    char error[IMPORT_ERROR_BYTES]; /* in words, when rc is none */
};

enum import_phase { IMPORT_CHECKING, IMPORT_SENDING, IMPORT_ENDED };

struct import_progress {
    enum import_phase phase;
    uint64_t bytes, total_bytes; /* of this phase; total 0: not known yet */
    uint64_t keys;               /* and commands, so far */
};

/* -errno: no thread, no memory; options->fd is closed. os must outlive the import. */
int import_create(struct os *os, const struct import_options *options, struct import **out_import);
/* Cancels it unless it has ended, and waits for the thread. Accepts NULL. */
void import_destroy(struct import *import);
/* It ends soon. What was sent stays. */
void import_cancel(struct import *import);
/* Readable once it has ended. */
int import_event_fd(const struct import *import);
void import_get_progress(const struct import *import, struct import_progress *out_progress);
/* Tells each reason for which something was left out, with how many there are: only what there is.
 */
void import_each_skipped(const struct import_summary *summary,
                         void (*each)(void *context, const char *what, uint64_t count),
                         void *context);
/* After it has ended. Good as long as the import. */
const struct import_summary *import_get_summary(const struct import *import);
#endif
