#include "models/vision/vit_families.h"

#include <string.h>

#define CLIP_COLOURS .mean = {0.48145466f, 0.4578275f, 0.40821073f}, .deviation = {0.26862954f, 0.26130258f, 0.27577711f}
#define IMAGENET_COLOURS .mean = {0.485f, 0.456f, 0.406f}, .deviation = {0.229f, 0.224f, 0.225f}
#define EVEN_COLOURS .mean = {0.5f, 0.5f, 0.5f}, .deviation = {0.5f, 0.5f, 0.5f}
#define TYPES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define IGNORED(...) ((const char *const[]){__VA_ARGS__, NULL})
/* The other parts of transformers' LLaVA. */
#define LLAVA_PARTS "language_model.*", "multi_modal_projector.*", "image_newline"
#define NEW_LLAVA_PARTS "model.language_model.*", "model.multi_modal_projector.*", "model.image_newline", "lm_head.weight"

/* ---- transformers' CLIP (Radford et al. 2021). post_layernorm is the pooled class token's alone, as is the projection. ----
 */

static const pfm_vit_names clip_names = {
    .class_token = "embeddings.class_embedding",
    .positions = "embeddings.position_embedding.weight",
    .patch = "embeddings.patch_embedding",
    .pre_norm = "pre_layrnorm", /* the spelling of its authors */
    .block = "encoder.layers.%d.",
    .qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.out_proj",
    .norm = {"layer_norm1", "layer_norm2"},
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};

static const pfm_vit_family clip = {
    .config = {.family = "clip",
               .names = &clip_names,
               .width = 768,
               .layers = 12,
               .heads = 12,
               .mlp = 3072,
               .patch = 32,
               .class_token = true,
               .pre_norm = true,
               .bias = PFM_VIT_BIAS_ALL,
               .activation = PFM_ACTIVATION_QUICK_GELU,
               .epsilon = 1e-5},
    CLIP_COLOURS,
    .image_size = 224,
    .model_types = TYPES("clip_vision_model", "clip"),
    .nested = {false, true},
    .marker = "embeddings.patch_embedding.weight",
    .places = {{"vision_model.", IGNORED("vision_model.post_layernorm.*", "visual_projection.weight", "text_model.*",
                                         "text_projection.weight", "logit_scale", "vision_model.embeddings.position_ids")},
               {"", IGNORED("post_layernorm.*", "embeddings.position_ids")},
               {"vision_tower.vision_model.", IGNORED("*.post_layernorm.*", "*.embeddings.position_ids", LLAVA_PARTS)},
               {"vision_tower.", IGNORED("*.post_layernorm.*", "*.embeddings.position_ids", LLAVA_PARTS)},
               {"model.vision_tower.vision_model.",
                IGNORED("*.post_layernorm.*", "*.embeddings.position_ids", NEW_LLAVA_PARTS)},
               {"model.vision_tower.", IGNORED("*.post_layernorm.*", "*.embeddings.position_ids", NEW_LLAVA_PARTS)}},
};

/* ---- transformers' SigLIP (Zhai et al. 2023); the head pools. ---- */

static const pfm_vit_names siglip_names = {
    .positions = "embeddings.position_embedding.weight",
    .patch = "embeddings.patch_embedding",
    .final_norm = "post_layernorm",
    .block = "encoder.layers.%d.",
    .qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.out_proj",
    .norm = {"layer_norm1", "layer_norm2"},
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};

static const pfm_vit_family siglip = {
    .config = {.family = "siglip",
               .names = &siglip_names,
               .width = 768,
               .layers = 12,
               .heads = 12,
               .mlp = 3072,
               .patch = 16,
               .patch_bias = true,
               .final_norm = true,
               .bias = PFM_VIT_BIAS_ALL,
               .activation = PFM_ACTIVATION_GELU_TANH,
               .epsilon = 1e-6},
    EVEN_COLOURS,
    .image_size = 224,
    .model_types = TYPES("siglip_vision_model", "siglip"),
    .nested = {false, true},
    .marker = "embeddings.patch_embedding.weight",
    .places = {{"vision_model.", IGNORED("vision_model.head.*", "text_model.*", "logit_scale", "logit_bias",
                                         "vision_model.embeddings.position_ids")},
               {"", IGNORED("head.*", "embeddings.position_ids")},
               {"vision_tower.vision_model.", IGNORED("*vision_tower.*head.*", "*.embeddings.position_ids", LLAVA_PARTS)},
               {"vision_tower.", IGNORED("*vision_tower.*head.*", "*.embeddings.position_ids", LLAVA_PARTS)},
               {"model.vision_tower.vision_model.",
                IGNORED("*vision_tower.*head.*", "*.embeddings.position_ids", NEW_LLAVA_PARTS)},
               {"model.vision_tower.", IGNORED("*vision_tower.*head.*", "*.embeddings.position_ids", NEW_LLAVA_PARTS)}},
};

/* ---- transformers' BLIP-2 (Li et al. 2023): EVA-CLIP's ViT-g without its last block; post_layernorm is LAVIS' ln_vision ----
 */

static const pfm_vit_names blip2_names = {
    .class_token = "embeddings.class_embedding",
    .positions = "embeddings.position_embedding",
    .lead = 1,
    .patch = "embeddings.patch_embedding",
    .final_norm = "post_layernorm",
    .block = "encoder.layers.%d.",
    .fused_weight = "self_attn.qkv.weight",
    .fused_bias = "self_attn.qkv.bias",
    .out = "self_attn.projection",
    .norm = {"layer_norm1", "layer_norm2"},
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};

static const pfm_vit_family blip2 = {
    .config = {.family = "blip-2",
               .names = &blip2_names,
               .width = 1408,
               .layers = 39,
               .heads = 16,
               .mlp = 6144,
               .patch = 14,
               .class_token = true,
               .patch_bias = true,
               .final_norm = true,
               .bias = PFM_VIT_BIAS_ALL,
               .activation = PFM_ACTIVATION_GELU,
               .epsilon = 1e-6},
    CLIP_COLOURS,
    .image_size = 224,
    .model_types = TYPES("blip_2_vision_model", "blip-2"),
    .nested = {false, true},
    .marker = "embeddings.patch_embedding.weight",
    .places = {{"vision_model.", IGNORED("language_model.*", "language_projection.*", "qformer.*", "query_tokens",
                                         "embeddings.*", "vision_projection.*", "text_projection.*", "itm_head.*")},
               {"", NULL}},
};

/* ---- transformers' DINOv2 (Oquab et al. 2023), with registers (Darcet et al. 2023) too ---- */

static const pfm_vit_names dinov2_names = {
    .class_token = "embeddings.cls_token",
    .registers = "embeddings.register_tokens",
    .positions = "embeddings.position_embeddings",
    .lead = 1,
    .patch = "embeddings.patch_embeddings.projection",
    .final_norm = "layernorm",
    .block = "encoder.layer.%d.",
    .qkv = {"attention.attention.query", "attention.attention.key", "attention.attention.value"},
    .out = "attention.output.dense",
    .norm = {"norm1", "norm2"},
    .scale = {"layer_scale1.lambda1", "layer_scale2.lambda1"},
    .up = "mlp.fc1",
    .down = "mlp.fc2",
    .gate_up = "mlp.weights_in",
    .gated_down = "mlp.weights_out",
};

static const pfm_vit_family dinov2 = {
    .config = {.family = "dinov2",
               .names = &dinov2_names,
               .width = 768,
               .layers = 12,
               .heads = 12,
               .mlp = 3072,
               .patch = 16,
               .class_token = true,
               .patch_bias = true,
               .final_norm = true,
               .scaled = true,
               .bias = PFM_VIT_BIAS_ALL,
               .activation = PFM_ACTIVATION_GELU,
               .epsilon = 1e-6},
    IMAGENET_COLOURS,
    .image_size = 224,
    .model_types = TYPES("dinov2", "dinov2_with_registers"),
    .marker = "embeddings.patch_embeddings.projection.weight",
    .places = {{"", IGNORED("embeddings.mask_token")},
               {"dinov2.", IGNORED("dinov2.embeddings.mask_token", "classifier.*")},
               {"dinov2_with_registers.", IGNORED("dinov2_with_registers.embeddings.mask_token", "classifier.*")}},
};

/* ---- open_clip's own names, which are OpenAI's; ln_post and proj are the pooled class token's ---- */

static const pfm_vit_names open_clip_names = {
    .class_token = "class_embedding",
    .positions = "positional_embedding",
    .patch = "conv1",
    .pre_norm = "ln_pre",
    .block = "transformer.resblocks.%d.",
    .fused_weight = "attn.in_proj_weight",
    .fused_bias = "attn.in_proj_bias",
    .out = "attn.out_proj",
    .norm = {"ln_1", "ln_2"},
    .scale = {"ls_1.gamma", "ls_2.gamma"},
    .up = "mlp.c_fc",
    .down = "mlp.c_proj",
};

static const pfm_vit_family open_clip = {
    .config = {.family = "open_clip",
               .names = &open_clip_names,
               .class_token = true,
               .pre_norm = true,
               .antialias = true,
               .bias = PFM_VIT_BIAS_ALL,
               .activation = PFM_ACTIVATION_GELU,
               .epsilon = 1e-5},
    CLIP_COLOURS,
    .marker = "conv1.weight",
    .places = {{"visual.",
                IGNORED("visual.ln_post.*", "visual.proj", "transformer.*", "token_embedding.weight", "positional_embedding",
                        "ln_final.*", "text_projection", "text.*", "logit_scale", "logit_bias", "attn_mask")},
               {"", IGNORED("ln_post.*", "proj")}},
};

/* ---- EVA-CLIP's ViT-g under its own names (Fang et al. 2023), as LAVIS, MiniGPT and PeFoMed read eva_vit_g.pth. They leave
 * its 40th block and what stands behind it out. ---- */

static const pfm_vit_names eva_names = {
    .class_token = "cls_token",
    .positions = "pos_embed",
    .lead = 1,
    .patch = "patch_embed.proj",
    .final_norm = "ln_vision",
    .final_norm_outside = true,
    .block = "blocks.%d.",
    .fused_weight = "attn.qkv.weight",
    .part_bias = {"attn.q_bias", NULL, "attn.v_bias"},
    .out = "attn.proj",
    .norm = {"norm1", "norm2"},
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};

static const pfm_vit_family eva = {
    .config = {.family = "eva-clip",
               .names = &eva_names,
               .class_token = true,
               .patch_bias = true,
               .bias = PFM_VIT_BIAS_QUERY_VALUE,
               .activation = PFM_ACTIVATION_GELU,
               .epsilon = 1e-6},
    CLIP_COLOURS,
    .marker = "blocks.0.attn.q_bias",
    .places = {{"visual_encoder.", IGNORED("visual_encoder.blocks.39.*", "visual_encoder.norm.*", "visual_encoder.fc_norm.*",
                                           "visual_encoder.head.*", "Qformer.*", "query_tokens", "vision_proj.*", "text_proj.*",
                                           "itm_head.*", "temp", "llama_model.*", "llama_proj.*", "opt_proj.*", "t5_proj.*")},
               {"", IGNORED("blocks.39.*", "norm.*", "fc_norm.*", "head.*")}},
};

/* ---- timm's names: BiomedCLIP (Zhang et al. 2023) and its chest X-ray successor in LLaVA-Rad, in open_clip's wrapping ---- */

static const pfm_vit_names timm_names = {
    .class_token = "cls_token",
    .positions = "pos_embed",
    .lead = 1,
    .patch = "patch_embed.proj",
    .final_norm = "norm",
    .block = "blocks.%d.",
    .fused_weight = "attn.qkv.weight",
    .fused_bias = "attn.qkv.bias",
    .out = "attn.proj",
    .norm = {"norm1", "norm2"},
    .scale = {"ls1.gamma", "ls2.gamma"},
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};

static const pfm_vit_family timm = {
    .config = {.family = "timm",
               .names = &timm_names,
               .class_token = true,
               .patch_bias = true,
               .final_norm = true,
               .antialias = true,
               .bias = PFM_VIT_BIAS_ALL,
               .activation = PFM_ACTIVATION_GELU,
               .epsilon = 1e-6},
    CLIP_COLOURS,
    .marker = "patch_embed.proj.weight",
    .places = {{"visual.trunk.", IGNORED("visual.head.*", "text.*", "logit_scale", "logit_bias")},
               {"module.visual.trunk.", IGNORED("module.visual.head.*", "module.text.*", "module.logit_scale")},
               {"trunk.", IGNORED("head.*")},
               {"", IGNORED("head.*")}},
};

const pfm_vit_family *const pfm_vit_families[] = {&clip, &siglip, &blip2, &dinov2, &open_clip, &eva, &timm, NULL};

/* ---- models by name ---- */

static const struct {
    const char *name;
    const pfm_vit_family *family;
    int32_t width, layers, heads, mlp, patch, position_grid;
    bool scaled, bare; /* bare: without the last norm */
} known[] = {
    {"eva-clip-g-14", &eva, 1408, 39, 16, 6144, 14, 16, false, false}, /* with the ln_vision that BLIP-2 put behind it */
    {"eva-vit-g-14", &eva, 1408, 39, 16, 6144, 14, 16, false, true},   /* as in eva_vit_g.pth */
    {"clip-vit-l-14-336", &clip, 1024, 24, 16, 4096, 14, 24, false},
    {"clip-vit-l-14", &clip, 1024, 24, 16, 4096, 14, 16, false},
    {"clip-vit-b-16", &clip, 768, 12, 12, 3072, 16, 14, false},
    {"clip-vit-b-32", &clip, 768, 12, 12, 3072, 32, 7, false},
    {"biomedclip", &timm, 768, 12, 12, 3072, 16, 14, false},
    {"biomedclip-cxr", &timm, 768, 12, 12, 3072, 14, 37, true},
    {"siglip-base-224", &siglip, 768, 12, 12, 3072, 16, 14, false},
    {"siglip-so400m-384", &siglip, 1152, 27, 16, 4304, 14, 27, false},
    {"dinov2-small", &dinov2, 384, 12, 6, 1536, 14, 37, true},
    {"dinov2-base", &dinov2, 768, 12, 12, 3072, 14, 37, true},
    {"dinov2-large", &dinov2, 1024, 24, 16, 4096, 14, 37, true},
};

const char pfm_vit_known_names[] =
    "eva-clip-g-14, eva-vit-g-14, clip-vit-l-14-336, clip-vit-l-14, clip-vit-b-16, clip-vit-b-32, biomedclip, "
    "biomedclip-cxr, siglip-base-224, siglip-so400m-384, dinov2-small, dinov2-base, dinov2-large";

bool pfm_vit_known(const char *name, pfm_vision_config *config)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        pfm_vit_config *vit = &config->of.vit;
        *vit = known[i].family->config;
        vit->width = known[i].width;
        vit->layers = known[i].layers;
        vit->heads = known[i].heads;
        vit->mlp = known[i].mlp;
        vit->patch = known[i].patch;
        vit->position_grid = known[i].position_grid;
        vit->scaled = known[i].scaled;
        vit->final_norm = vit->names->final_norm != NULL && !known[i].bare;
        memcpy(config->mean, known[i].family->mean, sizeof config->mean);
        memcpy(config->deviation, known[i].family->deviation, sizeof config->deviation);
        return true;
    }
    return false;
}
