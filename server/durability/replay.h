/* replay.h - the operation log read again, from a position to its end, one command at a time.
 *
 * Made when the log has been opened, so what there is to read does not change meanwhile but by what
 * is appended behind it. Loop thread; waits for the disk. */
#ifndef SERVER_DURABILITY_REPLAY_H
#define SERVER_DURABILITY_REPLAY_H
#include "modules/base/slice.h"

struct os;
struct oplog;
struct replay;

enum { REPLAY_TEXT_BYTES = 512 };

struct replay_options {
    uint64_t position; /* of the first frame to read: a checkpoint's; 0: the log's start */
    /* Does what a command did at that time. Negative: it cannot be done; what it means goes to
     * text. */
    int (*apply)(void *context, int64_t time_ms, unsigned database, struct slice *arguments,
                 uint32_t argument_count, char text[REPLAY_TEXT_BYTES]);
    /* After each frame; for what is due now and then. May be NULL. */
    void (*between)(void *context);
    void *context;
};

/* -ESTALE: the log begins later than position. -EINVAL: no frame begins there. -EBADMSG, -EIO, … */
int replay_open(struct os *os, const struct oplog *oplog, const struct replay_options *options,
                struct replay **out_replay);
void replay_close(struct replay *replay); /* accepts NULL */
/* Goes on for about limit_us, by whole frames. 1: there is more. 0: that was all. Negative: the log
 * cannot be replayed; replay_error says where and why. */
int replay_step(struct replay *replay, uint64_t limit_us);
const char *replay_error(const struct replay *replay);

struct replay_progress {
    uint64_t total_bytes, loaded_bytes; /* of log */
    uint64_t frame_count, command_count;
};
void replay_get_progress(const struct replay *replay, struct replay_progress *out_progress);
#endif
