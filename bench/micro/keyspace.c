/* keyspace - what a key costs: time to add, find, replace and remove it, the longest single call
 * while the table grows and shrinks, and memory a key with a value of 10 bytes.
 *
 *   keyspace [KEYS]     1000000 without */
#include "bench/lib/cost.h"
#include "bench/lib/guard.h"
#include "modules/base/clock.h"
#include "server/keyspace/keyspace.h"
#include "server/types/string.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_BYTES = 10, HOT_KEYS = 1000, TIMED_BATCH = 16, STRIDE = 15485863 /* prime */ };

static struct keyspace *keyspace;
static char *names; /* NAME_BYTES each */

static void make_names(uint64_t count)
{
    names = malloc(count * NAME_BYTES);
    bench_require(names != NULL, "no memory");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t rest = i;
        for (int digit = NAME_BYTES - 1; digit > 0; digit--, rest /= 10)
            names[i * NAME_BYTES + (uint64_t)digit] = (char)('0' + rest % 10);
        names[i * NAME_BYTES] = 'k';
    }
}

static struct slice name_of(uint64_t number)
{
    return slice_of(names + number * NAME_BYTES, NAME_BYTES);
}

/* Pages of our own in memory, from /proc/self/statm: resident without shared. */
static uint64_t own_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    uint64_t size, resident, shared;
    bench_require(
        file && fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64, &size, &resident, &shared) == 3,
        "cannot read /proc/self/statm");
    (void)fclose(file);
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_one(uint64_t number)
{
    struct value *value;
    struct slice name = name_of(number);
    bench_require(string_value_create(slice_of("ten bytes!", 10), &value) == 0, "no memory");
    bench_require(keyspace_add(keyspace, 0, name, value, NULL) == 0, "no memory");
}

static void find_one(uint64_t number)
{
    bench_require(keyspace_find(keyspace, 0, name_of(number)) != NULL, "a key is missing");
}

static void replace_one(uint64_t number)
{
    struct value *value;
    struct key *key = keyspace_find(keyspace, 0, name_of(number));
    bench_require(key && string_value_create(slice_of("ten bytes?", 10), &value) == 0, "no memory");
    keyspace_replace(keyspace, key, value, false);
}

static void expire_one(uint64_t number)
{
    struct key *key = keyspace_find(keyspace, 0, name_of(number));
    bench_require(
        key && keyspace_set_expiry(keyspace, key, (int64_t)(10 + number * 7919 % 100003)) == 0,
        "no memory");
}

static void remove_one(uint64_t number)
{
    struct key *key = keyspace_find(keyspace, 0, name_of(number));
    bench_require(key != NULL, "a key is missing");
    keyspace_remove(keyspace, key);
}

/* Means of the time that passes; the longest batch, which bounds the longest call, in processor
 * time, so that it is ours and not that of whoever else ran. */
static void measure(const char *what, void (*call)(uint64_t number), uint64_t count,
                    uint64_t stride)
{
    uint64_t total = 0, longest = 0, number = 0;
    for (uint64_t done = 0; done < count; done += TIMED_BATCH) {
        uint64_t cpu_start = thread_ns(), start = clock_monotonic_ns(), cpu_taken;
        for (int i = 0; i < TIMED_BATCH; i++) {
            call(number);
            number = (number + stride) % count;
        }
        total += clock_monotonic_ns() - start;
        cpu_taken = thread_ns() - cpu_start;
        if (cpu_taken > longest) longest = cpu_taken;
    }
    printf("%-28s %7.1f ns each   longest %d: %8.1f us\n", what, (double)total / (double)count,
           TIMED_BATCH, (double)longest / 1000);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t before, after;
    struct keyspace_info info;

    bench_require(count >= HOT_KEYS, "too few keys");
    count -= count % TIMED_BATCH;
    bench_require(keyspace_create(16, NULL, &keyspace) == 0, "cannot create");
    keyspace_set_now(keyspace, 1);
    make_names(count);
    before = own_bytes();
    measure("add", add_one, count, 1);
    after = own_bytes();
    keyspace_info(keyspace, &info);
    printf("%-28s %7.1f bytes resident, %.1f counted\n", "memory a key",
           (double)(after - before) / (double)count, (double)info.memory_bytes / (double)count);
    measure("find, same 1000 keys", find_one, HOT_KEYS - HOT_KEYS % TIMED_BATCH, 1);
    measure("find, same 1000 keys, again", find_one, HOT_KEYS - HOT_KEYS % TIMED_BATCH, 1);
    measure("find, all in turn", find_one, count, 1);
    measure("find, far apart", find_one, count, STRIDE);
    measure("replace, far apart", replace_one, count, STRIDE);
    measure("remove", remove_one, count, 1);
    measure("add again", add_one, count, 1);
    measure("give a time to live", expire_one, count, STRIDE);
    keyspace_set_now(keyspace, 200000);
    while (keyspace_expire_due(keyspace, 1000) > 0)
        ;
    bench_require(keyspace_count(keyspace, 0) == 0, "something did not expire");
    keyspace_destroy(keyspace);
    free(names);
    return 0;
}
