#include "server/config/limits.h"
#include "modules/base/number.h"
#include "modules/base/os.h"
#include "server/config/config_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES_MAX = 4096 };

/* True: *out_text, to be freed, is all of root + path. */
static bool read_below(struct os *os, const char *root, const char *path, char **out_text)
{
    char full[PATH_BYTES_MAX];
    size_t size;
    int length = snprintf(full, sizeof(full), "%s%s", root, path);

    return length > 0 && (size_t)length < sizeof(full) &&
           config_read_file(os, full, out_text, &size) == 0;
}

/* The number that text begins with; UINT64_MAX for "max" and everything else that is none. */
static uint64_t leading_number(const char *text)
{
    uint64_t number;

    if (!number_parse_uint64(slice_of(text, strspn(text, "0123456789")), &number))
        return UINT64_MAX;
    return number;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* MemTotal of /proc/meminfo; UINT64_MAX: not found. */
static uint64_t installed_memory(struct os *os, const char *root)
{
    static const char key[] = "MemTotal:";
    uint64_t kilobytes = UINT64_MAX;
    char *text = NULL, *line;

    if (!read_below(os, root, "/proc/meminfo", &text)) return UINT64_MAX;
    line = strstr(text, key);
    if (line) {
        line += sizeof(key) - 1;
        kilobytes = leading_number(line + strspn(line, " \t"));
    }
    free(text);
    return kilobytes > UINT64_MAX / 1024 ? UINT64_MAX : kilobytes * 1024;
}

/* The least limit of the group at path and of those around it, up to mount itself. */
static uint64_t group_limit(struct os *os, const char *root, const char *mount, const char *file,
                            char *path)
{
    uint64_t limit = UINT64_MAX;

    for (;;) {
        char name[PATH_BYTES_MAX];
        int length = snprintf(name, sizeof(name), "%s%s/%s", mount, path, file);
        char *slash = strrchr(path, '/'), *text = NULL;

        /* Inside a container the path of the group may not be there, but what is above it is. */
        if (length > 0 && (size_t)length < sizeof(name) && read_below(os, root, name, &text))
            limit = least(limit, leading_number(text));
        free(text);
        if (!slash) return limit;
        *slash = 0;
    }
}

static bool controls_memory(const char *controllers, size_t size)
{
    while (size > 0) {
        const char *comma = memchr(controllers, ',', size);
        size_t length = comma ? (size_t)(comma - controllers) : size;

        if (slice_equal(slice_of(controllers, length), SLICE_LITERAL("memory"))) return true;
        length += comma ? 1 : 0;
        controllers += length;
        size -= length;
    }
    return false;
}

/* /proc/self/cgroup has lines "number:controllers:path"; version 2 has number 0 and no controllers.
 */
static uint64_t cgroup_memory(struct os *os, const char *root)
{
    uint64_t limit = UINT64_MAX;
    char *text = NULL, *rest, *line;

    if (!read_below(os, root, "/proc/self/cgroup", &text)) return UINT64_MAX;
    rest = text;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *controllers = strchr(line, ':'), *path;

        if (!controllers) continue;
        controllers++;
        path = strchr(controllers, ':');
        if (!path) continue;
        path++;
        if (strncmp(line, "0::", 3) == 0)
            limit = least(limit, group_limit(os, root, "/sys/fs/cgroup", "memory.max", path));
        else if (controls_memory(controllers, (size_t)(path - 1 - controllers)))
            limit = least(limit, group_limit(os, root, "/sys/fs/cgroup/memory",
                                             "memory.limit_in_bytes", path));
    }
    free(text);
    return limit;
}

uint64_t limits_machine_memory(struct os *os, const char *root)
{
    uint64_t bytes = least(installed_memory(os, root), cgroup_memory(os, root));

    return bytes == UINT64_MAX ? 0 : bytes;
}

uint64_t limits_maxmemory(const struct config *config, uint64_t machine_memory_bytes)
{
    uint64_t quarter = machine_memory_bytes / 4;

    if (config->maxmemory_bytes > 0) return config->maxmemory_bytes;
    return quarter > LIMITS_MAXMEMORY_LEAST_BYTES ? quarter : LIMITS_MAXMEMORY_LEAST_BYTES;
}

int limits_maxdisk(const struct config *config, struct os *os, uint64_t taken_bytes,
                   uint64_t *out_bytes)
{
    uint64_t free_bytes;
    int rc;

    if (config->maxdisk_bytes > 0) {
        *out_bytes = config->maxdisk_bytes;
        return 0;
    }
    rc = os->free_bytes(os, config->dir, &free_bytes);
    if (rc < 0) return rc;
    *out_bytes = (free_bytes + taken_bytes) / 5 * 4;
    return 0;
}

uint64_t limits_net_buffer(const struct config *config, uint64_t maxmemory_bytes)
{
    uint64_t share = maxmemory_bytes / 16;

    if (config->net_buffer_memory_bytes > 0) return config->net_buffer_memory_bytes;
    if (share < LIMITS_NET_BUFFER_LEAST_BYTES) return LIMITS_NET_BUFFER_LEAST_BYTES;
    return least(share, LIMITS_NET_BUFFER_MOST_BYTES);
}

uint64_t limits_clients(const struct config *config, uint64_t maxmemory_bytes)
{
    const struct config_share *share = &config->maxmemory_clients;
    uint64_t bytes = share->percent ? maxmemory_bytes / 100 * share->percent : share->bytes;

    if (bytes == 0) return 0;
    return bytes < LIMITS_CLIENTS_LEAST_BYTES ? LIMITS_CLIENTS_LEAST_BYTES : bytes;
}
