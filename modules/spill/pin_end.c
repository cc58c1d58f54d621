/* Pinning what the next pops at an end need. */
#include "modules/spill/deque.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/store_internal.h"

/* A chunk at a time, from the end inwards. */
struct pinning {
    struct deque *deque;
    enum spill_end end;
    struct pins pins;
    uint64_t ready_count, ready_bytes;
};

static int pin_next(struct pinning *pinning, struct visit *visit, uint64_t *out_base)
{
    struct deque *deque = pinning->deque;
    uint64_t rest = pinning->end == SPILL_HEAD ? pinning->ready_count
                                               : deque->element_count - 1 - pinning->ready_count;
    struct block **part = deque_part_at(deque, &rest, out_base), *leaf;
    uint64_t first;
    int rc = tree_find(*part, rest, visit, &leaf, &first);

    if (rc < 0) return rc;
    if (!visit_block(visit, leaf, first)) return -EAGAIN;
    /* The nodes on the way are needed when the chunk becomes the end; visit names them. */
    for (unsigned i = 0; i < visit->seen_count && rc == 0; i++)
        rc = pins_add(deque->store, &pinning->pins, visit->seen[i]);
    if (rc < 0) return rc;
    pinning->ready_count += leaf->element_count;
    pinning->ready_bytes += alloc_size(leaf->capacity);
    return 0;
}

static int pin_chunks(struct pinning *pinning, uint64_t count, uint64_t bytes_max)
{
    struct op op;
    uint64_t base = 0;
    int rc = 0;

    op_begin(&op, pinning->deque->store);
    while (rc == 0 && pinning->ready_count < count && pinning->ready_bytes < bytes_max) {
        visit_begin(&op.visit);
        do
            rc = pin_next(pinning, &op.visit, &base);
        while (rc == -EAGAIN && (rc = op_load(&op, base)) == 0);
    }
    return op_finish(&op, rc);
}

int64_t deque_pin_end(struct deque *deque, enum spill_end end, uint64_t count, uint64_t bytes_max)
{
    struct pinning pinning = { .deque = deque, .end = end };
    struct pins *pins;
    int rc;

    deque_unpin(deque);
    deque->is_touched = true;
    if (count > deque->element_count) count = deque->element_count;
    if (count == 0) return 0;
    pins = store_allocate_zeroed(deque->store, sizeof(*pins));
    if (!pins) return -ENOMEM;
    deque->busy_count++;
    rc = pin_chunks(&pinning, count, bytes_max);
    deque->busy_count--;
    if (rc < 0) {
        pins_release(deque->store, &pinning.pins);
        free(pins);
        return rc;
    }
    *pins = pinning.pins;
    deque->pins = pins;
    return (int64_t)(pinning.ready_count < count ? pinning.ready_count : count);
}

void deque_unpin(struct deque *deque)
{
    if (!deque->pins) return;
    pins_release(deque->store, deque->pins);
    free(deque->pins);
    deque->pins = NULL;
}
