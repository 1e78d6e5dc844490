/* A result of a comparison, made up: what the table, the CSV file and the plot are tested on. */
#ifndef PFM_TESTS_EVAL_COMPARED_H
#define PFM_TESTS_EVAL_COMPARED_H

#include "test.h"

#include <jansson.h>

/* Adds a recipe with these figures, overall within 1.5 of its mean; the first is the baseline. */
static inline void add_compared(json_t *result, const char *name, const char *method, long long trainable, double overall)
{
    json_t *recipes = json_object_get(result, "recipes"), *difference = json_null();
    if (json_array_size(recipes) > 0) {
        double first = json_number_value(
            json_object_get(json_object_get(json_object_get(json_array_get(recipes, 0), "scores"), "overall"), "mean"));
        difference = json_pack("{s:{s:f,s:[f,f]}}", "overall", "mean", overall - first, "ci95", overall - first - 1.25,
                               overall - first + 1.25);
    }
    json_t *scores = json_pack("{s:{s:f,s:f,s:[f,f]},s:{s:f,s:n,s:n},s:{s:n,s:n,s:n},s:{s:f,s:n,s:n}}", "overall", "mean",
                               overall, "sd", 0.5, "ci95", overall - 1.5, overall + 1.5, "closed", "mean", overall + 4, "sd",
                               "ci95", "open", "mean", "sd", "ci95", "recall_open", "mean", 1.0, "sd", "ci95");
    json_t *recipe =
        json_pack("{s:s,s:s,s:n,s:[{s:f,s:f,s:n},{s:f,s:n,s:s}],s:f,s:I,s:I,s:f,s:i,s:f,s:f,s:I,s:o,s:o,s:[]}", "name", name,
                  "method", method, "error", "learning_rates", "learning_rate", 1e-3, "score", overall, "error",
                  "learning_rate", 1e-2, "score", "error", "the loss is not finite", "learning_rate", 1e-3,
                  "trainable_parameters", (json_int_t)trainable, "total_parameters", (json_int_t)160000000, "trainable_share",
                  (double)trainable / 1.6e6, "samples", 2000, "seconds", 195.3, "seconds_per_sample", 0.09765, "peak_bytes",
                  (json_int_t)1503238554, "scores", scores, "difference", difference, "runs");
    assert_non_null(recipe);
    assert_int_equal(json_array_append_new(recipes, recipe), 0);
}

static inline void add_failed(json_t *result, const char *name, const char *message)
{
    json_t *recipe = json_pack("{s:s,s:s,s:s,s:[],s:n}", "name", name, "method", "lora", "error", message, "learning_rates",
                               "learning_rate");
    assert_non_null(recipe);
    assert_int_equal(json_array_append_new(json_object_get(result, "recipes"), recipe), 0);
}

static inline json_t *make_compared(void)
{
    json_t *result = json_pack(
        "{s:[],s:s,s:i,s:i,s:{s:f,s:f,s:n},s:s,s:s,s:[i,i],s:s,s:s,s:s,s:i,s:s,s:i,s:{s:f,s:n,s:f},s:[s]}", "recipes",
        "dataset", "slake", "n", 1043, "n_images", 95, "prior", "overall", 57.0, "closed", 64.8, "open", "signature", "s",
        "headline", "overall", "seeds", 42, 43, "split", "validate", "chosen_on", "validate", "baseline", "lora", "failed", 0,
        "machine", "a machine", "threads", 2, "untrained", "overall", 1.25, "closed", "open", 2.5, "notes", "a note");
    assert_non_null(result);
    return result;
}

#endif
