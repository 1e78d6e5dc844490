/* Rows of a batch that are answered token by token. */
#include "infer/generate_internal.h"

#include "base/try.h"
#include "infer/row_answer.h"

#include <stdlib.h>

pfm_status pfm_decoding_prepare(pfm_generator *g, size_t rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t threads = (size_t)pfm_threads_count(g->session->context->threads),
                 values = threads * (size_t)g->model->language.vocabulary;
    const bool searches = g->how->beams > 1;
    PFM_TRY(pfm_allocate(rows, sizeof *g->best, &g->best, err));
    PFM_TRY(pfm_allocate(rows, sizeof *g->chosen, &g->chosen, err));
    if (pfm_row_needs_scores(g->how)) {
        PFM_TRY(pfm_allocate(values, sizeof *g->scores, &g->scores, err));
        PFM_TRY(pfm_allocate(values, sizeof *g->scratch, &g->scratch, err));
    }
    if (searches) {
        PFM_TRY(pfm_allocate(rows * pfm_beam_candidates(g->how), sizeof *g->candidates, &g->candidates, err));
        PFM_TRY(pfm_allocate(rows, sizeof *g->candidate_count, &g->candidate_count, err));
    }
done:
    return status;
}

pfm_status pfm_decoding_start(pfm_generator *g, size_t begin, size_t end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&g->rows, &g->row_capacity, end - begin, sizeof *g->rows, err));
    for (size_t i = begin; i < end; i++) {
        pfm_decoding_row *row = &g->rows[g->row_count];
        *row = (pfm_decoding_row){.request = i, .at = g->pack.rows[i - begin], .slot = -1, .prompt = g->prompts[i].count};
        g->row_count++;
        for (size_t t = 0; t < g->prompts[i].count; t++)
            PFM_TRY(pfm_ids_append(&row->ids, g->prompts[i].data[t], err));
    }
    if (g->how->beams > 1)
        PFM_TRY(pfm_beams_start(g, err));
done:
    return status;
}

static void choose_row(void *user, int item, int thread)
{
    pfm_generator *g = user;
    const size_t vocabulary = (size_t)g->model->language.vocabulary;
    const float *logits = (const float *)pfm_executor_data(g->executor, g->graph.language.logits) + (size_t)item * vocabulary;
    const float total = g->session->context->kernels->logsumexp(logits, vocabulary, &g->chosen[item]);
    if (g->scores != NULL) {
        const pfm_decoding_row *row = &g->rows[item];
        const bool searches = g->how->beams > 1; /* whose scores are log-probabilities */
        float *scores = g->scores + (size_t)thread * vocabulary;
        const pfm_row_view view = {.how = g->how,
                                   .ids = row->ids.data,
                                   .count = row->ids.count,
                                   .prompt = row->prompt,
                                   .end = pfm_tokenizer_end(g->model->tokenizer),
                                   .draws = g->requests[row->request].draws};
        pfm_row_score(&view, logits, searches ? total : 0, vocabulary, scores, g->scratch + (size_t)thread * vocabulary);
        if (searches)
            pfm_beams_collect(g, (size_t)item, scores, logits, total);
        else
            g->chosen[item] = pfm_row_choose(&view, scores, vocabulary);
    }
    g->best[item] = logits[g->chosen[item]] - total;
}

void pfm_decoding_choose(pfm_generator *g)
{
    pfm_threads_run(g->session->context->threads, (int)g->pack.answers, choose_row, g);
}

pfm_status pfm_find_stop(const pfm_generator *g, const int32_t *ids, size_t count, bool *found, pfm_error *err)
{
    return pfm_row_find_stop(g->model->tokenizer, g->how, ids, count, found, err);
}

pfm_status pfm_answer_make(const pfm_generator *g, const int32_t *ids, size_t count, double log_probability, pfm_answer *out,
                           pfm_error *err)
{
    return pfm_row_answer(g->model->tokenizer, g->how, ids, count, log_probability, out, err);
}

/* Takes the row's chosen token; *over: it is the answer's last. */
static pfm_status take_token(pfm_generator *g, size_t r, bool *over, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_decoding_row *row = &g->rows[r];
    row->last = (int32_t)g->chosen[r];
    row->log_probability += g->best[r];
    PFM_TRY(pfm_ids_append(&row->ids, row->last, err));
    if (g->options->on_token != NULL)
        PFM_TRY(g->options->on_token(g->options->user, row->request, row->last, err));
    const int32_t *answer = row->ids.data + row->prompt;
    const size_t count = row->ids.count - row->prompt;
    *over = row->last == pfm_tokenizer_end(g->model->tokenizer) || count == (size_t)g->options->max_tokens;
    if (!*over)
        PFM_TRY(pfm_find_stop(g, answer, count, over, err));
    if (*over)
        PFM_TRY(pfm_answer_make(g, answer, count, row->log_probability, &g->answers[row->request], err));
done:
    return status;
}

pfm_status pfm_decoding_take(pfm_generator *g, pfm_error *err)
{
    size_t left = 0;
    if (g->how->beams > 1)
        return pfm_beams_take(g, err);
    for (size_t r = 0; r < g->row_count; r++) {
        bool over = false;
        pfm_status status = take_token(g, r, &over, err);
        if (status != PFM_OK)
            return status;
        pfm_decoding_row kept = g->rows[r];
        if (over)
            pfm_ids_free(&kept.ids);
        g->rows[r].ids = (pfm_ids){0};
        if (!over)
            g->rows[left++] = kept;
    }
    g->row_count = left;
    return PFM_OK;
}

/* What a row sees: the shared run, of a beam its prompt's own part, and what it said itself. */
static pfm_attention_span span_of(const pfm_decoding_row *row, int32_t i)
{
    const pfm_pack_row *at = &row->at;
    pfm_attention_span span = {.q_begin = i, .q_end = i + 1, .own_begin = at->own_begin, .own_past = at->own_count, .root = i};
    const int32_t begin[] = {at->prefix_begin, row->prompt_begin}, end[] = {at->prefix_end, row->prompt_end};
    for (size_t k = 0; k < 2; k++) {
        if (begin[k] == end[k])
            continue;
        span.ancestor_begin[span.ancestors] = begin[k];
        span.ancestor_end[span.ancestors++] = end[k];
    }
    return span;
}

void pfm_decoding_pack(pfm_generator *g)
{
    pfm_pack *pack = &g->pack;
    pack->tokens = pack->answers = pack->span_count = g->row_count;
    pack->root_count = g->row_count;
    pack->most_keys = 0;
    for (size_t r = 0; r < g->row_count; r++) {
        pfm_decoding_row *row = &g->rows[r];
        pfm_pack_row *at = &row->at;
        const int32_t i = (int32_t)r;
        pack->ids[r] = row->last;
        pack->positions[r] = at->position++;
        pack->adapters[r] = g->requests[row->request].adapter;
        pack->contexts[r] = g->requests[row->request].context;
        pack->keys[r] = 0;
        pack->key_rows[r] = at->own_begin + at->own_count;
        pack->index[r] = i;
        pack->roots[r] = i;
        pack->spans[r] = span_of(row, i);
        pack->image_spans[r] = pfm_pack_image_span(i, i + 1, at->visual_begin, at->visual_end);
        at->own_count++;
        const int32_t keys = at->prefix_end - at->prefix_begin + row->prompt_end - row->prompt_begin + at->own_count;
        pack->most_keys = keys > pack->most_keys ? keys : pack->most_keys;
    }
    pack->roots[g->row_count] = (int32_t)g->row_count;
}

void pfm_decoding_clear(pfm_generator *g)
{
    for (size_t r = 0; r < g->row_count; r++)
        pfm_ids_free(&g->rows[r].ids);
    g->row_count = 0;
    pfm_beams_clear(g);
}
