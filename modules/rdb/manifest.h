/* manifest.h - which files make up an append-only file in parts (Redis 7 and later).
 *
 * A line a file: file NAME seq NUMBER type b|i|h. One base at most, then increments by rising
 * number; history is what Redis is about to remove. Pure functions; any thread. */
#ifndef MODULES_RDB_MANIFEST_H
#define MODULES_RDB_MANIFEST_H
#include "modules/base/slice.h"

enum { MANIFEST_BYTES_MAX = 1 << 20, MANIFEST_ERROR_BYTES = 128 };

struct manifest {
    char **names; /* to be read in this order, the base first; in the manifest's directory */
    unsigned count;
};

/* 0; -ENOMEM; -EBADMSG: error (of MANIFEST_ERROR_BYTES) tells the line and what is wrong. A name
 * that leads out of the directory is refused. */
int manifest_parse(struct slice text, struct manifest *out_manifest, char *error);
void manifest_finish(struct manifest *manifest);
#endif
