/* What CLIP's form holds of an encoder of the engine vit.c, and how other programs call it. */
#include "models/vision/clip_export.h"

#include "base/try.h"
#include "models/vision/vision_kind.h"

#include <stdlib.h>
#include <string.h>

enum { OUTSIDE = 4 }; /* class token, positions and the pooled token's norm */

/* Where a tensor comes from. */
typedef enum origin { ORIGIN_PARAMETER, ORIGIN_CLASS_TOKEN, ORIGIN_POSITIONS, ORIGIN_ONE, ORIGIN_ZERO } origin;

struct pfm_clip_source {
    pfm_vit_config config;
    pfm_weights *weights;
    pfm_vit_tensor *list; /* of the engine's parameters */
    origin *origins;      /* [count] */
    size_t *places;       /* [count] in the list */
};

/* The engine's modules; a star stands for the number of the block. */
static const struct {
    const char *ours, *clip, *gguf;
} modules[] = {
    {"patch_embedding", "embeddings.patch_embedding", "v.patch_embd"},
    {"pre_layernorm", "pre_layrnorm", "v.pre_ln"},
    {"encoder.layers.*.layer_norm1", "encoder.layers.*.layer_norm1", "v.blk.*.ln1"},
    {"encoder.layers.*.self_attn.q_proj", "encoder.layers.*.self_attn.q_proj", "v.blk.*.attn_q"},
    {"encoder.layers.*.self_attn.k_proj", "encoder.layers.*.self_attn.k_proj", "v.blk.*.attn_k"},
    {"encoder.layers.*.self_attn.v_proj", "encoder.layers.*.self_attn.v_proj", "v.blk.*.attn_v"},
    {"encoder.layers.*.self_attn.out_proj", "encoder.layers.*.self_attn.out_proj", "v.blk.*.attn_out"},
    {"encoder.layers.*.layer_norm2", "encoder.layers.*.layer_norm2", "v.blk.*.ln2"},
    {"encoder.layers.*.mlp.fc1", "encoder.layers.*.mlp.fc1", "v.blk.*.ffn_up"},
    {"encoder.layers.*.mlp.fc2", "encoder.layers.*.mlp.fc2", "v.blk.*.ffn_down"},
};

static const char *activation_name(pfm_activation activation)
{
    return activation == PFM_ACTIVATION_GELU         ? "gelu"
           : activation == PFM_ACTIVATION_GELU_TANH  ? "gelu_pytorch_tanh"
           : activation == PFM_ACTIVATION_QUICK_GELU ? "quick_gelu"
           : activation == PFM_ACTIVATION_SILU       ? "silu"
                                                     : "relu";
}

pfm_status pfm_clip_unfit(const char *kind, const pfm_vision_layers *layers, const char **why, pfm_error *err)
{
    pfm_vision_config config;
    pfm_status status = pfm_vision_find(kind, &config, err);
    const pfm_vit_config *v = &config.of.vit;
    if (status != PFM_OK)
        return status;
    *why = NULL;
    if (config.kind != &pfm_vision_vit)
        *why = "the vision encoder is no vision transformer";
    else if (!v->class_token || !v->pre_norm || v->patch_bias || v->final_norm || v->scaled || v->gated || v->registers > 0 ||
             v->bias != PFM_VIT_BIAS_ALL)
        *why = "the vision encoder is not built as CLIP's";
    else if (layers->count > 1)
        *why = "several layers of the vision encoder are joined";
    return PFM_OK;
}

/* FULL = PATTERN with the block's number for the star, and an end. */
static void spell(char full[PFM_CLIP_NAME_BYTES], const char *pattern, int block, const char *end)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL)
        (void)snprintf(full, PFM_CLIP_NAME_BYTES, "%s%s", pattern, end);
    else
        (void)snprintf(full, PFM_CLIP_NAME_BYTES, "%.*s%d%s%s", (int)(star - pattern), pattern, block, star + 1, end);
}

/* The names of the engine's parameter OURS. */
static void find_names(const char *ours, pfm_clip_tensor *tensor)
{
    static const char prefix[] = "vision_model.", blocks[] = "encoder.layers.";
    const char *name = ours + strlen(prefix), *end = strrchr(name, '.');
    const int block = strncmp(name, blocks, strlen(blocks)) == 0 ? (int)strtol(name + strlen(blocks), NULL, 10) : 0;
    char spelt[PFM_CLIP_NAME_BYTES];
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        spell(spelt, modules[i].ours, block, end);
        if (strcmp(spelt, name) != 0)
            continue;
        spell(tensor->name, modules[i].clip, block, end);
        spell(tensor->gguf, modules[i].gguf, block, end);
    }
}

static pfm_clip_tensor *append(pfm_clip *clip, origin from, const char *name, const char *gguf, int64_t rows)
{
    pfm_clip_tensor *tensor = &clip->tensors[clip->count];
    clip->source->origins[clip->count++] = from;
    (void)snprintf(tensor->name, sizeof tensor->name, "%s", name);
    (void)snprintf(tensor->gguf, sizeof tensor->gguf, "%s", gguf);
    tensor->rank = rows > 0 ? 2 : 1;
    tensor->shape[0] = rows > 0 ? rows : clip->width;
    tensor->shape[1] = rows > 0 ? clip->width : 0;
    return tensor;
}

static pfm_status list_tensors(pfm_clip *clip, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct pfm_clip_source *s = clip->source;
    const int64_t grid = clip->image_size / clip->patch;
    size_t count = 0;
    PFM_TRY(pfm_vit_list_tensors(&s->config, &s->list, &count, err));
    PFM_TRY(pfm_allocate(count + OUTSIDE, sizeof *clip->tensors, &clip->tensors, err));
    PFM_TRY(pfm_allocate(count + OUTSIDE, sizeof *s->origins, &s->origins, err));
    PFM_TRY(pfm_allocate(count + OUTSIDE, sizeof *s->places, &s->places, err));
    (void)append(clip, ORIGIN_CLASS_TOKEN, "embeddings.class_embedding", "v.class_embd", 0);
    (void)append(clip, ORIGIN_POSITIONS, "embeddings.position_embedding.weight", "v.position_embd.weight", 1 + grid * grid);
    (void)append(clip, ORIGIN_ONE, "post_layernorm.weight", "", 0);
    (void)append(clip, ORIGIN_ZERO, "post_layernorm.bias", "", 0);
    for (size_t i = 0; i < count; i++) {
        const pfm_vit_tensor *t = &s->list[i];
        if (t->ours[0] == '\0')
            continue; /* of the embedding */
        s->places[clip->count] = i;
        pfm_clip_tensor *tensor = append(clip, ORIGIN_PARAMETER, "", "", 0);
        find_names(t->ours, tensor);
        tensor->rank = t->rank == 4 ? 4 : t->k == 1 ? 1 : 2;
        memcpy(tensor->shape, t->shape, sizeof tensor->shape);
        if (t->rank != 4)
            memcpy(tensor->shape, (int64_t[2]){t->n, t->k}, 2 * sizeof *tensor->shape);
    }
done:
    return status;
}

static void describe(pfm_clip *clip, const pfm_vision_config *named, const pfm_vision_options *options)
{
    const pfm_vit_config *v = &clip->source->config;
    const int layer = options->layers.count > 0 ? options->layers.layer[0] : PFM_VISION_OUTPUT;
    clip->width = v->width;
    clip->layers = v->layers;
    clip->heads = v->heads;
    clip->mlp = v->mlp;
    clip->patch = v->patch;
    clip->image_size = options->image_size;
    clip->layer = layer == PFM_VISION_OUTPUT ? v->layers : layer < 0 ? v->layers + 1 + layer : layer;
    clip->class_token = options->layers.class_token;
    clip->activation = activation_name(v->activation);
    clip->epsilon = v->epsilon;
    clip->scale = named->scale;
    memcpy(clip->mean, named->mean, sizeof clip->mean);
    memcpy(clip->deviation, named->deviation, sizeof clip->deviation);
}

pfm_status pfm_clip_open(const pfm_vision_options *options, pfm_clip **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_clip *clip = NULL;
    pfm_vision_config named, own;
    PFM_TRY(pfm_allocate(1, sizeof *clip, &clip, err));
    PFM_TRY(pfm_allocate(1, sizeof *clip->source, &clip->source, err));
    PFM_TRY(pfm_vision_find(options->kind, &named, err)); /* how pictures become pixels */
    PFM_TRY(pfm_vision_find(options->path, &own, err));   /* how the file calls its tensors */
    PFM_TRY(pfm_weights_open(options->path, &clip->source->weights, err));
    if (own.kind != &pfm_vision_vit)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s does not hold the vision encoder %s", options->path, options->kind);
    clip->source->config = own.of.vit;
    PFM_TRY(pfm_vit_check_tensors(&own.of.vit, clip->source->weights, err));
    describe(clip, &named, options);
    PFM_TRY(list_tensors(clip, err));
    *out = clip;
    clip = NULL;
done:
    pfm_clip_free(clip);
    return status;
}

void pfm_clip_free(pfm_clip *clip)
{
    if (clip == NULL)
        return;
    if (clip->source != NULL) {
        pfm_weights_close(clip->source->weights);
        free(clip->source->list);
        free(clip->source->origins);
        free(clip->source->places);
        free(clip->source);
    }
    free(clip->tensors);
    free(clip);
}

const char *pfm_clip_parameter(const pfm_clip *clip, size_t index)
{
    const struct pfm_clip_source *s = clip->source;
    return s->origins[index] == ORIGIN_PARAMETER ? s->list[s->places[index]].ours : NULL;
}

pfm_status pfm_clip_read(const pfm_clip *clip, size_t index, float *out, pfm_error *err)
{
    const struct pfm_clip_source *s = clip->source;
    const origin from = s->origins[index];
    if (from == ORIGIN_PARAMETER)
        return pfm_vit_read_tensor(s->weights, &s->list[s->places[index]], out, err);
    if (from == ORIGIN_CLASS_TOKEN)
        return pfm_vit_read_class_token(&s->config, s->weights, out, err);
    if (from == ORIGIN_POSITIONS)
        return pfm_vit_read_positions(&s->config, s->weights, clip->image_size / clip->patch, out, err);
    for (int32_t i = 0; i < clip->width; i++)
        out[i] = from == ORIGIN_ONE ? 1.0f : 0.0f;
    return PFM_OK;
}
