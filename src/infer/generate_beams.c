/* Beam search: a request's beams are rows of the batch. They see the prompt where it lies and have a slot of key rows each
 * behind it. The first beam that goes on from another keeps its slot; only where a beam forks are its keys and values copied.
 */
#include "infer/generate_internal.h"

#include "base/try.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

pfm_status pfm_beams_start(pfm_generator *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    assert(g->how->beams <= PFM_MOST_BEAMS);
    PFM_TRY(pfm_array_reserve(&g->groups, &g->group_capacity, g->row_count, sizeof *g->groups, err));
    PFM_TRY(
        pfm_array_reserve(&g->next_rows, &g->next_capacity, g->row_count * (size_t)g->how->beams, sizeof *g->next_rows, err));
    PFM_TRY(pfm_array_reserve(&g->rows, &g->row_capacity, g->row_count * (size_t)g->how->beams, sizeof *g->rows, err));
    for (size_t r = 0; r < g->row_count; r++) {
        g->groups[r] = (pfm_beam_group){.first = r, .rows = 1};
        g->group_count++;
        PFM_TRY(pfm_beam_search_start(&g->groups[r].search, g->how, g->options->max_tokens, err));
    }
done:
    return status;
}

void pfm_beams_collect(pfm_generator *g, size_t row, const float *scores, const float *logits, float total)
{
    const size_t vocabulary = (size_t)g->model->language.vocabulary, most = pfm_beam_candidates(g->how);
    const pfm_decoding_row *parent = &g->rows[row];
    pfm_beam_candidate *list = g->candidates + row * most;
    size_t *count = &g->candidate_count[row];
    *count = 0;
    for (size_t i = 0; i < vocabulary; i++) {
        const float score = parent->score + scores[i];
        if (!(score > -INFINITY) || (*count == most && !(score > list[most - 1].score)))
            continue;
        const pfm_beam_candidate one = {
            .score = score, .log_probability = parent->log_probability + (double)(logits[i] - total), .token = (int32_t)i};
        pfm_beam_candidate_insert(list, count, most, &one);
    }
}

/* The best of all beams, numbered by their place in the group, and which of them are over. */
static pfm_status rank_candidates(const pfm_generator *g, const pfm_beam_group *group, pfm_beam_candidate *out, size_t *count,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t most = pfm_beam_candidates(g->how);
    *count = 0;
    for (size_t b = 0; b < group->rows; b++) {
        for (size_t i = 0; i < g->candidate_count[group->first + b]; i++) {
            pfm_beam_candidate *one = &g->candidates[(group->first + b) * most + i];
            one->beam = (int32_t)b;
            pfm_beam_candidate_insert(out, count, most, one);
        }
    }
    for (size_t i = 0; i < *count; i++) {
        const pfm_decoding_row *parent = &g->rows[group->first + (size_t)out[i].beam];
        const size_t length = parent->ids.count - parent->prompt + 1;
        bool stops = false;
        for (size_t t = parent->prompt; t < parent->ids.count; t++)
            PFM_TRY(pfm_ids_append(&out[i].ids, parent->ids.data[t], err));
        PFM_TRY(pfm_ids_append(&out[i].ids, out[i].token, err));
        PFM_TRY(pfm_find_stop(g, out[i].ids.data, length, &stops, err));
        out[i].over =
            stops || out[i].token == pfm_tokenizer_end(g->model->tokenizer) || length == (size_t)g->options->max_tokens;
    }
done:
    return status;
}

static void copy_keys(const pfm_generator *g, int32_t from, int32_t to, int32_t count)
{
    const pfm_store_shape shape = pfm_generator_store(g);
    const size_t size = pfm_act_size(g->model->act), row = shape.columns * size;
    for (int32_t layer = 0; layer < shape.layers; layer++) {
        const size_t begin = (size_t)layer * g->kv.layer_stride * size;
        char *const stores[] = {(char *)g->kv.keys + begin, (char *)g->kv.values + begin};
        for (size_t k = 0; k < 2; k++)
            memcpy(stores[k] + (size_t)to * row, stores[k] + (size_t)from * row, (size_t)count * row);
    }
}

/* A beam that has nothing of its own yet sees the whole prompt, whose own part ends where its slots begin. */
static void place_beam(const pfm_generator *g, const pfm_decoding_row *parent, int32_t slot, pfm_decoding_row *child)
{
    if (parent->slot < 0) {
        child->prompt_begin = parent->at.own_begin;
        child->prompt_end = parent->at.own_begin + parent->at.own_count;
        child->at.own_count = 0;
    }
    child->at.own_begin = child->prompt_end + slot * g->options->max_tokens;
    if (parent->slot >= 0 && slot != parent->slot)
        copy_keys(g, parent->at.own_begin, child->at.own_begin, parent->at.own_count);
    child->slot = slot;
}

/* The rows that go on, behind those of other groups; the candidates give them their ids. */
static void spawn(pfm_generator *g, const pfm_beam_group *group, pfm_beam_candidate *candidates, const size_t *next,
                  size_t count, pfm_decoding_row *out)
{
    int32_t slots[PFM_MOST_BEAMS];
    uint64_t used = 0; /* a bit a slot */
    for (size_t i = 0; i < count; i++) {
        const int32_t slot = g->rows[group->first + (size_t)candidates[next[i]].beam].slot;
        const bool inherits = slot >= 0 && (used >> slot & 1) == 0;
        slots[i] = inherits ? slot : -1;
        used |= inherits ? (uint64_t)1 << slot : 0;
    }
    for (size_t i = 0; i < count; i++) {
        pfm_beam_candidate *one = &candidates[next[i]];
        const pfm_decoding_row *parent = &g->rows[group->first + (size_t)one->beam];
        for (int32_t slot = 0; slots[i] < 0; slot++)
            slots[i] = (used >> slot & 1) == 0 ? slot : -1;
        used |= (uint64_t)1 << slots[i];
        out[i] = *parent;
        out[i].ids = (pfm_ids){0};
        out[i].last = one->token;
        out[i].log_probability = one->log_probability;
        out[i].score = one->score;
        place_beam(g, parent, slots[i], &out[i]);
    }
}

/* Ids of the rows that go on: the prompt's, then the candidate's. */
static pfm_status give_ids(const pfm_generator *g, const pfm_beam_candidate *candidates, const size_t *next, size_t count,
                           pfm_decoding_row *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < count; i++) {
        const pfm_ids *prompt = &g->prompts[rows[i].request], *answer = &candidates[next[i]].ids;
        for (size_t t = 0; t < prompt->count; t++)
            PFM_TRY(pfm_ids_append(&rows[i].ids, prompt->data[t], err));
        for (size_t t = 0; t < answer->count; t++)
            PFM_TRY(pfm_ids_append(&rows[i].ids, answer->data[t], err));
    }
done:
    return status;
}

/* The best of what is kept; of a search that found no end, what there was. */
static pfm_status finish(const pfm_generator *g, const pfm_beam_group *group, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_decoding_row *row = &g->rows[group->first];
    const pfm_hypothesis *kept = group->search.kept;
    pfm_answer *answer = &g->answers[row->request];
    const size_t wanted = g->options->returned > 1 ? (size_t)g->options->returned : 1;
    if (group->search.count == 0)
        return pfm_answer_make(g, row->ids.data + row->prompt, row->ids.count - row->prompt, row->log_probability, answer, err);
    for (size_t t = 0; g->options->on_token != NULL && t < kept[0].ids.count; t++)
        PFM_TRY(g->options->on_token(g->options->user, row->request, kept[0].ids.data[t], err));
    if (wanted > 1 && group->search.count > 1)
        PFM_TRY(pfm_allocate(group->search.count - 1, sizeof *answer->others, &answer->others, err));
    for (size_t i = 0; i < group->search.count && i < wanted; i++) {
        pfm_answer *out = i == 0 ? answer : &answer->others[answer->other_count++];
        PFM_TRY(pfm_answer_make(g, kept[i].ids.data, kept[i].ids.count, kept[i].log_probability, out, err));
        out->score = (double)kept[i].score;
    }
done:
    return status;
}

/* One step of one search; its rows that go on are put at g->next_rows[*rows], none where it is over. */
static pfm_status step(pfm_generator *g, pfm_beam_group *group, size_t *rows, bool *over, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_beam_candidate candidates[2 * PFM_MOST_BEAMS] = {0};
    size_t next[PFM_MOST_BEAMS], count = 0, next_count = 0;
    const pfm_decoding_row *first = &g->rows[group->first];
    const int length = (int)(first->ids.count - first->prompt) + 1;
    PFM_TRY(rank_candidates(g, group, candidates, &count, err));
    *over = !pfm_beam_search_step(&group->search, candidates, count, length, next, &next_count);
    if (*over) {
        PFM_TRY(finish(g, group, err));
        goto done;
    }
    spawn(g, group, candidates, next, next_count, g->next_rows + *rows);
    group->first = *rows;
    group->rows = next_count;
    *rows += next_count;
    PFM_TRY(give_ids(g, candidates, next, next_count, g->next_rows + group->first, err));
done:
    for (size_t i = 0; i < count; i++)
        pfm_ids_free(&candidates[i].ids);
    return status;
}

pfm_status pfm_beams_take(pfm_generator *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t rows = 0, left = 0, capacity = g->row_capacity;
    for (size_t i = 0; i < g->group_count; i++) {
        bool over = false;
        if (status == PFM_OK)
            status = step(g, &g->groups[i], &rows, &over, err);
        pfm_beam_group kept = g->groups[i];
        if (over)
            pfm_beam_search_free(&kept.search);
        g->groups[i] = (pfm_beam_group){0};
        if (!over)
            g->groups[left++] = kept;
    }
    g->group_count = left;
    for (size_t r = 0; r < g->row_count; r++)
        pfm_ids_free(&g->rows[r].ids);
    pfm_decoding_row *former = g->rows;
    g->rows = g->next_rows;
    g->row_capacity = g->next_capacity;
    g->row_count = rows;
    g->next_rows = former;
    g->next_capacity = capacity;
    return status;
}

void pfm_beams_clear(pfm_generator *g)
{
    for (size_t i = 0; i < g->group_count; i++)
        pfm_beam_search_free(&g->groups[i].search);
    g->group_count = 0;
}
