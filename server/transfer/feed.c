#include "server/transfer/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/transfer/command_text.h"

enum { GATHERED_BYTES = 65536, TAKEN_BYTES = 16384 };

struct feed {
    int fd, cancel_fd; /* an eventfd: readable for good once canceled */
    uint64_t sent;     /* commands begun */
    size_t used;
    struct replies replies;
    uint8_t bytes[GATHERED_BYTES];
};

int feed_create(int fd, struct feed **out_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    int rc = -ENOMEM;

    if (!feed) goto fail;
    feed->fd = fd;
    feed->cancel_fd = eventfd(0, EFD_CLOEXEC);
    if (feed->cancel_fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        rc = -errno;
        goto fail;
    }
    *out_feed = feed;
    return 0;
fail:
    if (feed)
        feed_destroy(feed);
    else
        (void)close(fd);
    return rc;
}

void feed_destroy(struct feed *feed)
{
    if (!feed) return;
    (void)close(feed->fd); /* what was not answered is nobody's any more */
    if (feed->cancel_fd >= 0) (void)close(feed->cancel_fd);
    free(feed);
}

void feed_cancel(struct feed *feed)
{
    (void)eventfd_write(feed->cancel_fd, 1); /* cannot fail but by a full counter */
}

const struct replies *feed_replies(const struct feed *feed)
{
    return &feed->replies;
}

/* ---- the socket --------------------------------------------------------------------------------
 */

static int take_replies(struct feed *feed)
{
    uint8_t bytes[TAKEN_BYTES];
    ssize_t size;
    int rc;

    do
        size = recv(feed->fd, bytes, sizeof(bytes), 0);
    while (size < 0 && errno == EINTR);
    if (size == 0) return -EPIPE;
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -EPIPE;
    rc = replies_take(&feed->replies, slice_of(bytes, (size_t)size));
    if (rc == 0 && feed->replies.refusal[0] != '\0') rc = -EPERM;
    return rc;
}

/* Waits until something can go on. Replies are taken whenever there are some: a server whose
 * replies nobody takes stops reading. */
static int wait_for_socket(struct feed *feed, bool has_output)
{
    struct pollfd fds[2] = {
        { .fd = feed->fd, .events = (short)(POLLIN | (has_output ? POLLOUT : 0)) },
        { .fd = feed->cancel_fd, .events = POLLIN },
    };

    if (poll(fds, 2, -1) < 0) return errno == EINTR ? 0 : -errno;
    if (fds[1].revents) return -ECANCELED;
    return fds[0].revents & ~POLLOUT ? take_replies(feed) : 0;
}

static int send_bytes(struct feed *feed, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(feed->fd, bytes, size, MSG_NOSIGNAL);
        int rc = 0;

        if (sent >= 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            rc = wait_for_socket(feed, true);
        } else if (errno != EINTR) {
            rc = -EPIPE;
        }
        if (rc < 0) return rc;
    }
    return 0;
}

static int flush(struct feed *feed)
{
    size_t size = feed->used;
    int rc;

    feed->used = 0;
    rc = send_bytes(feed, feed->bytes, size);
    return rc < 0 ? rc : take_replies(feed);
}

/* ---- commands ----------------------------------------------------------------------------------
 */

int feed_part(struct feed *feed, struct slice part)
{
    if (part.size > GATHERED_BYTES - feed->used) {
        int rc = flush(feed);
        if (rc < 0) return rc;
    }
    if (part.size > GATHERED_BYTES) return send_bytes(feed, part.bytes, part.size);
    if (part.size > 0) memcpy(feed->bytes + feed->used, part.bytes, part.size);
    feed->used += part.size;
    return 0;
}

int feed_begin(struct feed *feed, uint64_t argument_count)
{
    char head[COMMAND_TEXT_HEAD_BYTES];

    feed->sent++;
    return feed_part(feed, slice_of(head, command_text_count(head, argument_count)));
}

int feed_argument_begin(struct feed *feed, uint64_t size)
{
    char head[COMMAND_TEXT_HEAD_BYTES];

    return feed_part(feed, slice_of(head, command_text_argument(head, size)));
}

int feed_argument_end(struct feed *feed)
{
    return feed_part(feed, COMMAND_TEXT_END);
}

int feed_argument(struct feed *feed, struct slice argument)
{
    int rc = feed_argument_begin(feed, argument.size);

    if (rc == 0) rc = feed_part(feed, argument);
    return rc < 0 ? rc : feed_argument_end(feed);
}

int feed_wait(struct feed *feed)
{
    int rc = flush(feed);

    while (rc == 0 && feed->replies.count < feed->sent)
        rc = wait_for_socket(feed, false);
    return rc;
}
