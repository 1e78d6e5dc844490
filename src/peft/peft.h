/* PEFT methods. A method is a file and a line in peft.c: it says what it adds at a place, which parameters are its own, and how
 * they merge into the frozen weight. */
#ifndef PFM_PEFT_PEFT_H
#define PFM_PEFT_PEFT_H

#include "nn/builder.h"

typedef struct pfm_peft_options {
    const char *method; /* "lora", "none" */
    int rank;
    double alpha, dropout;
    const char *const *targets; /* module names, each matching a whole dotted suffix: "q_proj" matches "....self_attn.q_proj" */
    size_t target_count;
    bool rslora; /* alpha / sqrt(rank) (Kalajdzievski 2023) in place of alpha / rank */
} pfm_peft_options;

typedef struct pfm_peft pfm_peft;

typedef struct pfm_peft_method {
    const char *name;
    pfm_status (*apply)(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err);
    /* values f32 [n,k], the frozen weight of a module, becomes what the module computes with the method merged in. */
    pfm_status (*merge)(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err);
} pfm_peft_method;

extern const pfm_peft_method pfm_peft_lora;

/* Copies the options. USAGE: an unknown method, a rank below 1, a dropout outside [0,1). */
pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_free(pfm_peft *peft);
const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft);

/* The hook for a builder; borrowed from peft. NULL for "none". */
const pfm_hook *pfm_peft_hook(const pfm_peft *peft);
/* After building: USAGE names each target that matched no layer. */
pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err) PFM_MUST_CHECK;
/* true where a target names this module. */
bool pfm_peft_targets(const pfm_peft *peft, const char *module);
pfm_status pfm_peft_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err) PFM_MUST_CHECK;
/* What the low-rank product is scaled by. */
double pfm_peft_scale(const pfm_peft *peft);

#endif
