/* test_checkpoint_crash.h - a crash is a copy of the directory at any moment; what is loaded from
 * the copy must be what there was when the checkpoint in it was begun. */
#ifndef SERVER_DURABILITY_TEST_CHECKPOINT_CRASH_H
#define SERVER_DURABILITY_TEST_CHECKPOINT_CRASH_H
#include "server/durability/test_checkpoint_run.h"

#include <fcntl.h>

static inline void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0600);
    ssize_t size;
    ck_assert(in >= 0 && out >= 0);
    while ((size = read(in, buffer, sizeof(buffer))) > 0)
        ck_assert_int_eq(write(out, buffer, (size_t)size), size);
    ck_assert_int_eq(size, 0);
    (void)close(in);
    (void)close(out);
}

static inline void copy_directory(const char *from, const char *to)
{
    char source[PATH_BYTES], target[PATH_BYTES];
    struct dirent *entry;
    DIR *dir = opendir(from);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        ck_assert_int_lt(snprintf(source, PATH_BYTES, "%s/%s", from, entry->d_name), PATH_BYTES);
        ck_assert_int_lt(snprintf(target, PATH_BYTES, "%s/%s", to, entry->d_name), PATH_BYTES);
        if (entry->d_type == DT_REG) copy_file(source, target);
        if (entry->d_type != DT_DIR || strncmp(entry->d_name, "stream-", 7) != 0) continue;
        ck_assert_int_eq(mkdir(target, 0700), 0);
        copy_directory(source, target);
    }
    (void)closedir(dir);
}

static inline void expect_contents(const struct contents *got, const struct contents *want)
{
    const struct entry *a, *b;
    unsigned d, i;
    if (!find_difference(got, want, &d, &i)) return;
    a = &got->entries[d][i];
    b = &want->entries[d][i];
    ck_abort_msg("database %u key %u: there %d kind %d size %llu, not %d %d %llu", d, i,
                 a->is_there, (int)a->kind, (unsigned long long)a->size, b->is_there, (int)b->kind,
                 (unsigned long long)b->size);
}

/* Makes a copy of all that the directory holds, and loads it, as a start after a crash would. As
 * load(); drop_copy in any case. */
static inline int load_copy(struct parts *copy, struct checkpoint_head *out_head,
                            char out_why[CHECKPOINT_ERROR_BYTES])
{
    name_directory(copy);
    copy_directory(fixture.own.directory, copy->directory);
    copy_directory(fixture.own.spill, copy->spill);
    return load(copy, out_head, out_why);
}

static inline void drop_copy(const struct parts *copy)
{
    struct parts parts = *copy;

    unload(&parts);
    remove_directory(copy);
}

/* What would be there after a crash now. */
static inline void expect_after_crash(void)
{
    static struct contents got;
    char why[CHECKPOINT_ERROR_BYTES];
    struct checkpoint_info info;
    struct checkpoint_head head;
    struct parts copy;
    int rc = load_copy(&copy, &head, why);
    ck_assert_msg(rc == 1, "%d: %s", rc, rc < 0 ? why : "nothing is there");
    checkpoint_get_info(fixture.checkpoint, &info);
    read_contents(&copy, &got);
    expect_contents(&got, head.number == info.number ? &fixture.last : &fixture.next);
    drop_copy(&copy);
}
#endif
