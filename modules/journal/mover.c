#include "modules/journal/mover.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/journal/meta.h"

enum { PIECE_BYTES = 256 << 10 };

struct journal_mover {
    struct os *os;
    const struct journal_places *places;
    uint64_t number;
    struct journal_place from;
    enum journal_tier tier;
    int fd, fd_new; /* -1 */
    char *file, *file_new;
    uint64_t size_bytes, offset;
    bool is_copied, is_done;
    uint8_t bytes[PIECE_BYTES], other[PIECE_BYTES];
};

/* Of what lies at offset. */
static size_t piece_bytes(const struct journal_mover *mover)
{
    uint64_t left = mover->size_bytes - mover->offset;

    return left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
}

static int copy_piece(struct journal_mover *mover)
{
    size_t size = piece_bytes(mover);
    int rc = os_read_all(mover->os, mover->fd, mover->bytes, size, mover->offset);

    if (rc == 0) rc = os_write_all(mover->os, mover->fd_new, mover->bytes, size, mover->offset);
    mover->offset += size;
    return rc;
}

static int compare_piece(struct journal_mover *mover)
{
    size_t size = piece_bytes(mover);
    int rc = os_read_all(mover->os, mover->fd, mover->bytes, size, mover->offset);

    if (rc == 0) rc = os_read_all(mover->os, mover->fd_new, mover->other, size, mover->offset);
    mover->offset += size;
    if (rc < 0) return rc;
    return memcmp(mover->bytes, mover->other, size) == 0 ? 0 : -EIO;
}

static int end_copy(struct journal_mover *mover)
{
    int rc = mover->os->fsync(mover->os, mover->fd_new);

    mover->is_copied = true;
    mover->offset = 0;
    return rc < 0 ? rc : 1;
}

static int settle(struct journal_mover *mover)
{
    struct os *os = mover->os;
    int rc = os->rename(os, mover->file_new, mover->file);

    if (rc == 0) rc = os->fsync_directory(os, mover->places->paths[mover->tier]);
    if (rc == 0) rc = journal_places_remove_one(os, mover->places, mover->from, mover->number);
    if (rc == 0) mover->is_done = true;
    return rc;
}

int journal_mover_step(struct journal_mover *mover)
{
    assert(!mover->is_done);
    for (unsigned i = 0; i < JOURNAL_MOVER_STEP_BYTES / PIECE_BYTES; i++) {
        int rc;
        if (mover->offset == mover->size_bytes) {
            return mover->is_copied ? settle(mover) : end_copy(mover);
        }
        rc = mover->is_copied ? compare_piece(mover) : copy_piece(mover);
        if (rc < 0) return rc;
    }
    return 1;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static int prepare(struct journal_mover *mover)
{
    char name[JOURNAL_FILE_NAME_BYTES];
    struct journal_place to;
    struct os *os = mover->os;
    int rc = journal_places_open(os, mover->places, mover->number, &mover->from);

    if (rc < 0) return rc;
    mover->fd = rc;
    if (mover->from.tier >= mover->tier) return -EALREADY;
    rc = os->size(os, mover->fd, &mover->size_bytes);
    if (rc == 0) rc = journal_places_make(os, mover->places, mover->tier);
    if (rc < 0) return rc;
    to = (struct journal_place){ mover->tier, mover->from.is_packed };
    mover->file = journal_places_file(mover->places, to, mover->number);
    journal_file_name(name, mover->number, to.is_packed ? "pak.new" : "log.new");
    mover->file_new = journal_join_path(mover->places->paths[mover->tier], name);
    if (!mover->file || !mover->file_new) return -ENOMEM;
    rc = os->open(os, mover->file_new, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    if (rc < 0) return rc;
    mover->fd_new = rc;
    return 0;
}

int journal_mover_create(struct os *os, const struct journal_places *places, uint64_t number,
                         enum journal_tier tier, struct journal_mover **out_mover)
{
    struct journal_mover *mover = calloc(1, sizeof(*mover));
    int rc;

    assert((tier == JOURNAL_COOL || tier == JOURNAL_COLD) && places->paths[tier]);
    if (!mover) return -ENOMEM;
    mover->os = os;
    mover->places = places;
    mover->number = number;
    mover->tier = tier;
    mover->fd = mover->fd_new = -1;
    rc = prepare(mover);
    if (rc < 0) {
        journal_mover_destroy(mover);
        return rc;
    }
    *out_mover = mover;
    return 0;
}

void journal_mover_destroy(struct journal_mover *mover)
{
    struct os *os;

    if (!mover) return;
    os = mover->os;
    if (mover->fd >= 0) (void)os->close(os, mover->fd); /* read only */
    if (mover->fd_new >= 0) {
        (void)os->close(os, mover->fd_new); /* synced, or thrown away */
        if (!mover->is_done) (void)os->unlink(os, mover->file_new);
    }
    free(mover->file);
    free(mover->file_new);
    free(mover);
}

uint64_t journal_mover_number(const struct journal_mover *mover)
{
    return mover->number;
}
