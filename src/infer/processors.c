#include "infer/processors.h"

#include "base/random.h"
#include "infer/guide.h"
#include "infer/processor_list.h"

#include <math.h>
#include <string.h>

/* ---- the scores from the largest down ---- */

/* Of equal scores the higher id comes first, as in a stable sort that ascends. */
static bool above(const float *scores, int32_t a, int32_t b)
{
    return scores[a] > scores[b] || (scores[a] == scores[b] && a > b);
}

static void sink(const float *scores, int32_t *heap, size_t count, size_t at)
{
    const int32_t moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && above(scores, heap[child + 1], heap[child]);
        if (!above(scores, heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Makes the scratch a heap of the ids that can come, and tells how many these are. */
static size_t make_heap(const pfm_scoring *row)
{
    size_t count = 0;
    for (size_t i = 0; i < row->vocabulary; i++) {
        if (row->scores[i] > -INFINITY)
            row->scratch[count++] = (int32_t)i;
    }
    for (size_t i = count / 2; i > 0; i--)
        sink(row->scores, row->scratch, count, i - 1);
    return count;
}

/* Takes the largest of `count` out. */
static int32_t take_largest(const pfm_scoring *row, size_t count)
{
    const int32_t largest = row->scratch[0];
    row->scratch[0] = row->scratch[count - 1];
    if (count > 1)
        sink(row->scores, row->scratch, count - 1, 0);
    return largest;
}

static float largest_score(const float *scores, size_t count)
{
    float largest = -INFINITY;
    for (size_t i = 0; i < count; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    return largest;
}

/* ---- what changes them ---- */

static bool repetition_penalty_acts(const pfm_decoding *how) { return how->repetition_penalty != 1; }

/* Each token of prompt and answer, however often it was there (Keskar et al., CTRL, 2019, with the sign minded). */
static void repetition_penalty(const pfm_scoring *row)
{
    const float penalty = (float)row->how->repetition_penalty;
    memset(row->scratch, 0, row->vocabulary * sizeof *row->scratch);
    for (size_t i = 0; i < row->count; i++) {
        const int32_t id = row->ids[i];
        if (id < 0 || (size_t)id >= row->vocabulary || row->scratch[id] != 0)
            continue;
        row->scratch[id] = 1;
        row->scores[id] = row->scores[id] < 0 ? row->scores[id] * penalty : row->scores[id] / penalty;
    }
}

static bool no_repeat_ngram_acts(const pfm_decoding *how) { return how->no_repeat_ngram > 0; }

/* What stood behind the last n - 1 tokens wherever they stood before, in prompt or answer. */
static void no_repeat_ngram(const pfm_scoring *row)
{
    const size_t n = (size_t)row->how->no_repeat_ngram;
    for (size_t i = 0; row->count >= n && i + n <= row->count; i++) {
        const int32_t last = row->ids[i + n - 1];
        if (memcmp(row->ids + i, row->ids + row->count - (n - 1), (n - 1) * sizeof *row->ids) == 0 && last >= 0 &&
            (size_t)last < row->vocabulary)
            row->scores[last] = -INFINITY;
    }
}

static bool guide_acts(const pfm_decoding *how) { return how->guide != NULL; }

static void guide(const pfm_scoring *row)
{
    pfm_guide_mask(row->how->guide, row->ids + row->prompt, row->count - row->prompt, row->end, row->scores, row->vocabulary);
}

static bool min_tokens_acts(const pfm_decoding *how) { return how->min_tokens > 0; }

static void min_tokens(const pfm_scoring *row)
{
    if (row->count - row->prompt < (size_t)row->how->min_tokens && row->end >= 0 && (size_t)row->end < row->vocabulary)
        row->scores[row->end] = -INFINITY;
}

static bool temperature_acts(const pfm_decoding *how) { return how->temperature > 0 && how->temperature != 1; }

static void temperature(const pfm_scoring *row)
{
    const float by = (float)row->how->temperature;
    for (size_t i = 0; i < row->vocabulary; i++)
        row->scores[i] /= by;
}

static bool top_k_acts(const pfm_decoding *how) { return how->top_k > 0; }

/* Those as high as the k-th stay. */
static void top_k(const pfm_scoring *row)
{
    size_t count = make_heap(row), k = (size_t)row->how->top_k;
    if (count <= k)
        return;
    int32_t last = 0;
    for (; k > 0; k--)
        last = take_largest(row, count--);
    const float least = row->scores[last];
    for (size_t i = 0; i < row->vocabulary; i++)
        row->scores[i] = row->scores[i] < least ? -INFINITY : row->scores[i];
}

static bool top_p_acts(const pfm_decoding *how) { return how->top_p < 1; }

/* Takes the likeliest until they have the probability; what is left in the heap goes. */
static void top_p(const pfm_scoring *row)
{
    size_t count = make_heap(row);
    const float largest = largest_score(row->scores, row->vocabulary);
    double total = 0, taken = 0;
    for (size_t i = 0; i < row->vocabulary; i++)
        total += exp((double)row->scores[i] - largest);
    while (count > 0 && taken < row->how->top_p * total)
        taken += exp((double)row->scores[take_largest(row, count--)] - largest);
    for (size_t i = 0; i < count; i++)
        row->scores[row->scratch[i]] = -INFINITY;
}

static bool min_p_acts(const pfm_decoding *how) { return how->min_p > 0; }

static void min_p(const pfm_scoring *row)
{
    const float largest = largest_score(row->scores, row->vocabulary);
    for (size_t i = 0; i < row->vocabulary; i++) {
        if (exp((double)row->scores[i] - largest) < row->how->min_p)
            row->scores[i] = -INFINITY;
    }
}

typedef struct processor {
    bool (*acts)(const pfm_decoding *how);
    void (*apply)(const pfm_scoring *row);
} processor;

#define ENTRY(name) {name##_acts, name},
static const processor processors[] = {PFM_PROCESSOR_LIST(ENTRY)};

bool pfm_processors_act(const pfm_decoding *how)
{
    bool act = false;
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
        act |= processors[i].acts(how);
    return act;
}

void pfm_processors_apply(const pfm_scoring *row)
{
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        if (processors[i].acts(row->how))
            processors[i].apply(row);
    }
}

/* ---- the draw ---- */

double pfm_draw_uniform(uint64_t seed, uint64_t request, size_t position)
{
    pfm_random random = pfm_random_start(seed, request);
    random.position = position;
    return pfm_random_uniform(&random);
}

int32_t pfm_draw_token(const float *scores, size_t vocabulary, double u)
{
    const float largest = largest_score(scores, vocabulary);
    double total = 0, sum = 0;
    int32_t likeliest = 0;
    for (size_t i = 0; i < vocabulary; i++) {
        total += exp((double)scores[i] - largest);
        likeliest = scores[i] > scores[likeliest] ? (int32_t)i : likeliest;
    }
    for (size_t i = 0; i < vocabulary; i++) {
        sum += exp((double)scores[i] - largest);
        if (sum > u * total)
            return (int32_t)i;
    }
    return likeliest;
}
