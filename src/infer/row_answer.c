#include "infer/row_answer.h"

#include "base/try.h"
#include "infer/processors.h"

#include <math.h>
#include <string.h>

bool pfm_row_needs_scores(const pfm_decoding *how) { return how->beams > 1 || how->temperature > 0 || pfm_processors_act(how); }

void pfm_row_score(const pfm_row_view *row, const float *logits, float less, size_t vocabulary, float *scores, int32_t *scratch)
{
    for (size_t i = 0; i < vocabulary; i++)
        scores[i] = logits[i] - less;
    pfm_scoring scoring = {.how = row->how,
                           .ids = row->ids,
                           .count = row->count,
                           .prompt = row->prompt,
                           .end = row->end,
                           .scores = scores,
                           .vocabulary = vocabulary};
    scoring.scratch = scratch;
    pfm_processors_apply(&scoring);
}

size_t pfm_row_choose(const pfm_row_view *row, const float *scores, size_t vocabulary)
{
    size_t largest = 0;
    if (row->how->temperature > 0)
        return (size_t)pfm_draw_token(scores, vocabulary,
                                      pfm_draw_uniform(row->how->seed, row->draws, row->count - row->prompt));
    for (size_t i = 1; i < vocabulary; i++)
        largest = scores[i] > scores[largest] ? i : largest;
    return largest;
}

/* The text of an answer's ids, without the end of turn. */
static pfm_status write_text(const pfm_tokenizer *tokenizer, const int32_t *ids, size_t count, pfm_buffer *out, pfm_error *err)
{
    count -= count > 0 && ids[count - 1] == pfm_tokenizer_end(tokenizer);
    return pfm_tokenizer_decode(tokenizer, ids, count, true, out, err);
}

/* Where in a text the first of those that end an answer begins; its length where there is none. */
static size_t first_stop(const pfm_decoding *how, const pfm_buffer *text)
{
    size_t first = text->size;
    for (size_t i = 0; text->data != NULL && i < how->stop_count; i++) {
        const char *at = strstr(text->data, how->stop[i]);
        if (at != NULL && (size_t)(at - text->data) < first)
            first = (size_t)(at - text->data);
    }
    return first;
}

pfm_status pfm_row_find_stop(const pfm_tokenizer *tokenizer, const pfm_decoding *how, const int32_t *ids, size_t count,
                             bool *found, pfm_error *err)
{
    pfm_buffer text = {0};
    *found = false;
    if (how->stop_count == 0)
        return PFM_OK;
    pfm_status status = write_text(tokenizer, ids, count, &text, err);
    *found = status == PFM_OK && first_stop(how, &text) < text.size;
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_row_answer(const pfm_tokenizer *tokenizer, const pfm_decoding *how, const int32_t *ids, size_t count,
                          double log_probability, pfm_answer *out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = write_text(tokenizer, ids, count, &text, err);
    if (status == PFM_OK)
        status = pfm_string_copy_n(text.data != NULL ? text.data : "", first_stop(how, &text), &out->text, err);
    out->tokens = (int32_t)count;
    out->probability = exp(log_probability);
    pfm_buffer_free(&text);
    return status;
}
