#include "eval/pair_map.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

/* A slot of an earlier round is empty. */
struct pfm_pair_slot {
    uint64_t key;
    uint32_t value, round;
};

static uint64_t key_of(uint32_t first, uint32_t second) { return (uint64_t)first << 32 | second; }

/* Where the key is, or the empty slot where it would be. */
static inline struct pfm_pair_slot *find_slot(const pfm_pair_map *map, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9E3779B97F4A7C15);
    size_t place = (size_t)(hash ^ hash >> 32) & (map->capacity - 1);
    while (map->slots[place].round == map->round && map->slots[place].key != key)
        place = (place + 1) & (map->capacity - 1);
    return &map->slots[place];
}

static pfm_status grow(pfm_pair_map *map, pfm_error *err)
{
    pfm_pair_map larger = {.capacity = map->capacity == 0 ? FIRST_CAPACITY : map->capacity * 2, .round = 1};
    pfm_status status = pfm_allocate(larger.capacity, sizeof *larger.slots, &larger.slots, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct pfm_pair_slot *slot = &map->slots[i];
        if (slot->round == map->round)
            *find_slot(&larger, slot->key) = (struct pfm_pair_slot){slot->key, slot->value, larger.round};
    }
    larger.count = map->count;
    free(map->slots);
    *map = larger;
    return PFM_OK;
}

pfm_status pfm_pair_map_add(pfm_pair_map *map, uint32_t first, uint32_t second, uint32_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (map->count == UINT32_MAX)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "the texts have more different runs of words than can be counted");
    if ((size_t)map->count * 2 >= map->capacity)
        PFM_TRY(grow(map, err));
    struct pfm_pair_slot *slot = find_slot(map, key_of(first, second));
    if (slot->round != map->round)
        *slot = (struct pfm_pair_slot){key_of(first, second), map->count++, map->round};
    *out = slot->value;
done:
    return status;
}

bool pfm_pair_map_find(const pfm_pair_map *map, uint32_t first, uint32_t second, uint32_t *out)
{
    if (map->count == 0)
        return false;
    const struct pfm_pair_slot *slot = find_slot(map, key_of(first, second));
    if (slot->round != map->round)
        return false;
    *out = slot->value;
    return true;
}

void pfm_pair_map_clear(pfm_pair_map *map)
{
    map->count = 0;
    if (map->capacity == 0)
        return;
    if (map->round == UINT32_MAX) {
        memset(map->slots, 0, map->capacity * sizeof *map->slots);
        map->round = 0;
    }
    map->round++;
}

void pfm_pair_map_free(pfm_pair_map *map)
{
    if (map == NULL)
        return;
    free(map->slots);
    *map = (pfm_pair_map){0};
}
