#include "eval/rubric.h"

#include "base/file.h"
#include "base/try.h"
#include "eval/identifiers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 18, LARGEST_SCORE = 1000000, LONGEST_TITLE = 100, LONGEST_COLUMN = 200 };

static const char prediction_column[] = "prediction";

static const char *const keys[] = {"definition", "instruction", "shows",   "scale",  "levels",
                                   "verdict",    "better",      "missing", "reasons"};
enum { DEFINITION, INSTRUCTION, SHOWS, SCALE, LEVELS, VERDICT, BETTER, MISSING, REASONS, KEYS };
static const char *const part_keys[] = {"title", "columns", "optional"};
enum { TITLE, COLUMNS, OPTIONAL, PART_KEYS };

typedef struct reader {
    pfm_yaml yaml;
    pfm_rubric *rubric;
    const yaml_node_t *levels, *missing; /* read once the scale is known */
} reader;

static pfm_status refuse(const reader *r, const yaml_node_t *node, const char *problem, pfm_error *err)
{
    return pfm_yaml_refuse(&r->yaml, node, problem, err);
}

/* A text that is not blank, without the blanks at its end. */
static pfm_status read_text(const reader *r, const yaml_node_t *node, const char *problem, char **out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    size_t length = text != NULL ? strlen(text) : 0;
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    if (length == 0)
        return refuse(r, node, problem, err);
    return pfm_string_copy_n(text, length, out, err);
}

static bool read_whole(const yaml_node_t *node, long low, long high, int *out)
{
    const char *text = pfm_yaml_text(node);
    char *end = NULL;
    errno = 0;
    const long value = text != NULL ? strtol(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0' || errno != 0 || value < low || value > high)
        return false;
    *out = (int)value;
    return true;
}

/* One of two words. */
static pfm_status read_choice(const reader *r, const yaml_node_t *node, const char *first, const char *second,
                              const char *problem, bool *is_second, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    if (text == NULL || (strcmp(text, first) != 0 && strcmp(text, second) != 0))
        return refuse(r, node, problem, err);
    *is_second = strcmp(text, second) == 0;
    return PFM_OK;
}

static pfm_status read_scale(reader *r, const yaml_node_t *node, pfm_error *err)
{
    static const char problem[] = "scale must be two whole numbers, the lowest and the highest score, as in [0, 4]";
    pfm_rubric *rubric = r->rubric;
    if (node->type != YAML_SEQUENCE_NODE || node->data.sequence.items.top - node->data.sequence.items.start != 2 ||
        !read_whole(pfm_yaml_node(&r->yaml, node->data.sequence.items.start[0]), -LARGEST_SCORE, LARGEST_SCORE, &rubric->low) ||
        !read_whole(pfm_yaml_node(&r->yaml, node->data.sequence.items.start[1]), -LARGEST_SCORE, LARGEST_SCORE,
                    &rubric->high) ||
        rubric->low >= rubric->high)
        return refuse(r, node, problem, err);
    return PFM_OK;
}

/* ---- what is shown ---- */

static pfm_status read_columns(reader *r, const yaml_node_t *node, pfm_rubric_part *part, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return refuse(r, node, "columns must be a list of columns' names, as in [reference, answer]", err);
    const size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count == 0 || count > PFM_RUBRIC_MOST_COLUMNS)
        return refuse(r, node, "columns must name 1 to 8 columns, of which the first that a row has is shown", err);
    PFM_TRY(pfm_allocate(count, sizeof *part->columns, &part->columns, err));
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = pfm_yaml_node(&r->yaml, node->data.sequence.items.start[i]);
        const char *name = pfm_yaml_text(item);
        if (name == NULL || name[0] == '\0' || strlen(name) > LONGEST_COLUMN)
            return refuse(r, item, "a column's name is a text", err);
        if (pfm_identifier_column(name))
            PFM_FAIL(PFM_ERROR_USAGE,
                     "%s line %zu: the column %.60s says who a patient is, and is shown to no judge; take it out", r->yaml.file,
                     item->start_mark.line + 1, name);
        PFM_TRY(pfm_string_copy(name, &part->columns[part->count], err));
        part->count++;
    }
done:
    return status;
}

typedef struct part_reader {
    reader *r;
    pfm_rubric_part *part;
} part_reader;

static pfm_status read_part_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    const part_reader *p = user;
    pfm_status status = PFM_OK;
    switch (key) {
    case TITLE:
        status = read_text(p->r, node, "title must be a text, which stands above what is shown", &p->part->title, err);
        if (status == PFM_OK && (strlen(p->part->title) > LONGEST_TITLE || strpbrk(p->part->title, "[]\r\n") != NULL))
            status = refuse(p->r, node, "title must be one line of at most 100 letters, without [ and ]", err);
        return status;
    case COLUMNS: return read_columns(p->r, node, p->part, err);
    default: return read_choice(p->r, node, "false", "true", "optional must be true or false", &p->part->optional, err);
    }
}

static pfm_status read_part(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rubric *rubric = r->rubric;
    uint64_t given = 0;
    if (node->type != YAML_MAPPING_NODE)
        return refuse(r, node, "what is shown has a title and columns, as in {title: Question, columns: [question]}", err);
    if (rubric->part_count == PFM_RUBRIC_MOST_PARTS)
        return refuse(r, node, "shows lists at most 16 texts", err);
    PFM_TRY(pfm_array_reserve(&rubric->parts, &rubric->part_capacity, rubric->part_count + 1, sizeof *rubric->parts, err));
    pfm_rubric_part *part = &rubric->parts[rubric->part_count++];
    PFM_TRY(pfm_yaml_read_keys(&r->yaml, node, part_keys, PART_KEYS, read_part_key, &(part_reader){r, part}, &given, err));
    if (part->title == NULL || part->columns == NULL)
        return refuse(r, node, "what is shown needs title and columns", err);
done:
    return status;
}

static bool shows_prediction(const pfm_rubric *rubric)
{
    for (size_t i = 0; i < rubric->part_count; i++)
        if (strcmp(rubric->parts[i].columns[0], prediction_column) == 0 && !rubric->parts[i].optional)
            return true;
    return false;
}

static pfm_status read_shows(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (node->type != YAML_SEQUENCE_NODE || node->data.sequence.items.start == node->data.sequence.items.top)
        return refuse(r, node, "shows must be a list of at least one text, as in [{title: Answer, columns: [prediction]}]",
                      err);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
        PFM_TRY(read_part(r, pfm_yaml_node(&r->yaml, *item), err));
    if (!shows_prediction(r->rubric))
        return refuse(
            r, node, "shows must have a text that is not optional with the columns [prediction], which is what is judged", err);
done:
    return status;
}

/* ---- levels ---- */

static int compare_levels(const void *a, const void *b)
{
    const int x = ((const pfm_rubric_level *)a)->score, y = ((const pfm_rubric_level *)b)->score;
    return (x > y) - (x < y);
}

static pfm_status read_levels(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rubric *rubric = r->rubric;
    if (node->type != YAML_MAPPING_NODE)
        return refuse(r, node, "levels must be scores with what each means, as in {0: nothing is right, 1: all is right}", err);
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = pfm_yaml_node(&r->yaml, pair->key);
        pfm_rubric_level level = {0};
        if (!read_whole(key, rubric->low, rubric->high, &level.score))
            return refuse(r, key, "a level's score must be a whole number of the scale", err);
        for (size_t i = 0; i < rubric->level_count; i++)
            if (rubric->levels[i].score == level.score)
                return refuse(r, key, "the level of this score is given a second time", err);
        if (rubric->level_count == PFM_RUBRIC_MOST_LEVELS)
            return refuse(r, key, "there are at most 101 levels", err);
        PFM_TRY(
            pfm_array_reserve(&rubric->levels, &rubric->level_capacity, rubric->level_count + 1, sizeof *rubric->levels, err));
        PFM_TRY(read_text(r, pfm_yaml_node(&r->yaml, pair->value), "a level needs a text that says what it means", &level.text,
                          err));
        rubric->levels[rubric->level_count++] = level;
    }
    if (rubric->level_count > 0)
        qsort(rubric->levels, rubric->level_count, sizeof *rubric->levels, compare_levels);
done:
    return status;
}

/* ---- the file ---- */

static pfm_status read_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    reader *r = user;
    bool second = false;
    pfm_status status = PFM_OK;
    switch (key) {
    case DEFINITION: return read_text(r, node, "definition must be a text", &r->rubric->definition, err);
    case INSTRUCTION:
        return read_text(r, node, "instruction must be a text, which the judge is told", &r->rubric->instruction, err);
    case SHOWS: return read_shows(r, node, err);
    case SCALE: return read_scale(r, node, err);
    case LEVELS: r->levels = node; return PFM_OK;
    case VERDICT:
        status = read_choice(r, node, "score", "errors", "verdict must be score or errors: how the reply ends", &second, err);
        r->rubric->verdict = second ? PFM_RUBRIC_ERRORS : PFM_RUBRIC_SCORE;
        return status;
    case BETTER:
        return read_choice(r, node, "higher", "lower", "better must be higher or lower: which scores are",
                           &r->rubric->lower_is_better, err);
    case REASONS:
        return read_choice(r, node, "true", "false", "reasons must be true or false: whether the judge gives some",
                           &r->rubric->no_reasons, err);
    default: r->missing = node; return PFM_OK;
    }
}

/* What depends on the scale. */
static pfm_status finish(reader *r, pfm_error *err)
{
    pfm_rubric *rubric = r->rubric;
    pfm_status status = r->levels != NULL ? read_levels(r, r->levels, err) : PFM_OK;
    rubric->missing = rubric->lower_is_better ? rubric->high : rubric->low;
    if (status == PFM_OK && r->missing != NULL && !read_whole(r->missing, rubric->low, rubric->high, &rubric->missing))
        status = refuse(
            r, r->missing,
            "missing must be a whole number of the scale: what a verdict that is none counts as (default: the worst)", err);
    if (status == PFM_OK && rubric->verdict == PFM_RUBRIC_ERRORS && (rubric->low != 0 || !rubric->lower_is_better))
        status = pfm_error_set(err, PFM_ERROR_USAGE,
                               "%s: a verdict of errors is a number of them: it needs a scale from 0 and better: lower",
                               r->yaml.file);
    return status;
}

pfm_status pfm_rubric_parse(const char *file, const char *text, size_t size, pfm_rubric **out, pfm_error *err)
{
    static const uint64_t needed = UINT64_C(1) << INSTRUCTION | UINT64_C(1) << SHOWS | UINT64_C(1) << SCALE;
    pfm_status status = PFM_OK;
    uint64_t given = 0;
    reader r = {0};
    PFM_TRY(pfm_allocate(1, sizeof *r.rubric, &r.rubric, err));
    PFM_TRY(pfm_yaml_name(file, &r.rubric->name, err));
    PFM_TRY(pfm_hash_bytes(text, size, r.rubric->hash, err));
    PFM_TRY(pfm_yaml_parse(file, text, size, &r.yaml, err));
    const yaml_node_t *root = yaml_document_get_root_node(&r.yaml.document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        PFM_FAIL(
            PFM_ERROR_FORMAT,
            "%s: a rubric is a file of keys: definition, instruction, shows, scale, levels, verdict, better, missing, reasons",
            file);
    PFM_TRY(pfm_yaml_read_keys(&r.yaml, root, keys, KEYS, read_key, &r, &given, err));
    if ((given & needed) != needed)
        PFM_FAIL(PFM_ERROR_USAGE, "%s: a rubric needs instruction, shows and scale", file);
    PFM_TRY(finish(&r, err));
    *out = r.rubric;
    r.rubric = NULL;
done:
    pfm_yaml_free(&r.yaml);
    pfm_rubric_free(r.rubric);
    return status;
}

static pfm_status refuse_unknown(const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (size_t i = 0; pfm_rubric_files[i].name != NULL; i++)
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", pfm_rubric_files[i].name));
    PFM_FAIL(PFM_ERROR_USAGE, "there is no rubric '%.100s'; there are %s, and files of one's own (./mine.yaml)", name,
             known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

pfm_status pfm_rubric_load(const char *name, pfm_rubric **out, pfm_error *err)
{
    const pfm_builtin_file *file = pfm_builtin_find(pfm_rubric_files, name);
    if (file != NULL)
        return pfm_rubric_parse(name, file->text, file->size, out, err);
    if (!pfm_yaml_is_path(name))
        return refuse_unknown(name, err);
    pfm_buffer text = {0};
    pfm_status status = pfm_file_read(name, LARGEST_FILE, &text, err);
    if (status == PFM_OK)
        status = pfm_rubric_parse(name, text.size == 0 ? "" : text.data, text.size, out, err);
    pfm_buffer_free(&text);
    return status;
}

void pfm_rubric_free(pfm_rubric *rubric)
{
    if (rubric == NULL)
        return;
    for (size_t i = 0; i < rubric->part_count; i++) {
        for (size_t k = 0; k < rubric->parts[i].count; k++)
            free(rubric->parts[i].columns[k]);
        free(rubric->parts[i].columns);
        free(rubric->parts[i].title);
    }
    for (size_t i = 0; i < rubric->level_count; i++)
        free(rubric->levels[i].text);
    free(rubric->parts);
    free(rubric->levels);
    free(rubric->name);
    free(rubric->definition);
    free(rubric->instruction);
    free(rubric);
}
