/* power_state_internal.h - one state of a disk: what of the pending was kept, and building it.
 *
 * A slot is something that may have happened or not, in steps: a naming (0 or 1), the shapes of a
 * file (so many of them), a page (up to which version). Slots are in the order of the disk: all
 * namings, then file by file its shapes and its pages. */
#ifndef MODULES_BASE_POWER_STATE_INTERNAL_H
#define MODULES_BASE_POWER_STATE_INTERNAL_H
#include "modules/base/power_disk_internal.h"

enum power_slot_kind { POWER_SLOT_NAMING, POWER_SLOT_SHAPE, POWER_SLOT_PAGE };

struct power_slot {
    enum power_slot_kind kind;
    uint32_t file;
    size_t page;
    unsigned max, value; /* value <= max */
    uint8_t torn;        /* of a page with value > 0: sectors that are one version older */
};

struct power_slots {
    struct power_slot *slots;
    size_t count, capacity;
};

/* The slots of a disk, all at 0. */
void power_slots_collect(struct power_slots *slots, const struct power_disk *disk);

/* A number for the content of all files that have names. */
uint64_t power_state_hash(const struct power_disk *disk, const struct power_slots *slots);
/* Makes the directory and all in it. 0 or -errno. */
int power_state_build(const struct power_disk *disk, const struct power_slots *slots,
                      const char *directory);
int power_state_remove(const char *directory);
#endif
