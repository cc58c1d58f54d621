/* mend.h - a journal that is damaged where it had been synced is made to open again, for who was
 * told to, while nobody writes.
 *
 * What lies before a position that its owner goes on from is passed over: nothing that counts is
 * lost by that. Else the journal is made to end before the damage, and all behind it is given up,
 * whole or not, synced or not. Both change files in an order that leaves, when they are
 * interrupted, a journal that is refused as before, or done. What is packed or was moved is not
 * mended. Waits for the disk. Nothing here logs. */
#ifndef MODULES_JOURNAL_MEND_H
#define MODULES_JOURNAL_MEND_H
#include "modules/journal/journal.h"

/* Makes a meta that is missing or damaged anew, from segments that are all whole and plain; frames
 * stay as they are. What segments do not tell is taken to be as usual: one writer, rolled by size,
 * neither packed nor moved nor encrypted. Segments that had been moved are not looked for: where
 * their directories were, nobody knows any more, so the journal begins behind them. How far it was
 * synced is told by what is left of the live page; if nothing is, all that there is counts as
 * synced, so that a torn tail becomes damage, which only journal_mend_cut gives up. synced_position
 * is the caller's, or 0. The report tells start, end and the synced position; its text, after
 * -EBADMSG, why it cannot be done. -EEXIST: the meta is whole. -ENOENT: there is nothing to make it
 * from. -EPROTONOSUPPORT: of another version. -EWOULDBLOCK: somebody writes it. Other errors as
 * journal_check. */
int journal_mend_meta(struct os *os, const char *path, uint64_t synced_position,
                      struct journal_report *out_report);
/* Makes headers of segments anew that are damaged, where the first frame is whole and so proves
 * which segment of which journal that is: of plain ones that were not moved; meta is whole. When
 * they were made, and what had been synced then, is not known: less is said. *out_count: so many
 * were, also after an error. Others stay as they are, also one whose header is whole and another's.
 * -ENOENT, -EBADMSG: meta is missing or damaged. -EWOULDBLOCK: somebody writes it. Errors of the
 * disk. */
int journal_mend_headers(struct os *os, const char *path, unsigned *out_count);
/* Damage before position, where a frame begins or all end: *out_bytes were passed over, and whole
 * segments before position's, if one of them was damaged, are removed; 0: there was none. -EBADMSG:
 * what is there cannot be mended so. Other errors as journal_check. */
int journal_mend_before(struct os *os, const char *path, uint64_t position, uint64_t *out_bytes);
/* Ends the journal before the first damage at or behind position (of the caller, as above; or 0).
 * The report tells its end and what was cut. -EINVAL: it is not damaged there, or only a tail is
 * torn, which journal_open cuts. -EBADMSG: as above. */
int journal_mend_cut(struct os *os, const char *path, uint64_t position,
                     struct journal_report *out_report);
#endif
