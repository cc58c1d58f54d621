#include "server/types/stream_settings.h"

#include <errno.h>
#include <string.h>

#include "modules/base/endian.h"
#include "modules/journal/journal.h"

enum { IMAGE_VERSION = 2, VALUES_AT = 8, WITHOUT_CODEC_VERSION = 1 };

bool stream_settings_are_default(const struct stream_settings *settings)
{
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        if (settings->has[i]) return false;
    }
    return true;
}

void stream_settings_image_write(const struct stream_settings *settings,
                                 uint8_t image[STREAM_SETTINGS_IMAGE_BYTES])
{
    uint16_t has = 0;

    memset(image, 0, STREAM_SETTINGS_IMAGE_BYTES);
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        if (!settings->has[i]) continue;
        has |= (uint16_t)(1u << i);
        store_u64le(image + VALUES_AT + 8 * i, settings->values[i]);
    }
    store_u16le(image, IMAGE_VERSION);
    store_u16le(image + 2, has);
}

static bool is_value(unsigned setting, bool is_there, uint64_t value)
{
    if (!is_there) return value == 0;
    return setting == RETENTION_COMPRESS ? value <= JOURNAL_CODEC_ZSTD : value <= INT64_MAX;
}

int stream_settings_image_load(struct slice image, struct stream_settings *out_settings)
{
    struct stream_settings settings = { .values = { 0 } };
    unsigned count = RETENTION_SETTINGS;
    uint16_t has, version;

    if (image.size < 2) return -EBADMSG;
    version = load_u16le(image.bytes);
    if (version == WITHOUT_CODEC_VERSION) count = RETENTION_LIMITS;
    if (version != IMAGE_VERSION && version != WITHOUT_CODEC_VERSION) return -EPROTONOSUPPORT;
    if (image.size != VALUES_AT + 8 * count || load_u32le(image.bytes + 4) != 0) return -EBADMSG;
    has = load_u16le(image.bytes + 2);
    if (has >> count != 0) return -EBADMSG;
    for (unsigned i = 0; i < count; i++) {
        settings.has[i] = has >> i & 1;
        settings.values[i] = load_u64le(image.bytes + VALUES_AT + 8 * i);
        if (!is_value(i, settings.has[i], settings.values[i])) return -EBADMSG;
    }
    *out_settings = settings;
    return 0;
}
