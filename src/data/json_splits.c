#include "data/format.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* *out = the split's name where the file is called like one ("train.json", "test_small.json"), else NULL. */
static pfm_status split_of_file(const char *file, char **out, pfm_error *err)
{
    static const char *const beginnings[] = {"train", "val", "dev", "test"};
    size_t length = strlen(file);
    *out = NULL;
    if (length < 6 || strcmp(file + length - 5, ".json") != 0)
        return PFM_OK;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        if (strncmp(file, beginnings[i], strlen(beginnings[i])) == 0)
            return pfm_string_copy_n(file, length - 5, out, err);
    }
    return PFM_OK;
}

/* Adds the canonical names of the splits; with `wanted`, *found = the file that holds that one (released by the caller). */
static pfm_status scan(const char *path, pfm_names *out, const char *wanted, char **found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **files = NULL;
    size_t count = 0;
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not a folder; give the data set's folder, the one that holds train.json", path);
    PFM_TRY(pfm_folder_list(path, &files, &count, err));
    for (size_t i = 0; i < count; i++) {
        char *split = NULL;
        PFM_TRY(split_of_file(files[i], &split, err));
        if (split == NULL)
            continue;
        const char *canonical = pfm_split_canonical(split);
        if (wanted != NULL && *found == NULL && strcmp(canonical, wanted) == 0)
            status = pfm_path_join(path, files[i], found, err);
        if (status == PFM_OK && out != NULL)
            status = pfm_names_add(out, canonical, err);
        free(split);
        if (status != PFM_OK)
            goto done;
    }
done:
    for (size_t i = 0; i < count; i++)
        free(files[i]);
    free(files);
    return status;
}

/* *out = the splits that are files; *made = a validation split must be made from the training rows. */
static pfm_status find_splits(const pfm_json_splits *layout, const char *path, const pfm_dataset_options *options,
                              pfm_names *out, bool *made, pfm_error *err)
{
    pfm_status status = scan(path, out, NULL, NULL, err);
    *made = layout->makes_validation && options->validate_share > 0 && pfm_names_has(out, "train") &&
            !pfm_names_has(out, "validate");
    return status;
}

pfm_status pfm_json_splits_list(const pfm_json_splits *layout, const char *path, const pfm_dataset_options *options,
                                pfm_names *out, pfm_error *err)
{
    bool made = false;
    pfm_status status = find_splits(layout, path, options, out, &made, err);
    if (status == PFM_OK && made)
        status = pfm_names_add(out, "validate", err);
    return status;
}

/* *out = whether the row is in the chosen language; its language joins `seen`. */
static pfm_status is_wanted(const pfm_json_splits *layout, const json_t *object, const pfm_row_place *place,
                            const pfm_dataset_options *options, pfm_names *seen, bool *out, pfm_error *err)
{
    const char *language = NULL;
    *out = true;
    if (layout->language == NULL || !json_is_object(object))
        return PFM_OK;
    pfm_status status = pfm_row_get_text(object, layout->language, place, &language, err);
    if (status != PFM_OK || options->any_language)
        return status;
    if (language == NULL && (layout->needs_language || options->language != NULL))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s %s %zu: \"%s\" is missing; every row needs it", place->file,
                             place->unit, place->number, layout->language);
    if (language == NULL)
        return PFM_OK;
    *out = options->language == NULL || strcmp(language, options->language) == 0;
    return pfm_names_add(seen, language, err);
}

/* Languages are never mixed by accident. */
static pfm_status check_languages(const pfm_json_splits *layout, const char *file, const pfm_dataset_options *options,
                                  const pfm_names *seen, size_t rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    if (layout->language == NULL || options->any_language)
        return PFM_OK;
    PFM_TRY(pfm_names_append(seen, &text, err));
    if (options->language == NULL && (layout->needs_language || seen->count > 1))
        PFM_FAIL(PFM_ERROR_USAGE, "%s: choose one language (data.language, --language); the file holds %s", file, text.data);
    if (options->language != NULL && rows == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds no rows in the language '%s'; it holds %s", file, options->language, text.data);
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status read_file(const pfm_json_splits *layout, const char *path, const char *split,
                            const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL, *images = NULL;
    json_t *document = NULL;
    pfm_names languages = {0};
    PFM_TRY(scan(path, NULL, split, &file, err));
    if (file == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds no file for the split '%s'", path, split);
    PFM_TRY(pfm_path_join(path, layout->images, &images, err));
    PFM_TRY(pfm_json_load(file, &document, err));
    if (!json_is_array(document))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: must be a JSON array of rows", file);
    pfm_row_place place = {.file = file, .unit = "row", .split = split, .image_folder = images};
    for (size_t i = 0; i < json_array_size(document); i++) {
        const json_t *object = json_array_get(document, i);
        bool wanted = true;
        pfm_row row = {0};
        place.number = i + 1;
        PFM_TRY(is_wanted(layout, object, &place, options, &languages, &wanted, err));
        if (!wanted)
            continue;
        PFM_TRY(pfm_row_read(object, &layout->columns, &place, &row, err));
        PFM_TRY(pfm_rows_take(out, &row, err));
    }
    PFM_TRY(check_languages(layout, file, options, &languages, out->count, err));
done:
    pfm_names_free(&languages);
    json_decref(document);
    free(images);
    free(file);
    return status;
}

pfm_status pfm_json_splits_read(const pfm_json_splits *layout, const char *path, const char *split,
                                const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    bool made = false;
    pfm_names files = {0};
    pfm_status status = find_splits(layout, path, options, &files, &made, err);
    pfm_names_free(&files);
    made = made && (strcmp(split, "train") == 0 || strcmp(split, "validate") == 0);
    if (status == PFM_OK)
        status = read_file(layout, path, made ? "train" : split, options, out, err);
    if (status == PFM_OK && made)
        status = pfm_rows_hold_out(out, split, options, path, err);
    return status;
}
