/* The kind of vision encoders that are transformers: told from the tensors' names, and from the configuration beside them. */
#include "models/vision/vit_families.h"

#include "base/file.h"
#include "base/try.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WIDTH = 16384, MOST_LAYERS = 256, MOST_MLP = 1 << 17, MOST_PATCH = 256, MOST_POSITION_GRID = 1024 };
enum { HEAD_WIDTH = 64, EVA_HEAD_WIDTH = 88, EVA_G_WIDTH = 1408, EVA_G_BLOCKS = 40 };

/* What is being read. */
typedef struct reading {
    const pfm_weights *weights;
    const char *path;
    const pfm_vit_family *family;
    pfm_vit_config *vit;
    const json_t *json; /* the encoder's part of a config.json */
} reading;

static const pfm_weight *find(const reading *r, const char *name)
{
    char full[PFM_VIT_NAME_BYTES];
    (void)snprintf(full, sizeof full, "%s%.100s", r->vit->prefix, name);
    return pfm_weights_find(r->weights, full);
}

static const pfm_weight *find_in_block(const reading *r, int layer, const char *name, const char *suffix)
{
    char place[PFM_VIT_NAME_BYTES], full[PFM_VIT_NAME_BYTES];
    (void)snprintf(place, sizeof place, r->vit->names->block, layer); /* one of our own tables' patterns */
    (void)snprintf(full, sizeof full, "%.40s%.40s%.10s", place, name, suffix);
    return find(r, full);
}

/* Takes a family on, with the place of its tensors in the file; false where its marker is not there. */
static bool take_family(reading *r, const pfm_vit_family *family, const char *prefix)
{
    char marker[PFM_VIT_NAME_BYTES];
    for (int i = 0; i < 7 && family->places[i].prefix != NULL; i++) {
        (void)snprintf(marker, sizeof marker, "%s%s", family->places[i].prefix, family->marker);
        if (prefix != NULL ? strcmp(prefix, family->places[i].prefix) != 0 : pfm_weights_find(r->weights, marker) == NULL)
            continue;
        r->family = family;
        *r->vit = family->config;
        (void)snprintf(r->vit->prefix, sizeof r->vit->prefix, "%s", family->places[i].prefix);
        r->vit->ignored = family->places[i].ignored;
        return true;
    }
    return false;
}

/* ---- transformers' config.json ---- */

/* Whole numbers, also as a list of equal ones (image_size: [224, 224]); absent: what *out holds. */
static pfm_status config_integer(const reading *r, const char *key, int64_t most, int32_t *out, pfm_error *err)
{
    const json_t *value = json_object_get(r->json, key);
    if (json_array_size(value) == 2 && json_equal(json_array_get(value, 0), json_array_get(value, 1)))
        value = json_array_get(value, 0);
    if (value == NULL)
        return PFM_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > most)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: %s is not a whole number from 1 to %lld", r->path, key,
                             (long long)most);
    *out = (int32_t)json_integer_value(value);
    return PFM_OK;
}

static pfm_status config_activation(const reading *r, pfm_error *err)
{
    static const struct {
        const char *name;
        pfm_activation kind;
    } kinds[] = {{"gelu", PFM_ACTIVATION_GELU},
                 {"quick_gelu", PFM_ACTIVATION_QUICK_GELU},
                 {"gelu_pytorch_tanh", PFM_ACTIVATION_GELU_TANH},
                 {"gelu_new", PFM_ACTIVATION_GELU_TANH},
                 {"silu", PFM_ACTIVATION_SILU},
                 {"relu", PFM_ACTIVATION_RELU}};
    const json_t *value = json_object_get(r->json, "hidden_act");
    if (value == NULL)
        return PFM_OK;
    for (size_t i = 0; json_is_string(value) && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(json_string_value(value), kinds[i].name) == 0) {
            r->vit->activation = kinds[i].kind;
            return PFM_OK;
        }
    }
    return pfm_error_set(
        err, PFM_ERROR_UNSUPPORTED,
        "config.json of %s asks for the activation %s; known are gelu, quick_gelu, gelu_pytorch_tanh, gelu_new, silu and relu",
        r->path, json_is_string(value) ? json_string_value(value) : "(no text)");
}

/* DINOv2 names its MLP by a ratio; a gated one keeps two thirds of it, rounded up to eights. */
static pfm_status config_mlp(const reading *r, pfm_error *err)
{
    pfm_vit_config *vit = r->vit;
    const json_t *ratio = json_object_get(r->json, "mlp_ratio");
    if (strcmp(vit->family, "dinov2") != 0)
        return config_integer(r, "intermediate_size", MOST_MLP, &vit->mlp, err);
    double factor = ratio == NULL ? 4 : json_number_value(ratio);
    if (!(factor >= 0.1 && factor <= 64) || factor * vit->width > MOST_MLP)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: mlp_ratio is not a number from 0.1 to 64", r->path);
    vit->gated = json_is_true(json_object_get(r->json, "use_swiglu_ffn"));
    vit->mlp = (int32_t)(vit->width * factor);
    if (vit->gated)
        vit->mlp = (vit->mlp * 2 / 3 + 7) / 8 * 8;
    return PFM_OK;
}

static pfm_status read_config_json(const reading *r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vit_config *vit = r->vit;
    int32_t channels = 3, image_size = r->family->image_size;
    PFM_TRY(config_integer(r, "hidden_size", MOST_WIDTH, &vit->width, err));
    PFM_TRY(config_integer(r, "num_hidden_layers", MOST_LAYERS, &vit->layers, err));
    PFM_TRY(config_integer(r, "num_attention_heads", MOST_WIDTH, &vit->heads, err));
    PFM_TRY(config_integer(r, "patch_size", MOST_PATCH, &vit->patch, err));
    PFM_TRY(config_integer(r, "image_size", (int64_t)MOST_POSITION_GRID * vit->patch, &image_size, err));
    PFM_TRY(config_integer(r, "num_channels", 64, &channels, err));
    PFM_TRY(config_mlp(r, err));
    PFM_TRY(config_activation(r, err));
    if (channels != 3)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "config.json of %s: pictures of %d channels are not supported, only of 3", r->path,
                 channels);
    const json_t *epsilon = json_object_get(r->json, "layer_norm_eps");
    if (epsilon != NULL)
        vit->epsilon = json_number_value(epsilon);
    if (!(vit->epsilon > 0 && vit->epsilon < 1))
        PFM_FAIL(PFM_ERROR_FORMAT, "config.json of %s: layer_norm_eps is not a number between 0 and 1", r->path);
    if (json_is_false(json_object_get(r->json, "qkv_bias")))
        vit->bias = PFM_VIT_BIAS_NONE;
    const char *type = json_string_value(json_object_get(r->json, "model_type"));
    if (type != NULL && strcmp(type, "dinov2_with_registers") == 0) {
        vit->registers = 4;
        PFM_TRY(config_integer(r, "num_register_tokens", 256, &vit->registers, err));
        vit->antialias = true;
    }
    vit->position_grid = image_size / vit->patch;
    if (vit->position_grid < 1)
        PFM_FAIL(PFM_ERROR_FORMAT, "config.json of %s: a picture of %d pixels holds no patch of %d", r->path, image_size,
                 vit->patch);
done:
    return status;
}

/* The encoder is one of a LLaVA's parts. */
static bool is_within(const reading *r) { return strstr(r->vit->prefix, "vision_tower.") != NULL; }

/* The family of a config.json's model_type; r->json becomes the encoder's part. */
static pfm_status find_model_type(reading *r, const json_t *json, pfm_error *err)
{
    const json_t *inner = json_object_get(json, "vision_config");
    if (json_object_get(json, "text_config") != NULL && json_object_get(inner, "model_type") != NULL && is_within(r))
        json = inner; /* of a LLaVA, whose other parts stand beside it */
    const char *type = json_string_value(json_object_get(json, "model_type"));
    char prefix[PFM_VIT_PREFIX_BYTES];
    (void)snprintf(prefix, sizeof prefix, "%s", r->vit->prefix);
    for (int f = 0; pfm_vit_families[f] != NULL; f++) {
        const pfm_vit_family *family = pfm_vit_families[f];
        for (int t = 0; type != NULL && family->model_types != NULL && family->model_types[t] != NULL; t++) {
            if (strcmp(type, family->model_types[t]) != 0)
                continue;
            r->json = family->nested[t] ? json_object_get(json, "vision_config") : json;
            if (!json_is_object(r->json))
                return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: its vision_config is missing", r->path);
            if (take_family(r, family, prefix))
                return PFM_OK;
            return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s does not belong to the tensors beside it", r->path);
        }
    }
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "%s is a vision encoder of the family '%s'; known are clip, siglip, blip-2, dinov2 and "
                         "dinov2_with_registers, and checkpoints of open_clip, timm and EVA-CLIP",
                         r->path, type != NULL ? type : "(not stated)");
}

static pfm_status load_beside(const reading *r, const char *name, json_t **out, pfm_error *err)
{
    char *file = NULL;
    pfm_status status = pfm_path_beside(r->path, name, &file, err);
    *out = NULL;
    if (status == PFM_OK && pfm_path_exists(file))
        status = pfm_json_load(file, out, err);
    free(file);
    return status;
}

static pfm_status read_transformers(reading *r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *json = NULL;
    PFM_TRY(load_beside(r, "config.json", &json, err));
    if (json == NULL)
        PFM_FAIL(PFM_ERROR_IO,
                 "%s has the tensors of transformers' vision encoders, but no config.json lies beside it; put "
                 "the model's own there",
                 r->path);
    PFM_TRY(find_model_type(r, json, err));
    PFM_TRY(read_config_json(r, err));
done:
    r->json = NULL;
    json_decref(json);
    return status;
}

/* ---- the others: their tensors say the shapes ---- */

/* Patch and width from the convolution, positions, blocks and MLP from what is there. */
static pfm_status measure_tensors(const reading *r, pfm_error *err)
{
    pfm_vit_config *vit = r->vit;
    char name[PFM_VIT_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s.weight", vit->names->patch);
    const pfm_weight *patch = find(r, name), *positions = find(r, vit->names->positions);
    bool fits = patch != NULL && patch->rank == 4 && patch->shape[0] >= 1 && patch->shape[0] <= MOST_WIDTH &&
                patch->shape[1] == 3 && patch->shape[2] >= 1 && patch->shape[2] <= MOST_PATCH &&
                patch->shape[3] == patch->shape[2] && positions != NULL && positions->rank >= 2;
    const int64_t count = fits ? positions->shape[positions->rank - 2] - 1 : 0;
    const int64_t grid =
        count > 0 && count <= (int64_t)MOST_POSITION_GRID * MOST_POSITION_GRID ? llround(sqrt((double)count)) : 0;
    if (!fits || grid < 1 || grid * grid != count)
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "%s: %s%s and %s%s are not the patches of a vision transformer and a square of positions", r->path,
                             vit->prefix, name, vit->prefix, vit->names->positions);
    vit->width = (int32_t)patch->shape[0];
    vit->patch = (int32_t)patch->shape[2];
    vit->position_grid = (int32_t)grid;
    while (vit->layers < MOST_LAYERS && find_in_block(r, vit->layers, vit->names->norm[0], ".weight") != NULL)
        vit->layers++;
    const pfm_weight *up = find_in_block(r, 0, vit->names->up, ".weight");
    vit->mlp =
        up != NULL && up->rank == 2 && up->shape[0] >= 1 && up->shape[0] <= MOST_MLP ? (int32_t)up->shape[0] : 4 * vit->width;
    vit->scaled = vit->names->scale[0] != NULL && (find_in_block(r, 0, vit->names->scale[0], "") != NULL ||
                                                   find_in_block(r, 0, vit->names->scale[1], "") != NULL);
    if (vit->layers < 1)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s holds no block of a vision transformer", r->path);
    return PFM_OK;
}

static pfm_status divide_heads(const reading *r, int64_t head_width, pfm_error *err)
{
    if (head_width < 1 || r->vit->width % head_width != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: a width of %d cannot be shared by heads of %lld, as %s has them",
                             r->path, r->vit->width, (long long)head_width, r->vit->family);
    r->vit->heads = (int32_t)(r->vit->width / head_width);
    return PFM_OK;
}

/* open_clip's settings that would be computed otherwise must not be passed over. */
static pfm_status refuse_variants(const reading *r, const json_t *vision, pfm_error *err)
{
    static const char *const unsupported[] = {"attentional_pool",   "act_kwargs",  "norm_kwargs", "block_type", "qk_norm",
                                              "scaled_cosine_attn", "scale_heads", "scale_attn",  "scale_fc",   "no_ln_pre"};
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        const json_t *value = json_object_get(vision, unsupported[i]);
        if (value != NULL && !json_is_null(value) && !json_is_false(value))
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "open_clip_config.json of %s asks for %s, which is not supported",
                                 r->path, unsupported[i]);
    }
    const char *positions = json_string_value(json_object_get(vision, "pos_embed_type"));
    if (positions != NULL && strcmp(positions, "learnable") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "open_clip_config.json of %s asks for positions of the type %s; only learnable is supported",
                             r->path, positions);
    return PFM_OK;
}

/* open_clip's tensors do not say the activation, and OpenAI's weights have another than its own. */
static pfm_status read_open_clip(const reading *r, pfm_vision_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *json = NULL;
    const bool own = strcmp(r->vit->family, "open_clip") == 0;
    PFM_TRY(load_beside(r, "open_clip_config.json", &json, err));
    if (json == NULL && own)
        PFM_FAIL(PFM_ERROR_IO,
                 "%s has open_clip's tensors, which do not say quick_gelu or gelu; put open_clip_config.json beside it, at "
                 "least {\"model_cfg\": {\"quick_gelu\": true, \"vision_cfg\": {}}} for OpenAI's own weights",
                 r->path);
    const json_t *model = json_object_get(json, "model_cfg"), *preprocess = json_object_get(json, "preprocess_cfg");
    model = model != NULL ? model : json;
    const json_t *vision = json_object_get(model, "vision_cfg"), *head = json_object_get(vision, "head_width");
    PFM_TRY(refuse_variants(r, vision, err));
    if (own && json_is_true(json_object_get(model, "quick_gelu")))
        r->vit->activation = PFM_ACTIVATION_QUICK_GELU;
    PFM_TRY(divide_heads(r, own && head != NULL ? json_integer_value(head) : HEAD_WIDTH, err));
    if (json_object_get(preprocess, "mean") != NULL)
        PFM_TRY(pfm_vision_read_channels(json_object_get(preprocess, "mean"), r->path, "mean", config->mean, err));
    if (json_object_get(preprocess, "std") != NULL)
        PFM_TRY(pfm_vision_read_channels(json_object_get(preprocess, "std"), r->path, "std", config->deviation, err));
done:
    json_decref(json);
    return status;
}

static pfm_status read_eva(const reading *r, pfm_error *err)
{
    pfm_vit_config *vit = r->vit;
    if (vit->width == EVA_G_WIDTH && vit->layers == EVA_G_BLOCKS)
        vit->layers--;
    vit->final_norm =
        pfm_weights_find(r->weights, "ln_vision.weight") != NULL || pfm_weights_find(r->weights, "ln_vision.bias") != NULL;
    return divide_heads(r, vit->width % EVA_HEAD_WIDTH == 0 ? EVA_HEAD_WIDTH : HEAD_WIDTH, err);
}

static pfm_status recognise(const pfm_weights *weights, bool *found, pfm_vision_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    reading r = {.weights = weights, .path = pfm_weights_path(weights), .vit = &config->of.vit};
    for (int f = 0; pfm_vit_families[f] != NULL && r.family == NULL; f++)
        (void)take_family(&r, pfm_vit_families[f], NULL);
    *found = r.family != NULL;
    if (!*found)
        return PFM_OK;
    if (r.family->model_types != NULL)
        PFM_TRY(read_transformers(&r, err));
    else
        PFM_TRY(measure_tensors(&r, err));
    memcpy(config->mean, r.family->mean, sizeof config->mean);
    memcpy(config->deviation, r.family->deviation, sizeof config->deviation);
    if (r.vit->bias == PFM_VIT_BIAS_QUERY_VALUE)
        PFM_TRY(read_eva(&r, err));
    else if (r.family->model_types == NULL)
        PFM_TRY(read_open_clip(&r, config, err));
    if (r.vit->width % r.vit->heads != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a width of %d cannot be shared by %d heads", r.path, r.vit->width, r.vit->heads);
    (void)snprintf(config->name, sizeof config->name, "%s", r.vit->family);
done:
    return status;
}

/* ---- the kind ---- */

static int layer_count(const pfm_vision_config *config) { return config->of.vit.layers + 1; }

static int output_layer(const pfm_vision_config *config) { return pfm_vit_output_layer(&config->of.vit); }

static int normed_layer(const pfm_vision_config *config)
{
    return config->of.vit.final_norm ? -1 : pfm_vit_output_layer(&config->of.vit) + 1;
}

static pfm_status shape_of(const pfm_vision_config *config, int image_size, int layer, const pfm_vision_layers *layers,
                           pfm_vision_shape *shape, uint64_t *parameters, pfm_error *err)
{
    (void)layer; /* all have one shape */
    return pfm_vit_shape(&config->of.vit, image_size, layers, shape, parameters, err);
}

static pfm_status bytes_of(const pfm_vision_config *config, int layer, pfm_precision precision, size_t *bytes, pfm_error *err)
{
    return pfm_vit_bytes(&config->of.vit, layer, precision, bytes, err);
}

static pfm_status describe(const pfm_vision_config *config, const pfm_context *context, pfm_buffer *out, pfm_error *err)
{
    static const char *const activations[] = {[PFM_ACTIVATION_GELU] = "gelu",
                                              [PFM_ACTIVATION_GELU_TANH] = "gelu_tanh",
                                              [PFM_ACTIVATION_QUICK_GELU] = "quick_gelu",
                                              [PFM_ACTIVATION_SILU] = "silu",
                                              [PFM_ACTIVATION_RELU] = "relu"};
    const pfm_vit_config *v = &config->of.vit;
    return pfm_buffer_append_format(
        out, err, "; %s %d x %d, %d heads, mlp %d, patch %d, %d positions a side%s, %s, epsilon %.9g; %s", v->family, v->layers,
        v->width, v->heads, v->mlp, v->patch, v->position_grid, v->antialias ? " antialiased" : "", activations[v->activation],
        v->epsilon, pfm_context_precision(context) == PFM_PRECISION_F32 ? "f32" : "bf16");
}

/* The tensors' own names and numbers, which must be those of the name that the encoder goes by. */
static pfm_status own_config(const pfm_vision_config *config, const pfm_weights *weights, pfm_vision_config *own,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool found = false;
    *own = (pfm_vision_config){.kind = config->kind};
    PFM_TRY(recognise(weights, &found, own, err));
    const pfm_vit_config *a = &own->of.vit, *b = &config->of.vit;
    if (!found || a->width != b->width || a->layers != b->layers || a->heads != b->heads || a->mlp != b->mlp ||
        a->patch != b->patch || a->scaled != b->scaled || a->final_norm != b->final_norm)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s does not hold the vision encoder %s", pfm_weights_path(weights), config->name);
done:
    return status;
}

static pfm_status load(const pfm_context *context, const pfm_vision_config *config, const pfm_weights *weights,
                       const pfm_vision_load_options *options, void **encoder, pfm_error *err)
{
    pfm_vit *vit = NULL;
    pfm_vision_config own;
    pfm_status status = own_config(config, weights, &own, err);
    if (status == PFM_OK)
        status =
            pfm_vit_create(context, &own.of.vit, weights, options->image_size, &options->layers, options->gradients, &vit, err);
    *encoder = vit;
    return status;
}

static void vit_free(void *encoder) { pfm_vit_free(encoder); }
static void vit_rest(void *encoder) { pfm_vit_rest(encoder); }
static pfm_status vit_encode(void *encoder, int slot, const float *pixels, float *const *features, pfm_error *err)
{
    return pfm_vit_encode(encoder, slot, pixels, features, err);
}
static pfm_status vit_gradient(void *encoder, const float *pixels, const float *grad_features, float *features,
                               float *grad_pixels, pfm_error *err)
{
    return pfm_vit_gradient(encoder, pixels, grad_features, features, grad_pixels, err);
}

static pfm_status vit_build(const pfm_vision_config *config, pfm_builder *builder, const pfm_vision_layers *layers, int first,
                            int64_t tokens, pfm_value hidden, pfm_value *states, pfm_error *err)
{
    return pfm_vit_build_blocks(&config->of.vit, builder, layers, first, tokens, hidden, states, err);
}

static pfm_status load_parameters(const pfm_vision_config *own, const pfm_weights *weights, pfm_parameters *parameters,
                                  pfm_error *err)
{
    pfm_status status = pfm_vit_check_tensors(&own->of.vit, weights, err);
    return status != PFM_OK ? status : pfm_vit_load_parameters(&own->of.vit, weights, parameters, err);
}

const pfm_vision_kind pfm_vision_vit = {
    .names = pfm_vit_known_names,
    .find = pfm_vit_known,
    .recognise = recognise,
    .layer_count = layer_count,
    .output_layer = output_layer,
    .normed_layer = normed_layer,
    .shape_of = shape_of,
    .bytes_of = bytes_of,
    .describe = describe,
    .load = load,
    .free = vit_free,
    .rest = vit_rest,
    .encode = vit_encode,
    .uses_pool = true,
    .gradient = vit_gradient,
    .own_config = own_config,
    .build = vit_build,
    .load_parameters = load_parameters,
};
