/* MEDIQA-M3G 2024 (Yim et al., Overview of the MEDIQA-M3G 2024 Shared Task on Multilingual Multimodal Medical Answer
 * Generation, 2024): questions to a dermatologist with photographs, and what several doctors answered. A JSON array a split, in
 * one or several languages (query_title_en, query_content_en, and content_en of each response), images_train and so on beside
 * it.
 *
 * A row is a case with all of its photographs. What it asks is title and content; `references` are all responses and, where
 * df_userinfo.csv says who wrote them, `weights` what the published scorer gives each. The answer is the first of the heaviest.
 */
#include "data/format.h"

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const pfm_columns columns = {.id = "encounter_id", .images = "image_ids", .question = "question", .answer = "answer"};
static const char language_column[] = "language", users_file[] = "df_userinfo.csv";
static const char *const languages[] = {"en", "es", "zh"};
static const char *const beginnings[] = {"train", "valid", "test"};
enum { LANGUAGES = 3, SPLITS = 3, MOST_RESPONSES = 1000, SKILLED = 4 };

typedef char column_name[32];

static const char *name_column(column_name out, const char *part, const char *language)
{
    (void)snprintf(out, sizeof(column_name), "%s_%s", part, language);
    return out;
}

/* ---- the files ---- */

static const char *split_name(size_t s) { return pfm_split_canonical(beginnings[s]); }

/* files [SPLITS] = the file of each split, or NULL; released by the caller. */
static pfm_status find_files(const char *path, char **files, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not a folder; give the one that holds train.json and images_train", path);
    PFM_TRY(pfm_folder_list(path, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(names[i]);
        for (size_t s = 0; s < SPLITS; s++) {
            if (strncmp(names[i], beginnings[s], strlen(beginnings[s])) != 0 || length < 5 ||
                strcmp(names[i] + length - 5, ".json") != 0)
                continue;
            if (files[s] != NULL)
                PFM_FAIL(PFM_ERROR_USAGE, "%s holds %s and %s, both of the split %s; keep one of them there", path,
                         pfm_path_name(files[s]), names[i], split_name(s));
            PFM_TRY(pfm_path_join(path, names[i], &files[s], err));
        }
    }
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    (void)options;
    char *files[SPLITS] = {0};
    pfm_status status = find_files(path, files, err);
    for (size_t s = 0; s < SPLITS; s++) {
        if (status == PFM_OK && files[s] != NULL)
            status = pfm_names_add(out, split_name(s), err);
        free(files[s]);
    }
    return status;
}

/* ---- the weights ---- */

/* The authors by their id: 0 to 2 points, for a validated doctor and for a rank of level_4 or more. */
typedef struct users {
    bool known;
    pfm_records records;
    pfm_map points;
} users;

static pfm_status load_users(const char *path, users *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    char *file = NULL;
    PFM_TRY(pfm_path_join(path, users_file, &file, err));
    if (!pfm_path_exists(file))
        goto done;
    PFM_TRY(pfm_file_read(file, 0, &text, err));
    PFM_TRY(pfm_csv_parse(text.data, text.size, file, &out->records, err));
    for (size_t i = 0; i < out->records.count; i++) {
        const json_t *record = out->records.items[i];
        const char *id = json_string_value(json_object_get(record, "author_id"));
        const char *level = json_string_value(json_object_get(record, "validation_level"));
        const char *rank = json_string_value(json_object_get(record, "rank_level"));
        if (id == NULL || level == NULL || rank == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: has no columns author_id, validation_level and rank_level", file);
        const bool ranked = strncmp(rank, "level_", 6) == 0 && rank[6] >= '0' && rank[6] <= '9' && rank[7] == '\0';
        if (!ranked && strcmp(rank, "unk") != 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: rank_level is %.40s; it must be level_0 to level_9, or unk", file,
                     out->records.lines[i], rank);
        const int64_t points = (strncmp(level, "md", 2) == 0) + (ranked && rank[6] - '0' >= SKILLED);
        PFM_TRY(pfm_map_set(&out->points, id, strlen(id), points, err));
    }
    out->known = true;
done:
    pfm_buffer_free(&text);
    free(file);
    return status;
}

static void free_users(users *all)
{
    pfm_records_free(&all->records);
    pfm_map_free(&all->points);
}

static pfm_status refuse(const pfm_row_place *place, const char *column, const char *reason, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s %s %zu: \"%s\" %s", place->file, place->unit, place->number, column,
                         reason);
}

/* As the published scorer weighs a response: four things speak for it, none of them least. */
static pfm_status weigh(const json_t *response, const users *authors, const pfm_row_place *place, double *out, pfm_error *err)
{
    static const double weights[] = {0.6, 0.7, 0.8, 0.9, 1.0};
    const json_t *complete = json_object_get(response, "completeness"),
                 *common = json_object_get(response, "contains_freq_ans");
    const char *id = NULL;
    int64_t points = 0;
    pfm_status status = pfm_row_get_text(response, "author_id", place, &id, err);
    if (status != PFM_OK)
        return status;
    if (id == NULL || !pfm_map_get(&authors->points, id, strlen(id), &points))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s %s %zu: the author %.60s of a response is not in %s, which weighs them",
                             place->file, place->unit, place->number, id == NULL ? "(none)" : id, users_file);
    if (!json_is_number(complete) || !json_is_number(common))
        return refuse(place, "responses", "must have numbers completeness and contains_freq_ans each, to be weighed", err);
    *out = weights[points + (json_number_value(complete) == 1) + (json_number_value(common) == 1)];
    return PFM_OK;
}

/* ---- a case ---- */

/* out gains references, weights where they are known, and the answer; *any = whether there is a response with words. */
static pfm_status read_responses(const json_t *record, const char *language, const users *authors, const pfm_row_place *place,
                                 json_t *out, bool *any, pfm_error *err)
{
    pfm_status status = PFM_OK;
    column_name content;
    json_t *responses = json_object_get(record, "responses"), *references = json_array(), *weights = json_array();
    double heaviest = 0;
    *any = false;
    if (responses != NULL && (!json_is_array(responses) || json_array_size(responses) > MOST_RESPONSES))
        PFM_TRY(refuse(place, "responses", "must be a list of at most 1000 responses", err));
    for (size_t i = 0; i < json_array_size(responses); i++) {
        const json_t *response = json_array_get(responses, i);
        const char *text = NULL;
        double weight = 1;
        PFM_TRY(pfm_row_get_text(response, name_column(content, "content", language), place, &text, err));
        if (text == NULL)
            PFM_TRY(refuse(place, content, "is missing in a response", err));
        if (text[strspn(text, " \t\r\n")] == '\0')
            continue;
        if (authors->known)
            PFM_TRY(weigh(response, authors, place, &weight, err));
        if (!*any || weight > heaviest) {
            heaviest = weight;
            PFM_TRY(pfm_json_take(out, columns.answer, json_string(text), err));
        }
        *any = true;
        references = pfm_json_add(references, json_string(text));
        weights = pfm_json_add(weights, json_real(weight));
    }
    PFM_TRY(pfm_json_take(out, "references", json_incref(references), err));
    if (authors->known)
        PFM_TRY(pfm_json_take(out, "weights", json_incref(weights), err));
done:
    json_decref(references);
    json_decref(weights);
    return status;
}

/* out gains the question: title and content, a line each, blanks around them removed. */
static pfm_status read_question(const json_t *record, const char *language, const pfm_row_place *place, json_t *out,
                                pfm_error *err)
{
    static const char *const parts[] = {"query_title", "query_content"};
    pfm_status status = PFM_OK;
    pfm_buffer question = {0};
    char *text = NULL;
    for (size_t i = 0; i < 2; i++) {
        column_name column;
        const char *part = NULL;
        PFM_TRY(pfm_row_get_text(record, name_column(column, parts[i], language), place, &part, err));
        free(text);
        text = NULL;
        PFM_TRY(pfm_answer_prepare(part == NULL ? "" : part, false, &text, err));
        if (text[0] != '\0')
            PFM_TRY(pfm_buffer_append_format(&question, err, "%s%s", question.size > 0 ? "\n" : "", text));
    }
    if (question.size == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s %s %zu: asks nothing in the language %s; it needs query_title_%s or query_content_%s",
                 place->file, place->unit, place->number, language, language, language);
    PFM_TRY(pfm_json_take(out, columns.question, json_string(question.data), err));
done:
    pfm_buffer_free(&question);
    free(text);
    return status;
}

/* Every column that is not in a language. */
static pfm_status copy_others(const json_t *record, json_t *out, pfm_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)record, name, value) /* the macro reads only, but takes no const */
    {
        if (strncmp(name, "query_", 6) != 0 && strcmp(name, "responses") != 0 && json_object_set(out, name, value) != 0)
            return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read a case");
    }
    return PFM_OK;
}

static pfm_status read_case(const json_t *record, const char *language, const users *authors, const pfm_row_place *place,
                            pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row row = {0};
    bool answered = false;
    json_t *flat = json_object();
    PFM_TRY(pfm_json_take(flat, language_column, json_string(language), err));
    PFM_TRY(copy_others(record, flat, err));
    PFM_TRY(read_question(record, language, place, flat, err));
    PFM_TRY(read_responses(record, language, authors, place, flat, &answered, err));
    if (!answered) {
        out->left_out++;
        out->left_out_why = "have no response";
        goto done;
    }
    PFM_TRY(pfm_row_read(flat, &columns, place, &row, err));
    for (size_t i = 0; i < row.image_count; i++)
        PFM_TRY(pfm_row_find_image(&row.images[i], err));
    PFM_TRY(pfm_rows_take(out, &row, err));
done:
    pfm_row_free(&row);
    json_decref(flat);
    return status;
}

/* held [LANGUAGES] = whether some case is written in it. */
static pfm_status note_languages(const json_t *document, const char *file, bool *held, pfm_error *err)
{
    for (size_t i = 0; i < json_array_size(document); i++) {
        const json_t *record = json_array_get(document, i);
        if (!json_is_object(record))
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "%s case %zu: must be a JSON object with encounter_id, image_ids, a query "
                                 "and responses",
                                 file, i + 1);
        for (size_t k = 0; k < LANGUAGES; k++) {
            column_name column;
            held[k] |= json_object_get(record, name_column(column, "query_title", languages[k])) != NULL ||
                       json_object_get(record, name_column(column, "query_content", languages[k])) != NULL;
        }
    }
    return PFM_OK;
}

/* Leaves in held the languages to take. */
static pfm_status choose_languages(const char *file, const pfm_dataset_options *options, bool *held, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    size_t count = 0;
    bool found = false;
    for (size_t k = 0; k < LANGUAGES; k++) {
        if (!held[k])
            continue;
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", count++ > 0 ? ", " : "", languages[k]));
        held[k] = options->language == NULL || strcmp(options->language, languages[k]) == 0;
        found |= held[k];
    }
    if (options->language == NULL && count > 1 && !options->any_language) /* languages are never mixed by accident */
        PFM_FAIL(PFM_ERROR_USAGE, "%s: choose one language (data.language, --language); the file holds %s", file, known.data);
    if (!found && options->language != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds no rows in the language '%s'; it holds %s", file, options->language,
                 count > 0 ? known.data : "none");
done:
    pfm_buffer_free(&known);
    return status;
}

static pfm_status read_file(const char *path, const char *file, size_t s, const pfm_dataset_options *options, pfm_rows *out,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    users authors = {0};
    json_t *document = NULL;
    char *images = NULL;
    bool held[LANGUAGES] = {false};
    PFM_TRY(pfm_string_format(&images, err, "%s/images_%s", path, beginnings[s]));
    PFM_TRY(load_users(path, &authors, err));
    PFM_TRY(pfm_json_load(file, &document, err));
    if (!json_is_array(document))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: must be a JSON array of cases", file);
    PFM_TRY(note_languages(document, file, held, err));
    PFM_TRY(choose_languages(file, options, held, err));
    pfm_row_place place = {.file = file, .unit = "case", .split = split_name(s), .image_folder = images};
    for (size_t k = 0; k < LANGUAGES; k++) {
        for (size_t i = 0; held[k] && i < json_array_size(document); i++) {
            place.number = i + 1;
            PFM_TRY(read_case(json_array_get(document, i), languages[k], &authors, &place, out, err));
        }
    }
done:
    free_users(&authors);
    json_decref(document);
    free(images);
    return status;
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    char *files[SPLITS] = {0};
    pfm_status status = find_files(path, files, err);
    for (size_t s = 0; s < SPLITS; s++) {
        if (status == PFM_OK && files[s] != NULL && strcmp(split_name(s), split) == 0)
            status = read_file(path, files[s], s, options, out, err);
        free(files[s]);
    }
    return status;
}

const pfm_dataset_format pfm_dataset_mediqa_m3g = {
    .name = "mediqa_m3g", .language = language_column, .list_splits = list_splits, .read = read};
