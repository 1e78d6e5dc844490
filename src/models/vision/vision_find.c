/* Which vision encoder a name or a checkpoint is. */
#include "models/vision/vision_kind.h"

#include "base/file.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const pfm_vision_kind *const kinds[] = {
#define KIND_ADDRESS(kind) &kind,
    PFM_VISION_LIST(KIND_ADDRESS)};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void start(const pfm_vision_kind *kind, const char *name, pfm_vision_config *config)
{
    *config = (pfm_vision_config){.kind = kind, .scale = 1.0 / 255.0};
    (void)snprintf(config->name, sizeof config->name, "%s", name);
}

static pfm_status find_file(const char *path, pfm_vision_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    bool found = false;
    PFM_TRY(pfm_weights_open(path, &weights, err));
    for (int i = 0; i < KINDS && !found; i++) {
        start(kinds[i], "", config);
        PFM_TRY(kinds[i]->recognise(weights, &found, config, err));
    }
    if (!found)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s holds no vision encoder that is known here: EfficientNet-Lite's tensors, or those of a vision transformer "
                 "as transformers, open_clip, timm or EVA-CLIP name them",
                 path);
    PFM_TRY(pfm_vision_read_preprocessor(path, config, err));
done:
    pfm_weights_close(weights);
    return status;
}

pfm_status pfm_vision_find(const char *name_or_path, pfm_vision_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (int i = 0; i < KINDS; i++) {
        start(kinds[i], name_or_path, config);
        if (kinds[i]->find(name_or_path, config))
            goto done;
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", kinds[i]->names));
    }
    if (!pfm_path_exists(name_or_path))
        PFM_FAIL(PFM_ERROR_USAGE, "there is no vision encoder '%s'; known: %s, and the path of a checkpoint", name_or_path,
                 known.data);
    PFM_TRY(find_file(name_or_path, config, err));
done:
    pfm_buffer_free(&known);
    return status;
}

pfm_status pfm_vision_read_channels(const json_t *list, const char *place, const char *key, float out[3], pfm_error *err)
{
    bool right = json_array_size(list) == 3;
    for (size_t c = 0; right && c < 3; c++) {
        out[c] = (float)json_number_value(json_array_get(list, c));
        right = json_is_number(json_array_get(list, c)) && isfinite(out[c]);
    }
    return right ? PFM_OK
                 : pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s is not a list of three numbers, one for each channel", place,
                                 key);
}

static pfm_status read_preprocessor(const json_t *json, const char *file, pfm_vision_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *mean = json_object_get(json, "image_mean"), *deviation = json_object_get(json, "image_std");
    const json_t *factor = json_object_get(json, "rescale_factor");
    if (json_is_false(json_object_get(json, "do_rescale")))
        config->scale = 1;
    else if (factor != NULL)
        config->scale = json_number_value(factor);
    for (int c = 0; json_is_false(json_object_get(json, "do_normalize")) && c < 3; c++) {
        config->mean[c] = 0;
        config->deviation[c] = 1;
        mean = deviation = NULL;
    }
    if (mean != NULL)
        PFM_TRY(pfm_vision_read_channels(mean, file, "image_mean", config->mean, err));
    if (deviation != NULL)
        PFM_TRY(pfm_vision_read_channels(deviation, file, "image_std", config->deviation, err));
    if (!(config->scale > 0 && config->scale <= 1))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: rescale_factor is not a number above 0 and up to 1", file);
    for (int c = 0; c < 3; c++) {
        if (!(config->deviation[c] > 0))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: image_std is not above 0", file);
    }
done:
    return status;
}

pfm_status pfm_vision_read_preprocessor(const char *path, pfm_vision_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL;
    json_t *json = NULL;
    PFM_TRY(pfm_path_beside(path, "preprocessor_config.json", &file, err));
    if (!pfm_path_exists(file))
        goto done;
    PFM_TRY(pfm_json_load(file, &json, err));
    PFM_TRY(read_preprocessor(json, file, config, err));
done:
    json_decref(json);
    free(file);
    return status;
}
