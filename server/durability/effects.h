/* effects.h - which form of a command goes to the operation log: the rows of effects.def. Pure. */
#ifndef SERVER_DURABILITY_EFFECTS_H
#define SERVER_DURABILITY_EFFECTS_H

enum effect_form {
    EFFECT_NONE, /* it never changes anything */
    EFFECT_AS_SENT,
    EFFECT_REWRITTEN,
    EFFECT_EITHER,
};

/* name in lower case, as in commands.def. */
enum effect_form effect_form_of(const char *name);
#endif
