/* check_heads.c - what can be said of a journal without going through its frames. */
#include "modules/journal/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "modules/journal/meta.h"
#include "modules/journal/stored.h"

static void tell(int rc, const char *what, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    const char *how = rc == -ENOENT            ? "is missing"
                      : rc == -EBADMSG         ? "is damaged"
                      : rc == -EPROTONOSUPPORT ? "was made by another version"
                      : rc == -ENOKEY       ? "names a key file that is missing or may not be read"
                      : rc == -EKEYREJECTED ? "was made with another key"
                                            : "cannot be read";

    (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES, "%s %s", what, how);
}

static int check_segment(struct os *os, const struct journal_places *places, uint64_t number,
                         uint64_t end, uint64_t *packed_bytes, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    char name[JOURNAL_FILE_NAME_BYTES];
    struct journal_stored stored;
    uint64_t needed = journal_segment_of(end) == number ? journal_offset_of(end) : 0;
    int rc;

    *packed_bytes = 0;
    /* Nothing of it counts: who appends makes it anew. */
    if (needed == JOURNAL_SEGMENT_HEADER_BYTES) return 0;
    rc = journal_stored_open(os, places, number, &stored);
    journal_file_name(name, number, rc == 0 && stored.place.is_packed ? "pak" : "log");
    if (rc < 0) {
        tell(rc, name, text);
    } else if (stored.size_bytes < needed) {
        rc = -EBADMSG;
        (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES, "%s ends at %" PRIu64 ", %" PRIu64 " count",
                       name, stored.size_bytes, needed);
    } else if (stored.packed) {
        *packed_bytes = journal_packed_file_bytes(stored.packed);
    }
    journal_stored_close(&stored);
    return rc;
}

int journal_check_heads(struct os *os, const char *path, const uint64_t *starts, size_t count,
                        uint64_t end, uint64_t *packed_bytes, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    struct journal_meta meta;
    int rc = journal_meta_open_reader(os, path, &meta);

    text[0] = '\0';
    if (rc < 0) {
        tell(rc, "meta", text);
        return rc;
    }
    if (meta.places.key_error < 0) {
        rc = meta.places.key_error;
        tell(rc, "meta", text);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = check_segment(os, &meta.places, journal_segment_of(starts[i]), end, &packed_bytes[i],
                           text);
    journal_meta_close(os, &meta);
    return rc;
}
