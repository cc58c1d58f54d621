/* exporting.h - what an export holds while it goes on: sl_export.c leads it, export_keys.c and
 * export_streams.c turn keys into commands. Loop thread only. */
#ifndef SERVER_COMMANDS_EXPORTING_H
#define SERVER_COMMANDS_EXPORTING_H
#include "modules/base/list.h"
#include "server/keyspace/picture.h"

struct export_file;
struct server;

struct exporting {
    struct server *server;
    struct export_file *file;
    struct list_link lists;   /* struct exported_list: those that were not written at once */
    struct list_link streams; /* struct exported_stream: likewise */
    int64_t database;         /* that the file's last SELECT names; -1: none yet */
    int64_t now_ms;           /* when the picture was taken: what had expired is left out */
    uint64_t keys, elements, entries, expired;
    int error;      /* of saving a key: 0, or why the export fails */
    int list_error; /* likewise of reading a list or a stream */
};

/* The picture's save(); context is the export. Strings and lists that are small and in memory are
 * written at once, of others a snapshot is kept. */
void export_save(void *context, const struct pictured_key *key);
/* In a fiber: the lists that were kept. 0 or an error, of reading or of the file. */
int export_lists(struct exporting *exporting);
/* Those that are left. */
void export_forget_lists(struct exporting *exporting);
/* The same for streams. */
int export_save_stream(struct exporting *exporting, const struct pictured_key *key);
int export_streams(struct exporting *exporting);
void export_forget_streams(struct exporting *exporting);
/* True: as much was put as may wait for the file; more is copied into memory. */
bool export_is_ahead(const struct exporting *exporting);
/* In a fiber: waits until the file has taken what was put. 0, or why it failed; -ECANCELED: the
 * server stops. */
int export_wait(struct exporting *exporting);
#endif
