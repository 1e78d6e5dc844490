/* A map from byte strings to integers (FNV-1a, open addressing). Keys are borrowed: they must outlive the map. */
#ifndef PFM_BASE_MAP_H
#define PFM_BASE_MAP_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pfm_map {
    struct pfm_map_slot *slots;
    size_t capacity, count;
} pfm_map; /* start with {0} */

/* Sets key -> value, replacing a former value. */
pfm_status pfm_map_set(pfm_map *map, const char *key, size_t length, int64_t value, pfm_error *err) PFM_MUST_CHECK;
/* false where the key is absent; value may be NULL. */
bool pfm_map_get(const pfm_map *map, const char *key, size_t length, int64_t *value);
void pfm_map_free(pfm_map *map);

/* A number that a name stands for, the same everywhere (FNV-1a, 64 bits). */
uint64_t pfm_name_number(const char *name, size_t length);

#endif
