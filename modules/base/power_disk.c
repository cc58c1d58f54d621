#include "modules/base/power_disk_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/record.h"

static void *grown(void *memory, size_t size)
{
    void *more = realloc(memory, size);

    if (!more) abort(); /* a test without memory proves nothing */
    return more;
}

/* Room for one more element. */
static void *with_room(void *elements, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity) return elements;
    *capacity = *capacity > 0 ? 2 * *capacity : 16;
    return grown(elements, *capacity * element_size);
}

void power_disk_init(struct power_disk *disk)
{
    *disk = (struct power_disk){ 0 };
}

void power_disk_finish(struct power_disk *disk)
{
    for (uint32_t i = 0; i < disk->file_count; i++) {
        struct power_file *file = &disk->files[i];
        for (size_t k = 0; k < file->page_count; k++) {
            free(file->pages[k].bytes);
            free(file->pages[k].versions);
        }
        free(file->pages);
        free(file->shapes);
    }
    free(disk->files);
    free(disk->names);
    free(disk->namings);
}

static struct power_file *file_of(struct power_disk *disk, uint32_t number)
{
    if (number >= disk->file_count) {
        disk->files = grown(disk->files, (number + 1) * sizeof(*disk->files));
        memset(disk->files + disk->file_count, 0,
               (number + 1 - disk->file_count) * sizeof(*disk->files));
        disk->file_count = number + 1;
    }
    return &disk->files[number];
}

void power_disk_reserve(struct power_disk *disk, uint32_t number)
{
    (void)file_of(disk, number);
}

/* ---- content ----------------------------------------------------------------------------------
 */

static struct power_page *page_of(struct power_file *file, uint64_t offset)
{
    size_t index = (size_t)(offset / POWER_PAGE_BYTES);

    if (index >= file->page_count) {
        size_t count = index + index / 2 + 1;
        file->pages = grown(file->pages, count * sizeof(*file->pages));
        memset(file->pages + file->page_count, 0,
               (count - file->page_count) * sizeof(*file->pages));
        file->page_count = count;
    }
    return &file->pages[index];
}

static void add_version(struct power_file *file, uint64_t offset, struct power_version version)
{
    struct power_page *page = page_of(file, offset);
    size_t capacity = page->version_capacity;

    if (page->version_count == 0) file->pending_pages++;
    page->versions = with_room(page->versions, page->version_count, &capacity, sizeof(version));
    page->version_capacity = (unsigned)capacity;
    page->versions[page->version_count++] = version;
}

/* bytes NULL: zeros, of blocks that the event gives back. */
static void write_pages(struct power_file *file, size_t event, uint64_t offset, uint64_t end,
                        const uint8_t *bytes)
{
    while (offset < end) {
        uint64_t page = offset / POWER_PAGE_BYTES * POWER_PAGE_BYTES;
        uint64_t stop = page + POWER_PAGE_BYTES < end ? page + POWER_PAGE_BYTES : end;
        add_version(file, offset,
                    (struct power_version){ .event = event,
                                            .begin = (uint32_t)(offset - page),
                                            .end = (uint32_t)(stop - page),
                                            .bytes = bytes });
        if (bytes) bytes += stop - offset;
        offset = stop;
    }
}

static void add_shape(struct power_file *file, size_t event, uint64_t size)
{
    size_t capacity = file->shape_capacity;

    file->shapes = with_room(file->shapes, file->shape_count, &capacity, sizeof(*file->shapes));
    file->shape_capacity = (unsigned)capacity;
    file->shapes[file->shape_count++] = (struct power_shape){ event, size };
    file->current_size = size;
}

static void take_write(struct power_file *file, size_t index, const struct record_event *event)
{
    uint64_t end = event->offset + event->size;

    write_pages(file, index, event->offset, end, event->bytes);
    if (end > file->current_size) add_shape(file, index, end);
}

static void take_resize(struct power_file *file, size_t index, uint64_t size)
{
    uint64_t pages_end = (uint64_t)file->page_count * POWER_PAGE_BYTES;

    /* What lay behind a smaller size is zero when the file grows again. */
    if (size < file->current_size) {
        uint64_t end =
            (file->current_size + POWER_PAGE_BYTES - 1) / POWER_PAGE_BYTES * POWER_PAGE_BYTES;
        write_pages(file, index, size, end < pages_end ? end : pages_end, NULL);
    }
    add_shape(file, index, size);
}

static void take_punch(struct power_file *file, size_t index, const struct record_event *event)
{
    write_pages(file, index, event->offset, event->offset + event->size, NULL);
    add_shape(file, index, file->current_size);
}

/* The first versions of a page come to the device. */
static void settle_versions(struct power_file *file, struct power_page *page, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct power_version *version = &page->versions[i];
        if (!page->bytes) {
            page->bytes = grown(NULL, POWER_PAGE_BYTES);
            memset(page->bytes, 0, POWER_PAGE_BYTES);
        }
        if (version->bytes) {
            memcpy(page->bytes + version->begin, version->bytes, version->end - version->begin);
        } else {
            memset(page->bytes + version->begin, 0, version->end - version->begin);
        }
    }
    if (count == 0) return;
    page->version_count -= count;
    memmove(page->versions, page->versions + count, page->version_count * sizeof(*page->versions));
    if (page->version_count == 0) file->pending_pages--;
}

/* Those from before an event; of a page that was not synced itself, or has nothing that the kernel
 * would write, up to the last that came with a change of the file's shape: blocks that were given
 * back do not return with their content. */
static void settle_page(struct power_file *file, struct power_page *page, size_t before,
                        bool is_synced)
{
    unsigned count = 0, last = 0;

    while (count < page->version_count && page->versions[count].event < before)
        if (!page->versions[count++].bytes) last = count;
    if (count > 0 && page->versions[count - 1].is_clean) is_synced = false;
    settle_versions(file, page, is_synced ? count : last);
}

static bool is_inside(size_t page, uint64_t offset, uint64_t size)
{
    uint64_t at = (uint64_t)page * POWER_PAGE_BYTES;

    return size == UINT64_MAX || (at + POWER_PAGE_BYTES > offset && at < offset + size);
}

/* A sync of it has failed. */
static void lose_file(struct power_file *file, uint64_t offset, uint64_t size)
{
    for (size_t i = 0; file->pending_pages > 0 && i < file->page_count; i++) {
        struct power_page *page = &file->pages[i];
        if (!is_inside(i, offset, size)) continue;
        for (unsigned k = 0; k < page->version_count; k++)
            page->versions[k].is_clean = true;
    }
}

static void settle_file(struct power_file *file, size_t before, uint64_t offset, uint64_t size)
{
    unsigned count = 0;

    for (size_t i = 0; file->pending_pages > 0 && i < file->page_count; i++)
        settle_page(file, &file->pages[i], before, is_inside(i, offset, size));
    while (count < file->shape_count && file->shapes[count].event < before)
        file->size = file->shapes[count++].size;
    if (count == 0) return;
    file->shape_count -= count;
    memmove(file->shapes, file->shapes + count, file->shape_count * sizeof(*file->shapes));
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void remove_name(struct power_name *names, size_t *count, uint32_t directory,
                        const char *name)
{
    for (size_t i = 0; i < *count; i++) {
        if (names[i].directory != directory || strcmp(names[i].name, name) != 0) continue;
        names[i] = names[--*count];
        return;
    }
}

void power_names_change(struct power_name **names, size_t *count, size_t *capacity,
                        const struct record_event *event)
{
    remove_name(*names, count, event->directory, event->name);
    if (event->kind == RECORD_RENAME) {
        remove_name(*names, count, event->from_directory, event->from_name);
    }
    if (event->kind == RECORD_UNNAME) return;
    *names = with_room(*names, *count, capacity, sizeof(**names));
    (*names)[(*count)++] = (struct power_name){ event->directory, event->file, event->name };
}

static void take_naming(struct power_disk *disk, size_t index, const struct record_event *event)
{
    if (event->kind == RECORD_NAME) file_of(disk, event->file)->is_directory = event->value != 0;
    disk->namings = with_room(disk->namings, disk->naming_count, &disk->naming_capacity,
                              sizeof(*disk->namings));
    disk->namings[disk->naming_count++] =
        (struct power_naming){ .event = index,
                               .what = event,
                               .waits_for_to = true,
                               .waits_for_from = event->kind == RECORD_RENAME };
}

static void settle_names(struct power_disk *disk, size_t before, uint32_t directory, bool is_all)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk->naming_count; i++) {
        struct power_naming *naming = &disk->namings[i];
        if (naming->event < before) {
            if (is_all || naming->what->directory == directory) naming->waits_for_to = false;
            if (is_all || naming->what->from_directory == directory) naming->waits_for_from = false;
        }
        if (naming->waits_for_to || naming->waits_for_from) {
            disk->namings[kept++] = *naming;
        } else {
            power_names_change(&disk->names, &disk->name_count, &disk->name_capacity, naming->what);
        }
    }
    disk->naming_count = kept;
}

/* ---- events -----------------------------------------------------------------------------------
 */

static void settle_all(struct power_disk *disk, size_t before)
{
    for (uint32_t i = 0; i < disk->file_count; i++)
        settle_file(&disk->files[i], before, 0, UINT64_MAX);
    settle_names(disk, before, 0, true);
}

void power_disk_take(struct power_disk *disk, size_t index, const struct record_event *event)
{
    struct power_file *file = file_of(disk, event->file);

    switch (event->kind) {
    case RECORD_WRITE:
        take_write(file, index, event);
        break;
    case RECORD_RESIZE:
        take_resize(file, index, event->size);
        break;
    case RECORD_ALLOCATE:
        if (event->offset + event->size > file->current_size)
            add_shape(file, index, event->offset + event->size);
        break;
    case RECORD_PUNCH:
        take_punch(file, index, event);
        break;
    case RECORD_NAME:
    case RECORD_UNNAME:
    case RECORD_RENAME:
        take_naming(disk, index, event);
        break;
    case RECORD_SYNC_END:
        settle_file(file, event->begun, event->offset, event->size);
        settle_names(disk, event->begun, event->file, false);
        break;
    case RECORD_SYNC_ALL:
        settle_all(disk, event->begun > 0 ? event->begun : index);
        break;
    case RECORD_SYNC_FAILED:
        lose_file(file, event->offset, event->size);
        break;
    case RECORD_SYNC_ALL_FAILED:
        for (uint32_t i = 0; i < disk->file_count; i++)
            lose_file(&disk->files[i], 0, UINT64_MAX);
        break;
    case RECORD_SYNC_BEGIN:
    case RECORD_MARK:
        break;
    }
}
