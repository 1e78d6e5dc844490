#include "eval/text_store.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 1 << 16 };

static pfm_status add_chunk(pfm_text_store *store, size_t needed, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t size = needed > CHUNK_BYTES ? needed : CHUNK_BYTES;
    PFM_TRY(pfm_array_reserve(&store->chunks, &store->chunk_capacity, store->chunk_count + 1, sizeof *store->chunks, err));
    char *chunk = malloc(size);
    if (chunk == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a text of %zu bytes", needed);
    store->chunks[store->chunk_count++] = chunk;
    store->used = 0;
    store->size = size;
done:
    return status;
}

pfm_status pfm_text_store_add(pfm_text_store *store, const char *text, size_t length, const char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (length == SIZE_MAX)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: a text fills the address space");
    if (store->size - store->used < length + 1)
        PFM_TRY(add_chunk(store, length + 1, err));
    char *copy = store->chunks[store->chunk_count - 1] + store->used;
    if (length > 0)
        memcpy(copy, text, length);
    copy[length] = '\0';
    store->used += length + 1;
    *out = copy;
done:
    return status;
}

void pfm_text_store_free(pfm_text_store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < store->chunk_count; i++)
        free(store->chunks[i]);
    free(store->chunks);
    *store = (pfm_text_store){0};
}

pfm_status pfm_intern_add(pfm_intern *intern, const char *text, size_t length, size_t *index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *copy = NULL;
    if (pfm_intern_find(intern, text, length, index))
        return PFM_OK;
    PFM_TRY(pfm_array_reserve(&intern->texts, &intern->capacity, intern->count + 1, sizeof *intern->texts, err));
    PFM_TRY(pfm_text_store_add(&intern->store, text, length, &copy, err));
    PFM_TRY(pfm_map_set(&intern->map, copy, length, (int64_t)intern->count, err));
    intern->texts[intern->count] = copy;
    *index = intern->count++;
done:
    return status;
}

bool pfm_intern_find(const pfm_intern *intern, const char *text, size_t length, size_t *index)
{
    int64_t value = 0;
    if (!pfm_map_get(&intern->map, text, length, &value))
        return false;
    if (index != NULL)
        *index = (size_t)value;
    return true;
}

void pfm_intern_free(pfm_intern *intern)
{
    if (intern == NULL)
        return;
    pfm_map_free(&intern->map);
    pfm_text_store_free(&intern->store);
    free(intern->texts);
    *intern = (pfm_intern){0};
}
