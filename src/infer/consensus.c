#include "infer/consensus.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_RUN = 4 };

/* A text's runs of words by number, those of each length ascending. */
typedef struct runs {
    char *text; /* its words with one blank between them: a run is a part of it */
    int64_t *numbers[LONGEST_RUN];
    size_t words;
} runs;

static void free_runs(runs *of)
{
    free(of->text);
    for (size_t n = 0; n < LONGEST_RUN; n++)
        free(of->numbers[n]);
    *of = (runs){0};
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Fills text, and begins [words + 1] = where each word begins; the last, behind the end. */
static pfm_status cut_words(const char *text, runs *of, size_t **begins, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t used = 0;
    const size_t length = strlen(text);
    PFM_TRY(pfm_allocate(length + 2, 1, &of->text, err));
    PFM_TRY(pfm_allocate(length / 2 + 2, sizeof **begins, begins, err));
    for (size_t i = 0; i < length; i++) {
        if (is_blank(text[i]))
            continue;
        if (i == 0 || is_blank(text[i - 1]))
            (*begins)[of->words++] = used;
        of->text[used++] = text[i];
        if (is_blank(text[i + 1]) || text[i + 1] == '\0')
            of->text[used++] = ' ';
    }
    (*begins)[of->words] = used;
done:
    return status;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static size_t count_runs(const runs *of, size_t n) { return of->words > n ? of->words - n : 0; } /* n from 0: of n + 1 words */

/* Equal runs of all texts have one number in `known`. */
static pfm_status read_runs(const char *text, pfm_map *known, runs *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *begins = NULL;
    PFM_TRY(cut_words(text, out, &begins, err));
    for (size_t n = 0; n < LONGEST_RUN; n++) {
        const size_t count = count_runs(out, n);
        PFM_TRY(pfm_allocate(count, sizeof *out->numbers[n], &out->numbers[n], err));
        for (size_t i = 0; i < count; i++) {
            const char *run = out->text + begins[i];
            const size_t length = begins[i + n + 1] - begins[i];
            int64_t number = (int64_t)known->count;
            if (!pfm_map_get(known, run, length, &number))
                PFM_TRY(pfm_map_set(known, run, length, number, err));
            out->numbers[n][i] = number;
        }
        if (count > 0)
            qsort(out->numbers[n], count, sizeof *out->numbers[n], compare_numbers);
    }
done:
    free(begins);
    return status;
}

static size_t count_common(const int64_t *a, size_t a_count, const int64_t *b, size_t b_count)
{
    size_t common = 0;
    for (size_t i = 0, k = 0; i < a_count && k < b_count;) {
        common += a[i] == b[k];
        const bool next_a = a[i] <= b[k], next_b = b[k] <= a[i];
        i += next_a;
        k += next_b;
    }
    return common;
}

static double likeness_of(const runs *a, const runs *b)
{
    double sum = 0;
    size_t lengths = 0;
    for (size_t n = 0; n < LONGEST_RUN; n++) {
        const size_t a_count = count_runs(a, n), b_count = count_runs(b, n);
        if (a_count + b_count == 0)
            break;
        sum += 2.0 * (double)count_common(a->numbers[n], a_count, b->numbers[n], b_count) / (double)(a_count + b_count);
        lengths++;
    }
    return lengths == 0 ? 1 : sum / (double)lengths;
}

/* *out [count] = the runs of all texts, numbered by one map. */
static pfm_status read_all(const char *const *texts, size_t count, pfm_map *known, runs **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(count, sizeof **out, out, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        status = read_runs(texts[i], known, &(*out)[i], err);
    return status;
}

static void free_all(runs *all, size_t count)
{
    for (size_t i = 0; all != NULL && i < count; i++)
        free_runs(&all[i]);
    free(all);
}

pfm_status pfm_consensus_find(const char *const *texts, size_t count, size_t *best, double *likeness, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map known = {0};
    runs *all = NULL;
    *best = 0;
    *likeness = -1;
    PFM_TRY(read_all(texts, count, &known, &all, err));
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (size_t k = 0; k < count; k++)
            sum += k != i ? likeness_of(&all[i], &all[k]) : 0;
        const double mean = count > 1 ? sum / (double)(count - 1) : 1;
        if (mean > *likeness) {
            *likeness = mean;
            *best = i;
        }
    }
done:
    free_all(all, count);
    pfm_map_free(&known);
    return status;
}

pfm_status pfm_consensus_choose(const char *const *choices, size_t choice_count, const char *const *texts, size_t count,
                                double *likenesses, size_t *best, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map known = {0};
    runs *all = NULL, *chosen = NULL;
    *best = 0;
    PFM_TRY(read_all(texts, count, &known, &all, err));
    PFM_TRY(read_all(choices, choice_count, &known, &chosen, err));
    for (size_t i = 0; i < choice_count; i++) {
        double sum = 0;
        for (size_t k = 0; k < count; k++)
            sum += likeness_of(&chosen[i], &all[k]);
        likenesses[i] = sum / (double)count;
        *best = likenesses[i] > likenesses[*best] ? i : *best;
    }
done:
    free_all(all, count);
    free_all(chosen, choice_count);
    pfm_map_free(&known);
    return status;
}
