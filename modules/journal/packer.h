/* packer.h - makes N.pak of a segment that has ended and is on the device.
 *
 * In steps, so that no I/O thread is kept for long: every frame of the plain file is verified (what
 * is damaged is not packed, it stays for who can tell), then block after block is written, then all
 * of it is read back and compared; then it is brought to the device and gets its name; then the
 * plain file goes. Whenever that is broken off, the plain segment is there or the packed one.
 *
 * Frames that nobody needs may be **dropped** on the way, also from a segment that is packed
 * already: what is left of one is a header that says how far to skip (drop.h), behind which all is
 * zero, so that it takes next to nothing when it is compressed and all other frames keep their
 * places. What was written is verified frame by frame then. The index is made anew, of those that
 * are left.
 *
 * Functions wait for the disk. One thread at a time. */
#ifndef MODULES_JOURNAL_PACKER_H
#define MODULES_JOURNAL_PACKER_H
#include "modules/journal/stored.h"

struct journal_packer;

enum { JOURNAL_PACKER_STEP_BYTES = 4 << 20 };

/* os and places must outlive the packer. -ENOENT: there is no plain file. -EBADMSG: its header is
 * damaged. -ENOMEM, … */
int journal_packer_create(struct os *os, const struct journal_places *places, uint64_t number,
                          enum journal_codec codec, struct journal_packer **out_packer);
/* The same for one that drops frames. dropping, too, must outlive the packer; its codec is the one
 * that counts. -ENOENT: there is no file in the hot directory, plain or packed. -ENOSPC: the disk
 * has less room than two segments as they were written, which is more than the copy takes. */
int journal_packer_create_dropping(struct os *os, const struct journal_places *places,
                                   const struct journal_dropping *dropping,
                                   struct journal_packer **out_packer);
/* Goes through about JOURNAL_PACKER_STEP_BYTES. 1: there is more to do. 0: the segment is packed.
 * -EBADMSG: it is damaged. -ENOSPC, -EIO, … After an error only destroy() is left. */
int journal_packer_step(struct journal_packer *packer);
/* Also breaks off: removes what is half-made. Accepts NULL. */
void journal_packer_destroy(struct journal_packer *packer);
/* Of the packed form, when the segment is packed. */
uint64_t journal_packer_file_bytes(const struct journal_packer *packer);
uint64_t journal_packer_number(const struct journal_packer *packer);
/* True after an error, too: the segment's index tells of the frames that were to be left only. */
bool journal_packer_has_replaced_index(const struct journal_packer *packer);
#endif
