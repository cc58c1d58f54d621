#include "modules/base/power_state_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "modules/base/os.h"

/* ---- slots ------------------------------------------------------------------------------------
 */

static void add_slot(struct power_slots *slots, struct power_slot slot)
{
    if (slots->count == slots->capacity) {
        slots->capacity = slots->capacity > 0 ? 2 * slots->capacity : 64;
        slots->slots = realloc(slots->slots, slots->capacity * sizeof(slot));
        if (!slots->slots) abort(); /* a test without memory proves nothing */
    }
    slots->slots[slots->count++] = slot;
}

void power_slots_collect(struct power_slots *slots, const struct power_disk *disk)
{
    slots->count = 0;
    for (size_t i = 0; i < disk->naming_count; i++)
        add_slot(slots, (struct power_slot){ .kind = POWER_SLOT_NAMING, .max = 1 });
    for (uint32_t i = 0; i < disk->file_count; i++) {
        const struct power_file *file = &disk->files[i];
        if (file->shape_count > 0) {
            add_slot(slots, (struct power_slot){
                                .kind = POWER_SLOT_SHAPE, .file = i, .max = file->shape_count });
        }
        for (size_t k = 0; file->pending_pages > 0 && k < file->page_count; k++) {
            unsigned max = file->pages[k].version_count;
            struct power_slot slot = { .kind = POWER_SLOT_PAGE, .file = i, .page = k, .max = max };
            if (max > 0) add_slot(slots, slot);
        }
    }
}

/* ---- what a file holds ------------------------------------------------------------------------
 */

/* Of one file in a state. */
struct view {
    const struct power_file *file;
    const struct power_slot *slot, *end; /* its own */
    uint64_t size;
    size_t shape_event; /* the last that happened */
    bool has_shape;
};

static struct view view_of(const struct power_disk *disk, const struct power_slots *slots,
                           uint32_t number)
{
    struct view view = { .file = &disk->files[number], .size = disk->files[number].size };
    size_t begin = disk->naming_count, end;

    while (begin < slots->count && slots->slots[begin].file < number)
        begin++;
    for (end = begin; end < slots->count && slots->slots[end].file == number;)
        end++;
    view.slot = slots->slots + begin;
    view.end = slots->slots + end;
    if (begin == end || view.slot->kind != POWER_SLOT_SHAPE) return view;
    if (view.slot->value > 0) {
        const struct power_shape *shape = &view.file->shapes[view.slot->value - 1];
        view.size = shape->size;
        view.shape_event = shape->event;
        view.has_shape = true;
    }
    view.slot++;
    return view;
}

/* How many of a page's versions there are, for one that was chosen: zeros come with the shape, and
 * what was written over freed blocks not before it. */
static unsigned bounded(const struct view *view, const struct power_page *page, unsigned value)
{
    for (unsigned i = 0; i < page->version_count; i++) {
        const struct power_version *version = &page->versions[i];
        bool is_whole = version->end - version->begin == POWER_PAGE_BYTES;
        bool has_happened = view->has_shape && version->event <= view->shape_event;
        if (version->bytes) continue;
        if (has_happened && value < i + 1) value = i + 1;
        if (!has_happened && is_whole && value > i) return i;
    }
    return value;
}

static void apply(uint8_t *bytes, const struct power_version *version, unsigned sector)
{
    uint32_t begin = sector * POWER_SECTOR_BYTES, end = begin + POWER_SECTOR_BYTES;

    if (version->begin > begin) begin = version->begin;
    if (version->end < end) end = version->end;
    if (begin >= end) return;
    if (version->bytes) {
        memcpy(bytes + begin, version->bytes + (begin - version->begin), end - begin);
    } else {
        memset(bytes + begin, 0, end - begin);
    }
}

static void fill_page(const struct view *view, const struct power_slot *slot, uint8_t *bytes)
{
    const struct power_page *page = &view->file->pages[slot->page];

    for (unsigned sector = 0; sector < POWER_SECTORS; sector++) {
        unsigned value = slot->value - (slot->torn >> sector & 1);
        value = bounded(view, page, value);
        for (unsigned i = 0; i < value; i++)
            apply(bytes, &page->versions[i], sector);
    }
}

/* Calls each with the pages that may be other than zero. bytes is good until it returns. */
static int each_page(struct view *view,
                     int (*each)(void *context, uint64_t offset, const uint8_t *bytes, size_t size),
                     void *context)
{
    uint8_t bytes[POWER_PAGE_BYTES];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < view->file->page_count; i++) {
        const struct power_page *page = &view->file->pages[i];
        uint64_t offset = (uint64_t)i * POWER_PAGE_BYTES;
        size_t size = POWER_PAGE_BYTES;
        bool is_pending = view->slot < view->end && view->slot->page == i;
        if (offset >= view->size) break;
        if (!page->bytes && !is_pending) continue;
        if (view->size - offset < size) size = (size_t)(view->size - offset);
        if (is_pending) {
            memset(bytes, 0, sizeof(bytes));
            if (page->bytes) memcpy(bytes, page->bytes, sizeof(bytes));
            fill_page(view, view->slot++, bytes);
        }
        rc = each(context, offset, is_pending ? bytes : page->bytes, size);
    }
    return rc;
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* Copies, to be freed. */
static struct power_name *names_of(const struct power_disk *disk, const struct power_slots *slots,
                                   size_t *out_count)
{
    size_t count = disk->name_count, capacity = disk->name_count + disk->naming_count + 1;
    struct power_name *names = malloc(capacity * sizeof(*names));

    if (!names) abort();
    if (count > 0) memcpy(names, disk->names, count * sizeof(*names));
    for (size_t i = 0; i < disk->naming_count; i++) {
        if (slots->slots[i].value == 0) continue;
        power_names_change(&names, &count, &capacity, disk->namings[i].what);
    }
    *out_count = count;
    return names;
}

static int compare_names(const void *a, const void *b)
{
    const struct power_name *x = a, *y = b;

    if (x->directory != y->directory) return x->directory < y->directory ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* ---- hashing ----------------------------------------------------------------------------------
 */

static int hash_page(void *context, uint64_t offset, const uint8_t *bytes, size_t size)
{
    XXH64_hash_t *hash = context;

    *hash = XXH3_64bits_withSeed(bytes, size, *hash ^ offset * 31);
    return 0;
}

uint64_t power_state_hash(const struct power_disk *disk, const struct power_slots *slots)
{
    size_t count;
    struct power_name *names = names_of(disk, slots, &count);
    XXH64_hash_t hash = 1;

    qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 0; i < count; i++) {
        struct view view = view_of(disk, slots, names[i].file);
        hash = XXH3_64bits_withSeed(names[i].name, strlen(names[i].name), hash);
        hash ^= (uint64_t)names[i].directory << 32 ^ (uint64_t)names[i].file << 16 ^ view.size;
        (void)each_page(&view, hash_page, &hash);
    }
    free(names);
    return hash;
}

/* ---- building ---------------------------------------------------------------------------------
 */

struct builder {
    const struct power_disk *disk;
    const struct power_slots *slots;
    struct power_name *names;
    size_t name_count;
};

static int put_page(void *context, uint64_t offset, const uint8_t *bytes, size_t size)
{
    return os_write_all(os_real(), *(int *)context, bytes, size, offset);
}

static int build_file(const struct builder *builder, const char *path, uint32_t number)
{
    struct view view = view_of(builder->disk, builder->slots, number);
    int rc, fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0) return -errno;
    rc = ftruncate(fd, (off_t)view.size) < 0 ? -errno : 0;
    if (rc == 0) rc = each_page(&view, put_page, &fd);
    if (close(fd) < 0 && rc == 0) rc = -errno;
    return rc;
}

static int build_directory(const struct builder *builder, const char *path, uint32_t number)
{
    int rc = mkdir(path, 0755) < 0 ? -errno : 0;

    for (size_t i = 0; rc == 0 && i < builder->name_count; i++) {
        const struct power_name *name = &builder->names[i];
        char inner[1024];
        if (name->directory != number) continue;
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, name->name);
        rc = builder->disk->files[name->file].is_directory
                 ? build_directory(builder, inner, name->file)
                 : build_file(builder, inner, name->file);
    }
    return rc;
}

int power_state_build(const struct power_disk *disk, const struct power_slots *slots,
                      const char *directory)
{
    struct builder builder = { .disk = disk, .slots = slots };
    int rc;

    builder.names = names_of(disk, slots, &builder.name_count);
    rc = build_directory(&builder, directory, 0);
    free(builder.names);
    return rc;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path) < 0 ? -errno : 0;
}

int power_state_remove(const char *directory)
{
    int rc = nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);

    return rc < 0 && errno == ENOENT ? 0 : rc;
}
