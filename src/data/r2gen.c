/* Chest X-ray reports in the layout of R2Gen (Chen et al., Generating Radiology Reports via Memory-driven Transformer, 2020):
 * annotation.json holds a list of studies for each split, the images lie under images/. A row is a study with all of its
 * images, frontal and lateral; it asks nothing, and its answer is the report. IU X-Ray (Demner-Fushman et al. 2016) and
 * MIMIC-CXR (Johnson et al. 2019) are published so. */
#include "data/format.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const pfm_columns columns = {.id = "id", .images = "image_path", .report = "report", .patient = "subject_id"};

static pfm_status load_document(const char *path, char **file, json_t **document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not a folder; give the one that holds annotation.json and images", path);
    PFM_TRY(pfm_path_join(path, "annotation.json", file, err));
    PFM_TRY(pfm_json_load(*file, document, err));
    if (!json_is_object(*document))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: must be a JSON object that holds a list of studies for each split", *file);
done:
    return status;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    char *file = NULL;
    json_t *document = NULL, *studies = NULL;
    const char *name = NULL;
    PFM_TRY(load_document(path, &file, &document, err));
    json_object_foreach(document, name, studies)
    {
        if (!json_is_array(studies))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"%.60s\" must be a list of studies", file, name);
        PFM_TRY(pfm_names_add(out, pfm_split_canonical(name), err));
    }
done:
    json_decref(document);
    free(file);
    return status;
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    char *file = NULL, *images = NULL;
    json_t *document = NULL, *studies = NULL;
    const char *name = NULL;
    PFM_TRY(load_document(path, &file, &document, err));
    PFM_TRY(pfm_path_join(path, "images", &images, err));
    pfm_row_place place = {.file = file, .unit = "study", .split = split, .image_folder = images};
    json_object_foreach(document, name, studies)
    {
        if (strcmp(pfm_split_canonical(name), split) != 0)
            continue;
        for (size_t i = 0; i < json_array_size(studies); i++) {
            pfm_row row = {0};
            place.number = i + 1;
            PFM_TRY(pfm_row_read(json_array_get(studies, i), &columns, &place, &row, err));
            PFM_TRY(pfm_rows_take(out, &row, err));
        }
    }
done:
    json_decref(document);
    free(images);
    free(file);
    return status;
}

const pfm_dataset_format pfm_dataset_iu_xray = {.name = "iu_xray", .list_splits = list_splits, .read = read};
const pfm_dataset_format pfm_dataset_mimic_cxr = {
    .name = "mimic_cxr", .restricted = "mimic", .list_splits = list_splits, .read = read};
