#include "infer/ask_pictures.h"

#include "base/context.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pfm_asked_pictures_free(pfm_asked_pictures *pictures)
{
    for (size_t i = 0; i < pictures->count; i++)
        pfm_image_free(&pictures->items[i].image);
    for (size_t i = 0; i < pictures->series_count; i++)
        pfm_series_free(&pictures->series[i]);
    free(pictures->items);
    free(pictures->series);
    free(pictures->slices);
    *pictures = (pfm_asked_pictures){0};
}

static pfm_status add(pfm_asked_pictures *pictures, const pfm_asked_picture *picture, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&pictures->items, &pictures->capacity, pictures->count + 1, sizeof *pictures->items, err);
    if (status == PFM_OK)
        pictures->items[pictures->count++] = *picture;
    return status;
}

/* Lists the pictures, none of them loaded. */
static pfm_status find(pfm_asked_pictures *pictures, const pfm_ask_options *options, const char *slices, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool any = false;
    pfm_asked_pictures_free(pictures);
    if (slices != NULL)
        PFM_TRY(pfm_string_copy(slices, &pictures->slices, err));
    PFM_TRY(pfm_allocate(options->image_count, sizeof *pictures->series, &pictures->series, err));
    pictures->series_count = options->image_count;
    for (size_t i = 0; i < options->image_count; i++) {
        const char *path = options->images[i];
        if (options->slices == NULL && !pfm_series_is(path, slices)) {
            PFM_TRY(add(pictures, &(pfm_asked_picture){.file = {.path = path}}, err));
            continue;
        }
        pfm_series *series = &pictures->series[i];
        const bool chooses = pfm_path_is_folder(path) || options->image_count == 1; /* beside a folder a file has one */
        any = any || chooses;
        PFM_TRY(pfm_series_open(path, chooses ? options->series : NULL, slices, series, err));
        for (size_t k = 0; k < series->count; k++) {
            const pfm_image_file file = {.path = series->slices[k].path, .frame = series->slices[k].frame};
            PFM_TRY(add(pictures, &(pfm_asked_picture){.file = file, .series = series, .slice = k}, err));
        }
    }
    if (options->series != NULL && !any)
        PFM_FAIL(PFM_ERROR_USAGE, "--series chooses among the series of a folder, and no image here is one; leave it out");
done:
    return status;
}

/* Decodes a picture and looks whether there is text in it. */
static pfm_status load_one(pfm_asked_picture *picture, const char *window, const pfm_context *context, pfm_error *err)
{
    pfm_status status = pfm_image_load_file(&picture->file, window, context, &picture->image, &picture->applied, err);
    return status == PFM_OK ? pfm_image_look_for_text(&picture->image, &picture->applied, err) : status;
}

static bool same(const char *a, const char *b) { return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0; }

pfm_status pfm_asked_pictures_load(pfm_asked_pictures *pictures, const pfm_ask_options *options, const char *slices,
                                   const char *window, const pfm_context *context, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (pictures->series == NULL || !same(pictures->slices, slices))
        PFM_TRY(find(pictures, options, slices, err));
    for (size_t i = 0; i < pictures->count; i++) {
        pfm_asked_picture *picture = &pictures->items[i];
        if (picture->image.rgb != NULL && (window == NULL || !picture->applied.has_values))
            continue;
        pfm_image_free(&picture->image);
        PFM_TRY(load_one(picture, window, context, err));
    }
done:
    return status;
}

pfm_status pfm_asked_pictures_check(pfm_asked_pictures *pictures, const pfm_ask_options *options, const pfm_context *context,
                                    pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(find(pictures, options, options->slices, err));
    for (size_t i = 0; i < pictures->count; i++) {
        pfm_asked_picture *picture = &pictures->items[i];
        if (picture->series == NULL)
            PFM_TRY(load_one(picture, NULL, context, err));
    }
done:
    return status;
}

static void warn_of_text(const pfm_asked_pictures *pictures, const pfm_context *context)
{
    const pfm_asked_picture *first = NULL;
    char others[64] = "";
    size_t count = 0;
    for (size_t i = 0; i < pictures->count; i++) {
        if (!pfm_image_has_text(&pictures->items[i].applied))
            continue;
        first = first == NULL ? &pictures->items[i] : first;
        count++;
    }
    if (first == NULL)
        return;
    if (count > 1)
        (void)snprintf(others, sizeof others, " and %zu more of %zu pictures", count - 1, pictures->count);
    pfm_log(context, PFM_LOG_WARNING, "%s%s %s burned-in text, which a model reads too and which may name the patient",
            first->file.path, others,
            count > 1 ? "seem to hold"
                      : (first->applied.burned_in == PFM_BURNED_IN_YES ? "says that it holds" : "seems to hold"));
}

void pfm_asked_pictures_warn(const pfm_asked_pictures *pictures, const pfm_ask_options *options, const pfm_context *context)
{
    for (size_t i = 0; i < pictures->series_count; i++) {
        const pfm_series *series = &pictures->series[i];
        char lacks[120];
        /* a recipe's number is for series: of a lone picture it says nothing that a person need know */
        if (pfm_series_lacks(series, lacks) && (series->total > 1 || options->slices != NULL))
            pfm_log(context, PFM_LOG_WARNING, "%s: %s", options->images[i], lacks);
        if (series->duplicates > 0)
            pfm_log(context, PFM_LOG_WARNING,
                    "%s: %zu of %zu slices lie where another one does (copies, or the same place at another time); all count",
                    options->images[i], series->duplicates, series->total);
        if (series->count > 0 && series->total > 1 && strcmp(series->order, "position") != 0)
            pfm_log(context, PFM_LOG_WARNING, "%s: not all slices say where they lie; they are sorted by %s",
                    options->images[i],
                    strcmp(series->order, "instance") == 0 ? "their instance numbers" : "the names of their files");
    }
    warn_of_text(pictures, context);
}

pfm_status pfm_asked_picture_tell(const pfm_asked_picture *picture, char **json, pfm_error *err)
{
    pfm_status status = pfm_image_applied_json(&picture->applied, json, err);
    if (status == PFM_OK && picture->series != NULL)
        status = pfm_series_tell(picture->series, picture->slice, json, err);
    return status;
}
