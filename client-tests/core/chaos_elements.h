/* chaos_elements.h - for chaos.c: numbered elements, each pushed at most once, and what became of
 * each. Their text is "#number:" and padding; the account is of what replies tell. */
#ifndef CLIENT_TESTS_CORE_CHAOS_ELEMENTS_H
#define CLIENT_TESTS_CORE_CHAOS_ELEMENTS_H
#include "client-tests/lib/text.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS_MAX = 4000000 };

enum fate {
    NEVER,  /* not sent */
    MAYBE,  /* sent; whether it arrived is not known, or will never be */
    THERE,  /* acknowledged */
    TAKEN,  /* a reply took it out */
    REFUSED /* its transaction did not run */
};

struct elements {
    uint8_t *fates;
    uint32_t count; /* sent so far: numbers are below it */
    char place[64]; /* where in the test this is, for who reads of a failure */
};

static inline void elements_create(struct elements *elements)
{
    *elements = (struct elements){ .fates = calloc(ELEMENTS_MAX, 1) };
    ck_assert_ptr_nonnull(elements->fates);
}

static inline void elements_destroy(struct elements *elements)
{
    free(elements->fates);
    elements->fates = NULL;
}

/* As if none had ever been sent. */
static inline void elements_forget(struct elements *elements)
{
    elements->count = 0;
    memset(elements->fates, NEVER, ELEMENTS_MAX);
}

/* Adds the next one to a command, as a word of its own. */
static inline void elements_add(struct elements *elements, struct text *command, int padding_bytes)
{
    ck_assert_uint_lt(elements->count, ELEMENTS_MAX);
    elements->fates[elements->count] = MAYBE;
    text_format(command, " #%u:%0*d", elements->count++, padding_bytes, 0);
}

/* Each element in a reply was taken out by it. */
static inline void elements_take(struct elements *elements, const struct text *reply)
{
    const char *at = text_string(reply);

    while ((at = strstr(at, "\r\n#")) != NULL) {
        unsigned long number = strtoul(at + 3, NULL, 10);

        ck_assert_msg(number < elements->count, "%s: element %lu was never pushed", elements->place,
                      number);
        ck_assert_msg(elements->fates[number] == MAYBE || elements->fates[number] == THERE,
                      "%s: element %lu came %s", elements->place, number,
                      elements->fates[number] == TAKEN ? "twice" : "although it was refused");
        elements->fates[number] = TAKEN;
        at += 3;
    }
}

/* Those in [first, end) were THERE or REFUSED, says the reply to what pushed them. Some of them may
 * have been taken out meanwhile. */
static inline void elements_settle(struct elements *elements, uint32_t first, uint32_t end,
                                   enum fate fate)
{
    for (uint32_t i = first; i < end; i++) {
        if (fate == REFUSED)
            ck_assert_msg(elements->fates[i] != TAKEN,
                          "%s: element %u came although it was refused", elements->place, i);
        if (elements->fates[i] == MAYBE) elements->fates[i] = (uint8_t)fate;
    }
}

/* Nothing is left where they were. */
static inline void elements_expect_all_came(const struct elements *elements)
{
    struct text lost = { 0 };
    uint32_t count = 0;

    for (uint32_t i = 0; i < elements->count; i++) {
        if (elements->fates[i] == THERE && count++ < 10) text_format(&lost, " %u", i);
    }
    ck_assert_msg(count == 0, "%s: %u of %u elements were lost:%s", elements->place, count,
                  elements->count, text_string(&lost));
    text_finish(&lost);
}
#endif
