#include "server/durability/checkpoint_copy.h"

#include "modules/base/os.h"

#include <errno.h>
#include <stdlib.h>

struct checkpoint_copy {
    struct os *os;
    int from_fd, to_fd;
    uint32_t from_seed, to_seed;
    uint64_t offset; /* of the next block */
    bool has_end;    /* the block that is the end was copied */
    uint8_t block[CHECKPOINT_BLOCK_HEADER_BYTES + CHECKPOINT_BLOCK_DATA_MAX];
};

static int copy_head(struct checkpoint_copy *copy, uint64_t number)
{
    uint8_t bytes[CHECKPOINT_HEAD_BYTES];
    struct checkpoint_head head;
    uint32_t version;
    int rc = os_read_all(copy->os, copy->from_fd, bytes, sizeof(bytes), 0);

    if (rc == 0) rc = checkpoint_head_read(bytes, &head, &version);
    if (rc == 0 && head.number != number) rc = -EBADMSG;
    if (rc < 0) return rc;
    copy->from_seed = checkpoint_head_seed(bytes);
    head.log_position = 0;
    checkpoint_head_write(&head, bytes);
    copy->to_seed = checkpoint_head_seed(bytes);
    copy->offset = sizeof(bytes);
    return os_write_all(copy->os, copy->to_fd, bytes, sizeof(bytes), 0);
}

int checkpoint_copy_begin(struct os *os, int from_fd, int to_fd, uint64_t number,
                          struct checkpoint_copy **out_copy)
{
    struct checkpoint_copy *copy = calloc(1, sizeof(*copy));
    int rc;

    if (!copy) return -ENOMEM;
    copy->os = os;
    copy->from_fd = from_fd;
    copy->to_fd = to_fd;
    rc = copy_head(copy, number);
    if (rc == 0)
        *out_copy = copy;
    else
        free(copy);
    return rc;
}

static int copy_block(struct checkpoint_copy *copy)
{
    uint8_t *block = copy->block;
    struct checkpoint_block header = { 0 };
    uint64_t data_offset = copy->offset + CHECKPOINT_BLOCK_HEADER_BYTES;
    int rc =
        os_read_all(copy->os, copy->from_fd, block, CHECKPOINT_BLOCK_HEADER_BYTES, copy->offset);

    if (rc == 0) rc = checkpoint_block_read(block, copy->offset, &header);
    if (rc == 0)
        rc = os_read_all(copy->os, copy->from_fd, block + CHECKPOINT_BLOCK_HEADER_BYTES,
                         header.size, data_offset);
    if (rc == 0 && !checkpoint_block_is_whole(block, copy->from_seed)) rc = -EBADMSG;
    if (rc < 0) return rc;
    checkpoint_block_seal(block, header.size, header.kind, copy->offset, copy->to_seed);
    rc = os_write_all(copy->os, copy->to_fd, block, CHECKPOINT_BLOCK_HEADER_BYTES + header.size,
                      copy->offset);
    if (rc < 0) return rc;
    copy->offset = data_offset + header.size;
    copy->has_end = header.kind == CHECKPOINT_BLOCK_END;
    return 0;
}

int checkpoint_copy_step(struct checkpoint_copy *copy, uint64_t bytes_max)
{
    uint64_t first = copy->offset;
    int rc = 0;

    while (rc == 0 && !copy->has_end && copy->offset - first < bytes_max)
        rc = copy_block(copy);
    return rc < 0 ? rc : !copy->has_end;
}

void checkpoint_copy_end(struct checkpoint_copy *copy)
{
    free(copy);
}
