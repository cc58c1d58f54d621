/* Reading a journal of this process that may be in memory. Until it moves to a file, the journal's
 * own segment is read; from the first call after that on, the reader is one as any other. */
#include "modules/journal/journal_internal.h"
#include "modules/journal/reader_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/journal/journal.h"

int journal_reader_look_home(struct journal_reader *reader)
{
    const struct journal *home = reader->home;
    int rc;

    if (home->is_in_memory) return 0;
    rc = journal_meta_open_reader(reader->os, reader->path, &reader->meta);
    if (rc < 0) return rc;
    reader->boot = journal_boot(reader->os);
    reader->home = NULL;
    return 0;
}

const struct journal_segment *journal_reader_home_segment(const struct journal_reader *reader)
{
    return reader->home->active;
}

int journal_reader_open_here(struct journal *journal, struct journal_reader **out_reader)
{
    struct journal_reader *reader;

    if (!journal->is_in_memory) return journal_reader_open(journal->os, journal->path, out_reader);
    reader = calloc(1, sizeof(*reader));
    if (!reader) return -ENOMEM;
    reader->os = journal->os;
    reader->home = journal;
    reader->meta.fd = -1;
    reader->name_fd = -1;
    reader->position = journal_segment_start(1);
    reader->path = strdup(journal->path);
    if (!reader->path) {
        free(reader);
        return -ENOMEM;
    }
    *out_reader = reader;
    return 0;
}
