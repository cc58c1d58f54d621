#include "server/durability/effects.h"

#include <stddef.h>
#include <string.h>

enum effect_form effect_form_of(const char *name)
{
    static const struct {
        const char *name;
        enum effect_form form;
    } rows[] = {
#define AS_SENT(name_)   { (name_), EFFECT_AS_SENT },
#define REWRITTEN(name_) { (name_), EFFECT_REWRITTEN },
#define EITHER(name_)    { (name_), EFFECT_EITHER },
#include "server/durability/effects.def"
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) return rows[i].form;
    }
    return EFFECT_NONE;
}
