/* test_oplog_room_fixture.h - commands that ask for room first, on a disk that may be full. */
#ifndef SERVER_DURABILITY_TEST_OPLOG_ROOM_FIXTURE_H
#define SERVER_DURABILITY_TEST_OPLOG_ROOM_FIXTURE_H
#include "server/durability/test_oplog_fixture.h"

enum { MANY = 200000, BYTES = 1000, TURN_US = 10000 };

/* As a command does: room first, waiting for it, then the frame. */
static inline int write_command(bool adds)
{
    for (int tries = 0; tries < 1000; tries++) {
        int rc = oplog_reserve(fixture.oplog, BYTES, adds);

        if (rc == 0) {
            append();
            return 0;
        }
        if (rc != -EAGAIN) return rc;
        (void)commit();
        settle();
        fixture.now_us += TURN_US;
    }
    ck_abort_msg("room neither came nor was refused");
    return -EIO;
}

static inline int fill(bool adds, uint64_t *out_count)
{
    int rc = 0;

    for (*out_count = 0; *out_count < MANY; ++*out_count) {
        rc = write_command(adds);
        if (rc < 0) break;
    }
    return rc;
}

static inline void turn(void)
{
    (void)commit();
    settle();
    fixture.now_us += TURN_US;
}
#endif
