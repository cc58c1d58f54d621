/* test_stream_mend.h - a store of streams whose syncs fail, what its hook was told, and time that
 * passes until they are mended. */
#ifndef MODULES_STREAM_TEST_STREAM_MEND_H
#define MODULES_STREAM_TEST_STREAM_MEND_H
#include <fcntl.h>

#include "modules/stream/files_internal.h"
#include "modules/stream/test_stream_files.h"

enum { PAUSE_MS = 1000 };

static struct {
    unsigned failed, mended, damaged;
    char text[200];
    uint64_t now_ms;
} seen;

static void note_sync(void *context, const char *path, int error, const char *text)
{
    (void)context;
    seen.failed += error < 0 && error != -EBADMSG;
    seen.mended += error == 0;
    seen.damaged += error == -EBADMSG;
    if (error == -EBADMSG) (void)snprintf(seen.text, sizeof(seen.text), "%s %s", path, text);
}

static inline void setup_mend(void)
{
    setup_files();
    files.hooks.on_sync = note_sync;
    memset(&seen, 0, sizeof(seen));
}

static inline struct stream_trouble trouble(void)
{
    struct stream_trouble now;

    stream_store_get_trouble(store, &now);
    return now;
}

/* Another time has come to mend what could not be. */
static inline void pass_time(void)
{
    seen.now_ms += PAUSE_MS;
    settle_at(seen.now_ms);
}

/* 1: a checkpoint of this stream is complete. */
static inline int save(struct stream *of)
{
    int rc;

    stream_checkpoint_begin(store);
    write_image(of);
    rc = sync_checkpoint();
    stream_checkpoint_end(store, rc == 1);
    return rc;
}

/* A part of a stream's file is as if it had never been written: the kernel has let go of it. */
static inline void lose(unsigned number, const char *name, uint64_t offset)
{
    static const uint8_t zeros[100];
    char path[120];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/stream-%u/%s", files.directory, number, name);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), (off_t)offset), sizeof(zeros));
    close(fd);
}

static inline void lose_page_of(unsigned number, uint64_t offset)
{
    lose(number, "0000000001.log", offset);
}
#endif
