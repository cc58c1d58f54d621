/* test_packed_fixture.h - ziplists and listpacks made by hand, entry by entry.
 *
 * begin_*, entries, then end_*: packed.bytes is a whole one. Numbers are written in the width that
 * is asked for, so that every encoding is met. */
#ifndef MODULES_RDB_TEST_PACKED_FIXTURE_H
#define MODULES_RDB_TEST_PACKED_FIXTURE_H
#include "modules/base/endian.h"

#include <check.h>
#include <stddef.h>
#include <string.h>

enum { PACKED_BYTES_MAX = 1 << 20 };

static struct {
    uint8_t bytes[PACKED_BYTES_MAX];
    size_t size;
    uint32_t count;
    uint32_t last, before; /* ziplist: offset of the last entry, its size */
} packed;

static inline void pack(const void *bytes, size_t size)
{
    ck_assert_uint_le(packed.size + size, PACKED_BYTES_MAX);
    if (size > 0) memcpy(packed.bytes + packed.size, bytes, size);
    packed.size += size;
}

static inline void pack_number(uint64_t value, size_t size)
{
    uint8_t bytes[8];
    store_u64le(bytes, value);
    pack(bytes, size);
}

static inline void pack_byte(unsigned byte)
{
    pack_number(byte, 1);
}

/* ---- listpack ---- */

static inline void begin_listpack(void)
{
    packed.size = 6;
    packed.count = 0;
}

/* What stands behind an entry of size bytes. */
static inline void pack_back(size_t size)
{
    uint8_t bytes[5];
    size_t count = size <= 127 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : 4;

    for (size_t i = count; i > 0; i--) {
        bytes[i - 1] = (uint8_t)((size & 127) | (i > 1 ? 128 : 0));
        size >>= 7;
    }
    pack(bytes, count);
    packed.count++;
}

static inline void listpack_text(const void *text, size_t size)
{
    size_t from = packed.size;

    if (size < 64) {
        pack_byte(0x80 | (unsigned)size);
    } else if (size < 4096) {
        pack_byte(0xe0 | (unsigned)(size >> 8));
        pack_byte(size & 255);
    } else {
        pack_byte(0xf0);
        pack_number(size, 4);
    }
    pack(text, size);
    pack_back(packed.size - from);
}

/* bits: 7, 13, 16, 24, 32 or 64 */
static inline void listpack_integer(int64_t value, unsigned bits)
{
    size_t from = packed.size;

    if (bits == 7) {
        pack_byte((unsigned)value);
    } else if (bits == 13) {
        pack_byte(0xc0 | ((unsigned)value >> 8 & 31));
        pack_byte((unsigned)value & 255);
    } else {
        pack_byte(bits == 64 ? 0xf4 : 0xf1 + (bits - 16) / 8);
        pack_number((uint64_t)value, bits / 8);
    }
    pack_back(packed.size - from);
}

static inline void end_listpack(void)
{
    pack_byte(0xff);
    store_u32le(packed.bytes, (uint32_t)packed.size);
    store_u16le(packed.bytes + 4, packed.count < 65535 ? (uint16_t)packed.count : 65535);
}

/* ---- ziplist ---- */

static inline void begin_ziplist(void)
{
    packed.size = packed.last = 10;
    packed.count = packed.before = 0;
}

static inline void begin_entry(void)
{
    packed.last = (uint32_t)packed.size;
    if (packed.before < 254) {
        pack_byte(packed.before);
    } else {
        pack_byte(254);
        pack_number(packed.before, 4);
    }
}

static inline void end_entry(void)
{
    packed.before = (uint32_t)packed.size - packed.last;
    packed.count++;
}

static inline void ziplist_text(const void *text, size_t size)
{
    begin_entry();
    if (size < 64) {
        pack_byte((unsigned)size);
    } else if (size < 16384) {
        pack_byte(0x40 | (unsigned)(size >> 8));
        pack_byte(size & 255);
    } else {
        pack_byte(0x80);
        for (int shift = 24; shift >= 0; shift -= 8)
            pack_byte((unsigned)(size >> shift) & 255);
    }
    pack(text, size);
    end_entry();
}

/* bits: 4 (0 to 12), 8, 16, 24, 32 or 64 */
static inline void ziplist_integer(int64_t value, unsigned bits)
{
    static const struct {
        unsigned bits, mark;
    } marks[] = { { 8, 0xfe }, { 16, 0xc0 }, { 24, 0xf0 }, { 32, 0xd0 }, { 64, 0xe0 } };

    begin_entry();
    if (bits == 4) pack_byte(0xf1 + (unsigned)value);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (marks[i].bits != bits) continue;
        pack_byte(marks[i].mark);
        pack_number((uint64_t)value, bits / 8);
    }
    end_entry();
}

static inline void end_ziplist(void)
{
    pack_byte(0xff);
    store_u32le(packed.bytes, (uint32_t)packed.size);
    store_u32le(packed.bytes + 4, packed.last);
    store_u16le(packed.bytes + 8, packed.count < 65535 ? (uint16_t)packed.count : 65535);
}
#endif
