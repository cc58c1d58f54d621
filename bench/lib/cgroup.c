#include "bench/lib/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bench/lib/guard.h"
#include "bench/lib/process.h"

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written;

    if (fd < 0) return false;
    written = write(fd, text, strlen(text));
    close(fd);
    return written == (ssize_t)strlen(text);
}

static bool find_mount(const char *controller, char *out_path, size_t path_bytes)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent *entry;
    bool is_found = false;

    if (!mounts) return false;
    while (!is_found && (entry = getmntent(mounts))) {
        if (strcmp(entry->mnt_type, "cgroup") != 0 || !hasmntopt(entry, controller)) continue;
        is_found = (size_t)snprintf(out_path, path_bytes, "%s", entry->mnt_dir) < path_bytes;
    }
    endmntent(mounts);
    return is_found;
}

/* A mount of our own, for systems that left the controller unmounted. Where version 2 holds it,
 * this fails, and the measurement says so. It is left there: unmounting a hierarchy under others'
 * feet is worse than a mount point more. */
static bool mount_controller(const char *controller, char *out_path, size_t path_bytes)
{
    snprintf(out_path, path_bytes, "/run/sluice-bench-%s", controller);
    if (mkdir(out_path, 0700) < 0 && errno != EEXIST) return false;
    if (mount("cgroup", out_path, "cgroup", 0, controller) == 0) return true;
    fprintf(stderr, "cannot mount the %s controller: %s\n", controller, strerror(errno));
    (void)rmdir(out_path);
    return false;
}

static bool make_directory(const char *controller, char *out_path, size_t path_bytes)
{
    static unsigned made;
    char root[150];
    int length;

    if (!find_mount(controller, root, sizeof(root)) &&
        !mount_controller(controller, root, sizeof(root)))
        return false;
    length = snprintf(out_path, path_bytes, "%s/sluice-bench-%d-%u", root, (int)getpid(), made++);
    if ((size_t)length < path_bytes && mkdir(out_path, 0700) == 0) {
        guard_note_cgroup(out_path);
        return true;
    }
    fprintf(stderr, "cannot make %s: %s\n", out_path, strerror(errno));
    out_path[0] = '\0';
    return false;
}

static bool set_file(const char *directory, const char *file, const char *text)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", directory, file);
    if (write_text(path, text)) return true;
    fprintf(stderr, "cannot write %s to %s: %s\n", text, path, strerror(errno));
    return false;
}

/* The throttle knows whole disks, a file lies on a partition of one. */
static bool disk_of(const char *directory, char *out_device, size_t device_bytes)
{
    struct stat info;
    char path[100];
    char *text;
    int length;

    if (stat(directory, &info) < 0 || major(info.st_dev) == 0) return false;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(info.st_dev),
             minor(info.st_dev));
    if (access(path, F_OK) != 0) {
        length =
            snprintf(out_device, device_bytes, "%u:%u", major(info.st_dev), minor(info.st_dev));
        return (size_t)length < device_bytes;
    }
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(info.st_dev),
             minor(info.st_dev));
    text = file_text(path);
    if (!text) return false;
    text[strcspn(text, "\n")] = '\0';
    length = snprintf(out_device, device_bytes, "%s", text);
    free(text);
    return (size_t)length < device_bytes;
}

static bool limit_memory(struct cgroup *cgroup, uint64_t memory_bytes)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, memory_bytes);
    return make_directory("memory", cgroup->memory, sizeof(cgroup->memory)) &&
           set_file(cgroup->memory, "memory.limit_in_bytes", text);
}

static bool throttle_disk(struct cgroup *cgroup, uint64_t throttle_bytes, const char *directory)
{
    char device[32], text[80];

    if (!disk_of(directory, device, sizeof(device))) {
        fprintf(stderr, "%s lies on no block device\n", directory);
        return false;
    }
    snprintf(text, sizeof(text), "%s %" PRIu64, device, throttle_bytes);
    return make_directory("blkio", cgroup->block, sizeof(cgroup->block)) &&
           set_file(cgroup->block, "blkio.throttle.write_bps_device", text) &&
           set_file(cgroup->block, "blkio.throttle.read_bps_device", text);
}

bool cgroup_create(struct cgroup *cgroup, uint64_t memory_bytes, uint64_t throttle_bytes,
                   const char *directory)
{
    *cgroup = (struct cgroup){ .memory = "" };
    if ((memory_bytes == 0 || limit_memory(cgroup, memory_bytes)) &&
        (throttle_bytes == 0 || throttle_disk(cgroup, throttle_bytes, directory)))
        return true;
    cgroup_remove(cgroup);
    printf("cgroup: not available here; what follows is not limited by one\n");
    return false;
}

static void enter_directory(const char *directory)
{
    char path[300], text[16];

    if (!directory[0]) return;
    snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    if (!write_text(path, text)) bench_fail_errno("cannot enter %s", directory);
}

void cgroup_enter(const struct cgroup *cgroup)
{
    enter_directory(cgroup->memory);
    enter_directory(cgroup->block);
}

static void remove_directory(char *directory)
{
    if (!directory[0]) return;
    /* Busy for a moment after the last member was reaped; the guard tries longer at the end. */
    for (int attempt = 0; attempt < 50; attempt++) {
        if (rmdir(directory) == 0) {
            guard_forget_cgroup(directory);
            break;
        }
        sleep_ms(10);
    }
    directory[0] = '\0';
}

void cgroup_remove(struct cgroup *cgroup)
{
    remove_directory(cgroup->memory);
    remove_directory(cgroup->block);
}
