/* meta.h - the file `meta`: what a journal is, and what its writer publishes.
 *
 *   0       4         8         16           24           32        40      44      48
 *   +-------+---------+---------+------------+------------+---------+-------+-------+---
 *   | magic | version | journal | created_ms | roll_bytes | roll_ms | flags | codec | …
 *   +-------+---------+---------+------------+------------+---------+-------+-------+---
 *   48              56              64          1088        2112       3136        3152    4092
 *   +---------------+---------------+-----------+-----------+----------+-----------+-------+--------+
 *   | cool_after_ms | cold_after_ms | cool_path | cold_path | key_path | key_check | zeros | crc32c
 * |
 *   +---------------+---------------+-----------+-----------+----------+-----------+-------+--------+
 *   4096     8192
 *   +--------+
 *   | live.h |
 *   +--------+
 *
 * All before live.h is written once, before the file has its name, and covered by crc32c. The paths
 * are filled up with zeros; key_check tells the journal's key from others.
 *
 * Whoever writes holds a lock on a byte far behind the file's end, by an open file description: it
 * goes with the process, however that ends. */
#ifndef MODULES_JOURNAL_META_H
#define MODULES_JOURNAL_META_H
#include "modules/journal/cipher.h"
#include "modules/journal/journal.h"
#include "modules/journal/live.h"
#include "modules/journal/places.h"

enum { JOURNAL_WRITERS_MAX = 1024 };

struct journal_meta {
    int fd;
    uint64_t journal; /* random: files of another journal never fit */
    uint64_t created_ms;
    struct journal_settings settings; /* as stored, defaults filled in; the paths are meta's */
    uint8_t key_check[JOURNAL_KEY_CHECK_BYTES]; /* if there is a key_path */
    struct journal_places places;
    struct journal_live *live;       /* writable when opened for writing */
    struct journal_waiters *waiters; /* NULL: this reader may not write the file */
};

/* 0, or -EINVAL. Fills defaults in. */
int journal_settings_check(struct journal_settings *settings);
/* Makes the paths in settings one's own. -ENOMEM: they are none. */
int journal_settings_keep(struct journal_settings *settings);
void journal_settings_finish(struct journal_settings *settings); /* frees those paths */

/* Makes the directory and the file, durably unless that is put off (journal_meta_sync then), unless
 * they are there, and takes the writer's lock. *out_is_created tells which; journal is the number
 * of one that is made. Errors as journal_open; -EBADMSG also when there are segments and no meta.
 */
int journal_meta_open_writer(struct os *os, const char *path,
                             const struct journal_settings *settings, uint64_t journal,
                             uint64_t now_ms, bool syncs_late, struct journal_meta *out_meta,
                             bool *out_is_created);
/* What was put off: meta, whose descriptor is fd, the names in the directory, and its own. */
int journal_meta_sync(struct os *os, const char *path, int fd);
/* The same after it has failed: what is written once is written once more, from memory. The names
 * are left to the file system: one that could not write its own records says so from then on. */
int journal_meta_renew(struct os *os, const char *path, const struct journal_meta *meta);
/* The same for one of several writers: takes the first free slot. Returns with the journal locked,
 * after waiting for that. -EUSERS: all slots are taken. */
int journal_meta_open_shared(struct os *os, const char *path,
                             const struct journal_settings *settings, uint64_t journal,
                             uint64_t now_ms, struct journal_meta *out_meta, uint32_t *out_slot);
/* Waits for the lock of several writers. */
int journal_meta_lock(struct os *os, const struct journal_meta *meta);
void journal_meta_unlock(struct os *os, const struct journal_meta *meta);
/* Takes the right to pack, move and drop segments of a journal with several writers. -EWOULDBLOCK:
 * somebody else has it. */
int journal_meta_take_tending(struct os *os, const struct journal_meta *meta);
void journal_meta_let_tending(struct os *os, const struct journal_meta *meta);
/* 0: the slot's writer was dead, and stays so until journal_meta_let_slot. -EWOULDBLOCK: it lives.
 */
int journal_meta_take_slot(struct os *os, const struct journal_meta *meta, uint32_t slot);
void journal_meta_let_slot(struct os *os, const struct journal_meta *meta, uint32_t slot);
/* What of it is mapped for a writer, apart from the rest, for who gives it back for a while. */
int journal_meta_map(struct os *os, const char *path, int fd, struct journal_live **out_live,
                     struct journal_waiters **out_waiters);
void journal_meta_unmap(struct os *os, struct journal_live *live, struct journal_waiters *waiters);
/* Puts another file in the place of a meta that is missing or of no use, durably: with journal,
 * settings (which name no key) and created_ms of meta, and what its live page holds. -EWOULDBLOCK:
 * somebody else does. */
int journal_meta_replace(struct os *os, const char *path, const struct journal_meta *meta);
/* For who wants the journal to himself, without a look at its key. -EWOULDBLOCK: somebody writes
 * it. -ENOENT: there is none. */
int journal_meta_open_alone(struct os *os, const char *path, struct journal_meta *out_meta);
/* -ENOENT: there is none. Else as above. */
int journal_meta_open_reader(struct os *os, const char *path, struct journal_meta *out_meta);
void journal_meta_close(struct os *os, struct journal_meta *meta);

/* A number for this boot of the kernel; 0: it is not told, and nothing counts as published. */
uint64_t journal_boot(struct os *os);

/* "path/name" in memory of its own, or NULL. */
char *journal_join_path(const char *path, const char *name);
#endif
