#include "eval/ngrams.h"

#include "base/try.h"
#include "eval/cut_13a.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void pfm_ngram_space_free(pfm_ngram_space *space)
{
    if (space == NULL)
        return;
    pfm_buffer_free(&space->text);
    pfm_buffer_free(&space->lowered);
    pfm_intern_free(&space->words);
    pfm_word_list_free(&space->list);
    pfm_pair_map_free(&space->pairs);
    free(space->kinds);
    free(space->predicted);
    free(space->wanted);
    free(space->lengths);
    free(space->numbers);
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
    if (out->count == out->capacity) {
        pfm_status status = pfm_array_reserve(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, err);
        if (status != PFM_OK)
            return status;
    }
    out->ids[out->count++] = id;
    return PFM_OK;
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

pfm_status pfm_ngram_text_13a(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_cut_13a(text, &space->text, err);
    return status == PFM_OK ? pfm_ngram_text_split(space, space->text.data, out, err) : status;
}

static size_t total_count(const pfm_ngram_row *row)
{
    size_t total = row->prediction->count;
    for (size_t r = 0; r < row->reference_count; r++)
        total += row->references[r].count;
    return total;
}

/* An n-gram is the one before it and one number more, so that its kind is the kind of that and the number. */
static pfm_status step_text(pfm_ngram_space *space, const pfm_ngram_text *text, size_t order, uint32_t *kinds, pfm_error *err)
{
    for (size_t i = 0; i < pfm_ngram_count(text, order); i++) {
        pfm_status status =
            pfm_pair_map_add(&space->pairs, order == 1 ? 0 : kinds[i], text->ids[i + order - 1], &kinds[i], err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static void tally(const uint32_t *kinds, size_t count, uint32_t *into)
{
    for (size_t i = 0; i < count; i++)
        into[kinds[i]]++;
}

pfm_status pfm_ngram_step(pfm_ngram_space *space, const pfm_ngram_row *row, size_t order, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t begin = row->prediction->count;
    PFM_TRY(pfm_array_reserve(&space->kinds, &space->kind_capacity, total_count(row) + 1, sizeof *space->kinds, err));
    pfm_pair_map_clear(&space->pairs);
    PFM_TRY(step_text(space, row->prediction, order, space->kinds, err));
    for (size_t r = 0; r < row->reference_count; begin += row->references[r++].count)
        PFM_TRY(step_text(space, &row->references[r], order, space->kinds + begin, err));
    size_t kinds = space->pairs.count;
    PFM_TRY(pfm_array_reserve(&space->predicted, &space->predicted_capacity, kinds + 1, sizeof *space->predicted, err));
    PFM_TRY(pfm_array_reserve(&space->wanted, &space->wanted_capacity, kinds + 1, sizeof *space->wanted, err));
    memset(space->predicted, 0, kinds * sizeof *space->predicted);
    tally(space->kinds, pfm_ngram_count(row->prediction, order), space->predicted);
done:
    return status;
}

const uint32_t *pfm_ngram_reference_kinds(const pfm_ngram_space *space, const pfm_ngram_row *row, size_t reference)
{
    size_t begin = row->prediction->count;
    for (size_t r = 0; r < reference; r++)
        begin += row->references[r].count;
    return space->kinds + begin;
}

void pfm_ngram_count_reference(pfm_ngram_space *space, const pfm_ngram_row *row, size_t reference, size_t order)
{
    memset(space->wanted, 0, space->pairs.count * sizeof *space->wanted);
    tally(pfm_ngram_reference_kinds(space, row, reference), pfm_ngram_count(&row->references[reference], order), space->wanted);
}

pfm_status pfm_ngram_count_most(pfm_ngram_space *space, const pfm_ngram_row *row, size_t order, pfm_error *err)
{
    uint32_t *most = NULL;
    size_t kinds = space->pairs.count;
    pfm_ngram_count_reference(space, row, 0, order);
    if (row->reference_count == 1)
        return PFM_OK;
    pfm_status status = pfm_allocate(kinds, sizeof *most, &most, err);
    if (status != PFM_OK)
        return status;
    memcpy(most, space->wanted, kinds * sizeof *most);
    for (size_t r = 1; r < row->reference_count; r++) {
        pfm_ngram_count_reference(space, row, r, order);
        for (size_t k = 0; k < kinds; k++)
            most[k] = most[k] > space->wanted[k] ? most[k] : space->wanted[k];
    }
    memcpy(space->wanted, most, kinds * sizeof *most);
    free(most);
    return PFM_OK;
}

size_t pfm_ngram_matches(const pfm_ngram_space *space)
{
    size_t common = 0;
    for (size_t k = 0; k < space->pairs.count; k++)
        common += space->predicted[k] < space->wanted[k] ? space->predicted[k] : space->wanted[k];
    return common;
}

size_t pfm_ngram_closest_length(const pfm_ngram_row *row)
{
    size_t own = row->prediction->count, closest = 0, least = SIZE_MAX;
    for (size_t r = 0; r < row->reference_count; r++) {
        size_t length = row->references[r].count, apart = length > own ? length - own : own - length;
        if (apart < least || (apart == least && length < closest)) {
            closest = length;
            least = apart;
        }
    }
    return closest;
}

/* One row of the usual table at a time: row[j] is the length for a's beginning and the first j of b. */
pfm_status pfm_ngram_text_lcs(pfm_ngram_space *space, const pfm_ngram_text *a, const pfm_ngram_text *b, size_t *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&space->lengths, &space->length_capacity, b->count + 1, sizeof *space->lengths, err));
    uint32_t *row = space->lengths;
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

pfm_status pfm_ngram_measure_rows(pfm_ngram_space *space, const pfm_answer_set *set, const pfm_ngram_plan *plan,
                                  double *numbers, pfm_error *err)
{
    pfm_ngram_text *references = NULL, prediction = {0};
    size_t capacity = 0;
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_answer_row *row = &set->rows[i];
        PFM_TRY(pfm_array_reserve(&references, &capacity, row->reference_count, sizeof *references, err));
        for (size_t r = 0; r < row->reference_count; r++)
            PFM_TRY(plan->cut(space, pfm_answer_references(set, row)[r], &references[r], err));
        PFM_TRY((plan->cut_prediction != NULL ? plan->cut_prediction : plan->cut)(space, row->prediction, &prediction, err));
        const pfm_ngram_row cut = {&prediction, references, pfm_answer_weights(set, row), row->reference_count};
        PFM_TRY(plan->measure(space, &cut, plan->user, numbers + i * plan->columns, err));
    }
done:
    for (size_t r = 0; r < capacity; r++)
        pfm_ngram_text_free(&references[r]);
    free(references);
    pfm_ngram_text_free(&prediction);
    return status;
}
