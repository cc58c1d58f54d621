/* stream.h - random commands on lists, the same for the same seed.
 *
 * A few keys hold lists far above a small budget, so that most commands need what is on disk. */
#ifndef CLIENT_TESTS_LIB_STREAM_H
#define CLIENT_TESTS_LIB_STREAM_H
#include "client-tests/lib/random.h"
#include "client-tests/lib/text.h"

enum { STREAM_KEYS = 4, STREAM_WAIT_KEYS = 3 };

struct stream {
    struct random random;
    /* Lengths of the lists "k0"…, as the last look at the reference said: where indexes point. */
    long lengths[STREAM_KEYS];
    long length_wanted; /* lists are kept near it */
};

void stream_init(struct stream *stream, uint64_t seed, long length_wanted);

/* Adds one RPUSH of up to 64 elements that brings list `key` nearer to length_wanted; adjusts
 * lengths[key]. False: it is long enough. */
bool stream_fill(struct stream *stream, int key, struct text *command);

/* A command on lists that does not block, sometimes a wrong one. */
void stream_command(struct stream *stream, struct text *command);

/* A command that blocks while the wait keys ("w0"…) are empty, with timeout 0. */
void stream_blocking(struct stream *stream, struct text *command);

/* A push to wait keys: serves those who wait. */
void stream_serving(struct stream *stream, struct text *command);

/* Commands on the same long list that several clients may send at the same time: whichever comes
 * first, each gets the same reply and the list ends the same. member: which of the burst's commands
 * (its first one walks the list); kind: random, equal for the whole burst. */
void stream_burst(struct stream *stream, int key, int member, unsigned kind, struct text *command);
#endif
