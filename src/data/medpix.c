/* MedPix 2.0 (Siragusa et al., MedPix 2.0: A Comprehensive Multimodal Biomedical Dataset for Advanced AI Applications, 2024):
 * CT and MR images, a caption each, and the cases from which they come. A row asks nothing and its answer is the caption; what
 * else the data say about the image, and history, findings and diagnosis of its case, stand beside it. The case stands for the
 * patient.
 *
 * medpix_cases are the cases themselves: a row has all images of one, CT before MR, asks for the diagnosis by its history, and
 * keeps the findings beside, for they say in words what the images show. */
#include "data/format.h"

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/try.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const pfm_columns columns = {.id = "image", .image = "image", .answer = "Caption", .patient = "U_id"};
static const char *const published[] = {"train", "dev", "test"};

/* *out = FOLDER/splitted_dataset/KIND_SPLIT.jsonl. */
static pfm_status path_of(const char *folder, const char *kind, const char *split, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/splitted_dataset/%s_%s.jsonl", folder, kind, split);
}

/* kind "descriptions" or "data". */
static pfm_status list_files(const char *path, const char *kind, pfm_names *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL;
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not a folder; give the one that holds images and splitted_dataset", path);
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        free(file);
        file = NULL;
        PFM_TRY(path_of(path, kind, published[i], &file, err));
        if (pfm_path_exists(file))
            PFM_TRY(pfm_names_add(out, pfm_split_canonical(published[i]), err));
    }
done:
    free(file);
    return status;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    (void)options;
    return list_files(path, "descriptions", out, err);
}

static pfm_status load_lines(const char *file, pfm_records *out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = pfm_file_read(file, 0, &text, err);
    if (status == PFM_OK)
        status = pfm_json_lines_parse(text.data, text.size, file, out, err);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status refuse(const pfm_row_place *place, const char *column, const char *reason, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: \"%s\" %s", place->file, place->number, column, reason);
}

/* The cases of a split by their U_id. */
typedef struct cases {
    char *file; /* NULL: there is none */
    pfm_records records;
    pfm_map by_id;
} cases;

static void free_cases(cases *all)
{
    free(all->file);
    pfm_records_free(&all->records);
    pfm_map_free(&all->by_id);
}

static pfm_status load_cases(const char *path, const char *split, cases *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(path_of(path, "data", split, &out->file, err));
    if (!pfm_path_exists(out->file)) {
        free(out->file);
        out->file = NULL;
        goto done;
    }
    PFM_TRY(load_lines(out->file, &out->records, err));
    for (size_t i = 0; i < out->records.count; i++) {
        const json_t *record = out->records.items[i];
        const pfm_row_place place = {.file = out->file, .number = out->records.lines[i]};
        const char *id = json_string_value(json_object_get(record, "U_id"));
        if (id == NULL)
            return refuse(&place, "U_id", "must be the text that names the case", err);
        if (!json_is_object(json_object_get(record, "Case")))
            return refuse(&place, "Case", "must be an object", err);
        PFM_TRY(pfm_map_set(&out->by_id, id, strlen(id), (int64_t)i, err));
    }
done:
    return status;
}

/* Copies a value under a name in lower case with _ for blanks; null is absent. */
static pfm_status copy_value(json_t *to, const char *name, json_t *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *key = NULL;
    if (json_is_null(value))
        return PFM_OK;
    PFM_TRY(pfm_string_copy(name, &key, err));
    for (char *c = key; *c != '\0'; c++)
        *c = *c == ' ' ? '_' : (char)tolower((unsigned char)*c);
    if (json_object_set(to, key, value) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read a row");
done:
    free(key);
    return status;
}

/* Every member but those that `columns` names. */
static pfm_status copy_others(json_t *to, const json_t *from, pfm_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)from, name, value) /* the macro reads only, but takes no const */
    {
        if (json_is_object(value) || strcmp(name, columns.image) == 0 || strcmp(name, columns.answer) == 0 ||
            strcmp(name, columns.patient) == 0)
            continue;
        pfm_status status = copy_value(to, name, value, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status copy_case(json_t *to, const cases *all, const char *id, const pfm_row_place *place, pfm_error *err)
{
    static const char *const wanted[][2] = {{"History", "history"}, {"Findings", "findings"}, {"Case Diagnosis", "diagnosis"}};
    int64_t index = 0;
    if (all->file == NULL)
        return PFM_OK;
    if (!pfm_map_get(&all->by_id, id, strlen(id), &index))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: its case %.60s is not in %s", place->file, place->number, id,
                             all->file);
    const json_t *content = json_object_get(all->records.items[index], "Case");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        json_t *value = json_object_get(content, wanted[i][0]);
        pfm_status status = value == NULL ? PFM_OK : copy_value(to, wanted[i][1], value, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* One object with all that is said about an image, as pfm_row_read takes it. */
static pfm_status flatten(const json_t *record, const cases *all, const pfm_row_place *place, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *id = NULL;
    const json_t *description = json_object_get(record, "Description");
    if (!json_is_object(record))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: must be a JSON object with U_id, image and Description", place->file,
                 place->number);
    if (!json_is_object(description))
        return refuse(place, "Description", "must be an object that holds the Caption", err);
    PFM_TRY(pfm_row_get_text(record, columns.patient, place, &id, err));
    if (id == NULL)
        return refuse(place, columns.patient, "is missing; every row needs it", err);
    PFM_TRY(copy_others(out, record, err));
    PFM_TRY(copy_others(out, description, err));
    PFM_TRY(copy_case(out, all, id, place, err));
    json_t *image = json_object_get(record, columns.image), *caption = json_object_get(description, columns.answer);
    if (json_object_set_new(out, columns.patient, json_string(id)) != 0 ||
        (image != NULL && json_object_set(out, columns.image, image) != 0) ||
        (caption != NULL && json_object_set(out, columns.answer, caption) != 0))
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", place->file);
done:
    return status;
}

/* Whether a caption is what MedPix's form says before anybody has filled it in. */
static bool is_unfilled(const char *caption)
{
    static const char *const forms[] = {"Replace this - DESCRIPTION OF THE IMAGE OR FINDINGS.", "IN PROGRESS", "IN PROGRESS."};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(caption, forms[i]) == 0)
            return true;
    }
    return false;
}

static pfm_status read_row(const json_t *record, const cases *all, const pfm_row_place *place, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row row = {0};
    json_t *flat = json_object();
    if (flat == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", place->file);
    PFM_TRY(flatten(record, all, place, flat, err));
    PFM_TRY(pfm_row_read(flat, &columns, place, &row, err));
    if (is_unfilled(row.answer)) {
        out->left_out++;
        out->left_out_why = "have the form's words in place of a caption";
        goto done;
    }
    PFM_TRY(pfm_row_find_image(&row.images[0], err));
    PFM_TRY(pfm_rows_take(out, &row, err));
done:
    pfm_row_free(&row);
    json_decref(flat);
    return status;
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    cases all = {0};
    pfm_records records = {0};
    char *file = NULL, *images = NULL;
    const char *name = strcmp(split, "validate") == 0 ? "dev" : split;
    PFM_TRY(path_of(path, "descriptions", name, &file, err));
    PFM_TRY(load_lines(file, &records, err));
    PFM_TRY(load_cases(path, name, &all, err));
    PFM_TRY(pfm_path_join(path, "images", &images, err));
    pfm_row_place place = {.file = file, .unit = "line", .split = split, .image_folder = images};
    for (size_t i = 0; i < records.count; i++) {
        place.number = records.lines[i];
        PFM_TRY(read_row(records.items[i], &all, &place, out, err));
    }
done:
    free_cases(&all);
    pfm_records_free(&records);
    free(images);
    free(file);
    return status;
}

const pfm_dataset_format pfm_dataset_medpix = {.name = "medpix", .list_splits = list_splits, .read = read};

/* ---- cases ---- */

static const pfm_columns case_columns = {
    .id = "U_id", .images = "images", .question = "question", .answer = "Case Diagnosis", .patient = "U_id"};
static const char asks[] = "What is the diagnosis?";

static pfm_status list_case_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    (void)options;
    return list_files(path, "data", out, err);
}

/* Adds the names of the images in a list of the case. */
static pfm_status add_images(json_t *to, const json_t *record, const char *list, const pfm_row_place *place, pfm_error *err)
{
    json_t *images = json_object_get(record, list);
    if (images != NULL && !json_is_null(images) && !json_is_array(images))
        return refuse(place, list, "must be a list of images", err);
    if (json_is_array(images) && json_array_extend(to, images) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", place->file);
    return PFM_OK;
}

/* One object with the case's parts, as pfm_row_read takes it; *whole = whether it has images and a diagnosis. */
static pfm_status flatten_case(const json_t *record, const pfm_row_place *place, json_t *out, bool *whole, pfm_error *err)
{
    static const char *const lists[] = {"TAC", "MRI"};
    pfm_status status = PFM_OK;
    pfm_buffer question = {0};
    json_t *content = json_object_get(record, "Case"), *images = json_array(), *category = NULL;
    const char *history = NULL;
    if (!json_is_object(record) || !json_is_object(content))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: must be a JSON object with U_id, TAC, MRI and Case", place->file,
                 place->number);
    for (size_t i = 0; i < 2; i++)
        PFM_TRY(add_images(images, record, lists[i], place, err));
    json_t *diagnosis = json_object_get(content, case_columns.answer);
    *whole = json_array_size(images) > 0 && diagnosis != NULL && !json_is_null(diagnosis);
    PFM_TRY(copy_others(out, content, err));
    (void)json_object_del(out, "case_diagnosis"); /* the answer */
    category = json_object_get(json_object_get(record, "Topic"), "Category");
    if (category != NULL)
        PFM_TRY(copy_value(out, "Category", category, err));
    PFM_TRY(pfm_row_get_text(content, "History", place, &history, err));
    if (history != NULL)
        PFM_TRY(pfm_buffer_append_format(&question, err, "History: %s\n", history));
    PFM_TRY(pfm_buffer_append_string(&question, asks, err));
    PFM_TRY(pfm_json_take(out, case_columns.question, json_string(question.data), err));
    PFM_TRY(pfm_json_take(out, case_columns.images, json_incref(images), err));
    if (diagnosis != NULL)
        PFM_TRY(pfm_json_take(out, case_columns.answer, json_incref(diagnosis), err));
    if (json_object_get(record, case_columns.id) != NULL)
        PFM_TRY(pfm_json_take(out, case_columns.id, json_incref(json_object_get(record, case_columns.id)), err));
done:
    pfm_buffer_free(&question);
    json_decref(images);
    return status;
}

static pfm_status read_case(const json_t *record, const pfm_row_place *place, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row row = {0};
    bool whole = false;
    json_t *flat = json_object();
    PFM_TRY(flatten_case(record, place, flat, &whole, err));
    if (!whole) {
        out->left_out++;
        out->left_out_why = "have no diagnosis or no image";
        goto done;
    }
    PFM_TRY(pfm_row_read(flat, &case_columns, place, &row, err));
    for (size_t i = 0; i < row.image_count; i++)
        PFM_TRY(pfm_row_find_image(&row.images[i], err));
    PFM_TRY(pfm_rows_take(out, &row, err));
done:
    pfm_row_free(&row);
    json_decref(flat);
    return status;
}

static pfm_status read_cases(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out,
                             pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    pfm_records records = {0};
    char *file = NULL, *images = NULL;
    PFM_TRY(path_of(path, "data", strcmp(split, "validate") == 0 ? "dev" : split, &file, err));
    PFM_TRY(load_lines(file, &records, err));
    PFM_TRY(pfm_path_join(path, "images", &images, err));
    pfm_row_place place = {.file = file, .unit = "line", .split = split, .image_folder = images};
    for (size_t i = 0; i < records.count; i++) {
        place.number = records.lines[i];
        PFM_TRY(read_case(records.items[i], &place, out, err));
    }
done:
    pfm_records_free(&records);
    free(images);
    free(file);
    return status;
}

const pfm_dataset_format pfm_dataset_medpix_cases = {
    .name = "medpix_cases", .list_splits = list_case_splits, .read = read_cases};
