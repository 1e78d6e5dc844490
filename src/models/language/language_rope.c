/* Rotary positions: which frequencies a configuration asks for, and the table of their cosines and sines. Scaled frequencies
 * (linear; llama3, Llama 3.1's) are kept as what each is divided by, as GGUF's rope_freqs.weight has them. */
#include "models/language/language_config.h"

#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <string.h>

/* In f32 as transformers does it. */
static float frequency(const pfm_language_config *config, int32_t i)
{
    return 1.0f / powf((float)config->rope_theta, (float)(2 * i) / (float)config->rotary);
}

static pfm_status check_rotary(const char *place, pfm_language_config *config, pfm_error *err)
{
    if (config->rotary < 2 || config->rotary % 2 != 0 || config->rotary > config->head_dim)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %d of a head's %d columns cannot be rotated in pairs", place,
                             (int)config->rotary, (int)config->head_dim);
    if (config->scaled_rope && config->rotary > 2 * PFM_ROPE_FACTORS)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s scales the rotary frequencies of heads of %d columns; at most %d are supported", place,
                             (int)config->rotary, 2 * PFM_ROPE_FACTORS);
    return PFM_OK;
}

static pfm_status scale_linearly(const char *place, double factor, pfm_language_config *config, pfm_error *err)
{
    config->scaled_rope = true;
    pfm_status status = check_rotary(place, config, err);
    for (int32_t i = 0; status == PFM_OK && i < config->rotary / 2; i++)
        config->rope_factors[i] = (float)factor;
    return status;
}

/* Long waves are stretched, short ones stay, what is between is in between. */
static pfm_status scale_llama3(const json_t *rope, const char *path, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double factor, low, high, original;
    PFM_TRY(pfm_config_number(rope, path, "factor", 0, &factor, err));
    PFM_TRY(pfm_config_number(rope, path, "low_freq_factor", 0, &low, err));
    PFM_TRY(pfm_config_number(rope, path, "high_freq_factor", 0, &high, err));
    PFM_TRY(pfm_config_number(rope, path, "original_max_position_embeddings", (double)config->context, &original, err));
    if (!(high > low))
        PFM_FAIL(PFM_ERROR_FORMAT, "config.json of %s: high_freq_factor is not above low_freq_factor", path);
    config->scaled_rope = true;
    PFM_TRY(check_rotary(path, config, err));
    for (int32_t i = 0; i < config->rotary / 2; i++) {
        double length = 2 * 3.14159265358979323846 / frequency(config, i), smooth = (original / length - low) / (high - low);
        if (length > original / low)
            config->rope_factors[i] = (float)factor;
        else
            config->rope_factors[i] = length < original / high ? 1 : (float)(1 / ((1 - smooth) / factor + smooth));
    }
done:
    return status;
}

/* The way in which frequencies are scaled; UNSUPPORTED where layers differ in it. */
static pfm_status find_type(const json_t *rope, const char *path, const char **type, pfm_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)rope, key, value)
    {
        if (json_is_object(value))
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                                 "config.json of %s has rotary positions for layers of the kind '%.60s' alone, which is not "
                                 "supported",
                                 path, key);
    }
    *type = json_string_value(json_object_get(rope, "rope_type"));
    if (*type == NULL)
        *type = json_string_value(json_object_get(rope, "type"));
    if (*type == NULL)
        *type = json_object_get(rope, "factor") != NULL ? "(not stated)" : "default";
    return PFM_OK;
}

static pfm_status scale(const json_t *rope, const char *path, pfm_language_config *config, pfm_error *err)
{
    const char *type = NULL;
    double factor;
    pfm_status status = PFM_OK;
    PFM_TRY(find_type(rope, path, &type, err));
    if (strcmp(type, "linear") == 0) {
        PFM_TRY(pfm_config_number(rope, path, "factor", 0, &factor, err));
        PFM_TRY(scale_linearly(path, factor, config, err));
    } else if (strcmp(type, "llama3") == 0) {
        PFM_TRY(scale_llama3(rope, path, config, err));
    } else if (strcmp(type, "default") != 0 && strcmp(type, "dynamic") != 0) {
        /* dynamic changes nothing up to max_position_embeddings, and the context ends there */
        PFM_FAIL(
            PFM_ERROR_UNSUPPORTED,
            "config.json of %s asks for rotary positions of the type '%.40s'; known are default, linear, dynamic and llama3",
            path, type);
    }
done:
    return status;
}

pfm_status pfm_config_rope(const json_t *json, const char *path, double partial, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double share = 1;
    /* transformers 5 writes rope_parameters, which holds what stood beside rope_scaling before */
    const json_t *rope = json_object_get(json, "rope_parameters"), *scaling = json_object_get(json, "rope_scaling");
    if (json_is_object(rope) && json_is_object(scaling) && !json_equal(rope, scaling))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "config.json of %s has both rope_parameters and rope_scaling; leave out one", path);
    if (!json_is_object(rope))
        rope = scaling;
    const json_t *theta_in = json_object_get(rope, "rope_theta") != NULL ? rope : json,
                 *share_in = json_object_get(rope, "partial_rotary_factor") != NULL ? rope : json;
    PFM_TRY(pfm_config_number(theta_in, path, "rope_theta", 10000, &config->rope_theta, err));
    PFM_TRY(pfm_config_number(share_in, path, "partial_rotary_factor", partial > 0 ? partial : 1, &share, err));
    if (share > 1 || (partial == 0 && share != 1))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "config.json of %s: a partial_rotary_factor of %g is not supported in this family",
                 path, share);
    config->rotary = (int32_t)((double)config->head_dim * share);
    PFM_TRY(check_rotary(path, config, err));
    PFM_TRY(scale(rope, path, config, err));
done:
    return status;
}

/* rope_freqs.weight, where there is one: what each frequency is divided by. */
static pfm_status read_factors(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_weight *factors = pfm_weights_find(weights, "rope_freqs.weight");
    if (factors == NULL)
        return PFM_OK;
    if (config->scaled_rope)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s scales its rotary frequencies twice, by rope_freqs.weight and by a factor",
                 pfm_weights_path(weights));
    config->scaled_rope = true;
    PFM_TRY(check_rotary(pfm_weights_path(weights), config, err));
    if (factors->rank != 1 || factors->shape[0] != config->rotary / 2)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: rope_freqs.weight has not one factor for each of %d frequencies",
                 pfm_weights_path(weights), (int)config->rotary / 2);
    PFM_TRY(pfm_weight_expand(factors, config->rope_factors, err));
    for (int32_t i = 0; i < config->rotary / 2; i++) {
        if (!(config->rope_factors[i] > 0))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: rope_freqs.weight[%d] is not above zero", pfm_weights_path(weights), (int)i);
    }
done:
    return status;
}

pfm_status pfm_gguf_config_rope(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t rotary = 0;
    double factor = 1;
    char key[128];
    const char *path = pfm_weights_path(weights);
    PFM_TRY(pfm_gguf_config_number(weights, "rope.freq_base", 10000, &config->rope_theta, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "rope.dimension_count", config->head_dim, 2, config->head_dim, &rotary, err));
    config->rotary = (int32_t)rotary;
    PFM_TRY(check_rotary(path, config, err));
    pfm_gguf_config_key(weights, "rope.scaling.type", key);
    const char *type = pfm_weights_meta_string(weights, key, NULL);
    if (type != NULL && strcmp(type, "linear") != 0 && strcmp(type, "none") != 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s scales its rotary frequencies by the method '%.40s'; known are none and linear",
                 path, type);
    PFM_TRY(pfm_gguf_config_number(weights, "rope.scaling.factor", 1, &factor, err));
    if (type != NULL && strcmp(type, "linear") == 0 && factor != 1)
        PFM_TRY(scale_linearly(path, factor, config, err));
    PFM_TRY(read_factors(weights, config, err));
done:
    return status;
}

pfm_status pfm_language_rope_table(const pfm_language_config *config, int64_t positions, float **out, pfm_error *err)
{
    int32_t half = config->rotary / 2;
    *out = NULL;
    if (half == 0)
        return PFM_OK;
    pfm_status status = pfm_allocate((size_t)positions * (size_t)config->rotary, sizeof **out, out, err);
    for (int64_t p = 0; status == PFM_OK && p < positions; p++) {
        float *row = *out + p * config->rotary;
        for (int32_t i = 0; i < half; i++) {
            /* in f32 as transformers does it: the frequencies, then the product with the position */
            float scaled = frequency(config, i) / (config->scaled_rope ? config->rope_factors[i] : 1);
            float angle = (float)p * scaled;
            row[i] = cosf(angle);
            row[half + i] = sinf(angle);
        }
    }
    return status;
}
