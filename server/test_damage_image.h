/* test_damage_image.h - for test_damage.c: all files of a directory, in memory, to be damaged there
 * and put back. */
#ifndef SERVER_TEST_DAMAGE_IMAGE_H
#define SERVER_TEST_DAMAGE_IMAGE_H
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "modules/base/test_directory.h"

enum { IMAGE_FILES_MAX = 40 };

struct file {
    char name[64]; /* below the directory */
    uint8_t *bytes;
    size_t size, used; /* used: behind the last byte that is not zero */
};

struct image {
    char path[80];
    struct file files[IMAGE_FILES_MAX];
    unsigned file_count;
};

static inline void image_path(const struct image *image, const char *name, char path[PATH_MAX])
{
    ck_assert_int_lt(snprintf(path, PATH_MAX, "%s/%s", image->path, name), PATH_MAX);
}

static inline void image_read_file(struct image *image, const char *name)
{
    struct file *file = &image->files[image->file_count++];
    char path[PATH_MAX];
    struct stat status;
    int fd;

    ck_assert_uint_le(image->file_count, IMAGE_FILES_MAX);
    ck_assert_int_lt(snprintf(file->name, sizeof(file->name), "%s", name), (int)sizeof(file->name));
    image_path(image, name, path);
    fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    file->size = file->used = (size_t)status.st_size;
    file->bytes = malloc(file->size + 1);
    ck_assert_ptr_nonnull(file->bytes);
    ck_assert_int_eq(read(fd, file->bytes, file->size), (ssize_t)file->size);
    while (file->used > 0 && file->bytes[file->used - 1] == 0)
        file->used--;
    ck_assert_int_eq(close(fd), 0);
}

/* below: "" for all. */
static inline void image_read(struct image *image, const char *below)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *directory;

    image_path(image, below, path);
    directory = opendir(path);
    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        char name[300];
        struct stat status;

        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof(name), "%s%s%s", below, *below ? "/" : "", entry->d_name);
        image_path(image, name, path);
        ck_assert_int_eq(stat(path, &status), 0);
        if (S_ISDIR(status.st_mode))
            image_read(image, name);
        else
            image_read_file(image, name);
    }
    closedir(directory);
}

static inline void image_write(const struct image *image, const struct file *file,
                               const uint8_t *bytes, size_t size)
{
    char path[PATH_MAX];
    int fd;

    image_path(image, file->name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);
}

/* As it was, with nothing that a server has added. */
static inline void image_restore(const struct image *image)
{
    char path[PATH_MAX];

    test_directory_remove(image->path);
    ck_assert_int_eq(mkdir(image->path, 0755), 0);
    for (unsigned i = 0; i < image->file_count; i++) {
        const struct file *file = &image->files[i];
        const char *slash = strchr(file->name, '/');

        if (slash) {
            image_path(image, file->name, path);
            *strrchr(path, '/') = '\0';
            (void)mkdir(path, 0700);
        }
        image_write(image, file, file->bytes, file->used);
        image_path(image, file->name, path);
        ck_assert_int_eq(truncate(path, (off_t)file->size), 0);
    }
}

static inline void image_finish(struct image *image)
{
    for (unsigned i = 0; i < image->file_count; i++)
        free(image->files[i].bytes);
}
#endif
