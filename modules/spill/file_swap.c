/* file_swap.c - on a full disk: room in pieces that are too small is exchanged for room elsewhere.
 *
 * What is free inside the file counts as room for the next checkpoint, in however small pieces it
 * lies, but an extent hangs together. So a write that finds no run gets one that takes no room on
 * the disk yet, a hole or behind the end, and pieces of as many blocks, which its job punches right
 * before it writes. Pieces belong to no extent and to nobody else until that is over. */
#include "modules/spill/file_internal.h"

#include <stdlib.h>

static bool add_piece(struct spill_write *write, struct spill_run piece)
{
    if (write->piece_count == write->piece_capacity) {
        unsigned capacity = write->piece_capacity ? 2 * write->piece_capacity : 16;
        struct spill_run *pieces = realloc(write->pieces, capacity * sizeof(*pieces));
        if (!pieces) return false;
        write->pieces = pieces;
        write->piece_capacity = capacity;
    }
    write->pieces[write->piece_count++] = piece;
    return true;
}

/* From the last one on. */
static void drop_pieces(struct spill_file *file, struct spill_write *write, unsigned count)
{
    while (write->piece_count > count) {
        struct spill_run piece = write->pieces[--write->piece_count];
        file->swapped_blocks -= piece.count;
        if (write->piece_count < write->punched_count) {
            file->figures.punched_bytes += piece.count * SPILL_BLOCK_BYTES;
            spill_space_free_punched(file->space, piece);
        } else {
            spill_space_free(file->space, piece);
        }
    }
}

bool file_swap_gather(struct spill_file *file, struct spill_write *write, uint64_t blocks)
{
    uint64_t sure_end = file_sure_bytes(file) / SPILL_BLOCK_BYTES, from = 0;
    unsigned old_count = write->piece_count;
    struct spill_run piece;

    if (old_count > 0) { /* none is free before the last one */
        piece = write->pieces[old_count - 1];
        from = piece.first + piece.count;
    }
    for (; blocks > 0; blocks -= piece.count, from = piece.first + piece.count) {
        if (!spill_space_take_piece(file->space, from, sure_end, blocks, &piece)) goto too_few;
        if (!add_piece(write, piece)) {
            spill_space_free(file->space, piece);
            goto too_few;
        }
        file->swapped_blocks += piece.count;
    }
    return true;
too_few:
    drop_pieces(file, write, old_count);
    return false;
}

int file_swap_punch(struct spill_write *write, struct os *os, int fd)
{
    for (; write->punched_count < write->piece_count; write->punched_count++) {
        const struct spill_run *piece = &write->pieces[write->punched_count];
        int rc =
            os->punch(os, fd, piece->first * SPILL_BLOCK_BYTES, piece->count * SPILL_BLOCK_BYTES);
        if (rc < 0) return rc;
    }
    return 0;
}

void file_swap_end(struct spill_file *file, struct spill_write *write)
{
    drop_pieces(file, write, 0);
    free(write->pieces);
    write->pieces = NULL;
    write->piece_capacity = write->punched_count = 0;
}
