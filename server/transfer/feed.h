/* feed.h - a connection into which commands are poured while their replies are counted, as
 * `redis-cli --pipe` does.
 *
 * Commands are gathered and sent in pieces of 64 KiB; nobody waits for a reply unless asked to.
 * Calls wait for the socket. 0 or -errno: -EPIPE: the other side has closed; -EBADMSG: it does not
 * speak RESP; -ECANCELED: feed_cancel; -EPERM: it refused, and will refuse what follows
 * (replies.refusal).
 * After an error the feed is of no use. One thread, but feed_cancel: any. */
#ifndef SERVER_TRANSFER_FEED_H
#define SERVER_TRANSFER_FEED_H
#include "modules/base/slice.h"
#include "server/transfer/replies.h"

struct feed;

/* fd is a connected stream socket; taken over, also when it fails. */
int feed_create(int fd, struct feed **out_feed);
void feed_destroy(struct feed *feed); /* accepts NULL */
/* Whoever waits in a call, now or later, returns with -ECANCELED. */
void feed_cancel(struct feed *feed);

/* A command: its count of arguments, then each of them: whole, or its size and its parts. */
int feed_begin(struct feed *feed, uint64_t argument_count);
int feed_argument(struct feed *feed, struct slice argument);
int feed_argument_begin(struct feed *feed, uint64_t size);
int feed_part(struct feed *feed, struct slice part);
int feed_argument_end(struct feed *feed);
/* Sends what was gathered and waits until all commands were answered. */
int feed_wait(struct feed *feed);

/* Good until the next call. */
const struct replies *feed_replies(const struct feed *feed);
#endif
