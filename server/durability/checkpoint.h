/* checkpoint.h - checkpoints: what the server holds at one position of the log, as a file, made
 * while it works.
 *
 *   request ─▶ WANTED      until nobody is half-way: checkpoint_begin        now is P
 *              SAVING      slices walk over all keys; strings go to the file, lists to the store's
 *              SYNCING     the store's file, streams' journals and the log up to P to the device
 *              WRITING     what the store needs to be opened again; the file gets its name
 *              CLEANING    the log before P, room that only the older checkpoint referred to, and
 *                          older files go
 *
 * When a step fails everything is as if none had been asked for: the older checkpoint stays, with
 * the log from its position on. Loop thread only; only checkpoint_wait and _destroy wait for the
 * disk. */
#ifndef SERVER_DURABILITY_CHECKPOINT_H
#define SERVER_DURABILITY_CHECKPOINT_H
#include <stdbool.h>
#include <stdint.h>

struct checkpoint;
struct io;
struct keyspace;
struct log;
struct os;
struct pool;
struct spill_store;
struct stream_store;

/* The log that goes on from a checkpoint. All NULL: there is none, and positions are 0. */
struct checkpoint_log {
    uint64_t (*position)(void *context); /* of the next frame */
    /* Whether all before position is on the device: 1. 0: not yet; a sync is under way, and when it
     * has ended the loop turns. Negative: it will not come. */
    int (*sync)(void *context, uint64_t position);
    void (*trim)(void *context, uint64_t position); /* what lies before is not needed any more */
    uint64_t (*distance)(void *context, uint64_t position); /* bytes from there to the end */
    void *context;
};

struct checkpoint_options {
    struct os *os;
    struct io *io;
    struct log *log_file;  /* where is told what was done, and why not */
    const char *directory; /* outlives the checkpoint, as all above and below */
    struct keyspace *keyspace;
    struct spill_store *store;
    struct stream_store *streams;
    struct pool *pool; /* counts large strings that changed while they were being written */
    struct checkpoint_log log;
};

enum checkpoint_step {
    CHECKPOINT_IDLE,
    CHECKPOINT_WANTED,
    CHECKPOINT_SAVING,
    CHECKPOINT_SYNCING,
    CHECKPOINT_WRITING,
    CHECKPOINT_CLEANING,
    CHECKPOINT_ABORTING, /* a step has failed */
};

/* As INFO tells them apart. */
enum checkpoint_kind { CHECKPOINT_AS_SAVE, CHECKPOINT_AS_REWRITE, CHECKPOINT_KIND_COUNT };

int checkpoint_create(const struct checkpoint_options *options, struct checkpoint **out_checkpoint);
/* Aborts what is under way. Accepts NULL. */
void checkpoint_destroy(struct checkpoint *checkpoint);

/* Asks for one; one that is under way is of an earlier moment, so another follows it. When
 * checkpoint_info.ended_count has reached the number that is returned, that one has ended. */
uint64_t checkpoint_request(struct checkpoint *checkpoint, enum checkpoint_kind kind);
/* As checkpoint_request, of a rewrite with which a log begins that has none yet: it is the next
 * one, and counts for all who wait then, whatever they asked for. */
uint64_t checkpoint_request_for_log(struct checkpoint *checkpoint);
/* As checkpoint_request, for who copies it: once it has begun, none begins behind it before
 * checkpoint_let_go, so that it stays the last one and its file where it is. One at a time. */
uint64_t checkpoint_request_held(struct checkpoint *checkpoint, enum checkpoint_kind kind);
/* Does nothing when none is held. */
void checkpoint_let_go(struct checkpoint *checkpoint);
/* True: one was asked for and may begin as soon as nothing is half-way. */
bool checkpoint_wants_to_begin(const struct checkpoint *checkpoint);
/* Now is P: no operation has done a part of what it will do, and nobody holds a key of the
 * keyspace. Does nothing when none was asked for, or while a large list that was dropped is taken
 * apart: then it is still wanted in the next turn. */
void checkpoint_begin(struct checkpoint *checkpoint);
/* A slice of what is under way, once a turn, at most so long. True: there is more to do at once. */
bool checkpoint_step(struct checkpoint *checkpoint, uint64_t slice_us);
/* Gives up what is under way or asked for, with that error. */
void checkpoint_abort(struct checkpoint *checkpoint, int error);
/* The log has failed with that error: what is under way is given up, as no log goes on from it. */
void checkpoint_lose_log(struct checkpoint *checkpoint, int error);
/* All that is asked for, while nothing is under way, fails at once: no log could go on from it. */
void checkpoint_refuse(struct checkpoint *checkpoint, int error);
/* Waits until nothing is under way: for a server that does nothing else meanwhile. Nothing may be
 * half-way. 0, or why the last one failed. */
int checkpoint_wait(struct checkpoint *checkpoint);

/* What there is now has come from a checkpoint of that number, which goes on at a position of the
 * log. Before the first is begun, or instead of what there was: nothing is under way. */
void checkpoint_loaded(struct checkpoint *checkpoint, uint64_t number, uint64_t position,
                       uint64_t file_bytes);
/* Another store takes the place of the one that there was; nothing is under way. */
void checkpoint_set_store(struct checkpoint *checkpoint, struct spill_store *store);
void checkpoint_set_streams(struct checkpoint *checkpoint, struct stream_store *streams);

struct checkpoint_info {
    enum checkpoint_step step;
    enum checkpoint_kind kind; /* of the one under way, or the last */
    bool is_both;              /* that one was asked for as the other kind, too */
    bool is_requested[CHECKPOINT_KIND_COUNT];
    enum checkpoint_kind next_kind; /* of those that are requested, the first */
    bool next_is_all;               /* it is all that are requested when it begins */
    uint64_t number, position; /* of the last complete one, or the one that was loaded; 0: none */
    uint64_t complete_counts[CHECKPOINT_KIND_COUNT];
    uint64_t failed_count, failed_in_a_row;
    uint64_t begun_count;
    uint64_t ended_count;    /* complete or failed: who waits for the end of one looks at it */
    int error;               /* of the last one: 0, or why it failed */
    const char *failed_step; /* in words; "" when error is 0 */
    int64_t began_ms;        /* the one under way; since 1970 */
    uint64_t began_us;       /* likewise, by the monotonic clock, which nobody sets */
    int64_t completed_ms;    /* when one last became complete; 0: none has since the start */
    int64_t took_ms[CHECKPOINT_KIND_COUNT]; /* the last of that kind; -1: none */
    int64_t failed_ms;                      /* when one last failed; 0: never */
    bool has_failed[CHECKPOINT_KIND_COUNT]; /* the last of that kind */
    /* Since the last complete one, one has failed of which nobody knows whether a start finds it.
     */
    bool has_strayed;
    uint64_t changes; /* keyspace_info.changes when the last complete one was begun */
    uint64_t keys_saved, keys_total;
    uint64_t file_bytes;    /* of the last complete one */
    uint64_t written_bytes; /* of the one under way */
    uint64_t log_bytes;     /* since the last complete one */
    uint64_t memory_bytes;  /* held for the one under way */
};
void checkpoint_get_info(const struct checkpoint *checkpoint, struct checkpoint_info *out_info);
/* One of that kind is under way, or begins as soon as it may. */
bool checkpoint_is_in_progress(const struct checkpoint_info *info, enum checkpoint_kind kind);
/* One of that kind follows the one that is in progress. */
bool checkpoint_is_scheduled(const struct checkpoint_info *info, enum checkpoint_kind kind);
#endif
