/* What LoRA and the methods that build on it share; inside this folder. */
#ifndef PFM_PEFT_LORA_H
#define PFM_PEFT_LORA_H

#include "peft/peft.h"

/* factors = the ids of A [rank,k] and B [n,rank] of the place, declared here. */
pfm_status pfm_lora_declare(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, int64_t rank, int factors[2],
                            pfm_error *err) PFM_MUST_CHECK;
/* *y = addend (PFM_NO_VALUE: none) + scale B A x, x act [rows, k], stored as `output` says; factors = the ids of A and B,
 * declared here. */
pfm_status pfm_lora_build(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value x, pfm_value addend,
                          pfm_storage output, int factors[2], pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* values [n,k] += scale B A. */
pfm_status pfm_lora_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err) PFM_MUST_CHECK;
/* values [n,k] += scale diag(outer) B diag(inner) A, summed in double: a A [rank,k], b B [n,rank]; outer [n] and inner [rank],
 * NULL: ones. */
pfm_status pfm_lora_add_product(const pfm_parameter *a, const pfm_parameter *b, const float *inner, const float *outer,
                                double scale, float *values, pfm_error *err) PFM_MUST_CHECK;
/* The keys of adapter_config.json. */
pfm_status pfm_lora_write_config(const pfm_peft *peft, json_t *config, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_lora_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;

/* The layers that PEFT changes in the families that name them otherwise. */
extern const pfm_peft_family pfm_lora_families[];

#endif
