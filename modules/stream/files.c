/* files.c - the backend of large streams: a journal (files_internal.h). */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"
#include "modules/journal/format.h"
#include "modules/stream/files_internal.h"

enum {
    SLOTS_MIN = 4,
    ENDS_EARLY_BYTES = 4 << 20, /* less than that is not worth a file of its own */
    ENDS_EARLY_PART = 4,        /* of its entries that is there yet, at most */
};

/* ---- life ---- */

void stream_files_path(const struct stream_files *files, char path[STREAM_PATH_BYTES_MAX])
{
    (void)snprintf(path, STREAM_PATH_BYTES_MAX, "%s/stream-%" PRIu64,
                   files->store->options.directory, files->number);
}

void stream_files_charge(struct stream_files *files, int64_t bytes)
{
    if (files->stream && !files->is_moving) stream_charge(files->stream, bytes);
}

/* What it takes of the heap. */
static int64_t memory_bytes(const struct stream_files *files)
{
    int64_t bytes = (int64_t)alloc_size(sizeof(*files));

    if (files->segment_capacity > 0)
        bytes += (int64_t)alloc_size(files->segment_capacity * sizeof(*files->segments));
    if (files->falls.capacity > 0)
        bytes += (int64_t)alloc_size(files->falls.capacity * sizeof(*files->falls.falls));
    return bytes;
}

void stream_files_own(struct stream_files *files, struct stream *stream)
{
    files->stream = stream;
    files->is_moving = false;
    stream->files = files;
    stream_files_charge(files, memory_bytes(files));
}

void stream_files_disown(struct stream_files *files)
{
    stream_files_charge(files, -memory_bytes(files));
    files->stream = NULL;
    files->is_moving = false;
}

int stream_files_create(struct stream_store *store, struct stream_files **out_files)
{
    struct stream_files *files = calloc(1, sizeof(*files));

    if (!files) return -ENOMEM;
    files->store = store;
    files->base = files;
    list_init(&files->snapshots);
    files->number = ++store->files->last_number;
    list_push_back(&store->files->all, &files->link);
    list_init(&files->due_link);
    list_init(&files->moving_link);
    list_init(&files->active_link);
    list_init(&files->suspect_link);
    list_init(&files->rewrite_link);
    list_init(&files->unremoved_link);
    *out_files = files;
    return 0;
}

static void free_arrays(struct stream_files *files)
{
    if (files->segments) free(files->segments - files->kept_count);
    free(files->falls.falls);
    free(files);
}

void stream_files_free(struct stream_files *files)
{
    assert(files->state == FILES_CLOSED && !files->journal);
    assert(!files->stream && !files->is_moving);
    stream_files_release_dead(files);
    stream_files_uncount(files);
    files->is_wanted = false;
    stream_files_list(files);
    stream_files_forget_suspect(files);
    list_remove(&files->link);
    list_remove(&files->due_link);
    list_remove(&files->unremoved_link);
    stream_files_forget_known(files);
    free_arrays(files);
}

static bool is_snapshot(const struct stream_files *files)
{
    return files->base != files;
}

/* ---- arrays ---- */

/* An array of so many that takes one more: the same or a larger one. NULL: no memory. */
static void *grow(struct stream_files *files, void *array, uint32_t count, uint32_t *capacity,
                  size_t size)
{
    uint32_t wanted = *capacity > 0 ? 2 * *capacity : SLOTS_MIN;
    int64_t before;
    void *grown;

    if (count < *capacity) return array;
    before = memory_bytes(files);
    grown = realloc(array, wanted * size);
    if (!grown) return NULL;
    *capacity = wanted;
    stream_files_charge(files, memory_bytes(files) - before);
    return grown;
}

int stream_files_need_slots(struct stream_files *files)
{
    struct files_falls *falls = &files->falls;
    uint32_t kept = files->kept_count;
    void *first = files->segments ? files->segments - kept : NULL, *grown;

    grown = grow(files, first, kept + files->segment_count, &files->segment_capacity,
                 sizeof(*files->segments));
    if (!grown) return -ENOMEM;
    files->segments = (struct files_segment *)grown + kept;
    grown = grow(files, falls->falls, falls->count, &falls->capacity, sizeof(*falls->falls));
    if (!grown) return -ENOMEM;
    falls->falls = grown;
    return 0;
}

/* ---- falls ---- */

struct stream_id stream_falls_limit(const struct files_falls *falls, uint64_t ordinal,
                                    struct stream_id id)
{
    uint32_t low = 0, high = falls->count; /* those below low lie at or before the ordinal */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (falls->falls[middle].ordinal <= ordinal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == falls->count || stream_id_compare(falls->falls[low].id, id) >= 0) return id;
    return falls->falls[low].id;
}

/* The next frame has an id that is not above those before it. */
static void note_fall(struct stream_files *files, const struct stream_entry *entry)
{
    struct files_falls *falls = &files->falls;
    struct files_fall fall = { entry->ordinal, entry->id };

    (void)stream_id_decrement(&fall.id); /* it is above the last id of the stream */
    while (falls->count > 0 && stream_id_compare(falls->falls[falls->count - 1].id, fall.id) >= 0) {
        falls->count--; /* for all before it, this one is the lower limit */
    }
    falls->falls[falls->count++] = fall;
}

/* ---- adding ---- */

uint64_t stream_files_frame_bytes(uint64_t fields_bytes)
{
    return journal_frame_bytes(STREAM_PAYLOAD_HEADER_BYTES + fields_bytes);
}

int stream_files_try_reserve(struct stream_files *files, uint64_t frame_bytes)
{
    int rc = files->sync_error < 0 ? -EROFS : stream_files_need_open(files);

    if (rc == 0) rc = stream_files_need_slots(files);
    return rc < 0 ? rc : journal_reserve(files->journal, frame_bytes);
}

static int files_reserve(struct stream *stream, uint64_t fields_bytes)
{
    unsigned asked = 0;

    for (;;) {
        int rc = stream_files_try_reserve(stream->files, stream_files_frame_bytes(fields_bytes));
        if (rc == 0) return 0;
        rc = rc == -EAGAIN ? stream_files_wait(stream->store)
                           : stream_files_find_room(stream->store, stream, rc, ++asked);
        if (rc < 0) return rc;
    }
}

static struct files_segment *last_segment(struct stream_files *files)
{
    return files->segment_count > 0 ? &files->segments[files->segment_count - 1] : NULL;
}

/* The segment that position lies in, if it is not known yet; ordinal is the next one's. */
static void begin_segment(struct stream_files *files, uint64_t position, uint64_t ordinal,
                          struct stream_id id)
{
    struct files_segment *last = last_segment(files);
    uint64_t start = journal_segment_start(journal_segment_of(position));

    if (last && last->start == start && last->first_ordinal < ordinal) return;
    /* One that has no frames is not kept. */
    if (!last || last->first_ordinal < ordinal) {
        if (last) stream_files_count_ended(files);
        files->segment_count++;
    }
    assert(files->segments); /* its slot was reserved */
    files->segments[files->segment_count - 1] =
        (struct files_segment){ .start = start, .first_ordinal = ordinal, .first_id = id };
}

void stream_files_begin_empty(struct stream_files *files, uint64_t ordinal)
{
    begin_segment(files, journal_appended(files->journal), ordinal, STREAM_ID_MIN);
}

void stream_files_append(struct stream_files *files, const struct stream_entry *entry)
{
    uint8_t header[STREAM_PAYLOAD_HEADER_BYTES];
    struct slice parts[2] = { slice_of(header, sizeof(header)), entry->fields };
    uint64_t position;
    bool is_further;
    int rc;

    store_u64le(header, entry->ordinal);
    store_u32le(header + 8, entry->field_count);
    rc = journal_append(files->journal, entry->id.ms, entry->id.seq, parts, 2, &position);
    assert(rc == 0); /* it was reserved */
    (void)rc;
    journal_publish(files->journal); /* now: a failed sync must not hide it */
    if (stream_id_compare(entry->id, files->last_id) <= 0) note_fall(files, entry);
    begin_segment(files, position, entry->ordinal, entry->id);
    last_segment(files)->bytes = journal_offset_of(journal_appended(files->journal));
    files->last_id = entry->id;
    is_further = journal_segment_of(files->end) < journal_segment_of(position);
    files->end = journal_appended(files->journal);
    /* Where one ends early, nobody is asked for the room of the next. */
    if (is_further || journal_is_ending(files->journal)) stream_files_recount(files);
    if (is_further) stream_files_plan_packing(files);
}

static void files_trim(struct stream *stream, uint64_t ordinal);

static void files_append(struct stream *stream, const struct stream_entry *entry)
{
    const struct stream_files *files = stream->files;
    uint64_t start = files->segments[0].start;

    if (files->end > 0 && files->falls.count == 0)
        stream_files_know(&(struct files_known){ .files = files,
                                                 .version = stream->version,
                                                 .before = stream->last_id,
                                                 .position = files->end });
    stream_files_append(stream->files, entry);
    /* Its first segment had no frame, has no room for this one, and is not kept. */
    if (files->segments[0].start != start) stream->version++;
    /* All that is in those before the last one was trimmed while there was no other. */
    if (files->segment_count > 1 && files->segments[1].first_ordinal <= stream->start)
        files_trim(stream, stream->start);
}

/* ---- removing ---- */

/* Ordinals from first on, before end, take so many bytes: the end of those that go so that the rest
 * takes at most as many as are allowed, by their mean size. They go in pieces of about PIECE_BYTES,
 * so that not every entry that is added has another one go. */
static uint64_t end_of_pieces(uint64_t first, uint64_t end, uint64_t bytes, uint64_t allowed)
{
    enum { PIECE_BYTES = 4096 };
    uint64_t count = end - first, pieces = bytes / PIECE_BYTES + 1, gone;
    uint64_t piece = (count + pieces - 1) / pieces; /* its ordinals */
    uint64_t kept = allowed / PIECE_BYTES * piece;  /* no more than there are bytes */

    if (count == 0 || kept >= count) return first;
    gone = (count - kept + piece - 1) / piece * piece;
    return gone < count ? first + gone : end;
}

/* Room on the device comes back by whole segments, but these have up to 64 MiB: a smaller limit is
 * kept by ordinals. Of the newest segment a piece stays. */
static uint64_t files_end_of_bytes(const struct stream *stream, uint64_t bytes)
{
    const struct stream_files *files = stream->files;
    uint64_t end = stream->end, left = bytes;

    for (uint32_t i = files->segment_count; i-- > 0;) {
        const struct files_segment *segment = &files->segments[i];
        uint64_t ordinal = end_of_pieces(segment->first_ordinal, end, segment->bytes, left);

        if (segment->bytes > left) {
            if (ordinal == stream->end && ordinal > stream->start) ordinal--;
            return ordinal > stream->start ? ordinal : stream->start;
        }
        left -= segment->bytes;
        end = segment->first_ordinal;
    }
    return stream->start;
}

static void drop_falls(struct files_falls *falls, uint64_t ordinal)
{
    uint32_t gone = 0;

    while (gone < falls->count && falls->falls[gone].ordinal <= ordinal)
        gone++;
    falls->count -= gone;
    if (gone > 0) memmove(falls->falls, falls->falls + gone, falls->count * sizeof(*falls->falls));
}

/* The last segment goes with all that is in it, and is up to 64 MiB long: where most of it is
 * trimmed away, it ends early, so that a stream which is kept short takes no more than a few times
 * what is in it. */
static void end_what_is_mostly_gone(struct stream_files *files, uint64_t ordinal)
{
    const struct files_segment *last = last_segment(files);
    uint64_t count, live;

    if (!files->journal || files->state != FILES_OPEN || files->sync_error < 0) return;
    if (last->bytes < ENDS_EARLY_BYTES || ordinal <= last->first_ordinal) return;
    count = files->stream->end - last->first_ordinal;
    live = files->stream->end - ordinal;
    if (live >= count / ENDS_EARLY_PART) return;
    journal_end_segment(files->journal);
    stream_files_recount(files);
}

static void files_trim(struct stream *stream, uint64_t ordinal)
{
    struct stream_files *files = stream->files;
    uint32_t gone = 0;

    while (gone + 1 < files->segment_count && files->segments[gone + 1].first_ordinal <= ordinal)
        gone++;
    end_what_is_mostly_gone(files, ordinal);
    if (gone == 0) return;
    stream_files_keep_segments(files, gone);
    drop_falls(&files->falls, files->segments[0].first_ordinal);
    stream->version++;
    stream_files_trim_journal(files);
}

/* Its frame stays where it is, until its segment is written anew; readers pass over it. */
static void files_forget(struct stream *stream, uint64_t ordinal)
{
    (void)ordinal;
    stream_files_count_forgotten(stream->files);
}

/* ---- snapshots ---- */

static int copy_array(void **out_array, const void *array, uint32_t count, size_t size)
{
    if (count == 0) return 0;
    *out_array = malloc(count * size);
    if (!*out_array) return -ENOMEM;
    memcpy(*out_array, array, count * size);
    return 0;
}

static int copy_arrays(struct stream_files *copy, const struct stream_files *files)
{
    void *segments = NULL, *falls = NULL;
    int rc = copy_array(&segments, files->segments, files->segment_count, sizeof(*files->segments));

    if (rc == 0)
        rc =
            copy_array(&falls, files->falls.falls, files->falls.count, sizeof(*files->falls.falls));
    if (rc < 0) {
        free(segments);
        return rc;
    }
    copy->segments = segments;
    copy->segment_count = copy->segment_capacity = files->segment_count;
    copy->falls = (struct files_falls){ falls, files->falls.count, files->falls.count };
    return 0;
}

static int files_snapshot(struct stream *stream, struct stream *snapshot)
{
    const struct stream_files *files = stream->files;
    struct stream_files *copy = calloc(1, sizeof(*copy));
    int rc = copy ? copy_arrays(copy, files) : -ENOMEM;

    if (rc < 0) {
        free(copy);
        return rc;
    }
    copy->store = files->store;
    copy->base = files->base;
    copy->base_version = stream_files_version(stream);
    copy->last_id = files->last_id;
    copy->end = files->end;
    list_init(&copy->link);
    list_init(&copy->due_link);
    list_init(&copy->moving_link);
    list_init(&copy->active_link);
    list_init(&copy->suspect_link);
    list_init(&copy->rewrite_link);
    list_init(&copy->unremoved_link);
    list_push_back(&copy->base->snapshots, &copy->snapshots);
    stream_files_plan_packing(copy->base);
    stream_files_own(copy, snapshot);
    return 0;
}

static void destroy_snapshot(struct stream_files *files)
{
    struct stream_files *base = files->base;

    list_remove(&files->snapshots);
    free_arrays(files);
    stream_files_trim_journal(base);
    stream_files_plan_packing(base);
    stream_files_step(base);
}

/* ---- telling ---- */

static void files_get_info(const struct stream *stream, struct stream_info *out_info)
{
    const struct stream_files *files = stream->files;

    out_info->is_in_memory = false;
    out_info->segment_count = files->segment_count;
    for (uint32_t i = 0; i < files->segment_count; i++) {
        out_info->disk_bytes += stream_segment_disk_bytes(&files->segments[i]);
        out_info->compressed_bytes += files->segments[i].packed_bytes;
    }
    if (files->journal) out_info->mapped_bytes = journal_mapped_bytes(files->journal);
}

bool stream_files_fit(const struct stream *stream, const struct stream_files *files)
{
    const struct files_segment *first = files->segments;
    const struct files_segment *last = &files->segments[files->segment_count - 1];

    return first->first_ordinal >= 1 && first->first_ordinal <= stream->start &&
           last->first_ordinal <= stream->end && files->end >= last->start;
}

static void files_check(const struct stream *stream)
{
    const struct stream_files *files = stream->files;

    assert(files->stream == stream && !files->is_moving);
    assert(files->segment_count > 0 && stream_files_fit(stream, files));
    for (uint32_t i = 1; i < files->segment_count; i++) {
        assert(files->segments[i - 1].start < files->segments[i].start);
        assert(files->segments[i - 1].first_ordinal < files->segments[i].first_ordinal);
    }
    for (uint32_t i = 1; i < files->falls.count; i++) {
        const struct files_fall *fall = &files->falls.falls[i];
        assert(fall[-1].ordinal < fall->ordinal);
        assert(stream_id_compare(fall[-1].id, fall->id) < 0);
    }
    if (!is_snapshot(files)) stream_files_check_disk(files);
}

static void files_codec_changed(struct stream *stream)
{
    stream_files_apply_codec(stream->files);
}

static void files_destroy(struct stream *stream)
{
    struct stream_files *files = stream->files;

    if (!files) return; /* it could not be loaded */
    stream->files = NULL;
    stream_files_disown(files);
    stream_files_forget_dead(files);
    if (is_snapshot(files)) {
        destroy_snapshot(files);
    } else {
        stream_files_step(files);
    }
}

const struct stream_backend stream_files_backend = {
    .kind = STREAM_IMAGE_FILES,
    .reserve = files_reserve,
    .append = files_append,
    .seek_id = stream_files_seek_id,
    .seek_ordinal = stream_files_seek_ordinal,
    .next = stream_files_next,
    .end_of_bytes = files_end_of_bytes,
    .trim = files_trim,
    .forget = files_forget,
    .snapshot = files_snapshot,
    .image_size = stream_files_image_size,
    .image_write = stream_files_image_write,
    .image_load = stream_files_image_load,
    .codec_changed = files_codec_changed,
    .get_info = files_get_info,
    .check = files_check,
    .destroy = files_destroy,
};
