/* Adapters in Hugging Face PEFT's folder format: adapter_config.json beside adapter_model.safetensors, whose tensors are named
 * base_model.model.MODULE.lora_A.weight [r, in] and .lora_B.weight [out, r] (PEFT 0.21, src/peft/tuners/lora/config.py and
 * utils/save_and_load.py). */
#ifndef PFM_FORMATS_ADAPTER_H
#define PFM_FORMATS_ADAPTER_H

#include "formats/safetensors.h"

#include <jansson.h>

typedef struct pfm_adapter_config {
    char *peft_type;  /* "LORA", "IA3", ... */
    char *task_type;  /* "CAUSAL_LM"; NULL: null */
    char *base_model; /* base_model_name_or_path; NULL: null */
    char *bias;       /* "none", "all", "lora_only" */
    int64_t r;        /* 1.. for LORA, else 0 where there is none */
    double lora_alpha;
    double lora_dropout; /* 0 <= p < 1 */
    bool use_rslora;     /* the scale is alpha / sqrt(r), not alpha / r */
    bool
        fan_in_fan_out; /* the base keeps the weights that it adapts as [in, out] (GPT-2); the adapter's tensors are the same */
    char **targets;     /* target_modules, where it is a list */
    size_t target_count;
    char *target_pattern; /* target_modules, where it is a text: a regular expression or "all-linear"; else NULL */
    json_t
        *whole_modules; /* modules_to_save of a fresh one: names of modules whose own tensors the adapter holds; NULL: none */
    json_t *method;   /* of a fresh one: the keys that speak of its method, in place of the fields above; NULL: those of LORA */
    json_t *document; /* all keys as read; NULL for a fresh one */
} pfm_adapter_config;

/* Reads adapter_config.json of a folder into *out (released with pfm_adapter_config_free). IO: it is missing. FORMAT names the
 * key that is missing or wrong. */
pfm_status pfm_adapter_config_load(const char *folder, pfm_adapter_config *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_adapter_config_free(pfm_adapter_config *config); /* zeroes it; NULL and {0} are fine */
/* The target_modules with which PEFT adapts nothing, and takes what modules_to_save names. */
#define PFM_ADAPTER_NO_TARGETS "dummy-target-modules"
/* Sets target_modules to a list, copied. */
pfm_status pfm_adapter_config_set_targets(pfm_adapter_config *config, const char *const *targets, size_t count,
                                          pfm_error *err) PFM_MUST_CHECK;

/* UNSUPPORTED names the first setting that changes what a LORA adapter computes beyond r, alpha, rslora and its tensors
 * (DoRA, patterns of ranks, trained biases, modules saved whole, ...): whoever does not implement it must not ignore it. */
pfm_status pfm_adapter_config_check_plain(const pfm_adapter_config *config, pfm_error *err) PFM_MUST_CHECK;

/* Writes a folder that PEFT's from_pretrained reads: the tensors (as pfm_safetensors_write_from), then the config, so that a
 * folder with a config is whole. Keys of document that are not fields of the struct are written as they were read. */
pfm_status pfm_adapter_write(const char *folder, const pfm_adapter_config *config, const pfm_weight *tensors, size_t count,
                             pfm_weight_fill fill, void *user, pfm_error *err) PFM_MUST_CHECK;

#endif
