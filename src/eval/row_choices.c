#include "eval/row_choices.h"

#include "base/map.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const char column[] = "choices";

/* One list while it is put together. */
typedef struct collector {
    pfm_row_choices *out;
    bool lowercase;
    pfm_map seen;   /* texts as they are learned, */
    char **learned; /* [learned_count] which are kept here */
    size_t learned_count, learned_capacity;
} collector;

static void release(collector *c)
{
    pfm_map_free(&c->seen);
    for (size_t i = 0; i < c->learned_count; i++)
        free(c->learned[i]);
    free(c->learned);
}

static pfm_status add_text(collector *c, const char *text, size_t length, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row_choices *out = c->out;
    char *copy = NULL, *learned = NULL;
    PFM_TRY(pfm_string_copy_n(text, length, &copy, err));
    PFM_TRY(pfm_answer_prepare(copy, c->lowercase, &learned, err));
    if (pfm_map_get(&c->seen, learned, strlen(learned), NULL))
        goto done;
    PFM_TRY(pfm_array_reserve(&c->learned, &c->learned_capacity, c->learned_count + 1, sizeof *c->learned, err));
    PFM_TRY(pfm_array_reserve(&out->texts, &out->text_capacity, out->text_count + 1, sizeof *out->texts, err));
    PFM_TRY(pfm_map_set(&c->seen, learned, strlen(learned), 1, err));
    c->learned[c->learned_count++] = learned;
    out->texts[out->text_count++] = copy;
    learned = copy = NULL;
done:
    free(copy);
    free(learned);
    return status;
}

/* "a|b|c" */
static pfm_status add_parts(collector *c, const char *text, pfm_error *err)
{
    for (const char *part = text;; part++) {
        const size_t length = strcspn(part, "|");
        const pfm_status status = add_text(c, part, length, err);
        part += length;
        if (status != PFM_OK || *part == '\0')
            return status;
    }
}

static pfm_status add_column(collector *c, const pfm_row *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *value = json_object_get(row->extra, column);
    if (json_is_string(value) && json_string_length(value) > 0)
        return add_parts(c, json_string_value(value), err);
    for (size_t i = 0; status == PFM_OK && i < json_array_size(value); i++) {
        const json_t *text = json_array_get(value, i);
        if (!json_is_string(text))
            return pfm_error_set(err, PFM_ERROR_USAGE, "row %s: choices must be a list of texts", row->id);
        status = add_text(c, json_string_value(text), json_string_length(text), err);
    }
    if (status == PFM_OK && c->learned_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "row %s has no answers to choose among; eval.choices: column wants them in a column 'choices', a "
                             "list or \"a|b|c\"",
                             row->id);
    return status;
}

/* Adds a list of what `fill` collects; its texts are behind those of the others. */
static pfm_status add_list(pfm_row_choices *out, bool lowercase, const pfm_row *rows, size_t count,
                           pfm_status (*fill)(collector *c, const pfm_row *row, pfm_error *err), pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t before = out->text_count;
    collector c = {.out = out, .lowercase = lowercase};
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        status = fill(&c, &rows[i], err);
    out->lists[out->list_count++].count = out->text_count - before;
    release(&c);
    return status;
}

static pfm_status add_answer(collector *c, const pfm_row *row, pfm_error *err)
{
    return add_text(c, row->answer, strlen(row->answer), err);
}

pfm_status pfm_row_choices_create(const pfm_recipe *recipe, const pfm_dataset *dataset, const pfm_dataset *training,
                                  pfm_row_choices *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool columns = strcmp(recipe->eval.choices, "column") == 0, lowercase = recipe->data.lowercase_answers;
    if (strcmp(recipe->eval.choices, "none") == 0)
        return PFM_OK;
    if (!columns && (training == NULL || training->count == 0))
        PFM_FAIL(PFM_ERROR_USAGE, "eval.choices: train chooses among the answers of the split '%s', and there is none",
                 recipe->data.train);
    PFM_TRY(pfm_allocate(columns ? dataset->count : 1, sizeof *out->lists, &out->lists, err));
    for (size_t i = 0; columns && i < dataset->count; i++)
        PFM_TRY(add_list(out, lowercase, &dataset->rows[i], 1, add_column, err));
    if (!columns)
        PFM_TRY(add_list(out, lowercase, training->rows, training->count, add_answer, err));
    size_t at = 0; /* places of texts are known once there are no more */
    for (size_t i = 0; i < out->list_count; i++) {
        out->lists[i].texts = (const char *const *)out->texts + at;
        at += out->lists[i].count;
    }
done:
    return status;
}

void pfm_row_choices_free(pfm_row_choices *choices)
{
    for (size_t i = 0; i < choices->text_count; i++)
        free(choices->texts[i]);
    free(choices->texts);
    free(choices->lists);
    *choices = (pfm_row_choices){0};
}

const pfm_choices *pfm_row_choices_of(const pfm_row_choices *choices, size_t row)
{
    return choices->list_count == 0 ? NULL : &choices->lists[choices->list_count == 1 ? 0 : row];
}
