/* checkpoint_reader.h - the records of a checkpoint file, one after the other, from the disk.
 *
 * Nothing of a file is trusted: each block's checksum is compared before anything in it is looked
 * at, and no size leads to an allocation before the file is known to be so long. Reading through to
 * the end (checkpoint_reader_next gives 0) means that the whole file is as it was written; who
 * builds something reads it twice, at first only through. Memory: one block.
 *
 * Calls wait for the disk. 0 or more, or -errno: -EBADMSG: damaged; -EPROTONOSUPPORT: of another
 * version; -EIO and others: of the file system. checkpoint_reader_error tells it in words. */
#ifndef SERVER_DURABILITY_CHECKPOINT_READER_H
#define SERVER_DURABILITY_CHECKPOINT_READER_H
#include "server/durability/checkpoint_format.h"

struct checkpoint_reader;
struct os;

enum { CHECKPOINT_ERROR_BYTES = 512 };

/* path is copied. error: room for CHECKPOINT_ERROR_BYTES, which outlives the reader; any call that
 * fails says there what is wrong, in which file, and at which offset. */
int checkpoint_reader_open(struct os *os, const char *path, char *error,
                           struct checkpoint_reader **out_reader);
void checkpoint_reader_close(struct checkpoint_reader *reader); /* accepts NULL */
const struct checkpoint_head *checkpoint_reader_head(const struct checkpoint_reader *reader);
/* Goes back before the first record. */
void checkpoint_reader_rewind(struct checkpoint_reader *reader);

/* 1: the next record; what was not read of the last one is passed over. 0: that was all, and the
 * file is whole. name_size and value_size are less than the file is long. */
int checkpoint_reader_next(struct checkpoint_reader *reader, struct checkpoint_record *out_record);
/* The next bytes of the record's name, which is followed by its value: no more than are left of
 * both (asserted). */
int checkpoint_reader_read(struct checkpoint_reader *reader, void *bytes, size_t size);
/* Says in error that a record makes no sense to who has read it. Returns -EBADMSG. */
int checkpoint_reader_refuse(struct checkpoint_reader *reader, const char *why);

/* For progress: where in the file, and how long that is. */
uint64_t checkpoint_reader_position(const struct checkpoint_reader *reader);
uint64_t checkpoint_reader_size(const struct checkpoint_reader *reader);
#endif
