/* replies.h - what a server answers (RESP2), counted as it comes in, whatever the pieces.
 *
 * Nothing of a reply is kept but the last one's number and the begin of the first error. One
 * thread. */
#ifndef SERVER_TRANSFER_REPLIES_H
#define SERVER_TRANSFER_REPLIES_H
#include <stdbool.h>

#include "modules/base/slice.h"

enum { REPLIES_DEPTH_MAX = 8, REPLIES_LINE_BYTES = 256 };

/* Zeroed memory is one that has seen nothing. */
struct replies {
    uint64_t count;       /* whole replies */
    uint64_t error_count; /* errors, inside of arrays too */
    uint64_t nil_count;   /* replies that are nothing: $-1 */
    int64_t last_integer; /* of the last reply that is one */
    char first_error[REPLIES_LINE_BYTES];
    char refusal[REPLIES_LINE_BYTES]; /* the first error that says that nothing more will be taken:
                                         OOM, MISCONF, LOADING, NOAUTH; "": none */
    /* the reader's own */
    char line[REPLIES_LINE_BYTES];
    size_t line_size;
    uint64_t bulk_left;               /* bytes of a bulk and its end that are to be passed over */
    uint64_t left[REPLIES_DEPTH_MAX]; /* items of the arrays that are open */
    unsigned depth;
};

/* 0; -EBADMSG: that is no reply. */
int replies_take(struct replies *replies, struct slice bytes);
#endif
