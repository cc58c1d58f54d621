/* memory.h - what the parts of the backend in memory know of each other: memory.c, memory_image.c.
 *
 * Private to modules/stream. */
#ifndef MODULES_STREAM_MEMORY_H
#define MODULES_STREAM_MEMORY_H
#include "modules/stream/blocks.h"

enum {
    /* Of frames, in a block that has more than one. */
    MEMORY_ROOM_MAX = ENTRY_BLOCK_BYTES - sizeof(struct entry_block),
    /* Ordinals between the first and the last frame of one block. */
    MEMORY_SPAN_MAX = 1 << 30,
};

/* As in struct stream_backend. */
uint64_t stream_memory_image_size(const struct stream *stream);
void stream_memory_image_write(const struct stream *stream,
                               void (*put)(void *context, struct slice piece), void *context);
int stream_memory_image_load(struct stream *stream, struct slice image);
#endif
