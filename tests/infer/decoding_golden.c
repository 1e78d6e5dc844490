#include "decoding_golden.h"

#include "models/tiny.h"

#include <stdio.h>

json_t *decoding_golden_load(const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *golden = NULL;
    char path[400];
    (void)snprintf(path, sizeof path, "%s/tests/infer/golden/%s", PFM_SOURCE_DIR, name);
    assert_ok(pfm_json_load(path, &golden, &err));
    return golden;
}

double decoding_golden_number(const json_t *options, const char *key, double otherwise)
{
    const json_t *value = json_object_get(options, key);
    return value != NULL ? json_number_value(value) : otherwise;
}

pfm_decoding decoding_golden_options(const json_t *options)
{
    const json_t *early = json_object_get(options, "early_stopping");
    return (pfm_decoding){.temperature = decoding_golden_number(options, "temperature", 0),
                          .top_k = (int)decoding_golden_number(options, "top_k", 0),
                          .top_p = decoding_golden_number(options, "top_p", 1),
                          .min_p = decoding_golden_number(options, "min_p", 0),
                          .repetition_penalty = decoding_golden_number(options, "repetition_penalty", 1),
                          .no_repeat_ngram = (int)decoding_golden_number(options, "no_repeat_ngram", 0),
                          .min_tokens = (int)decoding_golden_number(options, "min_tokens", 0),
                          .beams = (int)decoding_golden_number(options, "beams", 1),
                          .length_penalty = decoding_golden_number(options, "length_penalty", 1),
                          .early_stopping = json_is_true(early)     ? PFM_EARLY_TRUE
                                            : json_is_string(early) ? PFM_EARLY_NEVER
                                                                    : PFM_EARLY_FALSE,
                          .seed = (uint64_t)decoding_golden_number(options, "seed", 42)};
}
