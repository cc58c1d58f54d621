/* log_frame.h - what a frame of the operation log holds: one command, or those of a transaction.
 *
 *   0      1          2       4       8
 *   +------+----------+-------+-------+-----------------------------------------------+
 *   | kind | database | zeros | count | commands, one behind the other, as clients    |
 *   |      |          |       |       | send them: arrays of bulks, or a line         |
 *   +------+----------+-------+-------+-----------------------------------------------+
 *
 * Little-endian. The commands begin in that database; a SELECT between them leads to another. The
 * frame's time in the journal is when they took effect. Pure functions over their arguments. */
#ifndef SERVER_DURABILITY_LOG_FRAME_H
#define SERVER_DURABILITY_LOG_FRAME_H
#include "modules/base/slice.h"

enum { LOG_FRAME_HEADER_BYTES = 8, LOG_FRAME_COMMANDS = 1 /* the one kind there is */ };

/* Commands on their way into a frame; zeroed: none. */
struct log_frame {
    uint8_t *bytes; /* of the commands, but for what was lent */
    size_t size, capacity;
    uint32_t count;
    unsigned database;      /* in which the first command runs */
    unsigned last_database; /* in which the next one would */
    struct log_frame_loan *loans;
    struct slice *parts; /* room for log_frame_parts */
    size_t loan_count, loan_capacity, lent_bytes;
};

/* Arguments from this size on are lent by log_frame_lend. */
enum { LOG_FRAME_LENT_BYTES_MIN = 4096 };

/* Frees the memory; the frame is empty again. */
void log_frame_finish(struct log_frame *frame);
/* Forgets the commands, keeps the memory unless there is much of it. */
void log_frame_clear(struct log_frame *frame);
/* Adds a command. -ENOMEM: the frame is as before. */
int log_frame_add(struct log_frame *frame, unsigned database, const struct slice *arguments,
                  uint32_t argument_count);
/* The same, but long arguments are not copied: they must stay as they are until the frame is
 * cleared or finished. A transaction of many megabytes would be there twice. */
int log_frame_lend(struct log_frame *frame, unsigned database, const struct slice *arguments,
                   uint32_t argument_count);
/* The same of a command whose last arguments, raw_count of them, are bulk strings already, one
 * behind the other: raw is taken as it is, and lent when it is long. */
int log_frame_lend_raw(struct log_frame *frame, unsigned database, const struct slice *arguments,
                       uint32_t argument_count, struct slice raw, uint32_t raw_count);
/* All that was added, in order; good until the frame changes. The first part is empty: it is the
 * caller's, for the header. */
struct slice *log_frame_parts(struct log_frame *frame, size_t *out_count);

void log_frame_header(uint8_t bytes[LOG_FRAME_HEADER_BYTES], unsigned database, uint32_t count);

/* The way back. */
struct log_frame_reader;
int log_frame_reader_create(struct log_frame_reader **out_reader);
void log_frame_reader_destroy(struct log_frame_reader *reader); /* accepts NULL */
/* Begins with a frame's payload, which must stay good while it is read. -EBADMSG: it is none.
 * -EPROTONOSUPPORT: of a kind that a later version writes. */
int log_frame_reader_begin(struct log_frame_reader *reader, struct slice payload);
/* 1: the next command, in that database; views that are good until the next call. 0: there is no
 * more. -EBADMSG: the frame does not hold what it says. -ENOMEM. */
int log_frame_reader_next(struct log_frame_reader *reader, unsigned *out_database,
                          struct slice **out_arguments, uint32_t *out_argument_count);
#endif
