/* checked.h - sums and products of sizes that say when they do not fit.
 *
 * True: *out_result holds the exact result. False: it would not fit, *out_result is untouched. Pure
 * functions; any thread. */
#ifndef MODULES_BASE_CHECKED_H
#define MODULES_BASE_CHECKED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKED_FUNCTION(name, type, builtin)                                                      \
    static inline bool name(type a, type b, type *out_result) /* NOLINT: a type */                 \
    {                                                                                              \
        type result;                                                                               \
        if (builtin(a, b, &result)) return false;                                                  \
        *out_result = result;                                                                      \
        return true;                                                                               \
    }

CHECKED_FUNCTION(checked_add_size, size_t, __builtin_add_overflow)
CHECKED_FUNCTION(checked_sub_size, size_t, __builtin_sub_overflow)
CHECKED_FUNCTION(checked_mul_size, size_t, __builtin_mul_overflow)
CHECKED_FUNCTION(checked_add_u32, uint32_t, __builtin_add_overflow)
CHECKED_FUNCTION(checked_mul_u32, uint32_t, __builtin_mul_overflow)
CHECKED_FUNCTION(checked_add_u64, uint64_t, __builtin_add_overflow)
CHECKED_FUNCTION(checked_sub_u64, uint64_t, __builtin_sub_overflow)
CHECKED_FUNCTION(checked_mul_u64, uint64_t, __builtin_mul_overflow)
CHECKED_FUNCTION(checked_add_i64, int64_t, __builtin_add_overflow)
CHECKED_FUNCTION(checked_sub_i64, int64_t, __builtin_sub_overflow)
CHECKED_FUNCTION(checked_mul_i64, int64_t, __builtin_mul_overflow)

#undef CHECKED_FUNCTION
#endif
