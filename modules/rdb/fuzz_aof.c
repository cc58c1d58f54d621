/* Bytes that pretend to be an append-only file, or (first byte odd) a manifest. What is read up to
 * the end that is told is the same when it is read again up to there, and then nothing is torn. */
#include <stdlib.h>
#include <string.h>

#include "modules/rdb/aof.h"
#include "modules/rdb/crc64.h"
#include "modules/rdb/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t commands, sum;
};

static int on_command(void *context, struct slice *arguments, uint32_t argument_count)
{
    struct seen *seen = context;

    if (argument_count == 0) abort();
    seen->commands++;
    for (uint32_t i = 0; i < argument_count; i++)
        seen->sum = crc64(seen->sum + i, arguments[i].bytes, arguments[i].size);
    return 0;
}

static int read_once(const uint8_t *bytes, size_t size, struct seen *out_seen,
                     struct aof_end *out_end)
{
    static const struct aof_visitor visitor = { .command = on_command };
    struct rdb_input input;
    int rc;

    *out_seen = (struct seen){ 0 };
    rdb_input_of_bytes(slice_of(bytes, size), &input);
    rc = aof_read(&input, &visitor, out_seen, out_end);
    if ((rc < 0) != (rdb_input_error(&input)[0] != '\0')) abort();
    rdb_input_close(&input);
    return rc;
}

static void read_manifest(const uint8_t *bytes, size_t size)
{
    char error[MANIFEST_ERROR_BYTES];
    struct manifest manifest;

    if (manifest_parse(slice_of(bytes, size), &manifest, error) < 0) {
        if (error[0] == '\0') abort();
        return;
    }
    for (unsigned i = 0; i < manifest.count; i++) {
        if (manifest.names[i][0] == '\0' || strchr(manifest.names[i], '/')) abort();
    }
    manifest_finish(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen, again;
    struct aof_end end, end_again;

    if (size < 1) return 0;
    if (data[0] & 1) {
        read_manifest(data + 1, size - 1);
        return 0;
    }
    data++;
    size--;
    if (read_once(data, size, &seen, &end) < 0) return 0;
    if (end.position > size || end.is_torn != (end.position < size)) abort();
    if (seen.commands != end.command_count) abort();
    if (read_once(data, (size_t)end.position, &again, &end_again) < 0) abort();
    if (end_again.is_torn || end_again.position != end.position) abort();
    if (!end.is_torn && memcmp(&seen, &again, sizeof(seen)) != 0) abort();
    return 0;
}
