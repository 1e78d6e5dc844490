/* VQA-RAD (Lau et al., A dataset of clinically generated visual questions and answers about radiology images, 2018): one JSON
 * array of all rows. The rows whose phrase_type begins with "test" are the test split; of the others a share is held back as
 * "validate". Its test questions share images with its training questions, by design of its authors. The case from which an
 * image comes stands for the patient. */
#include "data/format.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const char file_name[] = "VQA_RAD Dataset Public.json";
static const pfm_columns columns = {.id = "qid",
                                    .image = "image_name",
                                    .question = "question",
                                    .answer = "answer",
                                    .answer_type = "answer_type",
                                    .patient = "image_case_url",
                                    .needs_answer_type = true};

static pfm_status load_document(const char *path, char **file, json_t **document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not a folder; give the one that holds \"%s\"", path, file_name);
    PFM_TRY(pfm_path_join(path, file_name, file, err));
    PFM_TRY(pfm_json_load(*file, document, err));
    if (!json_is_array(*document))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: must be a JSON array of rows", *file);
done:
    return status;
}

static pfm_status is_test(const json_t *object, const pfm_row_place *place, bool *out, pfm_error *err)
{
    const char *type = NULL;
    pfm_status status = pfm_row_get_text(object, "phrase_type", place, &type, err);
    *out = type != NULL && strncmp(type, "test", 4) == 0;
    return status;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL;
    json_t *document = NULL;
    PFM_TRY(load_document(path, &file, &document, err));
    bool any_test = false, any_train = false;
    pfm_row_place place = {.file = file, .unit = "row"};
    for (size_t i = 0; i < json_array_size(document); i++) {
        bool test = false;
        place.number = i + 1;
        PFM_TRY(is_test(json_array_get(document, i), &place, &test, err));
        any_test = any_test || test;
        any_train = any_train || !test;
    }
    if (any_train)
        PFM_TRY(pfm_names_add(out, "train", err));
    if (any_train && options->validate_share > 0)
        PFM_TRY(pfm_names_add(out, "validate", err));
    if (any_test)
        PFM_TRY(pfm_names_add(out, "test", err));
done:
    json_decref(document);
    free(file);
    return status;
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL, *images = NULL;
    json_t *document = NULL;
    bool wants_test = strcmp(split, "test") == 0;
    PFM_TRY(load_document(path, &file, &document, err));
    PFM_TRY(pfm_path_join(path, "VQA_RAD Image Folder", &images, err));
    pfm_row_place place = {.file = file, .unit = "row", .split = split, .image_folder = images};
    for (size_t i = 0; i < json_array_size(document); i++) {
        const json_t *object = json_array_get(document, i);
        bool test = false;
        pfm_row row = {0};
        place.number = i + 1;
        PFM_TRY(is_test(object, &place, &test, err));
        if (test != wants_test)
            continue;
        PFM_TRY(pfm_row_read(object, &columns, &place, &row, err));
        PFM_TRY(pfm_rows_take(out, &row, err));
    }
    if (!wants_test)
        PFM_TRY(pfm_rows_hold_out(out, split, options, file, err));
done:
    json_decref(document);
    free(images);
    free(file);
    return status;
}

const pfm_dataset_format pfm_dataset_vqa_rad = {.name = "vqa_rad", .list_splits = list_splits, .read = read};
