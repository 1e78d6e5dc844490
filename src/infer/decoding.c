#include "infer/generate.h"

#include <string.h>

pfm_decoding pfm_decoding_of(const pfm_recipe *recipe, uint64_t seed)
{
    const char *early = recipe->eval.early_stopping;
    return (pfm_decoding){.min_tokens = recipe->eval.min_tokens,
                          .temperature = recipe->eval.temperature,
                          .draws = recipe->eval.draws,
                          .top_k = recipe->eval.top_k,
                          .top_p = recipe->eval.top_p,
                          .min_p = recipe->eval.min_p,
                          .repetition_penalty = recipe->eval.repetition_penalty,
                          .no_repeat_ngram = recipe->eval.no_repeat_ngram,
                          .beams = recipe->eval.beams,
                          .length_penalty = recipe->eval.length_penalty,
                          .early_stopping = strcmp(early, "true") == 0    ? PFM_EARLY_TRUE
                                            : strcmp(early, "never") == 0 ? PFM_EARLY_NEVER
                                                                          : PFM_EARLY_FALSE,
                          .stop = recipe->eval.stop,
                          .stop_count = recipe->eval.stop_count,
                          .seed = seed};
}

pfm_choice_score pfm_choice_score_of(const pfm_recipe *recipe)
{
    const char *score = recipe->eval.choice_score;
    return strcmp(score, "mean") == 0       ? PFM_CHOICE_MEAN
           : strcmp(score, "sequence") == 0 ? PFM_CHOICE_SEQUENCE
                                            : PFM_CHOICE_TOTAL;
}
