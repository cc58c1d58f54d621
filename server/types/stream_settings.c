#include "server/types/stream_settings.h"

#include <errno.h>
#include <string.h>

#include "modules/base/endian.h"

enum { IMAGE_VERSION = 1, LIMITS_AT = 8 };

bool stream_settings_are_default(const struct stream_settings *settings)
{
    for (unsigned i = 0; i < RETENTION_LIMITS; i++) {
        if (settings->has[i]) return false;
    }
    return true;
}

void stream_settings_image_write(const struct stream_settings *settings,
                                 uint8_t image[STREAM_SETTINGS_IMAGE_BYTES])
{
    uint16_t has = 0;

    memset(image, 0, STREAM_SETTINGS_IMAGE_BYTES);
    for (unsigned i = 0; i < RETENTION_LIMITS; i++) {
        if (!settings->has[i]) continue;
        has |= (uint16_t)(1u << i);
        store_u64le(image + LIMITS_AT + 8 * i, settings->limits[i]);
    }
    store_u16le(image, IMAGE_VERSION);
    store_u16le(image + 2, has);
}

static bool is_limit(bool is_there, uint64_t value)
{
    return is_there ? value <= INT64_MAX : value == 0;
}

int stream_settings_image_load(struct slice image, struct stream_settings *out_settings)
{
    struct stream_settings settings = { .limits = { 0 } };
    uint16_t has;

    if (image.size < 2) return -EBADMSG;
    if (load_u16le(image.bytes) != IMAGE_VERSION) return -EPROTONOSUPPORT;
    if (image.size != STREAM_SETTINGS_IMAGE_BYTES || load_u32le(image.bytes + 4) != 0)
        return -EBADMSG;
    has = load_u16le(image.bytes + 2);
    if (has >> RETENTION_LIMITS != 0) return -EBADMSG;
    for (unsigned i = 0; i < RETENTION_LIMITS; i++) {
        settings.has[i] = has >> i & 1;
        settings.limits[i] = load_u64le(image.bytes + LIMITS_AT + 8 * i);
        if (!is_limit(settings.has[i], settings.limits[i])) return -EBADMSG;
    }
    *out_settings = settings;
    return 0;
}
