/* check_checkpoint.c - the newest checkpoint file, read through. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "server/check/check.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_reader.h"

struct counts {
    uint64_t strings, lists, streams;
};

static int read_through(struct checkpoint_reader *reader, struct counts *counts)
{
    struct checkpoint_record record;
    int rc;

    while ((rc = checkpoint_reader_next(reader, &record)) == 1) {
        counts->strings += record.kind == CHECKPOINT_STRING;
        counts->lists += record.kind == CHECKPOINT_LIST;
        counts->streams += record.kind == CHECKPOINT_STREAM;
    }
    return rc;
}

static int read_file(struct check *check)
{
    char error[CHECKPOINT_ERROR_BYTES] = "";
    struct checkpoint_reader *reader;
    struct counts counts = { 0 };
    int rc = checkpoint_reader_open(os_real(), check->checkpoint_path, error, &reader);

    if (rc == 0) {
        check->knows_position = true;
        rc = read_through(reader, &counts);
        check->log_position = checkpoint_reader_head(reader)->log_position;
        check->has_checkpoint = rc == 0;
        checkpoint_reader_close(reader);
    }
    if (rc == -ENOMEM) return rc;
    if (rc < 0)
        check_damage(check, "checkpoint: %s. No server starts on that: restore a backup",
                     error[0] ? error : strerror(-rc));
    else
        check_tell(check, "checkpoint: %s is whole: %llu strings, %llu lists, %llu streams",
                   check->checkpoint_path, (unsigned long long)counts.strings,
                   (unsigned long long)counts.lists, (unsigned long long)counts.streams);
    return 0;
}

int check_checkpoint(struct check *check)
{
    uint64_t number;
    int rc = checkpoint_files_newest(os_real(), check->directory, &number);

    if (rc < 0) {
        check_error(check, "%s: %s", check->directory, strerror(-rc));
        return 0;
    }
    if (number == 0) {
        check->knows_position = true;
        check_tell(check, "checkpoint: there is none");
        return 0;
    }
    check->checkpoint_path = checkpoint_files_path(check->directory, number, false);
    return check->checkpoint_path ? read_file(check) : -ENOMEM;
}
