#include "modules/journal/packed_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/packed.h"

/* One directory, being listed. */
struct listing {
    struct os *os;
    const struct journal_places *places;
    enum journal_tier tier;
    struct journal_packed_list *list;
};

static int add(struct journal_packed_list *list, const struct journal_packed_segment *segment)
{
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : 16;
    struct journal_packed_segment *grown;

    if (list->count == list->capacity) {
        grown = realloc(list->segments, capacity * sizeof(*grown));
        if (!grown) return -ENOMEM;
        list->segments = grown;
        list->capacity = capacity;
    }
    list->segments[list->count++] = *segment;
    return 0;
}

static int read_header(struct os *os, int fd, struct journal_packed_segment *segment)
{
    uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES];
    struct journal_packed_header header;
    int rc = os->size(os, fd, &segment->file_bytes);

    if (rc == 0) rc = os_read_all(os, fd, bytes, sizeof(bytes), 0);
    if (rc == 0) rc = journal_packed_header_load(bytes, &header);
    if (rc == 0) segment->note = header.note;
    return rc == -EBADMSG || rc == -EPROTONOSUPPORT ? 0 : rc; /* who reads it will tell */
}

/* -ENOENT: it has gone. */
static int look_at(const struct listing *listing, struct journal_packed_segment *segment)
{
    struct journal_place place = { listing->tier, true };
    char *file = journal_places_file(listing->places, place, segment->number);
    int fd = file ? listing->os->open(listing->os, file, O_RDONLY | O_NOFOLLOW, 0) : -ENOMEM;
    int rc;

    free(file);
    if (fd < 0) return fd;
    rc = read_header(listing->os, fd, segment);
    (void)listing->os->close(listing->os, fd); /* read only */
    return rc;
}

/* 1: its plain file is there, too, which is what counts then: packing was broken off. */
static int is_plain(const struct listing *listing, uint64_t number)
{
    struct journal_place place = { listing->tier, false };
    char *file = journal_places_file(listing->places, place, number);
    int fd = file ? listing->os->open(listing->os, file, O_RDONLY | O_NOFOLLOW, 0) : -ENOMEM;

    free(file);
    if (fd < 0) return fd == -ENOENT ? 0 : fd;
    (void)listing->os->close(listing->os, fd); /* read only */
    return 1;
}

static int note(void *context, const char *name)
{
    struct listing *listing = context;
    struct journal_packed_segment segment = { .number = journal_file_number(name, "pak") };
    int rc;

    if (segment.number == 0) return 0;
    rc = is_plain(listing, segment.number);
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = look_at(listing, &segment);
    if (rc == -ENOENT) return 0;
    return rc < 0 ? rc : add(listing->list, &segment);
}

int journal_packed_list_load(struct os *os, const struct journal_places *places,
                             struct journal_packed_list *list)
{
    for (unsigned i = 0; i < JOURNAL_TIER_COUNT; i++) {
        struct listing listing = { os, places, (enum journal_tier)i, list };
        int rc = places->paths[i] ? os->list(os, places->paths[i], note, &listing) : 0;
        if (rc < 0 && (rc != -ENOENT || i == JOURNAL_HOT)) return rc;
    }
    return 0;
}

void journal_packed_list_finish(struct journal_packed_list *list)
{
    free(list->segments);
    *list = (struct journal_packed_list){ 0 };
}
