/* Two files of predictions on the same questions: the difference of their scores, of all rows and of kinds of rows. */
#include "serve/answer_query.h"

#include "base/try.h"
#include "eval/vqa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A column of more values is not one by which one compares. */
enum { MOST_VALUES = 24 };

typedef struct gap {
    const pfm_answer_file *a, *b;
    size_t *rows, *others; /* [count] that both have */
    size_t count;
    /* Of a group: */
    pfm_answer_set set;       /* rows' images and kinds alone */
    double *correct, *recall; /* [set.count] differences */
    double a_right, b_right;
    uint64_t seed;
    json_t *groups;
} gap;

static pfm_status match(gap *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(g->a->set.count, sizeof *g->rows, &g->rows, err));
    PFM_TRY(pfm_allocate(g->a->set.count, sizeof *g->others, &g->others, err));
    for (size_t i = 0; i < g->a->set.count; i++) {
        const char *id = g->a->set.ids.texts[i];
        size_t at;
        if (!pfm_intern_find(&g->b->set.ids, id, strlen(id), &at))
            continue;
        if (strcmp(g->a->set.rows[i].answer, g->b->set.rows[at].answer) != 0)
            PFM_FAIL(PFM_ERROR_MISMATCH, "the files do not ask the same: the answers to %.100s differ", id);
        g->rows[g->count] = i;
        g->others[g->count++] = at;
    }
    if (g->count == 0)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the files have no question in common, so that there is nothing to compare");
done:
    return status;
}

static void clear_group(gap *g)
{
    free(g->set.rows);
    pfm_intern_free(&g->set.images);
    g->set = (pfm_answer_set){0};
    g->a_right = g->b_right = 0;
}

static pfm_status add_pair(gap *g, size_t pair, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_answer_row *row = &g->a->set.rows[g->rows[pair]];
    const char *image = g->a->set.images.texts[row->image];
    const int8_t a = g->a->extras[g->rows[pair]].correct, b = g->b->extras[g->others[pair]].correct;
    size_t index;
    PFM_TRY(pfm_array_reserve(&g->set.rows, &g->set.capacity, g->set.count + 1, sizeof *g->set.rows, err));
    PFM_TRY(pfm_intern_add(&g->set.images, image, strlen(image), &index, err));
    g->correct[g->set.count] = a - b;
    g->recall[g->set.count] = row->recall - g->b->set.rows[g->others[pair]].recall;
    g->a_right += a;
    g->b_right += b;
    g->set.rows[g->set.count++] = (pfm_answer_row){.image = (uint32_t)index, .kind = row->kind};
done:
    return status;
}

/* Of what add_pair collected. */
static pfm_status write_group(gap *g, const char *column, const char *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_score_options options = {.seed = g->seed};
    pfm_vqa_intervals figures;
    double p[PFM_VQA_STATISTICS];
    const double n = (double)g->set.count;
    if (g->set.count == 0)
        return PFM_OK;
    PFM_TRY(pfm_vqa_intervals_over_images(&g->set, g->correct, g->recall, &options, &figures, err));
    PFM_TRY(pfm_vqa_exchange_images(&g->set, g->correct, g->recall, &options, p, err));
    json_t *interval = json_null(), *exchanged = json_null(); /* one image says nothing of others */
    if (g->set.images.count > 1) {
        interval = json_pack("[f, f]", figures.low[PFM_VQA_OVERALL], figures.high[PFM_VQA_OVERALL]);
        exchanged = json_real(p[PFM_VQA_OVERALL]);
    }
    g->groups =
        pfm_json_add(g->groups, json_pack("{s:s?, s:s?, s:I, s:I, s:f, s:f, s:f, s:o, s:o}", "column", column, "value", value,
                                          "n", (json_int_t)g->set.count, "images", (json_int_t)g->set.images.count, "a",
                                          100 * g->a_right / n, "b", 100 * g->b_right / n, "mean",
                                          figures.value[PFM_VQA_OVERALL], "ci95", interval, "p", exchanged));
    if (g->groups == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not compare the answers");
done:
    return status;
}

/* kind NULL: of any. */
static pfm_status compare_kind(gap *g, const pfm_answer_kind *kind, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    clear_group(g);
    for (size_t i = 0; i < g->count; i++)
        if (kind == NULL || g->a->set.rows[g->rows[i]].kind == *kind)
            PFM_TRY(add_pair(g, i, err));
    PFM_TRY(write_group(g, kind != NULL ? "kind" : NULL, name, err));
done:
    return status;
}

static pfm_status compare_column(gap *g, const pfm_answer_column *column, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!pfm_answer_column_splits(column) || column->values.count < 2 || column->values.count > MOST_VALUES)
        return PFM_OK;
    for (size_t v = 0; v < column->values.count; v++) {
        clear_group(g);
        for (size_t i = 0; i < g->count; i++)
            if (g->rows[i] < column->coded && column->codes[g->rows[i]] == v + 1)
                PFM_TRY(add_pair(g, i, err));
        PFM_TRY(write_group(g, column->name, column->values.texts[v], err));
    }
done:
    return status;
}

pfm_status pfm_answer_gap(const pfm_answer_file *a, const pfm_answer_file *b, uint64_t seed, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    static const pfm_answer_kind kinds[] = {PFM_KIND_CLOSED, PFM_KIND_OPEN};
    gap g = {.a = a, .b = b, .seed = seed, .groups = json_array()};
    if (a->set.reports || b->set.reports)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "reports are not right or wrong; pefomed score compares them (docs/score.md)");
    PFM_TRY(match(&g, err));
    PFM_TRY(pfm_allocate(g.count, sizeof *g.correct, &g.correct, err));
    PFM_TRY(pfm_allocate(g.count, sizeof *g.recall, &g.recall, err));
    PFM_TRY(compare_kind(&g, NULL, NULL, err));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        PFM_TRY(compare_kind(&g, &kinds[k], k == 0 ? "CLOSED" : "OPEN", err));
    for (size_t c = 0; c < a->set.column_count; c++)
        PFM_TRY(compare_column(&g, &a->set.columns[c], err));
    *out = json_pack("{s:I, s:I, s:I, s:O}", "rows", (json_int_t)g.count, "only_here", (json_int_t)(a->set.count - g.count),
                     "only_there", (json_int_t)(b->set.count - g.count), "groups", g.groups);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not compare the answers");
done:
    clear_group(&g);
    free(g.rows);
    free(g.others);
    free(g.correct);
    free(g.recall);
    json_decref(g.groups);
    return status;
}
