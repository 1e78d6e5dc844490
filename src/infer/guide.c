#include "infer/guide.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>

struct pfm_guide_tokens {
    size_t count;
    uint32_t *begin; /* [count + 1] in the bytes; a token without any stands for no text */
    bool *plain;     /* [count] printable ASCII that ends no string and escapes nothing */
    pfm_buffer bytes;
};

static bool is_plain(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] < ' ' || bytes[i] > '~' || bytes[i] == '"' || bytes[i] == '\\')
            return false;
    return size > 0;
}

pfm_status pfm_guide_tokens_create(const pfm_tokenizer *tokenizer, pfm_guide_tokens **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_guide_tokens *t = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *t, &t, err));
    t->count = pfm_tokenizer_vocabulary(tokenizer);
    PFM_TRY(pfm_allocate(t->count + 1, sizeof *t->begin, &t->begin, err));
    PFM_TRY(pfm_allocate(t->count, sizeof *t->plain, &t->plain, err));
    PFM_TRY(pfm_buffer_append(&t->bytes, "", 0, err));
    for (size_t i = 0; i < t->count; i++) {
        t->begin[i] = (uint32_t)t->bytes.size;
        PFM_TRY(pfm_tokenizer_token_bytes(tokenizer, (int32_t)i, &t->bytes, err));
        if (t->bytes.size > t->begin[i])
            t->plain[i] = is_plain(t->bytes.data + t->begin[i], t->bytes.size - t->begin[i]);
    }
    t->begin[t->count] = (uint32_t)t->bytes.size;
    *out = t;
    t = NULL;
done:
    pfm_guide_tokens_free(t);
    return status;
}

void pfm_guide_tokens_free(pfm_guide_tokens *tokens)
{
    if (tokens == NULL)
        return;
    free(tokens->begin);
    free(tokens->plain);
    pfm_buffer_free(&tokens->bytes);
    free(tokens);
}

/* false: the bytes of this token cannot come here. */
static bool feed_token(const pfm_guide *guide, pfm_json_state *state, size_t id)
{
    const pfm_guide_tokens *t = guide->tokens;
    for (size_t i = t->begin[id]; i < t->begin[id + 1]; i++)
        if (!pfm_json_feed(guide->shape, state, (unsigned char)t->bytes.data[i]))
            return false;
    return t->begin[id + 1] > t->begin[id];
}

/* Which bytes may come next. */
static void look_ahead(const pfm_guide *guide, const pfm_json_state *state, bool out[256])
{
    for (unsigned byte = 0; byte < 256; byte++) {
        pfm_json_state next = *state;
        out[byte] = pfm_json_feed(guide->shape, &next, (unsigned char)byte);
    }
}

void pfm_guide_mask(const pfm_guide *guide, const int32_t *answer, size_t count, int32_t end, float *scores, size_t vocabulary)
{
    const pfm_guide_tokens *t = guide->tokens;
    pfm_json_state state = pfm_json_begin();
    bool follows = true, any = false, first[256] = {false};
    for (size_t i = 0; follows && i < count; i++)
        follows = answer[i] >= 0 && (size_t)answer[i] < t->count && feed_token(guide, &state, (size_t)answer[i]);
    if (follows)
        look_ahead(guide, &state, first);
    const bool free_text = follows && pfm_json_is_in_free_text(guide->shape, &state);
    for (size_t id = 0; id < vocabulary; id++) {
        bool fits = false;
        if (id < t->count && t->begin[id + 1] > t->begin[id] && first[(unsigned char)t->bytes.data[t->begin[id]]]) {
            pfm_json_state next = state;
            fits = (free_text && t->plain[id]) || feed_token(guide, &next, id);
        }
        any = any || (fits && scores[id] > -INFINITY);
        scores[id] = fits ? scores[id] : (int32_t)id == end ? scores[id] : -INFINITY;
    }
    if (any && end >= 0 && (size_t)end < vocabulary && !(follows && pfm_json_is_whole(guide->shape, &state)))
        scores[end] = -INFINITY;
}
