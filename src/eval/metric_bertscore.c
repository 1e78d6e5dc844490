/* BERTScore (Zhang et al., BERTScore: Evaluating Text Generation with BERT, 2020) as the package bert-score computes it. */
#include "eval/metric.h"

#include "base/context.h"
#include "base/try.h"
#include "eval/networks.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRECISION, RECALL, F1, FIGURES, FEWEST = 2 }; /* a text has a begin and an end; with no more it is empty */

/* A prediction and one of its references, side by side in a run of the encoder. */
typedef struct pair {
    size_t row;
    int32_t prediction, reference; /* tokens */
    size_t first;                  /* token of the run */
    double figures[FIGURES];
} pair;

typedef struct scorer {
    pfm_text_encoder *encoder;
    const pfm_context *context;
    pfm_ids ids; /* of the run */
    pair *pairs;
    int32_t *lengths; /* [2 * pair_count] */
    float *units;     /* [tokens of the run, hidden], of length 1 */
    size_t pair_count, pair_capacity, length_capacity, width;
    double *numbers; /* [rows, FIGURES] */
} scorer;

static bool is_blank(uint32_t code) { return pfm_utf8_is_space(code) || (code >= 0x1c && code <= 0x1f); } /* Python's strip() */

/* *text, *length without white space at both ends. */
static void strip(const char **text, size_t *length)
{
    const char *from = *text;
    size_t begin = 0, end = 0, step;
    for (size_t i = 0; i < *length; i += step) {
        const bool blank = is_blank(pfm_utf8_decode(from + i, *length - i, &step));
        if (!blank)
            end = i + step;
        else if (end == 0)
            begin = i + step;
    }
    *text = from + begin;
    *length = end > begin ? end - begin : 0;
}

/* Appends a text's ids; *count = how many. */
static pfm_status add_text(scorer *s, const char *text, int32_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer spaced = {0};
    const size_t before = s->ids.count;
    size_t length = strlen(text);
    strip(&text, &length);
    if (length > 0 && pfm_text_encoder_wants_space(s->encoder)) {
        PFM_TRY(pfm_buffer_append(&spaced, " ", 1, err));
        PFM_TRY(pfm_buffer_append(&spaced, text, length, err));
        text = spaced.data;
        length = spaced.size;
    }
    PFM_TRY(pfm_text_encoder_tokens(s->encoder, text, length, &s->ids, err));
    *count = (int32_t)(s->ids.count - before);
done:
    pfm_buffer_free(&spaced);
    return status;
}

static double product(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* The mean over the tokens of one text, without begin and end, of the greatest cosine with any token of the other. */
static double match(const scorer *s, size_t from, int32_t count, size_t to, int32_t others)
{
    double sum = 0, weight = 0;
    for (size_t i = from; i < from + (size_t)count; i++) {
        double best = -INFINITY;
        const int32_t id = s->ids.data[i];
        if (id == pfm_text_encoder_begin(s->encoder) || id == pfm_text_encoder_end(s->encoder))
            continue;
        for (size_t j = to; j < to + (size_t)others; j++)
            best = fmax(best, product(s->units + i * s->width, s->units + j * s->width, s->width));
        sum += best;
        weight++;
    }
    return weight > 0 ? sum / weight : 0;
}

static void score_pair(void *user, int item, int thread)
{
    (void)thread;
    const scorer *s = user;
    pair *p = &s->pairs[item];
    const size_t reference = p->first + (size_t)p->prediction;
    if (p->prediction <= FEWEST || p->reference <= FEWEST)
        return; /* zero */
    const double precision = match(s, p->first, p->prediction, reference, p->reference);
    const double recall = match(s, reference, p->reference, p->first, p->prediction);
    p->figures[PRECISION] = precision;
    p->figures[RECALL] = recall;
    p->figures[F1] = precision + recall != 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static void make_units(const scorer *s, const float *states)
{
    for (size_t i = 0; i < s->ids.count; i++) {
        const float *row = states + i * s->width;
        const double norm = sqrt(product(row, row, s->width));
        for (size_t j = 0; j < s->width; j++)
            s->units[i * s->width + j] = norm > 0 ? (float)(row[j] / norm) : 0;
    }
}

/* Scores the pairs that have gathered. Of several references the best counts, for each figure by itself. */
static pfm_status run(scorer *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const float *states = NULL;
    if (s->pair_count == 0)
        return PFM_OK;
    if (pfm_interrupted(s->context))
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "interrupted while texts were compared");
    PFM_TRY(pfm_text_encoder_run(s->encoder, s->ids.data, s->lengths, 2 * s->pair_count, &states, err));
    make_units(s, states);
    pfm_threads_run(s->context->threads, (int)s->pair_count, score_pair, s);
    for (size_t p = 0; p < s->pair_count; p++) {
        double *numbers = s->numbers + s->pairs[p].row * FIGURES;
        for (int f = 0; f < FIGURES; f++)
            numbers[f] = fmax(numbers[f], s->pairs[p].figures[f]);
    }
    s->pair_count = s->ids.count = 0;
done:
    return status;
}

/* Adds a pair; what was gathered before is scored where both do not fit. */
static pfm_status add_pair(scorer *s, size_t row, const char *prediction, const char *reference, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pair p = {.row = row, .first = s->ids.count};
    PFM_TRY(add_text(s, prediction, &p.prediction, err));
    PFM_TRY(add_text(s, reference, &p.reference, err));
    if ((int64_t)s->ids.count > pfm_text_encoder_capacity(s->encoder)) {
        const size_t tokens = s->ids.count - p.first;
        s->ids.count = p.first;
        PFM_TRY(run(s, err));
        memmove(s->ids.data, s->ids.data + p.first, tokens * sizeof *s->ids.data);
        s->ids.count = tokens;
        p.first = 0;
    }
    PFM_TRY(pfm_array_reserve(&s->pairs, &s->pair_capacity, s->pair_count + 1, sizeof *s->pairs, err));
    PFM_TRY(pfm_array_reserve(&s->lengths, &s->length_capacity, 2 * s->pair_count + 2, sizeof *s->lengths, err));
    s->lengths[2 * s->pair_count] = p.prediction;
    s->lengths[2 * s->pair_count + 1] = p.reference;
    s->pairs[s->pair_count++] = p;
done:
    return status;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_status status = PFM_OK;
    scorer s = {.numbers = numbers};
    PFM_TRY(pfm_score_networks_bert(set->networks, &s.encoder, err));
    s.context = set->networks->context;
    s.width = (size_t)pfm_text_encoder_get_config(s.encoder)->hidden;
    PFM_TRY(pfm_allocate((size_t)pfm_text_encoder_capacity(s.encoder), s.width * sizeof *s.units, &s.units, err));
    for (size_t i = 0; i < set->count * FIGURES; i++)
        numbers[i] = -INFINITY;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_answer_row *row = &set->rows[i];
        for (size_t r = 0; r < row->reference_count; r++)
            PFM_TRY(add_pair(&s, i, row->prediction, pfm_answer_references(set, row)[r], err));
        pfm_report_progress(s.context, "bertscore", "rows", (double)i + 1, (double)set->count, "");
    }
    PFM_TRY(run(&s, err));
done:
    pfm_ids_free(&s.ids);
    free(s.pairs);
    free(s.lengths);
    free(s.units);
    return status;
}

static double finish(const pfm_metric *metric, const double *sums, double rows)
{
    return rows > 0 ? sums[metric->order] / rows : NAN;
}

static pfm_status sign(const pfm_metric *metric, const pfm_answer_set *set, pfm_buffer *text, pfm_error *err)
{
    (void)metric;
    return pfm_score_networks_sign_bert(set->networks, text, err);
}

#define DEFINITION                                                                                                             \
    " of BERTScore (-1..1; empty texts 0), mean over rows, of several references the best, as bert-score 0.3.13 computes it "  \
    "without idf weights and without rescaling: "
#define REST                                                                                                                   \
    " The encoder is --bert (default: " PFM_DEFAULT_BERT ", see fetch), its layer --bert-layer (default: the last), in f32; "  \
    "its begin and end tokens have no weight."
#define BERTSCORE(which, place, what)                                                                                          \
    const pfm_metric pfm_metric_##which = {.name = #which,                                                                     \
                                           .definition = what,                                                                 \
                                           .signature = "bert-score0.3.13.no-idf.no-baseline.f32",                             \
                                           .columns = FIGURES,                                                                 \
                                           .order = place,                                                                     \
                                           .network = PFM_NETWORK_BERT,                                                        \
                                           .shared = true,                                                                     \
                                           .measure = measure,                                                                 \
                                           .finish = finish,                                                                   \
                                           .sign = sign}

BERTSCORE(bertscore_p, PRECISION,
          "Precision" DEFINITION
          "the mean over the prediction's tokens of the greatest cosine with a token of the reference." REST);
BERTSCORE(bertscore_r, RECALL,
          "Recall" DEFINITION
          "the mean over the reference's tokens of the greatest cosine with a token of the prediction." REST);
BERTSCORE(bertscore_f1, F1, "F1" DEFINITION "the harmonic mean of bertscore_p and bertscore_r of a row." REST);
