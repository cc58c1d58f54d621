/* stream_tail.h - what an answer ends with, put together before it is sent, and kept until the
 * entries before it have been.
 *
 * It lies in the heap, not in the buffers for answers: of those nothing may be held by who is not
 * sent it yet, or the others would wait for them. What all answers keep counts in parked calls'
 * memory and has a bound (parking_may_keep). Loop thread only. */
#ifndef SERVER_COMMANDS_STREAM_TAIL_H
#define SERVER_COMMANDS_STREAM_TAIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chain;
struct reply;
struct server;
struct stream_tail_block;

/* Fields are for stream_tail.c only. */
struct stream_tail {
    struct server *server;
    struct stream_tail_block *first, *last;
    struct stream_tail_block *next; /* to be written, from at on; NULL: all of it was */
    size_t at;
    uint64_t text_bytes, heap_bytes; /* of all blocks */
};

/* Empty. server outlives it. */
void stream_tail_begin(struct stream_tail *tail, struct server *server);
/* Gives back what it keeps, and is empty then. */
void stream_tail_drop(struct stream_tail *tail);
/* All of from, which is empty afterwards; to was empty. */
void stream_tail_move(struct stream_tail *to, struct stream_tail *from);

/* Takes all that chain holds behind what was taken, and chain is empty. -ENOMEM; -ENOBUFS: answers
 * keep as much as they may already, and this one more than a little. Then both are as they were. */
int stream_tail_take(struct stream_tail *tail, struct chain *chain);
/* So many bytes of answer were taken. */
uint64_t stream_tail_bytes(const struct stream_tail *tail);
/* False: answers keep more than they may, and this one more than a few bytes: it should not be
 * kept until a client has read what is before it. */
bool stream_tail_may_stay(const struct stream_tail *tail);

/* The next ones of it, at most wanted bytes; returns how many. 0: that was all. */
size_t stream_tail_write(struct stream_tail *tail, struct reply *reply, size_t wanted);
#endif
