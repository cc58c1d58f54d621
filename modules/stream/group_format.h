/* group_format.h - what the bytes of a picture mean (group.h). Everything is little-endian; records
 * follow each other without gaps.
 *
 *   head      | u32 version | u32 groups |
 *   group     | u64 ms | u64 seq of the last delivered | i64 entries read | u64 release number |
 *             | u32 name bytes | u32 consumers | u64 pending | name |
 *             and its consumers, in order of their names; and what is pending, by id
 *   consumer  | u64 seen ms | u64 active ms | u32 name bytes | name |
 *   pending   | u64 ms | u64 seq | u64 since | u64 delivery count | u32 consumer |
 *             consumer: its place in that order, or all ones: nobody's. since: group_internal.h
 */
#ifndef MODULES_STREAM_GROUP_FORMAT_H
#define MODULES_STREAM_GROUP_FORMAT_H

enum {
    GROUP_PICTURE_VERSION = 1,
    GROUP_PICTURE_HEAD_BYTES = 8,
    GROUP_PICTURE_GROUP_BYTES = 48,
    GROUP_PICTURE_CONSUMER_BYTES = 20,
    GROUP_PICTURE_PENDING_BYTES = 36,
    GROUP_PICTURE_NAME_MAX = 512 * 1024 * 1024, /* no request is larger */
};
#endif
