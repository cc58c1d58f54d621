/* stream_settings.h - what a stream was told about itself (SL.STREAM CONFIG): how much of it is
 * kept, and how small. What it was not told, the server's settings say. Pure. */
#ifndef SERVER_TYPES_STREAM_SETTINGS_H
#define SERVER_TYPES_STREAM_SETTINGS_H
#include "server/config/retention.h"

struct stream_settings {
    bool has[RETENTION_SETTINGS]; /* which are the stream's own */
    uint64_t values[RETENTION_SETTINGS];
};

bool stream_settings_are_default(const struct stream_settings *settings);

/* For checkpoints, little-endian:
 *
 *   0         2       4      8       16          24        32      40
 *   +---------+-------+------+-------+-----------+---------+-------+
 *   | version | has   | zero | bytes | age in ms | entries | codec |
 *   +---------+-------+------+-------+-----------+---------+-------+
 *              a bit for each of the four behind it
 *
 * Version 1 had no codec, and 32 bytes. */
enum { STREAM_SETTINGS_IMAGE_BYTES = 40 };
void stream_settings_image_write(const struct stream_settings *settings,
                                 uint8_t image[STREAM_SETTINGS_IMAGE_BYTES]);
/* -EBADMSG: image is damaged. -EPROTONOSUPPORT: made by another version. */
int stream_settings_image_load(struct slice image, struct stream_settings *out_settings);
#endif
