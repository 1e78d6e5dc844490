#include "train/overlap.h"

#include "base/context.h"
#include "base/map.h"
#include "base/try.h"

#include <string.h>

/* Images of `validate` that hold what one of `train` holds. */
static pfm_status count_images(const pfm_samples *train, const pfm_samples *validate, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0};
    for (size_t i = 0; train->features != NULL && i < train->dataset->image_count; i++) {
        const char *key = pfm_feature_store_key(train->features, i);
        PFM_TRY(pfm_map_set(&seen, key, strlen(key), 0, err));
    }
    for (size_t i = 0; validate->features != NULL && i < validate->dataset->image_count; i++) {
        const char *key = pfm_feature_store_key(validate->features, i);
        *count += pfm_map_get(&seen, key, strlen(key), NULL);
    }
done:
    pfm_map_free(&seen);
    return status;
}

static pfm_status count_patients(const pfm_dataset *train, const pfm_dataset *validate, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0}, counted = {0};
    for (size_t i = 0; i < train->count; i++) {
        const char *patient = train->rows[i].patient;
        if (patient != NULL)
            PFM_TRY(pfm_map_set(&seen, patient, strlen(patient), 0, err));
    }
    for (size_t i = 0; i < validate->count; i++) {
        const char *patient = validate->rows[i].patient;
        if (patient == NULL || !pfm_map_get(&seen, patient, strlen(patient), NULL) ||
            pfm_map_get(&counted, patient, strlen(patient), NULL))
            continue;
        PFM_TRY(pfm_map_set(&counted, patient, strlen(patient), 0, err));
        (*count)++;
    }
done:
    pfm_map_free(&seen);
    pfm_map_free(&counted);
    return status;
}

pfm_status pfm_overlap_warn(const pfm_samples *train, const pfm_samples *validate, pfm_error *err)
{
    size_t images = 0, patients = 0;
    pfm_status status = count_images(train, validate, &images, err);
    if (status == PFM_OK)
        status = count_patients(train->dataset, validate->dataset, &patients, err);
    if (status == PFM_OK && images + patients > 0)
        pfm_log(train->session->context, PFM_LOG_WARNING,
                "%s and %s have %zu images and %zu patients in common, so that its loss flatters; pefomed data lists them",
                train->dataset->split, validate->dataset->split, images, patients);
    return status;
}
