/* A recipe: everything that decides what a run computes, but the seed and the machine. YAML in, a plain struct out, YAML back.
 *
 * One table (recipe_table.c) declares every key: its dotted name, type, place in the struct, default, what it may be and a line
 * of help. Adding a key is a field here and a line there. */
#ifndef PFM_TRAIN_RECIPE_H
#define PFM_TRAIN_RECIPE_H

#include "base/hash.h"
#include "base/memory.h"
#include "data/dataset.h"

#include <stdbool.h>

typedef struct pfm_recipe {
    struct {
        char *vision, *aligner, *language; /* names that fetch knows, or paths; the aligner's kind */
        int image_size;                    /* pixels a side; a multiple of 32 * merge */
        char **layers; /* the encoder's hidden states that make the features, whole numbers as text, [layer_count] */
        size_t layer_count;
        char *weights; /* of the language model's frozen linear layers: "bf16" (the precision) or a block type */
        int merge;     /* neighbours a side that become one visual token: 2 for 2x2 */
    } model;
    struct {
        char *method; /* "lora" or "none" */
        int rank;
        double alpha, dropout;
        char **targets; /* Hugging Face names of the linear layers, [target_count] */
        size_t target_count;
        bool rslora; /* scale by alpha / sqrt(rank) in place of alpha / rank */
    } peft;
    struct {
        char *dataset;
        char *path;     /* NULL, or where the data lies when the command line does not say */
        char *language; /* NULL, or "en", "zh", ... */
        char *train, *validate;
        int group;             /* rows of one image that go together */
        double validate_share; /* of the images (patients), where the data set brings no validation split */
        char *validate_by;     /* "image" or "patient" */
        int split_seed;        /* of the rows held back: the same for every --seed, so that a validation row is never learned */
        bool lowercase_answers;
    } data;
    struct {
        char *instruction; /* {question} is where the question goes; none is needed where nothing is asked */
        char *system;      /* NULL: no system message */
    } prompt;
    struct {
        double epochs;
        int batch;                                   /* samples a step */
        int micro_batch;                             /* samples computed at once; 0: chosen by itself */
        double learning_rate, minimum_learning_rate; /* both set after loading: the minimum is 0.05 times the rate by default */
        int warmup_steps;
        double weight_decay, beta1, beta2, epsilon;
        double clip_norm; /* 0: no clipping */
        char *mean_over;  /* "tokens" or "answers": what the loss is the mean of */
        bool pack;
        char *recompute;      /* "auto", "true" or "false": compute blocks again in the backward */
        int checkpoint_every; /* steps */
        int validate_every;   /* steps; 0: after each epoch */
        int validate_limit;   /* rows; 0: all */
        int max_tokens;       /* the most tokens of one row, image included */
    } train;
    struct {
        int max_tokens; /* the longest answer */
        int batch;      /* images answered at once */
    } eval;
} pfm_recipe;

/* *out = the recipe in a file, with `set_count` overrides "key=value" applied behind it and every default filled in; the caller
 * frees it with pfm_recipe_free. FORMAT for text that is not YAML; USAGE for an unknown key (names the nearest one), a key
 * given twice, a wrong type, a value out of its range; each names the file and line, or the override. */
pfm_status pfm_recipe_load(const char *path, const char *const *sets, int set_count, pfm_recipe **out,
                           pfm_error *err) PFM_MUST_CHECK;
/* The same from `length` bytes of text; `name` stands for the file in errors. */
pfm_status pfm_recipe_parse(const char *text, size_t length, const char *name, const char *const *sets, int set_count,
                            pfm_recipe **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_recipe_free(pfm_recipe *recipe);

/* Appends the complete recipe as YAML that loads to the same recipe, each key with its line of help. */
pfm_status pfm_recipe_write(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* The same as a file, whole or not at all. */
pfm_status pfm_recipe_save(const pfm_recipe *recipe, const char *path, pfm_error *err) PFM_MUST_CHECK;
/* SHA-256 of the canonical text: every key and value in the table's order, no comments. Equal recipes have equal hashes. */
pfm_status pfm_recipe_hash(const pfm_recipe *recipe, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;
/* Appends "key: a's value, not b's" for each key that differs, separated by "; ". Appends nothing for equal recipes. */
pfm_status pfm_recipe_compare(const pfm_recipe *a, const pfm_recipe *b, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = a split of the recipe's data, at `path`, or where the recipe says when that is NULL. As pfm_dataset_load, and USAGE
 * when neither says. */
pfm_status pfm_recipe_load_data(const pfm_recipe *recipe, const char *path, const char *split, size_t limit, pfm_dataset **out,
                                pfm_error *err) PFM_MUST_CHECK;
/* *out = whether it would find the split. */
pfm_status pfm_recipe_has_data(const pfm_recipe *recipe, const char *path, const char *split, bool *out,
                               pfm_error *err) PFM_MUST_CHECK;

#endif
