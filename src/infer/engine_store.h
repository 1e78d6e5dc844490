/* The engine's keys and values: one store of fixed size, given out in runs of rows, and the prompts' beginnings that lie in it,
 * as a tree of runs. A run of the tree is whole blocks of tokens, named by the hash of all that stands before and in each, so
 * that where a prompt is cut does not depend on who came before: the vector kernels give equal bits for cuts at whole blocks
 * alone. What nobody uses is kept until its room is wanted, the least recently used first. */
#ifndef PFM_INFER_ENGINE_STORE_H
#define PFM_INFER_ENGINE_STORE_H

#include "base/hash.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PFM_ENGINE_BLOCK = 16,    /* tokens */
    PFM_ENGINE_LEAST_OWN = 3, /* tokens at a prompt's end that it never shares: fewer take another kernel */
};

struct pfm_engine_node;

/* Rows that somebody has; all of them are a list that ascends. */
typedef struct pfm_engine_run {
    int32_t begin, count;
    struct pfm_engine_run *before, *behind;
    struct pfm_engine_node *node; /* of the tree, or NULL */
} pfm_engine_run;

/* Key rows in the order of their tokens; those that lie side by side are one range. */
typedef struct pfm_engine_ranges {
    int32_t count, begin[PFM_MAX_ANCESTORS], end[PFM_MAX_ANCESTORS];
} pfm_engine_ranges;

typedef struct pfm_engine_node {
    pfm_engine_run run;
    struct pfm_engine_node *parent, *children, *next;
    int32_t first;            /* the position of its first token */
    int32_t filled;           /* tokens whose keys and values are there */
    pfm_engine_ranges ranges; /* of all from the root to its end */
    pfm_hash_hex *digests;    /* [run.count / PFM_ENGINE_BLOCK] */
    size_t users;             /* prompts of which it is the last */
    uint64_t used;            /* when it was last let go */
    uint64_t marked;
} pfm_engine_node;

typedef struct pfm_engine_store {
    int32_t rows;
    pfm_engine_run list; /* its head and end */
    pfm_engine_node root;
    uint64_t clock, marks;
    size_t taken; /* rows */
} pfm_engine_store;

void pfm_engine_store_start(pfm_engine_store *store, int32_t rows);
/* Forgets all that nobody uses. */
void pfm_engine_store_clear(pfm_engine_store *store);

/* The place of one prompt. */
typedef struct pfm_engine_place {
    pfm_engine_node *leaf; /* where its shared part ends; the root: it shares nothing */
    pfm_engine_run own;    /* rows for the rest of the prompt and the answer */
    int32_t first;         /* the position of its first own token */
    int32_t found;         /* tokens that were there or are being made by another */
} pfm_engine_place;

/* Blocks of a prompt of so many tokens that may be shared. */
static inline size_t pfm_engine_blocks(size_t tokens)
{
    return tokens < PFM_ENGINE_LEAST_OWN ? 0 : (tokens - PFM_ENGINE_LEAST_OWN) / PFM_ENGINE_BLOCK;
}

/* Finds a place for a prompt with such blocks and for `total` rows in all. *placed = false: there is no room while others have
 * theirs; alone: there are no others, and room is made in any case where total is at most store->rows. */
pfm_status pfm_engine_store_place(pfm_engine_store *store, const pfm_hash_hex *digests, size_t blocks, int32_t total,
                                  bool alone, pfm_engine_place *out, bool *placed, pfm_error *err) PFM_MUST_CHECK;
/* Gives back the own rows, and what of its shared part was never computed and nobody else waits for. */
void pfm_engine_store_leave(pfm_engine_store *store, pfm_engine_place *place);

/* The first node from the root to the leaf that is not filled, or NULL. */
pfm_engine_node *pfm_engine_store_unfilled(pfm_engine_node *leaf);

#endif
