/* Who used the table was killed between any two of its instructions: stores since it last looked,
 * and at most one call a thread that was made and not told of, are found by comparing the directory
 * with what the events say of it. */
#include "modules/base/record_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/power_disk_internal.h"

struct resume {
    struct record *record;
    struct power_disk disk; /* as the events say */
    bool *is_found;         /* of its names */
    const char *path;       /* of the directory at hand */
    uint32_t directory;
};

/* The last file that was told of with that inode. */
static uint32_t number_of(const struct record *record, ino_t inode)
{
    for (size_t i = record_count(record); i-- > 0;) {
        const struct record_event *event = record_event(record, i);
        if (event->kind == RECORD_NAME && event->inode == inode) return event->file;
    }
    return RECORD_NO_FILE;
}

/* ---- content ----------------------------------------------------------------------------------
 */

static int compare_page(struct resume *resume, uint32_t number, int fd, uint64_t offset,
                        size_t size)
{
    static const uint8_t zeros[POWER_PAGE_BYTES];
    const struct power_file *file = &resume->disk.files[number];
    size_t index = (size_t)(offset / POWER_PAGE_BYTES);
    const uint8_t *known = index < file->page_count ? file->pages[index].bytes : NULL;
    uint8_t now[POWER_PAGE_BYTES];
    int rc = os_read_all(resume->record->below, fd, now, size, offset);

    if (rc < 0 || memcmp(now, known ? known : zeros, size) == 0) return rc;
    record_add(
        resume->record,
        &(struct record_event){
            .kind = RECORD_WRITE, .file = number, .offset = offset, .size = size, .bytes = now });
    return 0;
}

static int compare_file(struct resume *resume, const char *path, uint32_t number)
{
    struct os *os = resume->record->below;
    uint64_t size;
    int rc, fd = os->open(os, path, O_RDONLY, 0);

    if (fd < 0) return fd;
    rc = os->size(os, fd, &size);
    if (rc == 0 && size != resume->disk.files[number].size) {
        record_add(resume->record,
                   &(struct record_event){ .kind = RECORD_RESIZE, .file = number, .size = size });
    }
    for (uint64_t at = 0; rc == 0 && at < size; at += POWER_PAGE_BYTES) {
        uint64_t left = size - at;
        rc = compare_page(resume, number, fd, at,
                          left < POWER_PAGE_BYTES ? (size_t)left : POWER_PAGE_BYTES);
    }
    (void)os->close(os, fd); /* read only */
    return rc;
}

/* ---- names ------------------------------------------------------------------------------------
 */

static struct power_name *find_name(struct resume *resume, const char *name)
{
    for (size_t i = 0; i < resume->disk.name_count; i++) {
        struct power_name *at = &resume->disk.names[i];
        if (at->directory == resume->directory && strcmp(at->name, name) == 0) return at;
    }
    return NULL;
}

/* A name that was not told of: of a file that had another, or of a new one. Its number. */
static uint32_t take_name(struct resume *resume, const char *name, const struct stat *status)
{
    struct record_event event = { .kind = RECORD_NAME,
                                  .directory = resume->directory,
                                  .name = name,
                                  .inode = status->st_ino,
                                  .value = S_ISDIR(status->st_mode) };
    uint32_t number = number_of(resume->record, status->st_ino);

    for (size_t i = 0; number != RECORD_NO_FILE && i < resume->disk.name_count; i++) {
        const struct power_name *old = &resume->disk.names[i];
        if (old->file != number) continue;
        event.kind = RECORD_RENAME;
        event.from_directory = old->directory;
        event.from_name = old->name;
        resume->is_found[i] = true;
    }
    if (event.kind == RECORD_NAME) {
        number = record_number(resume->record, status);
        power_disk_reserve(&resume->disk, number);
    }
    event.file = number;
    record_add(resume->record, &event);
    return number;
}

static int resume_directory(struct resume *resume, const char *path, uint32_t directory);

static int resume_entry(void *context, const char *name)
{
    struct resume *resume = context;
    const struct power_name *known = find_name(resume, name);
    struct stat status;
    char path[4096];
    uint32_t number;

    (void)snprintf(path, sizeof(path), "%s/%s", resume->path, name);
    if (lstat(path, &status) < 0) return -errno;
    if (known && number_of(resume->record, status.st_ino) == known->file) {
        resume->is_found[known - resume->disk.names] = true;
        number = known->file;
    } else {
        number = take_name(resume, name, &status);
    }
    resume->record->files[number].device = status.st_dev;
    resume->record->files[number].inode = status.st_ino;
    if (S_ISDIR(status.st_mode)) return resume_directory(resume, path, number);
    return S_ISREG(status.st_mode) ? compare_file(resume, path, number) : 0;
}

static int resume_directory(struct resume *resume, const char *path, uint32_t directory)
{
    struct resume inner = *resume;
    int rc;

    inner.path = path;
    inner.directory = directory;
    rc = inner.record->below->list(inner.record->below, path, resume_entry, &inner);
    resume->disk = inner.disk; /* it may have grown */
    return rc;
}

static void take_removals(struct resume *resume, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        const struct power_name *name = &resume->disk.names[i];
        if (resume->is_found[i]) continue;
        record_add(resume->record, &(struct record_event){ .kind = RECORD_UNNAME,
                                                           .directory = name->directory,
                                                           .name = name->name });
    }
}

/* ---- all --------------------------------------------------------------------------------------
 */

static void forget_files(struct resume *resume, const struct stat *root)
{
    struct record *record = resume->record;

    record->file_count = 0;
    for (uint32_t i = 0; i < resume->disk.file_count; i++)
        (void)record_number(record, &(struct stat){ 0 });
    record->files[0].device = root->st_dev;
    record->files[0].inode = root->st_ino;
}

int record_resume(struct record *record, const char *directory)
{
    struct resume resume = { .record = record };
    size_t count = record_count(record);
    struct stat root;
    int rc;

    if (stat(directory, &root) < 0) return -errno;
    power_disk_init(&resume.disk);
    for (size_t i = 0; i < count; i++)
        power_disk_take(&resume.disk, i, record_event(record, i));
    power_disk_take(&resume.disk, count, &(struct record_event){ .kind = RECORD_SYNC_ALL });
    resume.is_found = calloc(resume.disk.name_count + 1, sizeof(bool));
    if (!resume.is_found) {
        power_disk_finish(&resume.disk);
        return -ENOMEM;
    }
    forget_files(&resume, &root);
    rc = resume_directory(&resume, directory, 0);
    if (rc == 0) take_removals(&resume, resume.disk.name_count);
    free(resume.is_found);
    power_disk_finish(&resume.disk);
    return rc;
}
