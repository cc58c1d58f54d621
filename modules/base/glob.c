/* When what follows a star does not match, the star takes one byte more and the rest is tried
 * again. Only the last star need be remembered: an earlier one that took more could only find later
 * what the last one has found already. So there is no recursion, and at most text times pattern
 * steps. */
#include "modules/base/glob.h"

static int folded(uint8_t c, enum glob_case letter_case)
{
    /* Signed, as Redis compares in ranges. */
    return (int8_t)(letter_case == GLOB_IGNORE_CASE ? ascii_lower(c) : c);
}

/* at is behind the "[". True when c is in the class; *out_next is behind its end. */
static bool match_class(struct slice pattern, size_t at, uint8_t c, enum glob_case letter_case,
                        size_t *out_next)
{
    const uint8_t *p = pattern.bytes;
    bool is_match = false, is_negated = at < pattern.size && p[at] == '^';
    if (is_negated) at++;
    while (at < pattern.size && p[at] != ']') {
        size_t left = pattern.size - at;
        if (p[at] == '\\' && left >= 2) {
            is_match |= p[at + 1] == c; /* whatever the case: so Redis */
            at += 2;
        } else if (left >= 3 && p[at + 1] == '-') {
            int8_t a = (int8_t)p[at], b = (int8_t)p[at + 2];
            int low = folded((uint8_t)(a < b ? a : b), letter_case);
            int high = folded((uint8_t)(a < b ? b : a), letter_case);
            is_match |= folded(c, letter_case) >= low && folded(c, letter_case) <= high;
            at += 3;
        } else {
            is_match |= folded(p[at], letter_case) == folded(c, letter_case);
            at++;
        }
    }
    *out_next = at < pattern.size ? at + 1 : at;
    return is_match != is_negated;
}

/* Matches c with what stands at `at`, which is no star; *out_next is behind it. */
static bool match_one(struct slice pattern, size_t at, uint8_t c, enum glob_case letter_case,
                      size_t *out_next)
{
    uint8_t literal = pattern.bytes[at];
    *out_next = at + 1;
    if (literal == '?') return true;
    if (literal == '[') return match_class(pattern, at + 1, c, letter_case, out_next);
    if (literal == '\\' && at + 1 < pattern.size) {
        literal = pattern.bytes[at + 1];
        *out_next = at + 2;
    }
    return folded(literal, letter_case) == folded(c, letter_case);
}

static size_t skip_stars(struct slice pattern, size_t at)
{
    while (at < pattern.size && pattern.bytes[at] == '*')
        at++;
    return at;
}

bool glob_match_budgeted(struct slice pattern, struct slice text, enum glob_case letter_case,
                         uint64_t *steps)
{
    size_t p = 0, t = 0, next = 0;
    size_t after_star = 0, star_text = 0; /* after_star 0: no star yet */
    if (text.size == 0) return pattern.size == 0;
    while (t < text.size) {
        size_t looked_at = 1;
        if (p < pattern.size && pattern.bytes[p] == '*') {
            next = skip_stars(pattern, p);
            looked_at = next - p;
            if (next == pattern.size) return true;
            p = after_star = next;
            star_text = t;
        } else if (p < pattern.size && match_one(pattern, p, text.bytes[t], letter_case, &next)) {
            looked_at = next - p;
            p = next;
            t++;
        } else if (after_star > 0) {
            if (p < pattern.size) looked_at = next - p;
            p = after_star;
            t = ++star_text;
        } else {
            return false;
        }
        if (*steps < looked_at) {
            *steps = 0;
            return false;
        }
        *steps -= looked_at;
    }
    return skip_stars(pattern, p) == pattern.size;
}

bool glob_match(struct slice pattern, struct slice text, enum glob_case letter_case)
{
    uint64_t steps = GLOB_STEPS_MAX;
    return glob_match_budgeted(pattern, text, letter_case, &steps);
}
