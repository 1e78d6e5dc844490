/* Answers to choose among. Prompts are read once, as for free answers; what is behind them is read choice by choice, many in
 * one pass, each seeing its prompt and itself. Key rows behind the prompts' are used again by each pass. */
#include "infer/generate_internal.h"

#include "base/try.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { CHOICE_TOKENS = 256 }; /* read at once */

pfm_status pfm_choices_encode(pfm_generator *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!pfm_generator_chooses(g))
        return PFM_OK;
    PFM_TRY(pfm_allocate(g->count, sizeof *g->choice_sets, &g->choice_sets, err));
    for (size_t i = 0; i < g->count; i++) {
        const pfm_choices *choices = g->requests[i].choices;
        assert(choices != NULL && choices->count > 0);
        if (i > 0 && choices == g->choice_sets[i - 1].choices) {
            g->choice_sets[i] = g->choice_sets[i - 1];
            g->choice_sets[i].owned = false;
            continue;
        }
        pfm_choice_set *set = &g->choice_sets[i];
        *set = (pfm_choice_set){.choices = choices, .owned = true};
        PFM_TRY(pfm_allocate(choices->count, sizeof *set->ids, &set->ids, err));
        for (size_t c = 0; c < choices->count; c++) {
            PFM_TRY(pfm_model_encode_answer(g->model, choices->texts[c], &set->ids[c], err));
            g->longest_choice = set->ids[c].count > g->longest_choice ? set->ids[c].count : g->longest_choice;
        }
    }
done:
    return status;
}

void pfm_choices_free(pfm_generator *g)
{
    for (size_t i = 0; g->choice_sets != NULL && i < g->count; i++) {
        const pfm_choice_set *set = &g->choice_sets[i];
        for (size_t c = 0; set->owned && set->ids != NULL && c < set->choices->count; c++)
            pfm_ids_free(&set->ids[c]);
        if (set->owned)
            free(set->ids);
    }
    free(g->choice_sets);
}

size_t pfm_choices_at_once(const pfm_generator *g)
{
    return g->longest_choice > CHOICE_TOKENS ? g->longest_choice : CHOICE_TOKENS;
}

/* One pass: which token each row of logits foretells, and how likely that is. */
typedef struct pass {
    pfm_generator *g;
    int32_t *targets;        /* [pfm_choices_at_once] */
    double *log_probability; /* of them */
    pfm_choice **sums;       /* where each belongs */
} pass;

static void weigh_row(void *user, int item, int thread)
{
    (void)thread;
    const pass *p = user;
    const pfm_generator *g = p->g;
    const size_t vocabulary = (size_t)g->model->language.vocabulary;
    const float *logits = (const float *)pfm_executor_data(g->executor, g->graph.language.logits) + (size_t)item * vocabulary;
    size_t likeliest;
    const float total = g->session->context->kernels->logsumexp(logits, vocabulary, &likeliest);
    p->log_probability[item] = (double)(logits[p->targets[item]] - total);
}

/* The first token of each choice, which the prompt foretells. */
static pfm_status weigh_first(const pfm_generator *g, size_t begin, size_t end, pfm_error *err)
{
    const size_t vocabulary = (size_t)g->model->language.vocabulary;
    for (size_t i = begin; i < end; i++) {
        const pfm_choice_set *set = &g->choice_sets[i];
        const float *logits =
            (const float *)pfm_executor_data(g->executor, g->graph.language.logits) + (i - begin) * vocabulary;
        size_t likeliest;
        const float total = g->session->context->kernels->logsumexp(logits, vocabulary, &likeliest);
        pfm_status status = pfm_allocate(set->choices->count, sizeof *g->answers[i].choices, &g->answers[i].choices, err);
        if (status != PFM_OK)
            return status;
        for (size_t c = 0; c < set->choices->count; c++) {
            g->answers[i].choices[c].log_likelihood = (double)(logits[set->ids[c].data[0]] - total);
            g->answers[i].choices[c].tokens = (int32_t)set->ids[c].count;
        }
    }
    return PFM_OK;
}

/* Puts a choice's tokens but the last, which nothing follows, behind those of the pass. */
static void append(pass *p, size_t request, const pfm_pack_row *at, const pfm_ids *ids, pfm_choice *sum, int32_t key_begin)
{
    pfm_pack *pack = &p->g->pack;
    const size_t first = pack->tokens, s = pack->span_count++;
    for (size_t t = 0; t + 1 < ids->count; t++) {
        const size_t i = pack->tokens++;
        pack->ids[i] = ids->data[t];
        pack->positions[i] = at->position + (int32_t)t;
        pack->adapters[i] = p->g->requests[request].adapter;
        pack->contexts[i] = p->g->requests[request].context;
        pack->keys[i] = 0;
        pack->key_rows[i] = key_begin + (int32_t)i;
        pack->index[i] = (int32_t)i;
        p->targets[i] = ids->data[t + 1];
        p->sums[i] = sum;
    }
    const int32_t q_begin = (int32_t)first, q_end = (int32_t)pack->tokens;
    pfm_attention_span *span = &pack->spans[s];
    *span = (pfm_attention_span){.q_begin = q_begin, .q_end = q_end, .own_begin = key_begin + q_begin, .root = (int32_t)s};
    if (at->prefix_begin < at->prefix_end) {
        span->ancestor_begin[0] = at->prefix_begin;
        span->ancestor_end[span->ancestors++] = at->prefix_end;
    }
    span->ancestor_begin[span->ancestors] = at->own_begin;
    span->ancestor_end[span->ancestors++] = at->own_begin + at->own_count;
    pack->image_spans[s] = pfm_pack_image_span(q_begin, q_end, at->visual_begin, at->visual_end);
    pack->roots[s] = (int32_t)s;
    const int32_t keys = at->prefix_end - at->prefix_begin + at->own_count + q_end - q_begin;
    pack->most_keys = keys > pack->most_keys ? keys : pack->most_keys;
}

static pfm_status run_pass(pass *p, pfm_error *err)
{
    pfm_pack *pack = &p->g->pack;
    pack->answers = pack->tokens;
    pack->root_count = pack->span_count;
    pack->roots[pack->root_count] = (int32_t)pack->span_count;
    pfm_status status = pack->tokens > 0 ? pfm_generator_run(p->g, 0, err) : PFM_OK;
    if (status != PFM_OK || pack->tokens == 0)
        return status;
    pfm_threads_run(p->g->session->context->threads, (int)pack->tokens, weigh_row, p);
    for (size_t i = 0; i < pack->tokens; i++)
        p->sums[i]->log_likelihood += p->log_probability[i];
    pack->tokens = pack->span_count = 0;
    pack->most_keys = 0;
    return PFM_OK;
}

/* All that stands behind the first tokens, in as few passes as hold it. */
static pfm_status weigh_rest(pass *p, size_t begin, size_t end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_generator *g = p->g;
    const size_t most = pfm_choices_at_once(g);
    const int32_t key_begin = g->pack.key_row_count;
    g->pack.tokens = g->pack.span_count = 0;
    g->pack.most_keys = 0;
    for (size_t i = begin; i < end; i++) {
        const pfm_pack_row at = g->pack.rows[i - begin];
        for (size_t c = 0; c < g->choice_sets[i].choices->count; c++) {
            const pfm_ids *ids = &g->choice_sets[i].ids[c];
            if (g->pack.tokens + ids->count - 1 > most)
                PFM_TRY(run_pass(p, err));
            if (ids->count > 1)
                append(p, i, &at, ids, &g->answers[i].choices[c], key_begin);
        }
    }
    PFM_TRY(run_pass(p, err));
done:
    return status;
}

/* The best, of equal ones the first. */
static pfm_status choose(const pfm_generator *g, size_t request, pfm_error *err)
{
    const pfm_choices *choices = g->requests[request].choices;
    pfm_answer *answer = &g->answers[request];
    size_t best = 0;
    double total = 0;
    for (size_t c = 0; c < choices->count; c++) {
        pfm_choice *choice = &answer->choices[c];
        const double sequence = (double)g->prompts[request].count + choice->tokens - 1;
        const double by[] = {[PFM_CHOICE_TOTAL] = 1, [PFM_CHOICE_MEAN] = choice->tokens, [PFM_CHOICE_SEQUENCE] = sequence};
        choice->score = choice->log_likelihood / by[g->options->choice_score];
        best = choice->score > answer->choices[best].score ? c : best;
    }
    for (size_t c = 0; c < choices->count; c++)
        total += exp(answer->choices[c].score - answer->choices[best].score);
    for (size_t c = 0; c < choices->count; c++)
        answer->choices[c].probability = exp(answer->choices[c].score - answer->choices[best].score) / total;
    answer->tokens = answer->choices[best].tokens;
    answer->score = answer->choices[best].score;
    answer->probability = answer->choices[best].probability;
    if (!g->options->list_choices) {
        free(answer->choices);
        answer->choices = NULL;
    }
    return pfm_string_copy(choices->texts[best], &answer->text, err);
}

pfm_status pfm_choices_take(pfm_generator *g, size_t begin, size_t end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pass p = {.g = g};
    const size_t most = pfm_choices_at_once(g);
    PFM_TRY(pfm_allocate(most, sizeof *p.targets, &p.targets, err));
    PFM_TRY(pfm_allocate(most, sizeof *p.log_probability, &p.log_probability, err));
    PFM_TRY(pfm_allocate(most, sizeof *p.sums, &p.sums, err));
    PFM_TRY(weigh_first(g, begin, end, err));
    PFM_TRY(weigh_rest(&p, begin, end, err));
    for (size_t i = begin; i < end; i++)
        PFM_TRY(choose(g, i, err));
done:
    free(p.targets);
    free(p.log_probability);
    free(p.sums);
    return status;
}
