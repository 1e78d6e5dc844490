/* The shapes of models that are known by name, so that a plan needs no file: what their config.json say. */
#ifndef PFM_MODELS_LANGUAGE_LANGUAGE_KNOWN_TABLE_H
#define PFM_MODELS_LANGUAGE_LANGUAGE_KNOWN_TABLE_H

#include "models/language/language.h"

#define SIZES(family_, vocabulary_, hidden_, intermediate_, context_, layers_, heads_, kv_heads_, head_dim_)                   \
    .family = &pfm_language_##family_, .vocabulary = vocabulary_, .hidden = hidden_, .intermediate = intermediate_,            \
    .context = context_, .layers = layers_, .heads = heads_, .kv_heads = kv_heads_, .head_dim = head_dim_
/* Whole heads are rotated. */
#define GATED(base, epsilon_, head_dim_)                                                                                       \
    .rotary = head_dim_, .rope_theta = base, .epsilon = epsilon_, .activation = PFM_ACTIVATION_SILU
#define PHI_2                                                                                                                  \
    SIZES(phi, 51200, 2560, 10240, 2048, 32, 32, 32, 80),                                                                      \
        .rotary = 32, .rope_theta = 1e4, .epsilon = 1e-5, .activation = PFM_ACTIVATION_GELU_TANH, .query_bias = true,          \
        .output_bias = true, .mlp_bias = true, .head_bias = true, .parallel = true

static const struct {
    const char *name;
    pfm_language_config config;
} known_models[] = {
    {"smollm2-135m-instruct", {SIZES(llama, 49152, 576, 1536, 8192, 30, 9, 3, 64), GATED(1e5, 1e-5, 64), .tied = true}},
    {"smollm2-360m-instruct", {SIZES(llama, 49152, 960, 2560, 8192, 32, 15, 5, 64), GATED(1e5, 1e-5, 64), .tied = true}},
    {"smollm2-1.7b-instruct", {SIZES(llama, 49152, 2048, 8192, 8192, 24, 32, 32, 64), GATED(1.3e5, 1e-5, 64), .tied = true}},
    {"tinyllama", {SIZES(llama, 32000, 2048, 5632, 2048, 22, 32, 4, 64), GATED(1e4, 1e-5, 64)}},
    {"llama-2-7b-chat", {SIZES(llama, 32000, 4096, 11008, 4096, 32, 32, 32, 128), GATED(1e4, 1e-5, 128)}},
    {"vicuna-7b-v1.5", {SIZES(llama, 32000, 4096, 11008, 4096, 32, 32, 32, 128), GATED(1e4, 1e-5, 128)}},
    {"llama-3-8b-instruct", {SIZES(llama, 128256, 4096, 14336, 8192, 32, 32, 8, 128), GATED(5e5, 1e-5, 128)}},
    {"mistral-7b-instruct", {SIZES(llama, 32000, 4096, 14336, 32768, 32, 32, 8, 128), GATED(1e6, 1e-5, 128)}},
    {"qwen2.5-0.5b-instruct",
     {SIZES(qwen2, 151936, 896, 4864, 32768, 24, 14, 2, 64), GATED(1e6, 1e-6, 64), .query_bias = true, .tied = true}},
    {"qwen2.5-1.5b-instruct",
     {SIZES(qwen2, 151936, 1536, 8960, 32768, 28, 12, 2, 128), GATED(1e6, 1e-6, 128), .query_bias = true, .tied = true}},
    {"phi-2", {PHI_2}},
    {"tinygpt-v-phi-2", {PHI_2, .fused = true, .head_norms = true, .branch_norm = true}},
    {"gpt2",
     {SIZES(gpt2, 50257, 768, 3072, 1024, 12, 12, 12, 64), .epsilon = 1e-5, .activation = PFM_ACTIVATION_GELU_TANH,
      .tied = true, .fused = true, .query_bias = true, .output_bias = true, .mlp_bias = true}},
};

#endif
