/* checkpoint_files.h - the names of checkpoint files in the data directory, and which there are.
 *
 * checkpoint-N is a complete one, checkpoint-N.tmp is being written or was left by a crash. Calls
 * wait for the disk. 0 or -errno. */
#ifndef SERVER_DURABILITY_CHECKPOINT_FILES_H
#define SERVER_DURABILITY_CHECKPOINT_FILES_H
#include <stdbool.h>
#include <stdint.h>

struct os;

/* Allocated; NULL: no memory. */
char *checkpoint_files_path(const char *directory, uint64_t number, bool is_temporary);
/* The greatest number there is; 0: there is none. */
int checkpoint_files_newest(struct os *os, const char *directory, uint64_t *out_number);
/* Removes all of them but that one, temporary ones too, and makes sure that they stay removed.
 * keep_number 0: all. */
int checkpoint_files_remove(struct os *os, const char *directory, uint64_t keep_number);
#endif
