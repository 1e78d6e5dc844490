/* Adapters in Hugging Face PEFT's folder format: adapter_config.json beside adapter_model.safetensors, whose tensors are named
 * base_model.model.MODULE.lora_A.weight [r, in] and .lora_B.weight [out, r] (PEFT 0.21, src/peft/tuners/lora/config.py and
 * utils/save_and_load.py). What the configuration says of a method is read in peft/. */
#ifndef PFM_FORMATS_ADAPTER_H
#define PFM_FORMATS_ADAPTER_H

#include "formats/safetensors.h"

#include <jansson.h>

typedef struct pfm_adapter_config {
    char *peft_type;  /* "LORA", "IA3", ... */
    char *task_type;  /* "CAUSAL_LM"; NULL: null */
    char *base_model; /* base_model_name_or_path; NULL: null */
    json_t *document; /* all keys; those of the fields above are written from these */
} pfm_adapter_config;

/* Reads adapter_config.json of a folder into *out (released with pfm_adapter_config_free). IO: it is missing. FORMAT names the
 * key that is missing or wrong. */
pfm_status pfm_adapter_config_load(const char *folder, pfm_adapter_config *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_adapter_config_free(pfm_adapter_config *config); /* zeroes it; NULL and {0} are fine */
/* A fresh one with an empty document; texts are copied, NULL: null. */
pfm_status pfm_adapter_config_create(const char *peft_type, const char *task_type, const char *base_model,
                                     pfm_adapter_config *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = the folder of an adapter: this one, or the adapter's within a run's. IO: there is none. */
pfm_status pfm_adapter_find(const char *folder, char **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the file with a folder's tensors: adapter_model.safetensors, or what older versions wrote, adapter_model.bin. IO:
 * there is neither. */
pfm_status pfm_adapter_tensors_path(const char *folder, char **out, pfm_error *err) PFM_MUST_CHECK;

/* Writes a folder that PEFT's from_pretrained reads: the tensors (as pfm_safetensors_write_from), then the config, so that a
 * folder with a config is whole. */
pfm_status pfm_adapter_write(const char *folder, const pfm_adapter_config *config, const pfm_weight *tensors, size_t count,
                             pfm_weight_fill fill, void *user, pfm_error *err) PFM_MUST_CHECK;

#endif
