#include "serve/answer_query.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIFFER_NAME(name) #name,
const char *const pfm_differ_names[PFM_DIFFERS] = {PFM_DIFFER_LIST(DIFFER_NAME)};
#undef DIFFER_NAME

static const char *const kind_names[] = {"OPEN", "CLOSED"};
enum { KINDS = 2, NOBODY = -1, SEVERAL = -2 };
/* The filters, by number; columns follow. */
enum { OF_RIGHT, OF_KIND, OF_WORDS, OF_DIFFER, OF_COLUMNS };

typedef struct share {
    size_t n, right;
} share;

typedef struct counts {
    share all, right[2], kinds[KINDS];
    share **columns; /* [columns][values] */
    size_t both, better, worse, neither, answers, common;
} counts;

/* The words that are asked for, each with blanks around (the last without, where the beginning is enough). */
typedef struct wanted_words {
    char *texts;
    const char **words;
    size_t count;
} wanted_words;

static void free_words(wanted_words *words)
{
    free(words->texts);
    free(words->words);
}

static pfm_status keep_word(pfm_buffer *out, const char *word, size_t length, bool begins, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (length == 0)
        return PFM_OK;
    PFM_TRY(pfm_buffer_append(out, " ", 1, err));
    PFM_TRY(pfm_buffer_append(out, word, length, err));
    PFM_TRY(pfm_buffer_append(out, begins ? "\0" : " \0", begins ? 1 : 2, err));
    ++*count;
done:
    return status;
}

/* A word as it was typed, which may be several once it is normalised: the last of them is the one that ends in *. */
static pfm_status add_typed(pfm_buffer *out, const char *typed, size_t length, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer normalised = {0};
    char *word = NULL;
    const bool begins = length > 0 && typed[length - 1] == '*';
    PFM_TRY(pfm_string_copy_n(typed, length, &word, err));
    PFM_TRY(pfm_vqa_normalise(word, &normalised, err));
    for (size_t i = 0; i < normalised.size;) {
        const size_t size = strcspn(normalised.data + i, " ,/");
        PFM_TRY(keep_word(out, normalised.data + i, size, begins && i + size >= normalised.size, count, err));
        i += size + 1;
    }
done:
    pfm_buffer_free(&normalised);
    free(word);
    return status;
}

static pfm_status split_words(const char *text, wanted_words *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer texts = {0};
    for (const char *at = text; at != NULL && *at != '\0';) {
        const size_t blank = pfm_space_length(at);
        if (blank > 0) {
            at += blank;
            continue;
        }
        size_t length = 0;
        while (at[length] != '\0' && pfm_space_length(at + length) == 0)
            length++;
        PFM_TRY(add_typed(&texts, at, length, &out->count, err));
        at += length;
    }
    PFM_TRY(pfm_allocate(out->count, sizeof *out->words, &out->words, err));
    out->texts = texts.data;
    texts = (pfm_buffer){0};
    const char *at = out->texts;
    for (size_t i = 0; at != NULL && i < out->count; i++, at += strlen(at) + 1)
        out->words[i] = at;
done:
    pfm_buffer_free(&texts);
    return status;
}

/* ---- a row ---- */

static size_t code_of(const pfm_answer_column *column, size_t row) { return row < column->coded ? column->codes[row] : 0; }

static bool has_words(const char *text, const wanted_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        if (strstr(text, words->words[i]) == NULL)
            return false;
    return true;
}

/* Where the other file has a row; SIZE_MAX: nowhere. */
static size_t find_other(const pfm_answer_file *file, const pfm_answer_query *query, size_t row)
{
    const char *id = file->set.ids.texts[row];
    size_t at = SIZE_MAX;
    if (query->against == NULL || !pfm_intern_find(&query->against->set.ids, id, strlen(id), &at))
        return SIZE_MAX;
    return at;
}

static bool differs(const pfm_answer_file *file, const pfm_answer_query *query, size_t row, size_t other)
{
    if (query->against == NULL || query->differ == PFM_DIFFER_all)
        return true;
    if (other == SIZE_MAX)
        return false;
    const pfm_answer_extra *a = &file->extras[row], *b = &query->against->extras[other];
    switch (query->differ) {
    case PFM_DIFFER_verdicts: return a->correct != b->correct;
    case PFM_DIFFER_better: return a->correct == 1 && b->correct == 0;
    case PFM_DIFFER_worse: return a->correct == 0 && b->correct == 1;
    default: return a->prediction != b->prediction;
    }
}

static void fail(int *failed, int filter) { *failed = *failed == NOBODY || *failed == filter ? filter : SEVERAL; }

/* The only filter that a row fails; NOBODY: it fails none; SEVERAL. */
static int judge(const pfm_answer_file *file, const pfm_answer_query *query, const wanted_words *words, const size_t *codes,
                 size_t row, size_t other)
{
    const pfm_answer_extra *extra = &file->extras[row];
    int failed = NOBODY;
    if (query->right >= 0 && extra->correct != query->right)
        fail(&failed, OF_RIGHT);
    if (query->kind >= 0 && (int)file->set.rows[row].kind != query->kind)
        fail(&failed, OF_KIND);
    for (size_t c = 0; failed != SEVERAL && c < file->set.column_count; c++)
        if (query->values[c] != NULL && code_of(&file->set.columns[c], row) != codes[c])
            fail(&failed, OF_COLUMNS + (int)c);
    if (failed != SEVERAL && !differs(file, query, row, other))
        fail(&failed, OF_DIFFER);
    if (failed != SEVERAL && !has_words(extra->words, words))
        fail(&failed, OF_WORDS);
    return failed;
}

static void add(share *to, bool right)
{
    to->n++;
    to->right += right;
}

/* A row counts beside a filter where the others hold. */
static void tally(const pfm_answer_file *file, const pfm_answer_query *query, size_t row, size_t other, int failed, counts *out)
{
    const int8_t correct = file->extras[row].correct;
    const pfm_answer_kind kind = file->set.rows[row].kind;
    if (failed == NOBODY)
        add(&out->all, correct == 1);
    if ((failed == NOBODY || failed == OF_RIGHT) && correct >= 0)
        add(&out->right[correct], correct == 1);
    if (failed == NOBODY || failed == OF_KIND)
        add(&out->kinds[kind == PFM_KIND_CLOSED], correct == 1);
    for (size_t c = 0; c < file->set.column_count; c++) {
        const size_t code = code_of(&file->set.columns[c], row);
        if (code > 0 && out->columns[c] != NULL && (failed == NOBODY || failed == OF_COLUMNS + (int)c))
            add(&out->columns[c][code - 1], correct == 1);
    }
    if (other == SIZE_MAX || (failed != NOBODY && failed != OF_DIFFER))
        return;
    const int8_t there = query->against->extras[other].correct;
    out->common++;
    out->answers += file->extras[row].prediction != query->against->extras[other].prediction;
    out->both += correct == 1 && there == 1;
    out->better += correct == 1 && there == 0;
    out->worse += correct == 0 && there == 1;
    out->neither += correct == 0 && there == 0;
}

/* ---- what is told ---- */

static json_t *describe_verdict(int8_t correct) { return correct < 0 ? json_null() : json_boolean(correct == 1); }

static json_t *describe_columns(const pfm_answer_set *set, size_t row)
{
    json_t *columns = json_object();
    for (size_t c = 0; columns != NULL && c < set->column_count; c++) {
        const size_t code = code_of(&set->columns[c], row);
        if (code > 0 && pfm_answer_column_splits(&set->columns[c]) &&
            json_object_set_new(columns, set->columns[c].name, json_string(set->columns[c].values.texts[code - 1])) != 0) {
            json_decref(columns);
            columns = NULL;
        }
    }
    return columns;
}

static json_t *describe_answer(const pfm_answer_file *file, size_t row)
{
    const pfm_answer_row *r = &file->set.rows[row];
    return json_pack("{s:s, s:o, s:o}", "prediction", r->prediction, "correct", describe_verdict(file->extras[row].correct),
                     "probability", pfm_json_number(r->probability));
}

static json_t *describe_row(const pfm_answer_file *file, const pfm_answer_query *query, size_t row, size_t other)
{
    const pfm_answer_row *r = &file->set.rows[row];
    const pfm_answer_extra *extra = &file->extras[row];
    json_t *images = json_array(), *answers = json_array();
    for (size_t k = 0; k < extra->image_count; k++)
        images = pfm_json_add(images, json_string(extra->images[k]));
    for (size_t k = 0; k < r->reference_count; k++)
        answers = pfm_json_add(answers, json_string(pfm_answer_references(&file->set, r)[k]));
    json_t *told = json_pack("{s:I, s:s, s:o, s:s?, s:o, s:s?, s:o}", "n", (json_int_t)row, "id", file->set.ids.texts[row],
                             "images", images, "question", r->question, "answers", answers, "kind",
                             file->set.reports ? NULL : kind_names[r->kind == PFM_KIND_CLOSED], "columns",
                             describe_columns(&file->set, row));
    json_t *answer = describe_answer(file, row);
    if (told == NULL || answer == NULL || json_object_update(told, answer) != 0 ||
        (other != SIZE_MAX && json_object_set_new(told, "other", describe_answer(query->against, other)) != 0)) {
        json_decref(told);
        told = NULL;
    }
    json_decref(answer);
    return told;
}

static json_t *describe_count(const char *value, const share *c, bool judged)
{
    return json_pack("{s:s, s:I, s:o}", "value", value, "n", (json_int_t)c->n, "right",
                     judged ? json_integer((json_int_t)c->right) : json_null());
}

static json_t *list_columns(const pfm_answer_set *set, const counts *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < set->column_count; i++) {
        const pfm_answer_column *column = &set->columns[i];
        json_t *values = json_array();
        if (c->columns[i] == NULL) {
            json_decref(values);
            continue;
        }
        for (size_t v = 0; v < column->values.count; v++)
            values = pfm_json_add(values, describe_count(column->values.texts[v], &c->columns[i][v], !set->reports));
        list = pfm_json_add(list, json_pack("{s:s, s:o}", "name", column->name, "values", values));
    }
    return list;
}

static json_t *describe_counts(const pfm_answer_file *file, const pfm_answer_query *query, const counts *c, json_t *rows)
{
    const bool judged = !file->set.reports;
    json_t *kinds = json_array(), *right = json_null(), *against = json_null();
    for (int k = 0; judged && k < KINDS; k++)
        kinds = pfm_json_add(kinds, describe_count(kind_names[k], &c->kinds[k], judged));
    if (judged)
        right = json_pack("{s:I, s:I}", "right", (json_int_t)c->right[1].n, "wrong", (json_int_t)c->right[0].n);
    if (query->against != NULL)
        against = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)c->common, "answers", (json_int_t)c->answers,
                            "both", (json_int_t)c->both, "better", (json_int_t)c->better, "worse", (json_int_t)c->worse,
                            "neither", (json_int_t)c->neither);
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:O}", "n", (json_int_t)file->set.count, "matching",
                     (json_int_t)c->all.n, "from", (json_int_t)query->from, "right", right, "kinds", kinds, "columns",
                     list_columns(&file->set, c), "against", against, "rows", rows);
}

/* Room for the values of each column that rows are split by; codes: of those that are asked for, SIZE_MAX where no row has it.
 */
static pfm_status prepare(const pfm_answer_file *file, const pfm_answer_query *query, counts *c, size_t *codes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < file->set.column_count; i++) {
        const pfm_answer_column *column = &file->set.columns[i];
        const char *value = query->values[i];
        if (pfm_answer_column_splits(column))
            PFM_TRY(pfm_allocate(column->values.count, sizeof **c->columns, &c->columns[i], err));
        if (value != NULL && !pfm_intern_find(&column->values, value, strlen(value), &codes[i]))
            codes[i] = SIZE_MAX - 1;
        codes[i]++;
    }
done:
    return status;
}

pfm_status pfm_answer_query_run(const pfm_answer_file *file, const pfm_answer_query *query, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    counts c = {0};
    size_t *codes = NULL;
    wanted_words words = {0};
    json_t *rows = json_array();
    PFM_TRY(split_words(query->words, &words, err));
    PFM_TRY(pfm_allocate(file->set.column_count, sizeof *c.columns, &c.columns, err));
    PFM_TRY(pfm_allocate(file->set.column_count, sizeof *codes, &codes, err));
    PFM_TRY(prepare(file, query, &c, codes, err));
    for (size_t i = 0; i < file->set.count; i++) {
        const size_t other = find_other(file, query, i);
        const int failed = judge(file, query, &words, codes, i, other);
        if (failed == SEVERAL)
            continue;
        tally(file, query, i, other, failed, &c);
        if (failed == NOBODY && c.all.n > query->from && c.all.n - query->from <= query->count)
            rows = pfm_json_add(rows, describe_row(file, query, i, other));
    }
    *out = describe_counts(file, query, &c, rows);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the answers");
done:
    for (size_t i = 0; c.columns != NULL && i < file->set.column_count; i++)
        free(c.columns[i]);
    free(c.columns);
    free(codes);
    free_words(&words);
    json_decref(rows);
    return status;
}
