#include "eval/ngrams.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void pfm_ngram_space_free(pfm_ngram_space *space)
{
    if (space == NULL)
        return;
    pfm_buffer_free(&space->text);
    pfm_intern_free(&space->words);
    pfm_word_list_free(&space->list);
    free(space->a.items);
    free(space->b.items);
    free(space->row);
    *space = (pfm_ngram_space){0};
}

void pfm_ngram_text_free(pfm_ngram_text *tokens)
{
    if (tokens == NULL)
        return;
    free(tokens->ids);
    *tokens = (pfm_ngram_text){0};
}

static pfm_status add_id(pfm_ngram_text *out, uint32_t id, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, err);
    if (status == PFM_OK)
        out->ids[out->count++] = id;
    return status;
}

pfm_status pfm_ngram_text_add_word(pfm_ngram_space *space, const char *word, size_t length, pfm_ngram_text *out, pfm_error *err)
{
    size_t index = 0;
    pfm_status status = pfm_intern_add(&space->words, word, length, &index, err);
    if (status == PFM_OK && index >= UINT32_MAX)
        status = pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the texts have more different words than can be counted");
    return status == PFM_OK ? add_id(out, (uint32_t)index + 1, err) : status;
}

pfm_status pfm_ngram_text_split(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    out->count = 0;
    PFM_TRY(pfm_word_list_split(&space->list, text, err));
    for (size_t i = 0; i < space->list.count; i++)
        PFM_TRY(pfm_ngram_text_add_word(space, space->list.items[i].text, space->list.items[i].length, out, err));
done:
    return status;
}

pfm_status pfm_ngram_text_characters(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    (void)space;
    size_t left = strlen(text);
    out->count = 0;
    while (left > 0) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        size_t step = length > 0 ? (size_t)length : 1;
        if (length > 0 && pfm_space_length(text) == 0) {
            pfm_status status = add_id(out, (uint32_t)c + 1, err);
            if (status != PFM_OK)
                return status;
        }
        text += step;
        left -= step;
    }
    return PFM_OK;
}

static int compare_ngrams(const void *a, const void *b) { return memcmp(a, b, sizeof(pfm_ngram)); }

pfm_status pfm_ngram_list_make(const pfm_ngram_text *tokens, size_t order, pfm_ngram_list *out, pfm_error *err)
{
    size_t count = pfm_ngram_count(tokens, order);
    pfm_status status = pfm_array_reserve(&out->items, &out->capacity, count, sizeof *out->items, err);
    if (status != PFM_OK)
        return status;
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        out->items[i] = (pfm_ngram){0};
        memcpy(out->items[i].ids, tokens->ids + i, order * sizeof *tokens->ids);
    }
    if (count > 1)
        qsort(out->items, count, sizeof *out->items, compare_ngrams);
    return PFM_OK;
}

pfm_status pfm_ngram_matches(pfm_ngram_space *space, const pfm_ngram_text *a, const pfm_ngram_text *b, size_t order,
                             size_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0, j = 0, common = 0;
    PFM_TRY(pfm_ngram_list_make(a, order, &space->a, err));
    PFM_TRY(pfm_ngram_list_make(b, order, &space->b, err));
    while (i < space->a.count && j < space->b.count) {
        int less = compare_ngrams(&space->a.items[i], &space->b.items[j]);
        common += less == 0;
        i += less <= 0;
        j += less >= 0;
    }
    *out = common;
done:
    return status;
}

/* One row of the usual table at a time: row[j] is the length for a's beginning and the first j of b. */
pfm_status pfm_ngram_text_lcs(pfm_ngram_space *space, const pfm_ngram_text *a, const pfm_ngram_text *b, size_t *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&space->row, &space->row_capacity, b->count + 1, sizeof *space->row, err));
    uint32_t *row = space->row;
    memset(row, 0, (b->count + 1) * sizeof *row);
    for (size_t i = 0; i < a->count; i++) {
        uint32_t diagonal = 0; /* the row above at j - 1 */
        for (size_t j = 1; j <= b->count; j++) {
            uint32_t above = row[j];
            if (a->ids[i] == b->ids[j - 1])
                row[j] = diagonal + 1;
            else if (row[j - 1] > above)
                row[j] = row[j - 1];
            diagonal = above;
        }
    }
    *out = row[b->count];
done:
    return status;
}

pfm_status pfm_ngram_measure_rows(pfm_ngram_space *space, const pfm_answer_set *set, pfm_ngram_cut cut,
                                  pfm_ngram_measure measure, const void *user, size_t columns, double *numbers, pfm_error *err)
{
    pfm_ngram_text reference = {0}, prediction = {0};
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < set->count; i++) {
        PFM_TRY(cut(space, set->rows[i].answer, &reference, err));
        PFM_TRY(cut(space, set->rows[i].prediction, &prediction, err));
        PFM_TRY(measure(space, &reference, &prediction, user, numbers + i * columns, err));
    }
done:
    pfm_ngram_text_free(&reference);
    pfm_ngram_text_free(&prediction);
    return status;
}
