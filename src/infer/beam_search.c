#include "infer/beam_search.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

pfm_status pfm_beam_search_start(pfm_beam_search *search, const pfm_decoding *how, int max_tokens, pfm_error *err)
{
    *search = (pfm_beam_search){.how = how, .max_tokens = max_tokens};
    return pfm_allocate((size_t)how->beams, sizeof *search->kept, &search->kept, err);
}

void pfm_beam_search_free(pfm_beam_search *search)
{
    for (size_t i = 0; i < search->count; i++)
        pfm_ids_free(&search->kept[i].ids);
    free(search->kept);
    *search = (pfm_beam_search){0};
}

void pfm_beam_candidate_insert(pfm_beam_candidate *list, size_t *count, size_t most, const pfm_beam_candidate *one)
{
    if (*count == most && !(one->score > list[most - 1].score))
        return;
    size_t at = *count < most ? (*count)++ : most - 1;
    for (; at > 0 && one->score > list[at - 1].score; at--)
        list[at] = list[at - 1];
    list[at] = *one;
}

static float weigh(float score, int length, double penalty) { return score / (float)pow(length, penalty); }

/* Takes the ids of an answer that is over. */
static void keep(pfm_beam_search *search, pfm_beam_candidate *one, int length)
{
    const float score = weigh(one->score, length, search->how->length_penalty);
    const size_t most = (size_t)search->how->beams;
    if (search->count == most && !(score > search->kept[most - 1].score)) {
        pfm_ids_free(&one->ids);
        return;
    }
    if (search->count == most)
        pfm_ids_free(&search->kept[most - 1].ids);
    size_t at = search->count < most ? search->count++ : most - 1;
    for (; at > 0 && score > search->kept[at - 1].score; at--)
        search->kept[at] = search->kept[at - 1];
    search->kept[at] = (pfm_hypothesis){.score = score, .log_probability = one->log_probability, .ids = one->ids};
    one->ids = (pfm_ids){0};
}

/* Whether the best that goes on can still be better than the worst that is kept. */
static bool may_improve(const pfm_beam_search *search, float best, int length)
{
    const pfm_decoding *how = search->how;
    if (search->count < (size_t)how->beams)
        return true;
    if (how->early_stopping == PFM_EARLY_TRUE)
        return false;
    const bool longest = how->early_stopping == PFM_EARLY_NEVER && how->length_penalty > 0;
    return weigh(best, longest ? search->max_tokens : length, how->length_penalty) > search->kept[search->count - 1].score;
}

bool pfm_beam_search_step(pfm_beam_search *search, pfm_beam_candidate *candidates, size_t count, int length, size_t *next,
                          size_t *next_count)
{
    const size_t beams = (size_t)search->how->beams;
    *next_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].over && i < beams)
            keep(search, &candidates[i], length);
        else if (candidates[i].over) /* a candidate that was only looked at in case the better ones end */
            pfm_ids_free(&candidates[i].ids);
        else if (*next_count < beams)
            next[(*next_count)++] = i;
    }
    return *next_count > 0 && may_improve(search, candidates[next[0]].score, length);
}
