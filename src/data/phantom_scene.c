#include "base/memory.h"
#include "base/try.h"
#include "data/phantom.h"

#include <stdlib.h>

/* A deck holds each of `kinds` values in proportion to its weight, as evenly as whole numbers allow, shuffled. */
static pfm_status make_deck(pfm_random *random, const int *weights, int kinds, size_t *deck, size_t count, pfm_error *err)
{
    int64_t total = 0;
    int64_t *used = NULL;
    pfm_status status = pfm_allocate((size_t)kinds, sizeof *used, &used, err);
    if (status != PFM_OK)
        return status;
    for (int k = 0; k < kinds; k++)
        total += weights[k];
    for (size_t i = 0; i < count; i++) { /* the kind that lags furthest behind its share */
        int best = 0;
        for (int k = 1; k < kinds; k++) {
            if (weights[k] * (int64_t)(i + 1) - used[k] * total > weights[best] * (int64_t)(i + 1) - used[best] * total)
                best = k;
        }
        used[best]++;
        deck[i] = (size_t)best;
    }
    free(used);
    pfm_random_shuffle(random, deck, count);
    return PFM_OK;
}

/* Every modality is a third; chest pictures are mostly projections. */
static const struct {
    pfm_phantom_region region;
    pfm_phantom_look look;
} views[] = {{PFM_PHANTOM_CHEST, PFM_PHANTOM_XRAY}, {PFM_PHANTOM_ABDOMEN, PFM_PHANTOM_CT}, {PFM_PHANTOM_HEAD, PFM_PHANTOM_CT},
             {PFM_PHANTOM_CHEST, PFM_PHANTOM_CT},   {PFM_PHANTOM_ABDOMEN, PFM_PHANTOM_T1}, {PFM_PHANTOM_HEAD, PFM_PHANTOM_T1},
             {PFM_PHANTOM_ABDOMEN, PFM_PHANTOM_T2}, {PFM_PHANTOM_HEAD, PFM_PHANTOM_T2}};
static const int view_weights[] = {20, 8, 8, 4, 5, 5, 5, 5};
static const int number_weights[] = {5, 8, 4, 3}; /* of 0..3 lesions: a single one allows the most questions */
static const int even_weights[PFM_PHANTOM_QUADRANTS] = {1, 1, 1, 1};
static const int kidney_weights[] = {2, 1, 1, 2}; /* none, right, left, both */

enum { VIEWS, NUMBERS, SIZES, BRIGHTNESS, PLACES, KIDNEYS, DECKS };

/* Which quadrants: the deck's one first. Two lesions share a side or a half, so that it can be asked about. */
static void place_lesions(pfm_random *random, pfm_phantom_scene *scene, size_t first)
{
    size_t others[3] = {first ^ 1, first ^ 2, first ^ 3};
    pfm_random_shuffle(random, others, scene->lesions == 2 ? 2 : 3);
    for (int i = 0; i < scene->lesions; i++)
        scene->quadrant[i] = (pfm_phantom_quadrant)(i == 0 ? first : others[i - 1]);
}

/* An abdomen's spleen and kidneys; a diseased organ is there. */
static void choose_organs(pfm_random *random, pfm_phantom_scene *scene, size_t kidneys)
{
    if (scene->region != PFM_PHANTOM_ABDOMEN)
        return;
    scene->right_kidney = kidneys == 1 || kidneys == 3;
    scene->left_kidney = kidneys == 2 || kidneys == 3;
    scene->spleen = pfm_random_below(random, 10) < 4;
    for (int i = 0; i < scene->lesions; i++)
        scene->spleen = scene->spleen || scene->quadrant[i] == PFM_PHANTOM_LEFT_LOWER;
}

pfm_status pfm_phantom_scenes(uint64_t seed, uint64_t split, pfm_phantom_scene *scenes, size_t count, pfm_error *err)
{
    static const struct {
        const int *weights;
        int kinds;
    } decks[DECKS] = {[VIEWS] = {view_weights, sizeof views / sizeof *views},
                      [NUMBERS] = {number_weights, PFM_PHANTOM_MAX_LESIONS + 1},
                      [SIZES] = {even_weights, 2},
                      [BRIGHTNESS] = {even_weights, 2},
                      [PLACES] = {even_weights, PFM_PHANTOM_QUADRANTS},
                      [KIDNEYS] = {kidney_weights, 4}};
    pfm_status status = PFM_OK;
    pfm_random random = pfm_random_start(seed, split);
    size_t *drawn = NULL;
    PFM_TRY(pfm_allocate(count * DECKS, sizeof *drawn, &drawn, err));
    for (size_t d = 0; d < DECKS; d++)
        PFM_TRY(make_deck(&random, decks[d].weights, decks[d].kinds, drawn + d * count, count, err));
    for (size_t i = 0; i < count; i++) {
        scenes[i] = (pfm_phantom_scene){.region = views[drawn[VIEWS * count + i]].region,
                                        .look = views[drawn[VIEWS * count + i]].look,
                                        .lesions = (int)drawn[NUMBERS * count + i],
                                        .large = drawn[SIZES * count + i] != 0,
                                        .bright = drawn[BRIGHTNESS * count + i] != 0};
        place_lesions(&random, &scenes[i], drawn[PLACES * count + i]);
        choose_organs(&random, &scenes[i], drawn[KIDNEYS * count + i]);
    }
done:
    free(drawn);
    return status;
}
