/* Two ways to one result. The portable one looks eight bytes up at a time. The x86-64 one uses the
 * crc32 instruction, which starts every cycle but takes three: so long inputs are cut into three
 * lanes that are computed at once and joined. A checksum is a remainder of polynomials, hence "lane
 * followed by n bytes" is the lane's remainder times x^(8n): one carry-less multiplication. */
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

/* The table entry of a byte is the sum of the entries of its bits, so eight numbers give 256. Row k
 * holds the remainders of a byte that k zero bytes follow. */
#define ENTRY(byte, a, b, c, d, e, f, g, h)                                                        \
    ((((byte)&1) ? (a) : 0) ^ (((byte)&2) ? (b) : 0) ^ (((byte)&4) ? (c) : 0) ^                    \
     (((byte)&8) ? (d) : 0) ^ (((byte)&16) ? (e) : 0) ^ (((byte)&32) ? (f) : 0) ^                  \
     (((byte)&64) ? (g) : 0) ^ (((byte)&128) ? (h) : 0))
#define ENTRIES4(byte, ...)                                                                        \
    ENTRY(byte, __VA_ARGS__), ENTRY((byte) + 1, __VA_ARGS__), ENTRY((byte) + 2, __VA_ARGS__),      \
        ENTRY((byte) + 3, __VA_ARGS__)
#define ENTRIES16(byte, ...)                                                                       \
    ENTRIES4(byte, __VA_ARGS__), ENTRIES4((byte) + 4, __VA_ARGS__),                                \
        ENTRIES4((byte) + 8, __VA_ARGS__), ENTRIES4((byte) + 12, __VA_ARGS__)
#define ENTRIES64(byte, ...)                                                                       \
    ENTRIES16(byte, __VA_ARGS__), ENTRIES16((byte) + 16, __VA_ARGS__),                             \
        ENTRIES16((byte) + 32, __VA_ARGS__), ENTRIES16((byte) + 48, __VA_ARGS__)
#define ROW(...)                                                                                   \
    {                                                                                              \
        ENTRIES64(0, __VA_ARGS__), ENTRIES64(64, __VA_ARGS__), ENTRIES64(128, __VA_ARGS__),        \
            ENTRIES64(192, __VA_ARGS__)                                                            \
    }

static const uint32_t table[8][256] = {
    ROW(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
        0x82f63b78),
    ROW(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
        0xfbc3faf9),
    ROW(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
        0x8b277743),
    ROW(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
        0x52a0c93f),
    ROW(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
        0x6ea2d55c),
    ROW(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
        0x1c08b7d6),
    ROW(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
        0xf56e0ef4),
    ROW(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
        0x34019664),
};

uint32_t crc32c_portable(uint32_t seed, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint32_t crc = ~seed;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word = load_u64le(p) ^ crc;
        crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^ table[5][word >> 16 & 0xff] ^
              table[4][word >> 24 & 0xff] ^ table[3][word >> 32 & 0xff] ^
              table[2][word >> 40 & 0xff] ^ table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
    }
    for (; size > 0; p++, size--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
#define WITH_CRC __attribute__((target("sse4.2,pclmul")))

/* x^(8n - 33) modulo the polynomial, bits reversed: times a remainder, then reduced by the crc32
 * instruction (which itself multiplies by x^32, and the reversed product by x), this shifts by n
 * bytes. */
#define SHIFT_32   0xba4fc28eu
#define SHIFT_64   0x9e4addf8u
#define SHIFT_128  0x0d3b6092u
#define SHIFT_256  0xb9e02b86u
#define SHIFT_1024 0x170076fau
#define SHIFT_2048 0xa51b6135u

WITH_CRC static inline uint64_t shifted(uint32_t crc, uint32_t shift)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)shift), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Takes 3 * lane_bytes bytes in; lane_bytes is a multiple of 8. */
WITH_CRC static inline uint32_t three_lanes(uint32_t crc, const uint8_t *p, size_t lane_bytes,
                                            uint32_t shift_one, uint32_t shift_two)
{
    uint64_t first = crc, second = 0, third = 0;
    for (size_t i = 0; i < lane_bytes; i += 8) {
        first = _mm_crc32_u64(first, load_u64le(p + i));
        second = _mm_crc32_u64(second, load_u64le(p + lane_bytes + i));
        third = _mm_crc32_u64(third, load_u64le(p + 2 * lane_bytes + i));
    }
    return (uint32_t)(shifted((uint32_t)first, shift_two) ^ shifted((uint32_t)second, shift_one) ^
                      third);
}

WITH_CRC static uint32_t crc32c_x86(uint32_t seed, const uint8_t *p, size_t size)
{
    uint32_t crc = ~seed;
    for (; size >= 3 * 1024; p += 3 * 1024, size -= 3 * 1024) {
        crc = three_lanes(crc, p, 1024, SHIFT_1024, SHIFT_2048);
    }
    for (; size >= 3 * 128; p += 3 * 128, size -= 3 * 128) {
        crc = three_lanes(crc, p, 128, SHIFT_128, SHIFT_256);
    }
    for (; size >= 3 * 32; p += 3 * 32, size -= 3 * 32) {
        crc = three_lanes(crc, p, 32, SHIFT_32, SHIFT_64);
    }
    for (; size >= 8; p += 8, size -= 8)
        crc = (uint32_t)_mm_crc32_u64(crc, load_u64le(p));
    /* Each step waits for the one before: as few as there can be. */
    if (size & 4) {
        crc = _mm_crc32_u32(crc, load_u32le(p));
        p += 4;
    }
    if (size & 2) {
        crc = _mm_crc32_u16(crc, load_u16le(p));
        p += 2;
    }
    if (size & 1) crc = _mm_crc32_u8(crc, *p);
    return ~crc;
}
#endif

uint32_t crc32c(uint32_t seed, const void *bytes, size_t size)
{
#if defined(__x86_64__)
    /* Two bits of a word that the C library's start-up code has filled: no cost worth caching. */
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        return crc32c_x86(seed, bytes, size);
    }
#endif
    return crc32c_portable(seed, bytes, size);
}
