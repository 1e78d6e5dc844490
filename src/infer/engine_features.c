/* Features of images that were seen, kept in memory; what was not used for longest leaves first. */
#include "infer/engine_internal.h"

#include "base/try.h"
#include "models/vision/feature_store.h"

#include <stdlib.h>
#include <string.h>

static pfm_engine_features *find(const pfm_engine *engine, const char *picture)
{
    for (size_t i = 0; i < engine->feature_count; i++) {
        if (strcmp(engine->features[i].picture, picture) == 0)
            return &engine->features[i];
    }
    return NULL;
}

bool pfm_engine_features_kept(const pfm_engine *engine, const char *picture) { return find(engine, picture) != NULL; }

/* *out = a place to keep another image's, in place of the oldest where there is no room; NULL: none are kept. */
static pfm_status make_place(pfm_engine *engine, pfm_engine_features **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t most = engine->feature_memory / engine->feature_bytes;
    *out = NULL;
    if (most == 0)
        return PFM_OK;
    if (engine->feature_count < most) {
        PFM_TRY(pfm_array_reserve(&engine->features, &engine->feature_capacity, engine->feature_count + 1,
                                  sizeof *engine->features, err));
        PFM_TRY(pfm_allocate(engine->feature_bytes, 1, &engine->features[engine->feature_count].values, err));
        *out = &engine->features[engine->feature_count++];
    } else {
        *out = &engine->features[0];
        for (size_t i = 1; i < engine->feature_count; i++)
            *out = engine->features[i].used < (*out)->used ? &engine->features[i] : *out;
    }
    (*out)->picture[0] = '\0'; /* until they are there */
done:
    return status;
}

pfm_status pfm_engine_features_get(pfm_engine *engine, const pfm_engine_entry *entry, size_t image, const float **values,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *picture = entry->pictures[image];
    pfm_engine_features *kept = find(engine, picture);
    engine->feature_clock++;
    if (kept != NULL) {
        kept->used = engine->feature_clock;
        engine->counts.features_found++;
        *values = kept->values;
        return PFM_OK;
    }
    PFM_TRY(make_place(engine, &kept, err));
    float *to = kept != NULL ? kept->values : engine->image_features;
    if (engine->options.features != NULL)
        PFM_TRY(engine->options.features(engine->options.user, &entry->asked.images[image], to, err));
    else
        PFM_TRY(pfm_features_of_image(engine->session->vision, &entry->asked.images[image], to, err));
    engine->counts.features++;
    if (kept != NULL) {
        memcpy(kept->picture, picture, sizeof kept->picture);
        kept->used = engine->feature_clock;
    }
    *values = to;
done:
    return status;
}

void pfm_engine_features_free(pfm_engine *engine)
{
    for (size_t i = 0; i < engine->feature_count; i++)
        free(engine->features[i].values);
    free(engine->features);
    free(engine->image_features);
}
