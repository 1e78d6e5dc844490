#include "base/map.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct pfm_map_slot {
    const char *key; /* NULL: empty */
    size_t length;
    uint64_t hash;
    int64_t value;
};

uint64_t pfm_name_number(const char *name, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_key(const char *key, size_t length)
{
    uint64_t hash = pfm_name_number(key, length);
    return hash ^ hash >> 29;
}

/* The slot that holds the key, or the empty one where it belongs; capacity is a power of two and never full. */
static struct pfm_map_slot *find_slot(const pfm_map *map, const char *key, size_t length, uint64_t hash)
{
    size_t i = (size_t)hash & (map->capacity - 1);
    for (;; i = (i + 1) & (map->capacity - 1)) {
        struct pfm_map_slot *slot = &map->slots[i];
        if (slot->key == NULL || (slot->hash == hash && slot->length == length && memcmp(slot->key, key, length) == 0))
            return slot;
    }
}

static pfm_status grow(pfm_map *map, pfm_error *err)
{
    pfm_map bigger = {.capacity = map->capacity == 0 ? 64 : map->capacity * 2, .count = map->count};
    pfm_status status = pfm_allocate(bigger.capacity, sizeof *bigger.slots, &bigger.slots, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct pfm_map_slot *slot = &map->slots[i];
        if (slot->key != NULL)
            *find_slot(&bigger, slot->key, slot->length, slot->hash) = *slot;
    }
    free(map->slots);
    *map = bigger;
    return PFM_OK;
}

pfm_status pfm_map_set(pfm_map *map, const char *key, size_t length, int64_t value, pfm_error *err)
{
    if (map->capacity == 0 || (map->count + 1) * 3 > map->capacity * 2) {
        pfm_status status = grow(map, err);
        if (status != PFM_OK)
            return status;
    }
    uint64_t hash = hash_key(key, length);
    struct pfm_map_slot *slot = find_slot(map, key, length, hash);
    if (slot->key == NULL)
        map->count++;
    *slot = (struct pfm_map_slot){.key = key, .length = length, .hash = hash, .value = value};
    return PFM_OK;
}

bool pfm_map_get(const pfm_map *map, const char *key, size_t length, int64_t *value)
{
    if (map->capacity == 0)
        return false;
    const struct pfm_map_slot *slot = find_slot(map, key, length, hash_key(key, length));
    if (slot->key == NULL)
        return false;
    if (value != NULL)
        *value = slot->value;
    return true;
}

void pfm_map_free(pfm_map *map)
{
    if (map == NULL)
        return;
    free(map->slots);
    *map = (pfm_map){0};
}
