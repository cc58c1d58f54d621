/* record_internal.h - the parts of record.h: events and who is who (record.c), mappings
 * (record_map.c), the table (record_os.c), going on (record_resume.c). record->mutex guards all of
 * it. */
#ifndef MODULES_BASE_RECORD_INTERNAL_H
#define MODULES_BASE_RECORD_INTERNAL_H
#include "modules/base/record.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "modules/base/os.h"

/* Where events lie: the head, events from the front, bytes from the back. */
struct record_arena {
    _Atomic size_t count; /* stored with release behind the event */
    _Atomic bool leaves_out_directory_syncs, syncs_late;
    size_t bytes_begin;
    struct record_event events[];
};

struct record_file {
    dev_t device;
    ino_t inode;
    bool is_late;       /* a sync was answered that is still to come */
    size_t late_begun;  /* its event */
    unsigned map_count; /* of mappings that may be stored into; below: while there are any */
    int fd;             /* our own: a copy of the caller's would share its locks */
    uint8_t *known;     /* the content as it was seen last */
    uint64_t known_bytes;
};

struct record_map {
    uint8_t *address;
    size_t size;
    uint64_t offset;
    uint32_t file;
};

struct record {
    struct os table; /* first: the table's functions find the record by it */
    struct os *below;
    pthread_mutex_t mutex;
    struct record_arena *arena;
    size_t arena_bytes;
    struct record_file *files; /* by number */
    uint32_t file_count, file_capacity;
    struct record_map *maps;
    size_t map_count, map_capacity;
    unsigned sync_delay_us;
};

enum { RECORD_NO_FILE = UINT32_MAX };

/* Appends an event, with copies of its names and bytes. Its index. */
size_t record_add(struct record *record, const struct record_event *event);
/* The number of a file; RECORD_NO_FILE: not one of ours. */
uint32_t record_find(const struct record *record, const struct stat *status);
uint32_t record_find_fd(const struct record *record, int fd);
/* The number of the directory that path lies in, and the last part of path. */
uint32_t record_find_parent(const struct record *record, const char *path, const char **out_name);
/* A number for a file that is new; an older one of the same inode is forgotten. */
uint32_t record_number(struct record *record, const struct stat *status);
/* Returns memory of so many bytes, or aborts the process. */
void *record_realloc(void *memory, size_t size);

/* record_map.c */
int record_mapped(struct record *record, uint32_t file, int fd, void *address, size_t size,
                  uint64_t offset);
void record_unmapped(struct record *record, const void *address);
const struct record_map *record_map_at(const struct record *record, const void *address);
int record_look_locked(struct record *record);
/* What a call has done to a file, for what is known of it. bytes NULL: zeros. */
void record_know(struct record *record, uint32_t file, uint64_t offset, uint64_t size,
                 const uint8_t *bytes);
void record_know_size(struct record *record, uint32_t file, uint64_t size);

/* record_os.c */
void record_fill_table(struct os *table);
#endif
