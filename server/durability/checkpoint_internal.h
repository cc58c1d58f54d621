/* checkpoint_internal.h - what the files of checkpointing share.
 *
 *   checkpoint.c       from a request to the end: the next step, and what follows from failures
 *   checkpoint_save.c  a key of the picture becomes a record
 *   checkpoint_save_stream.c   when it is a stream */
#ifndef SERVER_DURABILITY_CHECKPOINT_INTERNAL_H
#define SERVER_DURABILITY_CHECKPOINT_INTERNAL_H
#include "modules/io/io.h"
#include "server/durability/checkpoint.h"
#include "server/durability/checkpoint_writer.h"
#include "server/keyspace/picture.h"

struct checkpoint_kept;

struct checkpoint {
    struct io_job cleaning; /* first: its jobs get it */
    struct checkpoint_options options;
    struct checkpoint_info info;      /* but what is asked of others */
    struct checkpoint_writer *writer; /* while SAVING to WRITING */
    uint64_t last_number;             /* tried */
    uint64_t held_turn;               /* begun_count of the one that is held; 0: none is */
    uint64_t position;                /* P */
    uint64_t changes;                 /* at P */
    int error;                        /* of the one under way: it is to be aborted */
    const char *failed_step;
    bool is_syncing, has_synced; /* the store's file */
    bool has_state;              /* all of it was taken from the store */
    bool is_cleaning;            /* the job is under way */
    int cleaning_rc;
    struct checkpoint_kept *kept_first, **kept_end; /* large groups and producers, in a queue */
    unsigned kept_count;
    uint8_t piece[CHECKPOINT_PIECE];
};

/* ---- checkpoint.c ---- */
/* The one under way cannot be completed. Only the first reason counts. */
void checkpoint_spoil(struct checkpoint *checkpoint, int error, const char *step);

/* ---- checkpoint_save.c ---- */
/* Of a picture: context is the checkpoint. */
void checkpoint_save_key(void *context, const struct pictured_key *key);
void checkpoint_save_stream(struct checkpoint *checkpoint, const struct pictured_key *key);
/* A few pieces of what streams have that was kept for later. True: there are more. */
bool checkpoint_save_kept(struct checkpoint *checkpoint);
void checkpoint_drop_kept(struct checkpoint *checkpoint);
/* Once all keys are there: a piece of what the store needs to be opened again. 1: there may be
 * more; 0: that was all. */
int checkpoint_save_store(struct checkpoint *checkpoint);
#endif
