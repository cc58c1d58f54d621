/* endian.h - numbers in stored formats: little-endian, at any address.
 *
 * Our formats are little-endian whatever the machine. Compilers make one instruction of each of
 * these. Pure functions; any thread. */
#ifndef MODULES_BASE_ENDIAN_H
#define MODULES_BASE_ENDIAN_H
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_u16le(const void *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof(value));
    return le16toh(value);
}

static inline uint32_t load_u32le(const void *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return le32toh(value);
}

static inline uint64_t load_u64le(const void *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
}

static inline void store_u16le(void *bytes, uint16_t value)
{
    value = htole16(value);
    memcpy(bytes, &value, sizeof(value));
}

static inline void store_u32le(void *bytes, uint32_t value)
{
    value = htole32(value);
    memcpy(bytes, &value, sizeof(value));
}

static inline void store_u64le(void *bytes, uint64_t value)
{
    value = htole64(value);
    memcpy(bytes, &value, sizeof(value));
}
#endif
