/* journal_writer.h - a journal that several threads and processes write.
 *
 * Each has a writer of its own, which belongs to one thread. A frame is claimed, filled and
 * committed; readers (journal_reader.h) see it once all frames before it are complete, and all
 * readers see the same frames in the same order. A writer that dies keeps nobody waiting: what it
 * had claimed is sealed by whoever comes next and skipped by readers. Ids are as the writers say
 * and need not grow; seeking by id expects that they roughly do.
 *
 * Functions return 0 or a negative errno and may wait for the disk when room has to be made. They
 * need a file system that can reserve space. Nothing here logs. */
#ifndef MODULES_JOURNAL_JOURNAL_WRITER_H
#define MODULES_JOURNAL_JOURNAL_WRITER_H
#include "modules/journal/journal.h"

struct journal_writer;

/* Makes the journal if need be, and recovers it (recover.h) if this is the first writer since the
 * machine was started. settings.has_several_writers is set; settings count for a journal that is
 * not there yet. os must outlive the writer. -EUSERS: there are too many. -EOPNOTSUPP: the file
 * system cannot reserve space, or the kernel does not tell one boot from another. Else as
 * journal_open. */
int journal_writer_open(struct os *os, const char *path, const struct journal_settings *settings,
                        struct journal_report *out_report, struct journal_writer **out_writer);
void journal_writer_close(struct journal_writer *writer); /* accepts NULL */

/* Appends a frame of the parts and publishes it unless frames before it are not complete; then
 * whoever completes the last of those does. *out_position is where.
 * -ESTALE: somebody took this writer for dead and sealed the frame; it does not count: append
 * again. -ENOSPC, -EDQUOT, …: no room could be made; nothing has changed. -EMSGSIZE. -EBADMSG:
 * damaged. */
int journal_writer_append(struct journal_writer *writer, uint64_t time_ms, uint64_t seq,
                          const struct slice *parts, size_t part_count, uint64_t *out_position);
/* Publishes what is complete, and seals what dead writers had claimed. For idle moments: appending
 * does it too, but looks for the dead only where it finds the same place blocked a second time. */
int journal_writer_publish(struct journal_writer *writer);
/* Seals the frame that keeps others from being published although its writer lives: it may have
 * been stopped for long. 1: sealed; its writer gets -ESTALE. 0: nothing is kept. */
int journal_writer_seal(struct journal_writer *writer);
/* Brings all that is published to the device, whoever wrote it. An error of the device is final for
 * all writers until the journal is recovered, after the next start of the machine; another one
 * (-EMFILE, -ENOMEM) leaves it to be tried again. */
int journal_writer_sync(struct journal_writer *writer);

/* Does one piece of what is due at that time (ms since 1970) to segments that have ended and are
 * synced: makes an index, packs one, or moves one to another tier, as the settings say. 1: it has.
 * 0: nothing is due, or somebody else is at it. -ENOSPC, -EIO, …: it failed, nothing has changed.
 * For idle moments. */
int journal_writer_tend(struct journal_writer *writer, uint64_t now_ms);
/* Drops the segments all of whose frames lie below position and are synced. -EWOULDBLOCK: somebody
 * is packing or moving one; try again. */
int journal_writer_trim(struct journal_writer *writer, uint64_t position);

uint64_t journal_writer_published(const struct journal_writer *writer);
uint64_t journal_writer_synced(const struct journal_writer *writer);
#endif
