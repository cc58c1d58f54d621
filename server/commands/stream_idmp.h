/* stream_idmp.h - XADD IDMP and IDMPAUTO: what a producer sends twice is added once. */
#ifndef SERVER_COMMANDS_STREAM_IDMP_H
#define SERVER_COMMANDS_STREAM_IDMP_H
#include "modules/stream/stream_id.h"
#include "server/commands/command.h"

struct value;

enum { STREAM_IDMP_HASH_BYTES = 16 };

/* What an XADD says of its producer; zeroed: nothing. */
struct stream_idmp {
    struct slice producer; /* bytes NULL: it does not say who adds it */
    struct slice iid;      /* as it was given, or in hash */
    bool is_automatic;
    uint32_t word_index, word_count; /* where it stands among the arguments */
    uint8_t hash[STREAM_IDMP_HASH_BYTES];
};

/* Parses the option at *index when it is one of these two: 1, and *index is at its last argument.
 * 0: it is none. -1: an error was answered. */
int stream_idmp_parse(struct call *call, uint32_t *index, struct stream_idmp *idmp);
/* Names the entry by what is in it, where its producer does not: the arguments from first on are
 * fields, in whatever order. */
void stream_idmp_settle(const struct call *call, uint32_t first, struct stream_idmp *idmp);
/* 1: it was added before, and got *out_id. 0: it was not. */
int stream_idmp_find(struct call *call, struct value *value, const struct stream_idmp *idmp,
                     struct stream_id *out_id);
/* It is about to be added with that id; what is known already stays. The caller recounts the value.
 * -ENOMEM: nothing has changed. The first one of a stream takes over the bounds that are
 * configured; in a replay the default ones, as the log says others. */
int stream_idmp_add(struct call *call, struct value *value, const struct stream_idmp *idmp,
                    struct stream_id id);
/* What is said of the call next adds to value by that producer: when it is the first, and has other
 * bounds than the default ones, an XCFGSET goes before it in the log. In a replay that makes the
 * stream, if there is none. */
void stream_idmp_say_bounds(struct call *call, const struct value *value);
#endif
