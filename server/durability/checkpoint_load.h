/* checkpoint_load.h - from the newest checkpoint file back to keys and lists.
 *
 * Opening reads the whole file through once and believes nothing before that; then the store is
 * opened with what the file says of it, and steps make the keys. Nothing of the lists is read. Loop
 * thread; waits for the disk. */
#ifndef SERVER_DURABILITY_CHECKPOINT_LOAD_H
#define SERVER_DURABILITY_CHECKPOINT_LOAD_H
#include "modules/base/slice.h"
#include "server/durability/checkpoint_format.h"

struct checkpoint_load;
struct keyspace;
struct os;
struct spill_store;
struct stream_group_store;
struct stream_store;

/* 1: the newest file of directory is whole. 0: there is none. Negative: it is not to be used, and
 * checkpoint_load_error of *out_load, which is there unless memory is not, says why in words. */
int checkpoint_load_open(struct os *os, const char *directory, struct checkpoint_load **out_load);
void checkpoint_load_close(struct checkpoint_load *load); /* accepts NULL */
const struct checkpoint_head *checkpoint_load_head(const struct checkpoint_load *load);
/* What spill_store_open is to be given. Good until the load is closed. */
struct slice checkpoint_load_state(const struct checkpoint_load *load);

/* What keys are made in. */
struct checkpoint_target {
    struct keyspace *keyspace;
    struct spill_store *lists;
    struct stream_store *streams;
    struct stream_group_store *groups;
};

/* Makes keys for about limit_us. 1: there is more. 0: that was all. Negative: as above. The
 * keyspace had no keys before the first step, and its time to live must not remove any between. */
int checkpoint_load_step(struct checkpoint_load *load, const struct checkpoint_target *target,
                         uint64_t limit_us);
const char *checkpoint_load_error(const struct checkpoint_load *load);

struct checkpoint_load_progress {
    uint64_t key_count, total_key_count;
    uint64_t loaded_bytes, total_bytes; /* of the file */
};
void checkpoint_load_get_progress(const struct checkpoint_load *load,
                                  struct checkpoint_load_progress *out_progress);
#endif
