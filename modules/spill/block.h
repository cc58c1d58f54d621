/* block.h - descriptors: what the store knows of a chunk or of a node of a tree.
 *
 * A block is shared by reference counts: nodes refer to their children, deques and snapshots to the
 * roots and end chunks, a transfer to what it moves, a pin to what must stay. What more than one
 * owner refers to is never changed, it is copied first (spill I1). The descriptor owns the block's
 * extent: no other thing remembers a reference to disk but the image of a node that is itself on
 * disk.
 *
 *            change           write ends, nobody needs it
 *   CLEAN ───────────▶ DIRTY ──────▶ WRITING ─────▶ ON_DISK ──────▶ READING ──────▶ CLEAN
 *                        ▲   evict      │ failed               load    │ failed
 *                        └──────────────┘                              └──▶ ON_DISK
 *
 * One thread (the store's owner). */
#ifndef MODULES_SPILL_BLOCK_H
#define MODULES_SPILL_BLOCK_H
#include "modules/spill/file.h"
#include "modules/base/list.h"

struct spill_store;

enum { NODE_CHILDREN_MAX = 64, TREE_HEIGHT_MAX = 16 };

enum block_state {
    BLOCK_DIRTY,   /* in memory only */
    BLOCK_CLEAN,   /* in memory, and the same on disk */
    BLOCK_WRITING, /* in memory, being written */
    BLOCK_ON_DISK,
    BLOCK_READING,
};

struct slot {
    struct block *block;
    uint64_t element_count; /* of block: searching touches no descriptor */
};

struct block {
    union {
        uint8_t *bytes;     /* chunk; NULL unless in memory */
        struct slot *slots; /* node */
    };
    uint32_t ref_count;
    uint32_t pin_count;     /* of the references those that pin: they do not make it shared */
    uint8_t state;          /* enum block_state */
    uint8_t height;         /* 0: chunk */
    uint8_t read_error;     /* errno of the last wanted read that failed, until somebody was told */
    uint8_t is_touched : 1, /* visited since the eviction looked at it last */
        is_wanted : 1,      /* an operation waits for its read */
        is_prefetched : 1,  /* loaded ahead of need and not used yet */
        is_random : 1,      /* linked in the store's ring, not in a deque's */
        is_kept : 1,        /* node of a deque's side: not evicted */
        is_discarded : 1,   /* reference count 0, waits in the ring of the dead */
        is_garbage : 1;     /* node: read only to be taken apart, nobody else has what is below */
    uint32_t begin, end;    /* chunk: elements fill bytes[begin, end). node: 0 and its children */
    uint32_t capacity;      /* chunk: bytes allocated; node: slots allocated */
    uint32_t protected_until; /* the store's turn before which it is not evicted */
    uint32_t epoch;           /* the store's when it changed last; of a dead one: when it died */
    uint64_t element_count, element_bytes; /* of the whole subtree */
    struct spill_ref ref;                  /* generation 0: not on disk */
    struct list_link
        link;            /* in a ring of blocks in memory: a deque's, the store's, or of the dead */
    uint64_t list;       /* number of the deque it was made for: part of its identity on disk */
    uint64_t disk_bytes; /* node on disk: footprint of all below it and its own */
    uint32_t chunk_count; /* of the whole subtree; 1 for a chunk */
    uint8_t gap;          /* the deque's when it entered the deque's ring: see evict.c */
};

static inline bool block_is_loaded(const struct block *block)
{
    return block->bytes != NULL;
}

/* One owner besides the pins: may be changed in place. */
static inline bool block_is_exclusive(const struct block *block)
{
    return block->ref_count - block->pin_count == 1;
}

/* Elements' bytes as packed; what its image on disk takes. */
static inline uint32_t chunk_used(const struct block *chunk)
{
    return chunk->end - chunk->begin;
}

/* What a chunk for so many bytes may hold: all of an allocation, but never more than a full chunk,
 * unless one element alone needs it. */
uint32_t chunk_capacity(const struct spill_store *store, uint32_t wanted);
/* All return a block with one reference, DIRTY and in no ring, or NULL: out of memory. */
struct block *block_create_chunk(struct spill_store *store, uint64_t list, uint32_t capacity);
/* A chunk that takes bytes over: chunk_bytes_get's. */
struct block *block_create_around(struct spill_store *store, uint64_t list, uint8_t *bytes,
                                  uint32_t capacity);
struct block *block_create_node(struct spill_store *store, uint64_t list, unsigned height,
                                unsigned capacity);
/* A block that lies on disk: what a node's image says of its child. */
struct block *block_create_on_disk(struct spill_store *store, uint64_t list, unsigned height,
                                   const struct spill_ref *ref);

static inline struct block *block_ref(struct block *block)
{
    block->ref_count++;
    return block;
}
/* The last reference of a chunk frees it and its extent; a node goes to the ring of the dead, for
 * reclaim.h. Accepts NULL. Never waits. */
void block_unref(struct spill_store *store, struct block *block);
/* The same for a deque's block that another one with the same elements takes the place of. */
void block_replaced(struct spill_store *store, struct block *block);
void block_pin(struct block *block);
void block_unpin(struct spill_store *store, struct block *block);

/* Makes *place safe to change: a shared block is replaced by a copy, the extent of an exclusive one
 * is given back. *place must be loaded. -ENOMEM: nothing has changed. */
int block_make_writable(struct spill_store *store, struct block **place);
/* Gives the extent back because the block is about to change. It must be exclusive. */
void block_dirty(struct spill_store *store, struct block *block);

/* Moves a chunk's elements into an allocation of capacity bytes, to begin at new_begin. */
int chunk_relocate(struct spill_store *store, struct block *chunk, uint32_t capacity,
                   uint32_t new_begin);
/* Room for that many children. -ENOMEM. */
int node_reserve(struct spill_store *store, struct block *node, unsigned child_count);
/* Both need room and an exclusive node; the node takes over, or gives back, the child's reference.
 */
void node_insert_child(struct block *node, unsigned at, struct block *child);
struct block *node_remove_child(struct block *node, unsigned at);

/* Memory that the block's contents take: what dropping them frees. */
uint64_t block_loaded_bytes(const struct block *block);
/* Contents that were read: malloc'ed, alloc_size(capacity) bytes or capacity slots. The block,
 * which had none, owns them from now on. */
void block_adopt_bytes(struct spill_store *store, struct block *block, void *bytes,
                       uint32_t capacity);
/* Room for a chunk's elements: alloc_size(capacity) bytes, not counted while nobody's; NULL: out of
 * memory. put accepts NULL. */
void *chunk_bytes_get(struct spill_store *store, uint32_t capacity);
void chunk_bytes_put(struct spill_store *store, void *bytes, uint32_t capacity);
/* Gives back the rooms that put has kept. */
void chunk_bytes_free_spares(struct spill_store *store);
/* Counts the block as loaded ahead of need, or no longer: it was used, changed or dropped. */
void block_set_prefetched(struct spill_store *store, struct block *block, bool is_prefetched);
/* Frees the contents of an exclusive block that is on disk too; a node must have no child whose
 * descriptor anybody else needs (evict.c checks). */
void block_unload(struct spill_store *store, struct block *block);
/* Frees a node's descriptor and slots but not its children's references. */
void node_discard_shell(struct spill_store *store, struct block *node);

/* Frees a descriptor alone: the extent it names belongs to somebody else (a node's image). */
void block_forget(struct spill_store *store, struct block *block);

/* Which ring a block in memory stands in decides when it is evicted. */
void block_link_random(struct spill_store *store, struct block *block);
void block_unlink(struct spill_store *store, struct block *block);
#endif
