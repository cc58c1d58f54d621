/* power_disk_internal.h - a disk in memory: what of a record is on the device, and what may be.
 *
 * Files are by number, as in the record. Content is kept by page: what is on the device, and a
 * version for each write since. */
#ifndef MODULES_BASE_POWER_DISK_INTERNAL_H
#define MODULES_BASE_POWER_DISK_INTERNAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record_event;

enum { POWER_PAGE_BYTES = 4096, POWER_SECTOR_BYTES = 512, POWER_SECTORS = 8 };

/* A write since the last sync, as far as it lies in a page. */
struct power_version {
    size_t event;
    uint32_t begin, end;  /* in the page */
    const uint8_t *bytes; /* of the record; NULL: zeros, with a change of shape of the same event */
    bool
        is_clean; /* to the kernel, since a sync has failed; those before it of the page are, too */
};

struct power_page {
    uint8_t *bytes; /* on the device; NULL: zeros */
    struct power_version *versions;
    unsigned version_count, version_capacity;
};

/* A change of a file's size or blocks that is not synced. */
struct power_shape {
    size_t event;
    uint64_t size; /* of the file from then on */
};

struct power_file {
    bool is_directory;
    uint64_t size;         /* on the device */
    uint64_t current_size; /* as programs see it */
    struct power_page *pages;
    size_t page_count;
    size_t pending_pages; /* that have versions */
    struct power_shape *shapes;
    unsigned shape_count, shape_capacity;
};

struct power_name {
    uint32_t directory, file;
    const char *name;
};

/* A change of names that is not synced. */
struct power_naming {
    size_t event;
    const struct record_event *what;
    bool waits_for_to, waits_for_from; /* directories to be synced */
};

struct power_disk {
    struct power_file *files;
    uint32_t file_count;
    struct power_name *names; /* on the device */
    size_t name_count, name_capacity;
    struct power_naming *namings;
    size_t naming_count, naming_capacity;
};

void power_disk_init(struct power_disk *disk);
void power_disk_finish(struct power_disk *disk);
/* Files up to that number are there, if only empty. */
void power_disk_reserve(struct power_disk *disk, uint32_t number);
/* Takes the record's next event, whose index is given. */
void power_disk_take(struct power_disk *disk, size_t index, const struct record_event *event);

/* Changes a list of names by one event. */
void power_names_change(struct power_name **names, size_t *count, size_t *capacity,
                        const struct record_event *event);
#endif
