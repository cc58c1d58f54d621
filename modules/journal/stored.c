#include "modules/journal/stored.h"

#include <errno.h>

#include "modules/base/os.h"

static int load_plain(struct journal_stored *stored)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    int rc = stored->os->size(stored->os, stored->fd, &stored->size_bytes);

    if (rc < 0) return rc;
    if (stored->size_bytes < sizeof(bytes)) return -EBADMSG;
    rc = os_read_all(stored->os, stored->fd, bytes, sizeof(bytes), 0);
    if (rc == 0) rc = journal_segment_header_load(bytes, &stored->header);
    if (rc < 0) return rc;
    if (stored->size_bytes > stored->header.capacity) stored->size_bytes = stored->header.capacity;
    return 0;
}

static int load_packed(struct journal_stored *stored, const struct journal_places *places,
                       uint64_t number)
{
    const struct journal_packed_header *header;
    int rc = journal_packed_open(stored->os, stored->fd, places, number, &stored->packed);

    if (rc < 0) return rc;
    stored->fd = -1; /* it is packed's */
    header = journal_packed_header_of(stored->packed);
    stored->header = header->segment;
    stored->size_bytes = header->raw_bytes;
    return 0;
}

int journal_stored_open(struct os *os, const struct journal_places *places, uint64_t number,
                        struct journal_stored *out_stored)
{
    int rc;

    *out_stored = (struct journal_stored){ .os = os, .fd = -1 };
    rc = journal_places_open(os, places, number, &out_stored->place);
    if (rc < 0) return rc;
    out_stored->fd = rc;
    rc = out_stored->place.is_packed ? load_packed(out_stored, places, number)
                                     : load_plain(out_stored);
    if (rc < 0) return rc;
    return out_stored->header.journal == places->journal && out_stored->header.number == number
               ? 0
               : -EBADMSG;
}

void journal_stored_close(struct journal_stored *stored)
{
    journal_packed_close(stored->os, stored->packed);
    stored->packed = NULL;
    if (stored->fd >= 0) (void)stored->os->close(stored->os, stored->fd); /* read only */
    stored->fd = -1;
}

int journal_stored_read(struct journal_stored *stored, uint8_t *bytes, size_t size, uint64_t offset)
{
    if (stored->packed) {
        return journal_packed_read(stored->os, stored->packed, bytes, size, offset);
    }
    return os_read_all(stored->os, stored->fd, bytes, size, offset);
}
