#include "text/tokenizer_internal.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* The largest vocabularies in use have some 262,144 tokens. */
enum { MOST_TOKENS = 1 << 22, CHUNK_BYTES = 1 << 16 };

struct pfm_text_chunk {
    struct pfm_text_chunk *next;
    size_t used, capacity;
    char bytes[];
};

static pfm_status keep_text(pfm_vocabulary *vocabulary, const char *text, size_t length, const char **out, pfm_error *err)
{
    struct pfm_text_chunk *chunk = vocabulary->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < length + 1) {
        size_t capacity = length + 1 > CHUNK_BYTES ? length + 1 : CHUNK_BYTES;
        pfm_status status = pfm_allocate(1, sizeof *chunk + capacity, &chunk, err);
        if (status != PFM_OK)
            return status;
        chunk->capacity = capacity;
        chunk->next = vocabulary->chunks;
        vocabulary->chunks = chunk;
    }
    char *copy = chunk->bytes + chunk->used;
    memcpy(copy, text, length);
    copy[length] = '\0';
    chunk->used += length + 1;
    *out = copy;
    return PFM_OK;
}

pfm_status pfm_vocabulary_set(pfm_vocabulary *vocabulary, const char *text, size_t length, int64_t id, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (id < 0 || id >= MOST_TOKENS)
        PFM_FAIL(PFM_ERROR_FORMAT, "the token \"%.40s\" has the id %lld; ids from 0 to %d can be used", text, (long long)id,
                 MOST_TOKENS - 1);
    if (length > UINT32_MAX - 1)
        PFM_FAIL(PFM_ERROR_FORMAT, "token %lld has a text of %zu bytes", (long long)id, length);
    const char *copy = NULL;
    PFM_TRY(keep_text(vocabulary, text, length, &copy, err));
    PFM_TRY(pfm_array_reserve(&vocabulary->tokens, &vocabulary->capacity, (size_t)id + 1, sizeof *vocabulary->tokens, err));
    PFM_TRY(pfm_map_set(&vocabulary->by_text, copy, length, id, err));
    vocabulary->tokens[id].text = copy;
    vocabulary->tokens[id].length = (uint32_t)length;
    vocabulary->tokens[id].added = false;
    if (vocabulary->size < (size_t)id + 1)
        vocabulary->size = (size_t)id + 1;
done:
    return status;
}

int32_t pfm_vocabulary_find(const pfm_vocabulary *vocabulary, const char *text, size_t length)
{
    int64_t id;
    return pfm_map_get(&vocabulary->by_text, text, length, &id) ? (int32_t)id : -1;
}

void pfm_vocabulary_free(pfm_vocabulary *vocabulary)
{
    free(vocabulary->tokens);
    pfm_map_free(&vocabulary->by_text);
    while (vocabulary->chunks != NULL) {
        struct pfm_text_chunk *next = vocabulary->chunks->next;
        free(vocabulary->chunks);
        vocabulary->chunks = next;
    }
    *vocabulary = (pfm_vocabulary){0};
}
