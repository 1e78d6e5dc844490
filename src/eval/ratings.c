#include "eval/ratings.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of all columns together: a gibibyte. */
enum { MOST_CELLS = 1 << 27 };
static const char *const kind_words[] = {"person", "judge", "metric", "repeat", "duplicate", "mean"};

static pfm_status check_room(const pfm_ratings *ratings, pfm_rating_kind kind, const char *file, pfm_error *err)
{
    size_t count = pfm_ratings_count(ratings, kind);
    size_t raters = pfm_ratings_count(ratings, PFM_RATING_PERSON) + pfm_ratings_count(ratings, PFM_RATING_JUDGE);
    if ((kind == PFM_RATING_PERSON || kind == PFM_RATING_JUDGE) && raters >= PFM_RATINGS_MOST_RATERS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s: more than %d raters; compare fewer at once", file,
                             PFM_RATINGS_MOST_RATERS);
    if (kind == PFM_RATING_METRIC && count >= PFM_RATINGS_MOST_METRICS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s: more than %d metrics; compare fewer at once", file,
                             PFM_RATINGS_MOST_METRICS);
    if (kind == PFM_RATING_REPEAT && count >= PFM_RATINGS_MOST_REPEATS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s: more than %d repeats of judges; compare fewer at once", file,
                             PFM_RATINGS_MOST_REPEATS);
    return PFM_OK;
}

static pfm_status make_key(pfm_rating_kind kind, size_t parent, const char *name, char **out, pfm_error *err)
{
    bool has_parent = kind == PFM_RATING_REPEAT || kind == PFM_RATING_DUPLICATE;
    return pfm_string_format(out, err, "%s %zu %s", kind_words[kind], has_parent ? parent : 0, name);
}

pfm_status pfm_ratings_column(pfm_ratings *ratings, pfm_rating_kind kind, size_t parent, const char *name, const char *file,
                              size_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *key = NULL;
    const char *kept = NULL;
    PFM_TRY(make_key(kind, parent, name, &key, err));
    if (pfm_intern_find(&ratings->column_names, key, strlen(key), out))
        goto done;
    PFM_TRY(check_room(ratings, kind, file, err));
    PFM_TRY(pfm_array_reserve(&ratings->columns, &ratings->column_capacity, ratings->column_count + 1, sizeof *ratings->columns,
                              err));
    PFM_TRY(pfm_text_store_add(&ratings->texts, name, strlen(name), &kept, err));
    PFM_TRY(pfm_intern_add(&ratings->column_names, key, strlen(key), out, err));
    ratings->columns[ratings->column_count++] = (pfm_rating_column){.kind = kind, .parent = parent, .name = kept, .file = file};
done:
    free(key);
    return status;
}

bool pfm_ratings_has(const pfm_ratings *ratings, pfm_rating_kind kind, const char *name)
{
    for (size_t c = 0; c < ratings->column_count; c++) {
        if (ratings->columns[c].kind == kind && strcmp(ratings->columns[c].name, name) == 0)
            return true;
    }
    return false;
}

static bool is_level(const pfm_ratings *ratings, double score)
{
    bool found = ratings->levels == NULL;
    for (size_t i = 0; i < ratings->level_count && !found; i++)
        found = ratings->levels[i] == score;
    return found;
}

static pfm_status refuse_second(const pfm_ratings *ratings, const pfm_rating *first, const char *item, const pfm_place *place,
                                pfm_error *err)
{
    const pfm_rating_column *column = &ratings->columns[first->column];
    pfm_place_text where;
    const char *rater = column->kind == PFM_RATING_REPEAT || column->kind == PFM_RATING_DUPLICATE
                            ? ratings->columns[column->parent].name
                            : column->name;
    const char *cure = column->kind == PFM_RATING_REPEAT ? "repeats of a judge need numbers that differ"
                       : column->kind == PFM_RATING_METRIC
                           ? "keep one of the two"
                           : "keep one of the two, or mark a planted duplicate in a column duplicate_of";
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s scored %s already (%s %s %zu); %s", pfm_place_format(place, where),
                         rater, item, first->path, place->unit, first->line, cure);
}

pfm_status pfm_ratings_add(pfm_ratings *ratings, size_t column, const char *item, pfm_rating_state state, double score,
                           const pfm_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    size_t number = 0;
    uint32_t row = 0;
    if (state == PFM_RATING_OK && ratings->columns[column].kind != PFM_RATING_METRIC && !is_level(ratings, score))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the score %g of %s is not on the scale", pfm_place_format(place, where), score, item);
    PFM_TRY(pfm_intern_add(&ratings->item_names, item, strlen(item), &number, err));
    if (ratings->row_count >= UINT32_MAX - 1 || number >= UINT32_MAX - 1)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: more than four billion scores", pfm_place_format(place, where));
    PFM_TRY(pfm_pair_map_add(&ratings->seen, (uint32_t)column, (uint32_t)number, &row, err));
    const pfm_rating rating = {.column = (uint32_t)column,
                               .item = (uint32_t)number,
                               .state = state,
                               .score = state == PFM_RATING_OK ? score : NAN,
                               .path = place->path,
                               .line = place->number};
    if (row < ratings->row_count) {
        if (ratings->rows[row].state != PFM_RATING_FAILED)
            PFM_TRY(refuse_second(ratings, &ratings->rows[row], item, place, err));
        ratings->rows[row] = rating; /* asked again since */
        goto done;
    }
    PFM_TRY(pfm_array_reserve(&ratings->rows, &ratings->row_capacity, ratings->row_count + 1, sizeof *ratings->rows, err));
    ratings->rows[ratings->row_count++] = rating;
done:
    return status;
}

size_t pfm_ratings_next(const pfm_ratings *ratings, pfm_rating_kind kind, size_t from)
{
    while (from < ratings->column_count && ratings->columns[from].kind != kind)
        from++;
    return from;
}

size_t pfm_ratings_count(const pfm_ratings *ratings, pfm_rating_kind kind)
{
    size_t count = 0;
    for (size_t c = pfm_ratings_next(ratings, kind, 0); c < ratings->column_count; c = pfm_ratings_next(ratings, kind, c + 1))
        count++;
    return count;
}

/* ---- finishing ---- */

static bool is_rater(pfm_rating_kind kind) { return kind == PFM_RATING_PERSON || kind == PFM_RATING_REPEAT; }

/* where[item] = its number among those that somebody scored, in their order; UINT32_MAX: nobody did. */
static pfm_status choose_items(pfm_ratings *ratings, uint32_t *where, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t all = ratings->item_names.count;
    for (size_t i = 0; i < all; i++)
        where[i] = UINT32_MAX;
    for (size_t r = 0; r < ratings->row_count; r++) {
        const pfm_rating *row = &ratings->rows[r];
        if (row->state == PFM_RATING_OK && is_rater(ratings->columns[row->column].kind))
            where[row->item] = 0;
    }
    PFM_TRY(pfm_allocate(all, sizeof *ratings->items, &ratings->items, err));
    for (size_t i = 0; i < all; i++) {
        if (where[i] == UINT32_MAX)
            continue;
        where[i] = (uint32_t)ratings->item_count;
        ratings->items[ratings->item_count++] = ratings->item_names.texts[i];
    }
    if (ratings->item_count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "nobody scored anything: no file holds a rating (item, rater, score) or a verdict of a judge");
    if (ratings->item_count > MOST_CELLS / (ratings->column_count + 1))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%zu items by %zu raters, metrics and repeats are more than fit; compare fewer at once",
                 ratings->item_count, ratings->column_count);
done:
    return status;
}

static pfm_status make_columns(pfm_ratings *ratings, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t c = 0; c < ratings->column_count; c++) {
        PFM_TRY(pfm_allocate(ratings->item_count, sizeof(double), &ratings->columns[c].scores, err));
        for (size_t i = 0; i < ratings->item_count; i++)
            ratings->columns[c].scores[i] = NAN;
    }
done:
    return status;
}

static void fill_columns(pfm_ratings *ratings, const uint32_t *where)
{
    for (size_t r = 0; r < ratings->row_count; r++) {
        const pfm_rating *row = &ratings->rows[r];
        pfm_rating_column *column = &ratings->columns[row->column];
        column->states[row->state]++;
        if (column->kind == PFM_RATING_REPEAT)
            ratings->columns[column->parent].states[row->state]++;
        if (where[row->item] != UINT32_MAX)
            column->scores[where[row->item]] = row->score;
    }
}

/* scores of `into` = the mean of the columns of a kind (and parent, unless SIZE_MAX) that have one. */
static void take_means(pfm_ratings *ratings, pfm_rating_kind kind, size_t parent, double *into)
{
    for (size_t i = 0; i < ratings->item_count; i++) {
        double sum = 0, count = 0;
        for (size_t c = pfm_ratings_next(ratings, kind, 0); c < ratings->column_count;
             c = pfm_ratings_next(ratings, kind, c + 1)) {
            double score = ratings->columns[c].scores[i];
            if (isnan(score) || (parent != SIZE_MAX && ratings->columns[c].parent != parent))
                continue;
            sum += score;
            count++;
        }
        into[i] = count > 0 ? sum / count : NAN;
    }
}

static pfm_status check_overlap(pfm_ratings *ratings, pfm_error *err)
{
    for (size_t c = 0; c < ratings->column_count; c++) {
        pfm_rating_column *column = &ratings->columns[c];
        column->scored = 0;
        for (size_t i = 0; i < ratings->item_count; i++)
            column->scored += !isnan(column->scores[i]);
        if (column->kind == PFM_RATING_METRIC && column->scored == 0)
            return pfm_error_set(err, PFM_ERROR_MISMATCH,
                                 "%s: none of the ids that have a number %s is an item that was rated, such as %s",
                                 column->file, column->name, ratings->items[0]);
    }
    return PFM_OK;
}

pfm_status pfm_ratings_finish(pfm_ratings *ratings, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t *where = NULL;
    size_t mean = 0;
    if (pfm_ratings_count(ratings, PFM_RATING_PERSON) > 1)
        PFM_TRY(pfm_ratings_column(ratings, PFM_RATING_MEAN, 0, "mean of people", "", &mean, err));
    PFM_TRY(pfm_allocate(ratings->item_names.count, sizeof *where, &where, err));
    PFM_TRY(choose_items(ratings, where, err));
    PFM_TRY(make_columns(ratings, err));
    fill_columns(ratings, where);
    for (size_t c = 0; c < ratings->column_count; c++) {
        if (ratings->columns[c].kind == PFM_RATING_JUDGE)
            take_means(ratings, PFM_RATING_REPEAT, c, ratings->columns[c].scores);
        else if (ratings->columns[c].kind == PFM_RATING_MEAN)
            take_means(ratings, PFM_RATING_PERSON, SIZE_MAX, ratings->columns[c].scores);
    }
    PFM_TRY(check_overlap(ratings, err));
done:
    free(where);
    return status;
}

void pfm_ratings_free(pfm_ratings *ratings)
{
    for (size_t c = 0; c < ratings->column_count; c++)
        free(ratings->columns[c].scores);
    free(ratings->columns);
    free(ratings->rows);
    free(ratings->items);
    pfm_pair_map_free(&ratings->seen);
    pfm_intern_free(&ratings->item_names);
    pfm_intern_free(&ratings->column_names);
    pfm_text_store_free(&ratings->texts);
    *ratings = (pfm_ratings){0};
}
