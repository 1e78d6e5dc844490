/* A metric's or judge's scores against those of people. Items of the same two scores are one disc, its area their number. */
#include "base/try.h"
#include "eval/agree_figures.h"
#include "eval/canvas.h"
#include "eval/rated_pair.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 620, HEIGHT = 520, LEFT = 84, RIGHT = 596, TOP = 76, BOTTOM = 456, MOST_RADIUS = 15 };

typedef struct scatter {
    const pfm_rated_pair *pair; /* a: people, b: the metric or judge */
    const uint32_t *times;      /* [cell_count] */
    uint32_t most;
    const char *name, *people;
    const json_t *row; /* its figures */
    bool judge;
} scatter;

static void describe(const scatter *s, char *text, size_t size)
{
    static const char *const names[][2] = {{"pearson", "Pearson"}, {"spearman", "Spearman"}, {"kendall", "Kendall"}};
    size_t used = (size_t)snprintf(text, size, "n %zu", s->pair->n);
    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_object_get(s->row, names[i][0]);
        const json_t *ci = json_object_get(json_object_get(s->row, "ci95"), names[i][0]);
        if (!json_is_number(value) || used >= size)
            continue;
        used += (size_t)snprintf(text + used, size - used, ", %s %.2f", names[i][1], json_number_value(value));
        if (json_is_array(ci) && used < size)
            used += (size_t)snprintf(text + used, size - used, " (%.2f to %.2f)", json_number_value(json_array_get(ci, 0)),
                                     json_number_value(json_array_get(ci, 1)));
    }
}

static void draw(pfm_canvas *canvas, const void *user)
{
    const scatter *s = user;
    const pfm_rated_pair *pair = s->pair;
    char text[300];
    double low_b = pair->b[0], high_b = pair->b[pair->b_count - 1];
    pfm_axis x = pfm_axis_create(pair->a[0], pair->a[pair->a_count - 1], LEFT, RIGHT);
    pfm_axis y = pfm_axis_create(low_b, high_b, BOTTOM, TOP);
    (void)snprintf(text, sizeof text, "%.120s against people", s->name);
    pfm_canvas_text_within(canvas, 16, 26, -1, 16, PFM_INK, WIDTH - 32, 0, text);
    describe(s, text, sizeof text);
    pfm_canvas_text_within(canvas, 16, 46, -1, 12, PFM_FAINT, WIDTH - 32, 0, text);
    if (s->most > 1) {
        (void)snprintf(text, sizeof text, "a disc's area is how many items it stands for, at most %u", s->most);
        pfm_canvas_text(canvas, 16, 63, -1, 12, PFM_FAINT, text);
    }
    pfm_axis_draw_x(canvas, &x, TOP, BOTTOM, s->people);
    pfm_axis_draw_y(canvas, &y, LEFT, RIGHT, s->name);
    pfm_canvas_box(canvas, LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP, PFM_CLEAR, 0x999999);
    double least = pair->cell_count > 1000 ? 1.6 : pair->cell_count > 200 ? 2.4 : 3.5;
    double unit = s->most > 1 ? fmin(4, MOST_RADIUS / sqrt(s->most)) : least;
    for (size_t c = 0; c < pair->cell_count; c++)
        pfm_canvas_disc(canvas, pfm_axis_place(&x, pair->a[pair->cell_a[c]]), pfm_axis_place(&y, pair->b[pair->cell_b[c]]),
                        fmax(s->most > 3 ? 1.2 : least, unit * sqrt(s->times[c])), pfm_series_colour(s->judge ? 1 : 0),
                        pair->cell_count > 1000 ? 0.35 : 0.6);
}

/* A name as a part of a file's: what is no letter, digit, dot or dash becomes a dash; a number where that is taken. */
static pfm_status name_file(const pfm_ratings *of, size_t column, char **out, pfm_error *err)
{
    bool judge = of->columns[column].kind == PFM_RATING_JUDGE, plain = true;
    char part[80];
    size_t length = 0;
    for (const char *c = of->columns[column].name; *c != '\0' && length + 1 < sizeof part; c++) {
        bool kept = isalnum((unsigned char)*c) || strchr(".-_", *c) != NULL;
        plain &= kept;
        part[length++] = kept ? *c : '-';
    }
    part[length] = '\0';
    plain &= strlen(of->columns[column].name) == length;
    if (plain)
        return pfm_string_format(out, err, "%s-%s", judge ? "judge" : "metric", part);
    return pfm_string_format(out, err, "%s-%s-%zu", judge ? "judge" : "metric", part, column + 1);
}

static const json_t *find_row(const json_t *result, const char *name, const char *people, bool judge)
{
    static const char *const lists[] = {"metrics", "against_mean", "pairs"};
    for (size_t l = judge ? 1 : 0; l < 3; l++) {
        size_t i = 0;
        json_t *row = NULL;
        json_array_foreach(json_object_get(result, lists[l]), i, row)
        {
            const char *one = json_string_value(json_object_get(row, l == 0 ? "metric" : l == 1 ? "rater" : "a"));
            const char *other = json_string_value(json_object_get(row, l == 0 ? "rater" : l == 1 ? "mean" : "b"));
            bool same = strcmp(one, name) == 0 && strcmp(other, people) == 0;
            if (same || (l == 2 && strcmp(one, people) == 0 && strcmp(other, name) == 0))
                return row;
        }
    }
    return NULL;
}

static pfm_status draw_one(const pfm_ratings *of, const json_t *result, size_t people, size_t column, const char *folder,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rated_pair pair = {0};
    uint32_t *times = NULL;
    char *file = NULL;
    scatter s = {.pair = &pair,
                 .name = of->columns[column].name,
                 .people = of->columns[people].name,
                 .judge = of->columns[column].kind == PFM_RATING_JUDGE};
    PFM_TRY(pfm_rated_pair_create(of->columns[people].scores, of->columns[column].scores, of->item_count, NULL, 0, &pair, err));
    if (pair.n == 0)
        goto done;
    PFM_TRY(pfm_allocate(pair.cell_count, sizeof *times, &times, err));
    for (size_t i = 0; i < pair.n; i++)
        times[pair.item_cell[i]]++;
    for (size_t c = 0; c < pair.cell_count; c++)
        s.most = times[c] > s.most ? times[c] : s.most;
    s.times = times;
    s.row = find_row(result, s.name, s.people, s.judge);
    PFM_TRY(name_file(of, column, &file, err));
    PFM_TRY(pfm_canvas_save_both(folder, file, WIDTH, HEIGHT, draw, &s, err));
done:
    pfm_rated_pair_free(&pair);
    free(times);
    free(file);
    return status;
}

pfm_status pfm_figure_scatters(const pfm_ratings *ratings, const json_t *result, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t people = pfm_ratings_next(ratings, PFM_RATING_MEAN, 0);
    if (people == ratings->column_count)
        people = pfm_ratings_next(ratings, PFM_RATING_PERSON, 0);
    for (size_t c = 0; c < ratings->column_count && people < ratings->column_count; c++) {
        if (ratings->columns[c].kind == PFM_RATING_METRIC || ratings->columns[c].kind == PFM_RATING_JUDGE)
            PFM_TRY(draw_one(ratings, result, people, c, folder, err));
    }
done:
    return status;
}
