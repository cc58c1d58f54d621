#include "server/config/limits.h"
#include "modules/base/fault.h"
#include "server/config/test_fixture.h"
#include <sys/stat.h>

/* A /proc and a /sys below the test's directory. */
static void lay_out(const char *path, const char *text)
{
    char directory[256];

    (void)snprintf(directory, sizeof(directory), "%s/%s", fixture.directory, path);
    for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        ck_assert(mkdir(directory, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    write_file(path, text);
}

static uint64_t machine_memory(void)
{
    return limits_machine_memory(os_real(), fixture.directory);
}

static void lay_out_machine(const char *cgroups)
{
    lay_out("proc/meminfo", "MemFree:  10 kB\nMemTotal:       1048576 kB\nMemX: 5 kB\n");
    if (cgroups) lay_out("proc/self/cgroup", cgroups);
}

START_TEST(without_groups_it_is_what_is_installed)
{
    lay_out_machine(NULL);
    ck_assert_uint_eq(machine_memory(), 1 << 30);
}
END_TEST

START_TEST(nothing_readable_is_0)
{
    ck_assert_uint_eq(machine_memory(), 0);
    lay_out("proc/meminfo", "MemTotal: many\n");
    ck_assert_uint_eq(machine_memory(), 0);
}
END_TEST

START_TEST(a_group_of_version_1_limits)
{
    lay_out_machine("12:pids:/x\n5:cpu,memory:/a/b\n0::/\n");
    lay_out("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_uint_eq(machine_memory(), 1 << 30);
    lay_out("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "268435456\n");
    ck_assert_uint_eq(machine_memory(), 256 << 20);
}
END_TEST

START_TEST(a_group_of_version_2_limits)
{
    lay_out_machine("0::/a/b\n");
    lay_out("sys/fs/cgroup/a/b/memory.max", "max\n");
    ck_assert_uint_eq(machine_memory(), 1 << 30);
    lay_out("sys/fs/cgroup/a/b/memory.max", "134217728\n");
    ck_assert_uint_eq(machine_memory(), 128 << 20);
}
END_TEST

START_TEST(a_group_around_ours_limits_too)
{
    lay_out_machine("0::/a/b\n");
    lay_out("sys/fs/cgroup/a/memory.max", "67108864\n");
    lay_out("sys/fs/cgroup/a/b/memory.max", "134217728\n");
    ck_assert_uint_eq(machine_memory(), 64 << 20);
}
END_TEST

START_TEST(in_a_container_the_root_is_our_group)
{
    lay_out_machine("4:memory:/docker/0123\n");
    lay_out("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
    ck_assert_uint_eq(machine_memory(), 64 << 20);
}
END_TEST

START_TEST(controllers_are_compared_as_words)
{
    lay_out_machine("4:notmemory,memory2:/a\nnonsense\n5:memory\n");
    lay_out("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "67108864\n");
    ck_assert_uint_eq(machine_memory(), 1 << 30);
}
END_TEST

START_TEST(maxmemory_0_is_a_quarter)
{
    ck_assert_uint_eq(limits_maxmemory(fixture.config, (uint64_t)8 << 30), (uint64_t)2 << 30);
    ck_assert_uint_eq(limits_maxmemory(fixture.config, 0), LIMITS_MAXMEMORY_LEAST_BYTES);
    ck_assert_int_eq(load("maxmemory 1mb"), 0);
    ck_assert_uint_eq(limits_maxmemory(fixture.config, (uint64_t)8 << 30), 1 << 20);
}
END_TEST

START_TEST(maxdisk_0_is_most_of_what_is_free)
{
    struct fault *fault = NULL;
    uint64_t bytes = 7, free_bytes = 0;

    ck_assert_int_eq(fault_create(os_real(), &fault), 0);
    ck_assert_int_eq(os_real()->free_bytes(os_real(), fixture.directory, &free_bytes), 0);
    ck_assert_int_eq(limits_maxdisk(fixture.config, fault_os(fault), 0, &bytes), 0);
    ck_assert_uint_gt(bytes, 7);
    /* Others use the disk meanwhile, but not so much of it. */
    ck_assert_int_eq(limits_maxdisk(fixture.config, fault_os(fault), UINT64_C(5) << 50, &bytes), 0);
    ck_assert_uint_ge(bytes, UINT64_C(4) << 50);
    fault_fail(fault, FAULT_FREE_BYTES, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(limits_maxdisk(fixture.config, fault_os(fault), 0, &bytes), -EIO);
    ck_assert_int_eq(load("maxdisk 5gb"), 0);
    ck_assert_int_eq(limits_maxdisk(fixture.config, fault_os(fault), 7, &bytes), 0);
    ck_assert_uint_eq(bytes, (uint64_t)5 << 30);
    fault_destroy(fault);
}
END_TEST

START_TEST(net_buffers_0_is_a_share_of_maxmemory)
{
    ck_assert_uint_eq(limits_net_buffer(fixture.config, 1 << 20), LIMITS_NET_BUFFER_LEAST_BYTES);
    ck_assert_uint_eq(limits_net_buffer(fixture.config, 64 << 20), 4 << 20);
    ck_assert_uint_eq(limits_net_buffer(fixture.config, (uint64_t)64 << 30),
                      LIMITS_NET_BUFFER_MOST_BYTES);
    ck_assert_int_eq(load("net-buffer-memory 3mb"), 0);
    ck_assert_uint_eq(limits_net_buffer(fixture.config, 64 << 20), 3 << 20);
}
END_TEST

START_TEST(clients_may_hold_what_is_said_or_a_share_of_maxmemory)
{
    ck_assert_uint_eq(limits_clients(fixture.config, 64 << 20), 0);
    ck_assert_int_eq(load("maxmemory-clients 3mb"), 0);
    ck_assert_uint_eq(limits_clients(fixture.config, 64 << 20), 3 << 20);
    ck_assert_int_eq(load("maxmemory-clients 5%"), 0);
    ck_assert_uint_eq(limits_clients(fixture.config, 100 << 20), 5 << 20);
    ck_assert_int_eq(load("maxmemory-clients 1"), 0);
    ck_assert_uint_eq(limits_clients(fixture.config, 64 << 20), LIMITS_CLIENTS_LEAST_BYTES);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        without_groups_it_is_what_is_installed,
        nothing_readable_is_0,
        a_group_of_version_1_limits,
        a_group_of_version_2_limits,
        a_group_around_ours_limits_too,
        in_a_container_the_root_is_our_group,
        controllers_are_compared_as_words,
        maxmemory_0_is_a_quarter,
        maxdisk_0_is_most_of_what_is_free,
        net_buffers_0_is_a_share_of_maxmemory,
        clients_may_hold_what_is_said_or_a_share_of_maxmemory,
    };

    return run_tests("config limits", tests, sizeof(tests) / sizeof(tests[0]));
}
