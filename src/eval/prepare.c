#include "eval/prepare.h"

#include "base/try.h"
#include "eval/lower.h"
#include "eval/prepare_list.h"

#include <stdlib.h>
#include <string.h>

#define DECLARE(name) extern const pfm_prepare_kind pfm_prepare_##name;
PFM_PREPARE_LIST(DECLARE)
#define ADDRESS(name) &pfm_prepare_##name,
const pfm_prepare_kind *const pfm_prepare_kinds[] = {PFM_PREPARE_LIST(ADDRESS) NULL};

static pfm_status apply_lower(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err)
{
    (void)step;
    return pfm_text_lower(text, out, err);
}
const pfm_prepare_kind pfm_prepare_lower = {.name = "lower", .apply = apply_lower};

/* The words of a text, one blank between two of them: at most `most`, and "<unk>" for those that `counts` has fewer than
 * `least` times. */
static pfm_status write_words(const char *text, size_t most, const pfm_word_counts *counts, size_t least, pfm_buffer *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_word_list words = {0};
    pfm_buffer_clear(out);
    PFM_TRY(pfm_word_list_split(&words, text, err));
    for (size_t i = 0; i < words.count && i < most; i++) {
        size_t index = 0;
        const pfm_word *word = &words.items[i];
        bool known = counts == NULL ||
                     (pfm_intern_find(&counts->words, word->text, word->length, &index) && counts->counts[index] >= least);
        if (i > 0)
            PFM_TRY(pfm_buffer_append(out, " ", 1, err));
        PFM_TRY(known ? pfm_buffer_append(out, word->text, word->length, err) : pfm_buffer_append_string(out, "<unk>", err));
    }
done:
    pfm_word_list_free(&words);
    return status;
}

static pfm_status apply_first_words(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err)
{
    return write_words(text, step->number, NULL, 0, out, err);
}
const pfm_prepare_kind pfm_prepare_first_words = {.name = "first_words", .takes_number = true, .apply = apply_first_words};

static pfm_status apply_rare_words(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err)
{
    return write_words(text, SIZE_MAX, step->learned.given ? &step->learned : NULL, step->number, out, err);
}
const pfm_prepare_kind pfm_prepare_rare_words = {
    .name = "rare_words", .takes_number = true, .learns = true, .apply = apply_rare_words};

void pfm_preparation_free(pfm_preparation *preparation)
{
    if (preparation == NULL)
        return;
    for (size_t i = 0; i < preparation->count; i++) {
        pfm_intern_free(&preparation->steps[i].learned.words);
        free(preparation->steps[i].learned.counts);
    }
    pfm_buffer_free(&preparation->text);
    pfm_buffer_free(&preparation->scratch);
    *preparation = (pfm_preparation){0};
}

/* Applies the first `count` steps. */
static pfm_status apply_steps(pfm_preparation *preparation, size_t count, const char *text, const char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = text;
    for (size_t i = 0; i < count; i++) {
        const pfm_prepare_step *step = &preparation->steps[i];
        PFM_TRY(step->kind->apply(step, *out, &preparation->scratch, err));
        pfm_buffer made = preparation->scratch;
        preparation->scratch = preparation->text;
        preparation->text = made;
        *out = made.data == NULL ? "" : made.data;
    }
done:
    return status;
}

pfm_status pfm_prepare(pfm_preparation *preparation, const char *text, const char **out, pfm_error *err)
{
    return apply_steps(preparation, preparation->count, text, out, err);
}

bool pfm_preparation_learns(const pfm_preparation *preparation)
{
    for (size_t i = 0; i < preparation->count; i++) {
        if (preparation->steps[i].kind->learns)
            return true;
    }
    return false;
}

static pfm_status count_words(pfm_word_counts *counts, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_word_list words = {0};
    counts->given = true;
    PFM_TRY(pfm_word_list_split(&words, text, err));
    for (size_t i = 0; i < words.count; i++) {
        size_t index = 0;
        PFM_TRY(pfm_intern_add(&counts->words, words.items[i].text, words.items[i].length, &index, err));
        PFM_TRY(pfm_array_reserve(&counts->counts, &counts->capacity, index + 1, sizeof *counts->counts, err));
        counts->counts[index]++;
    }
done:
    pfm_word_list_free(&words);
    return status;
}

pfm_status pfm_preparation_learn(pfm_preparation *preparation, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < preparation->count; i++) {
        const char *before = NULL;
        if (!preparation->steps[i].kind->learns)
            continue;
        PFM_TRY(apply_steps(preparation, i, text, &before, err));
        PFM_TRY(count_words(&preparation->steps[i].learned, before, err));
    }
done:
    return status;
}

pfm_status pfm_preparation_describe(const pfm_preparation *preparation, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < preparation->count; i++) {
        const pfm_prepare_step *step = &preparation->steps[i];
        PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", i == 0 ? "" : ",", step->kind->name));
        if (step->kind->learns && !step->learned.given)
            PFM_TRY(pfm_buffer_append_string(out, ":none", err));
        else if (step->kind->takes_number)
            PFM_TRY(pfm_buffer_append_format(out, err, ":%zu", step->number));
    }
done:
    return status;
}

pfm_status pfm_prepare_set(pfm_preparation *references, pfm_preparation *predictions, pfm_answer_set *set, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *text = NULL;
    for (size_t r = 0; r < set->reference_count; r++) {
        PFM_TRY(pfm_prepare(references, set->references[r], &text, err));
        PFM_TRY(pfm_text_store_add(&set->texts, text, strlen(text), &set->references[r], err));
    }
    for (size_t i = 0; i < set->count; i++) {
        pfm_answer_row *row = &set->rows[i];
        row->answer = set->references[row->first_reference];
        PFM_TRY(pfm_prepare(predictions, row->prediction, &text, err));
        PFM_TRY(pfm_text_store_add(&set->texts, text, strlen(text), &row->prediction, err));
    }
    PFM_TRY(pfm_answer_set_judge(set, err));
done:
    return status;
}
