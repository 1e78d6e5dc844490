/* The golden files of script/vectors/decoding.py, and how they write options. */
#ifndef PFM_TESTS_INFER_DECODING_GOLDEN_H
#define PFM_TESTS_INFER_DECODING_GOLDEN_H

#include "base/json.h"
#include "infer/generate.h"

/* A file of tests/infer/golden; the caller releases it. */
json_t *decoding_golden_load(const char *name);
/* What transformers' options say, and where they do not, what they mean by that. */
double decoding_golden_number(const json_t *options, const char *key, double otherwise);
pfm_decoding decoding_golden_options(const json_t *options);

#endif
