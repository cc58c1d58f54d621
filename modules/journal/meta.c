/* A journal is made in a file `meta.new`, which gets its name when it is complete and on the
 * device. Whoever makes it holds a lock on it, so that two who make the same journal end up with
 * one. */
#include "modules/journal/meta.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/journal/codec.h"
#include "modules/journal/format.h"

static const uint32_t meta_magic = 0x6d726a53; /* "Sjrm" */
static const uint64_t writer_lock = UINT64_C(1) << 40;
static const uint64_t shared_lock = (UINT64_C(1) << 40) + 1;
static const uint64_t tend_lock = (UINT64_C(1) << 40) + 2;
static const uint64_t slot_locks = UINT64_C(1) << 41;

enum { FLAG_SEVERAL_WRITERS = 1, FLAGS_KNOWN = FLAG_SEVERAL_WRITERS };
enum {
    COOL_PATH_OFFSET = 64,
    COLD_PATH_OFFSET = 1088,
    KEY_PATH_OFFSET = 2112,
    KEY_CHECK_OFFSET = 3136,
    PATH_BYTES = 1024,
};
static_assert((int)JOURNAL_TIER_PATH_BYTES_MAX < (int)PATH_BYTES, "with a zero behind it");
enum { CRC_OFFSET = JOURNAL_PAGE_BYTES - 4, META_BYTES = 2 * JOURNAL_PAGE_BYTES };

char *journal_join_path(const char *path, const char *name)
{
    size_t size = strlen(path) + 1 + strlen(name) + 1;
    char *joined = malloc(size);

    if (joined) (void)snprintf(joined, size, "%s/%s", path, name);
    return joined;
}

static bool path_is_good(const char *path)
{
    size_t size = strlen(path);

    return size > 0 && size <= JOURNAL_TIER_PATH_BYTES_MAX;
}

/* A tier has a path and an age, or neither. */
static bool tier_is_good(const char *path, uint64_t after_ms)
{
    return path ? path_is_good(path) && after_ms > 0 : after_ms == 0;
}

static bool tiers_are_good(const struct journal_settings *settings)
{
    if (!tier_is_good(settings->cool_path, settings->cool_after_ms)) return false;
    if (!tier_is_good(settings->cold_path, settings->cold_after_ms)) return false;
    return !settings->cool_path || !settings->cold_path ||
           settings->cool_after_ms < settings->cold_after_ms;
}

int journal_settings_check(struct journal_settings *settings)
{
    if (settings->roll_bytes == 0) settings->roll_bytes = JOURNAL_ROLL_BYTES_DEFAULT;
    if (settings->roll_bytes < JOURNAL_ROLL_BYTES_MIN ||
        settings->roll_bytes > JOURNAL_ROLL_BYTES_MAX ||
        settings->roll_bytes % JOURNAL_PAGE_BYTES != 0) {
        return -EINVAL;
    }
    if (!journal_codec_is_known(settings->codec) || !tiers_are_good(settings)) return -EINVAL;
    if (settings->key_path && !path_is_good(settings->key_path)) return -EINVAL;
    return 0;
}

/* Makes a path one's own. False: there is no memory for it. */
static bool keep_path(const char **path)
{
    if (!*path) return true;
    *path = strdup(*path);
    return *path != NULL;
}

int journal_settings_keep(struct journal_settings *settings)
{
    bool has_cool = keep_path(&settings->cool_path), has_cold = keep_path(&settings->cold_path);
    bool has_key = keep_path(&settings->key_path);

    if (has_cool && has_cold && has_key) return 0;
    journal_settings_finish(settings);
    return -ENOMEM;
}

void journal_settings_finish(struct journal_settings *settings)
{
    free((char *)settings->cool_path);
    free((char *)settings->cold_path);
    free((char *)settings->key_path);
    settings->cool_path = settings->cold_path = settings->key_path = NULL;
}

static void store_path(uint8_t *page, size_t offset, const char *path)
{
    if (path) memcpy(page + offset, path, strlen(path) + 1);
}

static void store_page(uint8_t *page, const struct journal_meta *meta)
{
    memset(page, 0, JOURNAL_PAGE_BYTES);
    store_u32le(page, meta_magic);
    store_u32le(page + 4, JOURNAL_VERSION);
    store_u64le(page + 8, meta->journal);
    store_u64le(page + 16, meta->created_ms);
    store_u64le(page + 24, meta->settings.roll_bytes);
    store_u64le(page + 32, meta->settings.roll_ms);
    store_u32le(page + 40, meta->settings.has_several_writers ? FLAG_SEVERAL_WRITERS : 0);
    store_u32le(page + 44, meta->settings.codec);
    store_u64le(page + 48, meta->settings.cool_after_ms);
    store_u64le(page + 56, meta->settings.cold_after_ms);
    store_path(page, COOL_PATH_OFFSET, meta->settings.cool_path);
    store_path(page, COLD_PATH_OFFSET, meta->settings.cold_path);
    store_path(page, KEY_PATH_OFFSET, meta->settings.key_path);
    memcpy(page + KEY_CHECK_OFFSET, meta->key_check, JOURNAL_KEY_CHECK_BYTES);
    store_u32le(page + CRC_OFFSET, crc32c(0, page, CRC_OFFSET));
}

/* A view of the page, or NULL. */
static const char *load_path(const uint8_t *page, size_t offset)
{
    const char *path = (const char *)page + offset;

    return path[0] != '\0' && memchr(path, 0, PATH_BYTES) ? path : NULL;
}

static int load_page(const uint8_t *page, struct journal_meta *meta)
{
    if (load_u32le(page) != meta_magic) return -EBADMSG;
    if (load_u32le(page + 4) != JOURNAL_VERSION) return -EPROTONOSUPPORT;
    if (load_u32le(page + CRC_OFFSET) != crc32c(0, page, CRC_OFFSET)) return -EBADMSG;
    meta->journal = load_u64le(page + 8);
    meta->created_ms = load_u64le(page + 16);
    meta->settings.roll_bytes = load_u64le(page + 24);
    meta->settings.roll_ms = load_u64le(page + 32);
    if ((load_u32le(page + 40) & ~(uint32_t)FLAGS_KNOWN) != 0) return -EBADMSG;
    meta->settings.has_several_writers = load_u32le(page + 40) & FLAG_SEVERAL_WRITERS;
    if (!journal_codec_is_known(load_u32le(page + 44))) return -EBADMSG;
    meta->settings.codec = (enum journal_codec)load_u32le(page + 44);
    meta->settings.cool_after_ms = load_u64le(page + 48);
    meta->settings.cold_after_ms = load_u64le(page + 56);
    meta->settings.cool_path = load_path(page, COOL_PATH_OFFSET);
    meta->settings.cold_path = load_path(page, COLD_PATH_OFFSET);
    meta->settings.key_path = load_path(page, KEY_PATH_OFFSET);
    memcpy(meta->key_check, page + KEY_CHECK_OFFSET, JOURNAL_KEY_CHECK_BYTES);
    if (journal_settings_check(&meta->settings) < 0) {
        meta->settings.cool_path = meta->settings.cold_path = meta->settings.key_path = NULL;
        return -EBADMSG;
    }
    return journal_settings_keep(&meta->settings);
}

static int open_in(struct os *os, const char *path, const char *name, int flags)
{
    char *file = journal_join_path(path, name);
    int fd = file ? os->open(os, file, flags | O_NOFOLLOW, 0644) : -ENOMEM;

    free(file);
    return fd;
}

static int rename_in(struct os *os, const char *path, const char *from, const char *to)
{
    char *old = journal_join_path(path, from), *new = journal_join_path(path, to);
    int rc = old && new ? os->rename(os, old, new) : -ENOMEM;

    free(old);
    free(new);
    return rc;
}

/* The name of meta survives a loss of power, and the directory's own. Also when it was there: who
 * made it may have been killed before. */
static int sync_names(struct os *os, const char *path)
{
    int rc = os->fsync_directory(os, path);
    char *parent;

    if (rc < 0) return rc;
    parent = journal_join_path(path, "..");
    rc = parent ? os->fsync_directory(os, parent) : -ENOMEM;
    free(parent);
    return rc;
}

int journal_meta_sync(struct os *os, const char *path, int fd)
{
    int rc = os->fsync(os, fd);

    return rc < 0 ? rc : sync_names(os, path);
}

int journal_meta_renew(struct os *os, const char *path, const struct journal_meta *meta)
{
    uint8_t page[JOURNAL_PAGE_BYTES];
    int rc;

    store_page(page, meta);
    rc = os_write_all(os, meta->fd, page, sizeof(page), 0);
    return rc < 0 ? rc : journal_meta_sync(os, path, meta->fd);
}

static int write_meta(struct os *os, int fd, const struct journal_meta *meta)
{
    uint8_t bytes[META_BYTES] = { 0 };

    store_page(bytes, meta);
    if (meta->live) memcpy(bytes + JOURNAL_PAGE_BYTES, meta->live, sizeof(*meta->live));
    return os_write_all(os, fd, bytes, sizeof(bytes), 0);
}

/* A journal that has lost its meta is not made anew over its frames. */
static int refuse_segments(struct os *os, const char *path)
{
    struct journal_settings none = { 0 };
    struct journal_places places;
    struct journal_survey survey;
    int rc = journal_places_init(&places, path, 0, &none);

    if (rc < 0) return rc;
    rc = journal_places_survey(os, &places, &survey);
    journal_places_finish(&places);
    if (rc < 0) return rc;
    return survey.last > 0 ? -EBADMSG : 0;
}

/* The key that the settings name, and what tells it from others. 0 also when they name none. */
static int load_key(struct os *os, const char *path, const struct journal_settings *settings,
                    uint64_t journal, uint8_t check[JOURNAL_KEY_CHECK_BYTES],
                    struct journal_key **out_key)
{
    char *file;
    int rc;

    *out_key = NULL;
    if (!settings->key_path) return 0;
    file = journal_places_resolve(path, settings->key_path);
    rc = file ? journal_key_load(os, file, out_key) : -ENOMEM;
    free(file);
    return rc < 0 ? rc : journal_key_check(*out_key, journal, check);
}

static int check_key(struct os *os, const char *path, struct journal_meta *meta)
{
    uint8_t check[JOURNAL_KEY_CHECK_BYTES] = { 0 };
    struct journal_key *key;
    int rc = load_key(os, path, &meta->settings, meta->journal, check, &key);

    if (rc == 0 && key && memcmp(check, meta->key_check, sizeof(check)) != 0) rc = -EKEYREJECTED;
    if (rc == 0) {
        meta->places.key = key;
    } else {
        journal_key_destroy(key);
    }
    return rc;
}

/* 0 also when somebody was quicker. */
static int create(struct os *os, const char *path, const struct journal_settings *settings,
                  uint64_t journal, uint64_t now_ms, bool syncs_late, bool *out_is_created)
{
    struct journal_meta meta = { .journal = journal, .settings = *settings, .created_ms = now_ms };
    struct journal_key *key;
    int fd, other, rc = journal_settings_check(&meta.settings);

    if (rc < 0) return rc;
    rc = load_key(os, path, settings, journal, meta.key_check, &key);
    journal_key_destroy(key);
    if (rc < 0) return rc;
    fd = open_in(os, path, "meta.new", O_RDWR | O_CREAT);
    if (fd < 0) return fd;
    rc = os->lock_range(os, fd, 0, 0, OS_LOCK_EXCLUSIVE, true);
    if (rc < 0) goto out;
    other = open_in(os, path, "meta", O_RDWR);
    if (other >= 0) { /* somebody was quicker; what we have locked may even be theirs */
        rc = os->close(os, other);
        goto out;
    }
    rc = other;
    if (rc != -ENOENT) goto out;
    rc = refuse_segments(os, path);
    if (rc == 0) rc = write_meta(os, fd, &meta);
    if (rc == 0 && !syncs_late) rc = os->fsync(os, fd);
    if (rc == 0) rc = rename_in(os, path, "meta.new", "meta");
    *out_is_created = rc == 0;
out:
    (void)os->close(os, fd); /* synced if it is ours */
    return rc;
}

int journal_meta_replace(struct os *os, const char *path, const struct journal_meta *meta)
{
    int fd = open_in(os, path, "meta.new", O_RDWR | O_CREAT), rc;

    assert(!meta->settings.key_path);
    if (fd < 0) return fd;
    rc = os->lock_range(os, fd, 0, 0, OS_LOCK_EXCLUSIVE, false);
    if (rc == 0) rc = write_meta(os, fd, meta);
    if (rc == 0) rc = os->fsync(os, fd);
    if (rc == 0) rc = rename_in(os, path, "meta.new", "meta");
    (void)os->close(os, fd); /* synced, or of no use */
    return rc < 0 ? rc : sync_names(os, path);
}

/* Its thread must not wait for these two pages, however seldom it looks at them. Where the system
 * does not allow it they are in memory now, at least. */
static void pin(struct os *os, const struct journal_meta *meta)
{
    (void)os->pin(os, meta->live, JOURNAL_PAGE_BYTES);
    (void)os->pin(os, meta->waiters, JOURNAL_PAGE_BYTES);
}

static int map_waiters(struct os *os, const char *path, bool is_writer, struct journal_meta *meta)
{
    int rc = 0, fd = open_in(os, path, "waiters", is_writer ? O_RDWR | O_CREAT : O_RDWR);

    if (fd < 0) return is_writer ? fd : 0; /* a reader does without */
    if (is_writer) rc = os->truncate(os, fd, JOURNAL_PAGE_BYTES);
    if (rc == 0) rc = os->allocate(os, fd, 0, JOURNAL_PAGE_BYTES);
    if (rc == -EOPNOTSUPP) rc = 0; /* then a full disk can only hurt who waits */
    if (rc == 0) {
        meta->waiters = os->map(os, fd, JOURNAL_PAGE_BYTES, PROT_READ | PROT_WRITE, 0, &rc);
    }
    (void)os->close(os, fd); /* nothing was written through it */
    if (rc == 0 && is_writer) pin(os, meta);
    return rc;
}

int journal_meta_map(struct os *os, const char *path, int fd, struct journal_live **out_live,
                     struct journal_waiters **out_waiters)
{
    struct journal_meta meta = { .fd = fd };
    int rc;

    meta.live =
        os->map(os, fd, JOURNAL_PAGE_BYTES, PROT_READ | PROT_WRITE, JOURNAL_PAGE_BYTES, &rc);
    if (rc == 0) rc = map_waiters(os, path, true, &meta);
    if (rc < 0) {
        journal_meta_unmap(os, meta.live, meta.waiters);
        return rc;
    }
    *out_live = meta.live;
    *out_waiters = meta.waiters;
    return 0;
}

void journal_meta_unmap(struct os *os, struct journal_live *live, struct journal_waiters *waiters)
{
    /* Nothing was stored that a failure here could lose. */
    if (live) (void)os->unmap(os, live, JOURNAL_PAGE_BYTES);
    if (waiters) (void)os->unmap(os, waiters, JOURNAL_PAGE_BYTES);
}

static int load(struct os *os, const char *path, bool is_writer, struct journal_meta *meta)
{
    uint8_t page[JOURNAL_PAGE_BYTES];
    uint64_t size;
    int rc = os->size(os, meta->fd, &size);

    if (rc < 0) return rc;
    if (size < META_BYTES) return -EBADMSG;
    rc = os_read_all(os, meta->fd, page, sizeof(page), 0);
    if (rc == 0) rc = load_page(page, meta);
    if (rc == 0) rc = journal_places_init(&meta->places, path, meta->journal, &meta->settings);
    if (rc < 0) return rc;
    meta->places.key_error = check_key(os, path, meta);
    if (is_writer && meta->places.key_error < 0) return meta->places.key_error;
    meta->live = os->map(os, meta->fd, JOURNAL_PAGE_BYTES,
                         is_writer ? PROT_READ | PROT_WRITE : PROT_READ, JOURNAL_PAGE_BYTES, &rc);
    return rc < 0 ? rc : map_waiters(os, path, is_writer, meta);
}

/* A descriptor of meta. */
static int open_or_create(struct os *os, const char *path, const struct journal_settings *settings,
                          uint64_t journal, uint64_t now_ms, bool syncs_late, bool *out_is_created)
{
    int fd, rc = os->mkdir(os, path, 0755);

    *out_is_created = false;
    if (rc < 0 && rc != -EEXIST) return rc;
    fd = open_in(os, path, "meta", O_RDWR);
    if (fd == -ENOENT) {
        rc = create(os, path, settings, journal, now_ms, syncs_late, out_is_created);
        if (rc < 0) return rc;
        fd = open_in(os, path, "meta", O_RDWR);
    }
    if (fd < 0 || syncs_late) return fd;
    rc = sync_names(os, path);
    if (rc == 0) return fd;
    (void)os->close(os, fd); /* nothing was written */
    return rc;
}

int journal_meta_open_writer(struct os *os, const char *path,
                             const struct journal_settings *settings, uint64_t journal,
                             uint64_t now_ms, bool syncs_late, struct journal_meta *out_meta,
                             bool *out_is_created)
{
    struct journal_meta meta = { .fd = -1 };
    int rc = open_or_create(os, path, settings, journal, now_ms, syncs_late, out_is_created);

    if (rc < 0) return rc;
    meta.fd = rc;
    rc = os->lock_range(os, meta.fd, writer_lock, 1, OS_LOCK_EXCLUSIVE, false);
    if (rc == 0) rc = load(os, path, true, &meta);
    if (rc == 0 && meta.settings.has_several_writers) rc = -EINVAL;
    if (rc < 0) {
        journal_meta_close(os, &meta);
        return rc;
    }
    *out_meta = meta;
    return 0;
}

int journal_meta_lock(struct os *os, const struct journal_meta *meta)
{
    return os->lock_range(os, meta->fd, shared_lock, 1, OS_LOCK_EXCLUSIVE, true);
}

void journal_meta_unlock(struct os *os, const struct journal_meta *meta)
{
    /* It could only fail for a lock that we do not have. */
    (void)os->lock_range(os, meta->fd, shared_lock, 1, OS_LOCK_NONE, false);
}

int journal_meta_take_tending(struct os *os, const struct journal_meta *meta)
{
    return os->lock_range(os, meta->fd, tend_lock, 1, OS_LOCK_EXCLUSIVE, false);
}

void journal_meta_let_tending(struct os *os, const struct journal_meta *meta)
{
    (void)os->lock_range(os, meta->fd, tend_lock, 1, OS_LOCK_NONE, false);
}

int journal_meta_take_slot(struct os *os, const struct journal_meta *meta, uint32_t slot)
{
    return os->lock_range(os, meta->fd, slot_locks + slot, 1, OS_LOCK_EXCLUSIVE, false);
}

void journal_meta_let_slot(struct os *os, const struct journal_meta *meta, uint32_t slot)
{
    (void)os->lock_range(os, meta->fd, slot_locks + slot, 1, OS_LOCK_NONE, false);
}

static int take_free_slot(struct os *os, const struct journal_meta *meta, uint32_t *out_slot)
{
    int rc = -EUSERS;

    for (uint32_t slot = 0; slot < JOURNAL_WRITERS_MAX; slot++) {
        rc = journal_meta_take_slot(os, meta, slot);
        *out_slot = slot;
        if (rc != -EWOULDBLOCK) return rc;
    }
    return rc == -EWOULDBLOCK ? -EUSERS : rc;
}

int journal_meta_open_shared(struct os *os, const char *path,
                             const struct journal_settings *settings, uint64_t journal,
                             uint64_t now_ms, struct journal_meta *out_meta, uint32_t *out_slot)
{
    struct journal_meta meta = { .fd = -1 };
    bool is_created;
    int rc = open_or_create(os, path, settings, journal, now_ms, false, &is_created);

    if (rc < 0) return rc;
    meta.fd = rc;
    rc = journal_meta_lock(os, &meta);
    if (rc == 0) rc = load(os, path, true, &meta);
    if (rc == 0 && !meta.settings.has_several_writers) rc = -EINVAL;
    if (rc == 0) rc = take_free_slot(os, &meta, out_slot);
    if (rc < 0) {
        journal_meta_close(os, &meta);
        return rc;
    }
    *out_meta = meta;
    return 0;
}

int journal_meta_open_alone(struct os *os, const char *path, struct journal_meta *out_meta)
{
    struct journal_meta meta = { .fd = open_in(os, path, "meta", O_RDWR) };
    int rc;

    if (meta.fd < 0) return meta.fd;
    rc = os->lock_range(os, meta.fd, writer_lock, 0, OS_LOCK_EXCLUSIVE, false); /* and all behind */
    if (rc == 0) rc = load(os, path, false, &meta);
    if (rc < 0) {
        journal_meta_close(os, &meta);
        return rc;
    }
    *out_meta = meta;
    return 0;
}

/* A reader does without a key that is missing or wrong. What else is in the way may not be the next
 * time, so it is no answer for a reader's life. */
static int refuse_passing_error(const struct journal_meta *meta)
{
    int rc = meta->places.key_error;

    return rc == -ENOKEY || rc == -EKEYREJECTED ? 0 : rc;
}

int journal_meta_open_reader(struct os *os, const char *path, struct journal_meta *out_meta)
{
    struct journal_meta meta = { .fd = open_in(os, path, "meta", O_RDONLY) };
    int rc;

    if (meta.fd < 0) return meta.fd;
    rc = load(os, path, false, &meta);
    if (rc == 0) rc = refuse_passing_error(&meta);
    if (rc < 0) {
        journal_meta_close(os, &meta);
        return rc;
    }
    *out_meta = meta;
    return 0;
}

void journal_meta_close(struct os *os, struct journal_meta *meta)
{
    journal_meta_unmap(os, meta->live, meta->waiters);
    if (meta->fd >= 0) (void)os->close(os, meta->fd);
    journal_places_finish(&meta->places);
    journal_settings_finish(&meta->settings);
    *meta = (struct journal_meta){ .fd = -1 };
}

uint64_t journal_boot(struct os *os)
{
    uint8_t text[36];                             /* 3ab1c011-0388-4e0b-9e74-76417390cc17 */
    uint64_t boot = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    int rc, fd = os->open(os, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0);

    if (fd < 0) return 0;
    rc = os_read_all(os, fd, text, sizeof(text), 0);
    (void)os->close(os, fd); /* read only */
    if (rc < 0) return 0;
    for (size_t i = 0; i < sizeof(text); i++)
        boot = (boot ^ text[i]) * UINT64_C(0x100000001b3);
    return boot;
}
