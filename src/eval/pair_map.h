/* Pairs of numbers, numbered from 0 in the order of their first appearance. Clearing costs nothing, so that one map serves row
 * after row. */
#ifndef PFM_EVAL_PAIR_MAP_H
#define PFM_EVAL_PAIR_MAP_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_pair_map {
    struct pfm_pair_slot *slots;
    size_t capacity; /* a power of two */
    uint32_t count, round;
} pfm_pair_map; /* start with {0} */

/* *out = the pair's number, a new one where it was not there yet. */
pfm_status pfm_pair_map_add(pfm_pair_map *map, uint32_t first, uint32_t second, uint32_t *out, pfm_error *err) PFM_MUST_CHECK;
/* false where the pair is not there. */
bool pfm_pair_map_find(const pfm_pair_map *map, uint32_t first, uint32_t second, uint32_t *out);
/* Forgets all pairs. */
void pfm_pair_map_clear(pfm_pair_map *map);
void pfm_pair_map_free(pfm_pair_map *map);

#endif
