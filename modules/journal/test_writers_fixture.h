/* test_writers_fixture.h - several writers of the fixture's journal, in this process and in others.
 *
 * Frame number n of writer who has the id (n, who) and a payload that both determine. */
#ifndef MODULES_JOURNAL_TEST_WRITERS_FIXTURE_H
#define MODULES_JOURNAL_TEST_WRITERS_FIXTURE_H
#include "modules/journal/journal_writer.h"
#include "modules/journal/test_journal_fixture.h"
#include "modules/journal/writer_internal.h"

/* Of a journal that is not there yet. */
static struct journal_settings settings = { .roll_bytes = JOURNAL_ROLL_BYTES_MIN };

/* NULL: it could not be opened, which is told. */
static inline struct journal_writer *open_writer_through(struct os *os)
{
    struct journal_report report;
    struct journal_writer *writer;
    int rc = journal_writer_open(os, fixture.path, &settings, &report, &writer);

    if (rc < 0) (void)fprintf(stderr, "open: %d %s\n", rc, report.text);
    return rc == 0 ? writer : NULL;
}

static inline struct journal_writer *open_writer(void)
{
    return open_writer_through(os_real());
}

static inline int append_as(struct journal_writer *writer, uint64_t who, uint64_t number)
{
    uint8_t bytes[8192];
    struct slice part = slice_of(bytes, payload_of(number * 100 + who, bytes));
    uint64_t position;

    return journal_writer_append(writer, number, who, &part, 1, &position);
}

static inline void wait_until_stopped(pid_t child)
{
    int status;

    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert_msg(WIFSTOPPED(status), "%x", (unsigned)status);
}
#endif
