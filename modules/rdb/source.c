#include "modules/rdb/source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/rdb/manifest.h"

enum { PROGRESS_BYTES = 1 << 20, CHECKED_BYTES_MAX = 65536 /* kept, of what is only looked at */ };

static int fail(struct rdb_source *source, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct rdb_source *source, int rc, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(source->error, sizeof(source->error), format, list);
    va_end(list);
    return rc;
}

static const char *reason(int rc)
{
    return rc == -ESPIPE ? "it is no regular file" : strerror(-rc);
}

/* ---- finding -----------------------------------------------------------------------------------
 */

static char *join(const char *directory, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static int add_file(struct rdb_source *source, char *path)
{
    struct rdb_source_file *files;

    if (!path) return -ENOMEM;
    files = realloc(source->files, (source->file_count + 1) * sizeof(*files));
    if (!files) {
        free(path);
        return -ENOMEM;
    }
    source->files = files;
    files[source->file_count++] = (struct rdb_source_file){ .path = path };
    return 0;
}

static int read_text(struct rdb_source *source, const char *path, char **out_text, size_t *out_size)
{
    struct rdb_input input;
    int rc = rdb_input_open(source->os, path, &input);
    char *text;

    if (rc < 0) return fail(source, rc, "%s: %s", path, reason(rc));
    if (input.size_bytes > MANIFEST_BYTES_MAX) {
        rdb_input_close(&input);
        return fail(source, -EBADMSG, "%s is too long for a manifest", path);
    }
    *out_size = (size_t)input.size_bytes;
    text = malloc(*out_size + 1);
    rc = text ? rdb_input_read(&input, text, *out_size) : -ENOMEM;
    if (rc < 0) {
        (void)fail(source, rc, "%s: %s", path, text ? rdb_input_error(&input) : strerror(-rc));
        free(text);
    } else {
        *out_text = text;
    }
    rdb_input_close(&input);
    return rc;
}

static int add_parts(struct rdb_source *source, const char *directory, const char *path)
{
    char error[MANIFEST_ERROR_BYTES], *text = NULL;
    struct manifest manifest;
    size_t size = 0;
    int rc = read_text(source, path, &text, &size);

    if (rc < 0) return rc;
    rc = manifest_parse(slice_of(text, size), &manifest, error);
    free(text);
    if (rc < 0) return fail(source, rc, "%s: %s", path, error[0] ? error : strerror(-rc));
    for (unsigned i = 0; i < manifest.count && rc == 0; i++)
        rc = add_file(source, join(directory, manifest.names[i]));
    manifest_finish(&manifest);
    return rc;
}

static bool is_manifest(const char *name)
{
    static const char suffix[] = ".manifest";
    size_t size = strlen(name), suffix_size = sizeof(suffix) - 1;

    return size > suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

/* What a directory holds that could be meant. */
struct finds {
    char *manifest, *file; /* paths */
    unsigned count;
    bool has_parts_directory, is_parts;
    const char *directory;
};

static int look_at_name(void *context, const char *name)
{
    struct finds *finds = context;
    char **path = is_manifest(name) ? &finds->manifest : &finds->file;

    if (finds->is_parts && !is_manifest(name)) return 0;
    if (strcmp(name, "appendonlydir") == 0) finds->has_parts_directory = true;
    if (!is_manifest(name) && strcmp(name, "appendonly.aof") != 0 && strcmp(name, "dump.rdb") != 0)
        return 0;
    finds->count++;
    if (*path) return 0; /* more than one of a kind: the count refuses them */
    *path = join(finds->directory, name);
    return *path ? 0 : -ENOMEM;
}

static int add_directory(struct rdb_source *source, const char *directory, bool is_parts);

static int take_find(struct rdb_source *source, struct finds *finds)
{
    char *parts;
    int rc;

    if (finds->count + finds->has_parts_directory > 1)
        return fail(source, -EEXIST,
                    "%s holds more than one of a manifest, appendonlydir, appendonly.aof and "
                    "dump.rdb: name the one that counts",
                    finds->directory);
    if (finds->manifest) return add_parts(source, finds->directory, finds->manifest);
    if (finds->file) {
        rc = add_file(source, finds->file);
        finds->file = NULL;
        return rc;
    }
    if (!finds->has_parts_directory)
        return fail(source, -ENOENT,
                    "%s holds neither a manifest nor appendonlydir, appendonly.aof or dump.rdb",
                    finds->directory);
    parts = join(finds->directory, "appendonlydir");
    rc = parts ? add_directory(source, parts, true) : -ENOMEM;
    free(parts);
    return rc;
}

/* -ENOTDIR: it is none. is_parts: of an appendonlydir only the manifest counts. */
static int add_directory(struct rdb_source *source, const char *directory, bool is_parts)
{
    struct finds finds = { .directory = directory, .is_parts = is_parts };
    int rc = source->os->list(source->os, directory, look_at_name, &finds);

    if (rc == 0)
        rc = take_find(source, &finds);
    else if (rc != -ENOTDIR)
        (void)fail(source, rc, "%s: %s", directory, strerror(-rc));
    free(finds.manifest);
    free(finds.file);
    return rc;
}

static int add_manifest(struct rdb_source *source, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    int rc = directory ? add_parts(source, directory, path) : -ENOMEM;

    free(directory);
    return rc;
}

int rdb_source_find(struct os *os, const char *path, struct rdb_source *out_source)
{
    int rc;

    *out_source = (struct rdb_source){ .os = os };
    rc = add_directory(out_source, path, false);
    if (rc == -ENOTDIR)
        rc =
            is_manifest(path) ? add_manifest(out_source, path) : add_file(out_source, strdup(path));
    if (rc < 0 && out_source->error[0] == '\0')
        (void)fail(out_source, rc, "%s: %s", path, strerror(-rc));
    return rc;
}

void rdb_source_finish(struct rdb_source *source)
{
    for (unsigned i = 0; i < source->file_count; i++)
        free(source->files[i].path);
    free(source->files);
    source->files = NULL;
    source->file_count = 0;
}

/* ---- a pass ------------------------------------------------------------------------------------
 */

struct pass {
    struct rdb_source *source;
    const struct rdb_source_visitor *visitor;
    void *context;
    struct rdb_input input;
    uint64_t bytes_before; /* of the files before */
    uint64_t told;
};

/* Of an input. */
static int tell_progress(void *context, const struct rdb_input *input)
{
    struct pass *pass = context;
    uint64_t bytes = pass->bytes_before + input->position;

    if (!pass->visitor->progress || bytes - pass->told < PROGRESS_BYTES) return 0;
    pass->told = bytes;
    return pass->visitor->progress(pass->context, bytes);
}

/* A file alone that is only an RDB may be followed by anything, as for Redis; commands behind one
 * are an append-only file's. */
static int read_input(struct pass *pass, struct aof_end *out_end)
{
    struct rdb_input *input = &pass->input;
    int rc = rdb_looks_like(input), next;

    *out_end = (struct aof_end){ 0 };
    if (rc < 0) return rc;
    if (rc == 1) {
        rc = rdb_read(input, &pass->visitor->rdb, pass->context);
        if (rc < 0) return rc;
        next = rdb_input_peek(input);
        if (next < 0) return next == -ENODATA ? 0 : next;
        if (next != '*' && next != '#') return 0;
    }
    return aof_read(input, &pass->visitor->aof, pass->context, out_end);
}

static int read_file(struct pass *pass, struct rdb_source_file *file, bool is_check)
{
    struct rdb_source *source = pass->source;
    struct rdb_input *input = &pass->input;
    struct aof_end end = { 0 };
    int rc = rdb_input_open(source->os, file->path, input);

    if (rc < 0) return fail(source, rc, "%s: %s", file->path, reason(rc));
    input->on_read = tell_progress;
    input->context = pass;
    if (!is_check && input->size_bytes < file->end)
        rc = rdb_input_fail(input, -EBADMSG, "the file became shorter");
    else if (!is_check)
        rdb_input_cut(input, file->end);
    if (rc == 0) rc = read_input(pass, &end);
    if (rc < 0 && source->error[0] == '\0')
        (void)fail(source, rc, "%s: %s", file->path,
                   input->error[0] ? rdb_input_error(input) : strerror(-rc));
    if (rc == 0 && is_check) {
        source->command_count += end.command_count;
        file->size_bytes = input->size_bytes;
        file->end = end.is_torn ? end.position : input->size_bytes;
    }
    pass->bytes_before += input->size_bytes;
    rdb_input_close(input);
    return rc;
}

/* ---- checking and reading ----------------------------------------------------------------------
 */

/* Elements are looked at, so that a damaged packed list is found before anything was taken. */
static int want_readable(void *context, const struct rdb_key *key)
{
    (void)context;
    return key->kind == RDB_STRING || key->kind == RDB_LIST || key->kind == RDB_STREAM;
}

static int pass_over_part(void *context, struct slice part, uint64_t offset, uint64_t size)
{
    (void)context;
    (void)part;
    (void)offset;
    (void)size;
    return 0;
}

static int pass_over_end(void *context)
{
    (void)context;
    return 0;
}

static int pass_over_long_command(void *context, struct slice name)
{
    (void)context;
    (void)name;
    return 0;
}

static int pass_over_command(void *context, struct slice *arguments, uint32_t argument_count)
{
    (void)context;
    (void)arguments;
    (void)argument_count;
    return 0;
}

int rdb_source_check(struct rdb_source *source, int (*progress)(void *context, uint64_t bytes),
                     void *context)
{
    struct rdb_source_visitor visitor = {
        .rdb = { .key = want_readable,
                 .part = pass_over_part,
                 .value_end = pass_over_end,
                 .name_bytes_max = CHECKED_BYTES_MAX,
                 .pending_bytes_max = source->pending_bytes_max },
        .aof = { .command = pass_over_command,
                 .long_command = pass_over_long_command,
                 .command_bytes_max = CHECKED_BYTES_MAX },
        .progress = progress,
    };
    struct pass pass = { .source = source, .visitor = &visitor, .context = context };

    source->error[0] = '\0';
    source->size_bytes = 0;
    source->torn_bytes = 0;
    source->command_count = 0;
    for (unsigned i = 0; i < source->file_count; i++) {
        struct rdb_source_file *file = &source->files[i];
        int rc = read_file(&pass, file, true);

        if (rc < 0) return rc;
        if (file->end < file->size_bytes && i + 1 < source->file_count)
            return fail(source, -EBADMSG,
                        "%s: at byte %llu: its end is torn, and only the last file's may be",
                        file->path, (unsigned long long)file->end);
        source->size_bytes += file->size_bytes;
        source->torn_bytes = file->size_bytes - file->end;
    }
    return 0;
}

int rdb_source_read(struct rdb_source *source, const struct rdb_source_visitor *visitor,
                    void *context)
{
    struct pass pass = { .source = source, .visitor = visitor, .context = context };
    int rc = 0;

    source->error[0] = '\0';
    for (unsigned i = 0; i < source->file_count && rc >= 0; i++)
        rc = read_file(&pass, &source->files[i], false);
    return rc < 0 ? rc : 0;
}
