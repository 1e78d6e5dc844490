#include "pacs/dicom_study.h"

#include "base/file.h"
#include "base/try.h"
#include "image/dicom_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_DESCRIPTION = 300 };

/* What decides about a series, of its first slice. */
typedef struct description {
    char modality[17], body_part[17], words[4 * LONGEST_DESCRIPTION];
    size_t slices;
} description;

/* Body part examined; series', study's and protocol's descriptions, one behind the other. */
static pfm_status describe(const char *path, description *out, pfm_error *err)
{
    static const uint32_t tags[] = {DICOM_TAG(0x0008, 0x103E), DICOM_TAG(0x0008, 0x1030), DICOM_TAG(0x0018, 0x1030)};
    pfm_status status = PFM_OK;
    pfm_mapping mapping = {0};
    pfm_dicom file = {0};
    size_t used = 0;
    PFM_TRY(pfm_mapping_open(path, &mapping, err));
    PFM_TRY(pfm_dicom_open(mapping.data, mapping.size, path, &file, err));
    pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0018, 0x0015)), out->body_part, sizeof out->body_part);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        char text[LONGEST_DESCRIPTION];
        pfm_dicom_text(pfm_dicom_find(&file, tags[i]), text, sizeof text);
        used += (size_t)snprintf(out->words + used, sizeof out->words - used, "%s\n", text);
    }
done:
    pfm_dicom_close(&file);
    pfm_mapping_close(&mapping);
    return status;
}

/* Series `number` of the folder, from 1; *of = how many there are. */
static pfm_status survey_one(const char *folder, int number, description *out, int *of, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_series series = {0};
    char name[16];
    (void)snprintf(name, sizeof name, "%d", number);
    PFM_TRY(pfm_series_open(folder, name, NULL, &series, err));
    *of = series.of;
    memcpy(out->modality, series.modality, sizeof out->modality);
    out->slices = series.total;
    PFM_TRY(describe(series.slices[0].path, out, err));
done:
    pfm_series_free(&series);
    return status;
}

static pfm_status survey(const char *folder, description **out, int *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t capacity = 0;
    int of = 1;
    for (int i = 0; i < of; i++) {
        PFM_TRY(pfm_array_reserve(out, &capacity, (size_t)i + 1, sizeof **out, err));
        PFM_TRY(survey_one(folder, i + 1, &(*out)[i], &of, err));
        *count = i + 1;
    }
done:
    return status;
}

/* The first rule that some series matches; the series of it that are shown. */
static void choose(pfm_dicom_study *study, const pfm_pacs_rules *rules, const description *found, int count)
{
    size_t most = 0;
    for (size_t r = 0; study->series_count == 0 && r < rules->count; r++) {
        const pfm_pacs_rule *rule = &rules->rules[r];
        for (int i = 0; i < count; i++) {
            const pfm_pacs_series series = {found[i].modality, found[i].body_part, found[i].words};
            if (!pfm_pacs_rule_matches(rule, &series))
                continue;
            study->rule = rule;
            if (rule->every) {
                study->series[study->series_count++] = i + 1;
            } else if (found[i].slices > most) {
                study->series[0] = i + 1;
                study->series_count = 1;
                most = found[i].slices;
            }
        }
    }
}

static pfm_status list_pictures(pfm_dicom_study *study, const char *slices, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *wanted = study->rule->slices != NULL ? study->rule->slices : slices;
    size_t capacity = 0;
    PFM_TRY(pfm_allocate(study->series_count, sizeof *study->slices, &study->slices, err));
    for (size_t i = 0; i < study->series_count; i++) {
        pfm_series *series = &study->slices[i];
        char name[16];
        (void)snprintf(name, sizeof name, "%d", study->series[i]);
        PFM_TRY(pfm_series_open(study->folder, name, wanted, series, err));
        PFM_TRY(pfm_array_reserve(&study->references, &capacity, study->picture_count + series->count,
                                  sizeof *study->references, err));
        for (size_t k = 0; k < series->count; k++)
            study->references[study->picture_count++] = (pfm_sr_image){series->slices[k].path, series->slices[k].frame};
    }
done:
    return status;
}

pfm_status pfm_dicom_study_open(const char *folder, const pfm_pacs_rules *rules, const char *slices, pfm_dicom_study *out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    description *found = NULL;
    int count = 0;
    *out = (pfm_dicom_study){.folder = folder};
    PFM_TRY(survey(folder, &found, &count, err));
    PFM_TRY(pfm_allocate((size_t)count, sizeof *out->series, &out->series, err));
    choose(out, rules, found, count);
    if (out->rule != NULL)
        PFM_TRY(list_pictures(out, slices, err));
done:
    free(found);
    return status;
}

pfm_status pfm_dicom_study_load(pfm_dicom_study *study, const char *window, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *wanted = study->rule->window != NULL ? study->rule->window : window;
    PFM_TRY(pfm_allocate(study->picture_count, sizeof *study->pictures, &study->pictures, err));
    PFM_TRY(pfm_allocate(study->picture_count, sizeof *study->applied, &study->applied, err));
    for (size_t i = 0; i < study->picture_count; i++) {
        const pfm_image_file file = {.path = study->references[i].path, .frame = study->references[i].frame};
        PFM_TRY(pfm_image_load_file(&file, wanted, NULL, &study->pictures[i], &study->applied[i], err));
    }
done:
    return status;
}

void pfm_dicom_study_free(pfm_dicom_study *study)
{
    for (size_t i = 0; study->pictures != NULL && i < study->picture_count; i++)
        pfm_image_free(&study->pictures[i]);
    for (size_t i = 0; study->slices != NULL && i < study->series_count; i++)
        pfm_series_free(&study->slices[i]);
    free(study->pictures);
    free(study->applied);
    free(study->slices);
    free(study->references);
    free(study->series);
    *study = (pfm_dicom_study){0};
}
