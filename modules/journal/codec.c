#include "modules/journal/codec.h"

#include <assert.h>
#include <errno.h>
#include <lz4.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { ZSTD_LEVEL = 3 };

bool journal_codec_is_known(uint32_t codec)
{
    return codec <= JOURNAL_CODEC_ZSTD;
}

static int zstd_error(size_t result)
{
    return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

ssize_t journal_codec_pack(enum journal_codec codec, struct slice bytes, uint8_t *out)
{
    size_t room = bytes.size > 0 ? bytes.size - 1 : 0, result;

    assert(bytes.size <= LZ4_MAX_INPUT_SIZE);
    switch (codec) {
    case JOURNAL_CODEC_NONE:
        return 0;
    case JOURNAL_CODEC_LZ4: /* 0 also when it has no room */
        return LZ4_compress_default((const char *)bytes.bytes, (char *)out, (int)bytes.size,
                                    (int)room);
    case JOURNAL_CODEC_ZSTD:
        result = ZSTD_compress(out, room, bytes.bytes, bytes.size, ZSTD_LEVEL);
        if (!ZSTD_isError(result)) return (ssize_t)result;
        return zstd_error(result) == -ENOMEM ? -ENOMEM : 0;
    }
    return 0;
}

int journal_codec_unpack(enum journal_codec codec, struct slice bytes, uint8_t *out,
                         size_t out_size)
{
    size_t result;
    int size;

    switch (codec) {
    case JOURNAL_CODEC_NONE:
        return -EBADMSG;
    case JOURNAL_CODEC_LZ4:
        size = LZ4_decompress_safe((const char *)bytes.bytes, (char *)out, (int)bytes.size,
                                   (int)out_size);
        return size >= 0 && (size_t)size == out_size ? 0 : -EBADMSG;
    case JOURNAL_CODEC_ZSTD:
        result = ZSTD_decompress(out, out_size, bytes.bytes, bytes.size);
        if (ZSTD_isError(result)) return zstd_error(result);
        return result == out_size ? 0 : -EBADMSG;
    }
    return -EBADMSG;
}
