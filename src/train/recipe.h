/* A recipe: everything that decides what a run computes, but the seed and the machine. YAML in, a plain struct out, YAML back.
 *
 * One table (recipe_table.c) declares every key: its dotted name, type, place in the struct, default, what it may be and a line
 * of help. Adding a key is a field here and a line there.
 *
 * A recipe with stages holds a whole recipe for each of them, the keys above the stages being their defaults; one without is
 * its own only stage. What computes reads one stage. */
#ifndef PFM_TRAIN_RECIPE_H
#define PFM_TRAIN_RECIPE_H

#include "base/hash.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "peft/peft.h"

#include <stdbool.h>

enum { PFM_MOST_BEAMS = 64 };  /* of a beam search */
enum { PFM_MOST_DRAWS = 256 }; /* of answers among which one is taken */

/* One data set of a mixture. */
typedef struct pfm_member {
    char *dataset, *path, *language, *train; /* path NULL: where data.path says, for the same data set */
    double ratio;                            /* its share of the rows seen, beside those of the others */
    char **instruction;                      /* [instruction_count] of its rows; none: the recipe's */
    size_t instruction_count;
} pfm_member;

typedef struct pfm_recipe {
    char *name; /* of a stage; NULL for a recipe that is none */
    struct {
        char *vision, *aligner, *language; /* names that fetch knows, or paths, vision also "none"; the aligner's kind */
        int image_size;                    /* pixels a side */
        char *window;                      /* NULL, or how DICOM files become pictures (pfm_image_check_window) */
        char *fit, *filter;                /* how a picture becomes a square (pfm_image_fit) */
        char **layers; /* the encoder's hidden states that make the features, whole numbers as text, "output" or "normed",
                          [layer_count] */
        size_t layer_count;
        char *weights;         /* of the language model's frozen linear layers: "bf16" (the precision) or a block type */
        char *class_token;     /* "drop" or "keep" */
        char *merge;           /* neighbours that the aligner joins, rows x columns: "2", "1x4"; it has a default of its own */
        int aligner_inner;     /* the width between the layers of double-linear */
        char *aligner_weights; /* NULL, or the file that the aligner starts from */
        bool normalise;        /* features, by the training images' mean and deviation */
    } model;
    struct {
        int layers, heads, queries, hidden, intermediate;
        int cross_every; /* layers 0, n, 2n, ... look at the image */
        bool frozen;
    } qformer; /* sizes of the aligners that have one */
    struct {
        int every, heads, head_dim;
    } gated; /* sizes of gated-cross-attention */
    pfm_peft_options peft;
    char **parts; /* [part_count] "language", "vision": of the model, which peft is shown */
    size_t part_count;
    struct {
        char *dataset;
        char *path;                  /* NULL, or where the data lies when the command line does not say */
        char *language;              /* NULL, or "en", "zh", ... */
        char *grounding;             /* "none", or what the questions of medexpqa are grounded in */
        char *index, *index_sha256;  /* of the grounding "retrieved": the index, and NULL or what it must hold */
        int snippets, snippet_words; /* of it, in one question; 0 words: no limit */
        char *train, *validate;
        int group;             /* rows of one image that go together */
        double validate_share; /* of the images (patients), where the data set brings no validation split */
        char *validate_by;     /* "auto", "image" or "patient" */
        int split_seed;        /* of the rows held back: the same for every --seed, so that a validation row is never learned */
        char *mirror;          /* "none" or "horizontal": learning sees half of the images with left and right exchanged */
        char *slices;          /* NULL, or which slices of a series are shown (pefomed/series.h) */
        bool lowercase_answers;
        pfm_member *mixture; /* [mixture_count] what is learned from in place of data.train; none: data.train */
        size_t mixture_count;
    } data;
    struct {
        char **instruction; /* [instruction_count], at least one; {question} is where the question goes, none is needed where
                               nothing is asked. Learning draws one each time a row is seen, everything else takes the first */
        size_t instruction_count;
        char *image;  /* holds one <image>: how each image is written where instruction and question do not say <image> */
        char *system; /* NULL: no system message */
    } prompt;
    struct {
        double epochs;
        int steps;                                   /* in place of epochs; 0: as many as they make */
        int batch;                                   /* samples a step */
        int micro_batch;                             /* samples computed at once; 0: chosen by itself */
        double learning_rate, minimum_learning_rate; /* both set after loading: the minimum is 0.05 times the rate by default */
        int warmup_steps;
        double warmup_share;         /* of the steps, in place of warmup_steps; 0: those */
        double warmup_learning_rate; /* where the warm-up begins */
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
        int max_tokens, min_tokens; /* the longest and the shortest answer */
        int batch;                  /* images answered at once */
        double temperature;         /* 0: the likeliest token; above: one is drawn */
        int draws;                  /* answers drawn, of which one is taken */
        int top_k;                  /* 0: all */
        double top_p, min_p, repetition_penalty;
        int no_repeat_ngram; /* 0: anything may come again */
        int beams;
        double length_penalty;
        char *early_stopping; /* "false", "true" or "never" */
        char **stop;          /* [stop_count] texts that end an answer */
        size_t stop_count;
        char *choices;      /* "none", or which answers one is chosen among: "column", "train" */
        char *choice_score; /* by which: "total", "mean" or "sequence" */
    } eval;                 /* docs/decoding.md defines each */
    struct {
        char **learning_rates; /* [learning_rate_count] numbers as text, among which `compare` chooses; none: the one above */
        size_t learning_rate_count;
    } compare;
    char **trainable; /* [trainable_count] "aligner", "peft", "norms" */
    size_t trainable_count;
    struct pfm_recipe **stages; /* [stage_count] in their order; none: this is the only one */
    size_t stage_count;
    uint64_t given[2]; /* keys that the file or an override gave: bit i of these is key i of the table */
    /* Set after loading: the recipe does not say which layers it changes, so that the language model's family does. */
    bool default_targets, default_feedforward;
    char *left_out; /* keys that --set peft.method=... left nothing to say, or NULL; of no copy */
    /* Set after loading: this stage or one before it trains what peft adds, or the norms; until then they are left out. */
    bool adapts, adapts_norms;
} pfm_recipe;

/* Whether its model has a vision encoder, and with it an aligner; without, no other key of images says anything. */
bool pfm_recipe_sees(const pfm_recipe *recipe);
/* true where a part ("aligner", "peft" or "norms") trains. */
bool pfm_recipe_trains(const pfm_recipe *recipe, const char *part);
/* true where the PEFT method is at work on a part of the model ("language" or "vision"), in this stage or since one before it.
 */
bool pfm_recipe_adapts(const pfm_recipe *recipe, const char *part);
/* How many stages there are, at least 1, and one of them; borrowed. */
size_t pfm_recipe_count_stages(const pfm_recipe *recipe);
const pfm_recipe *pfm_recipe_get_stage(const pfm_recipe *recipe, size_t stage);

/* *out = the recipe in a file, with `set_count` overrides "key=value" applied behind it and every default filled in; the caller
 * frees it with pfm_recipe_free. FORMAT for text that is not YAML; USAGE for an unknown key (names the nearest one), a key
 * given twice, a wrong type, a value out of its range; each names the file and line, or the override. */
pfm_status pfm_recipe_load(const char *path, const char *const *sets, int set_count, pfm_recipe **out,
                           pfm_error *err) PFM_MUST_CHECK;
/* The same from `length` bytes of text; `name` stands for the file in errors. */
pfm_status pfm_recipe_parse(const char *text, size_t length, const char *name, const char *const *sets, int set_count,
                            pfm_recipe **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_recipe_free(pfm_recipe *recipe);
/* *out = a copy that owns all that it holds, of the first `stages` stages where there are any. */
pfm_status pfm_recipe_copy(const pfm_recipe *recipe, size_t stages, pfm_recipe **out, pfm_error *err) PFM_MUST_CHECK;
/* Once the language model's family is known, by config.json's model_type: what the recipe does not say of the layers that it
 * changes becomes the method's choice for that family, in every stage. */
pfm_status pfm_recipe_choose_layers(pfm_recipe *recipe, const char *model_type, pfm_error *err) PFM_MUST_CHECK;
/* What an adapter's folder (or a run's) says of its method takes the place of what stands under peft, in every stage; the
 * recipe's own dropout stays where it was given. must_agree: USAGE names a key with which the recipe says otherwise. */
pfm_status pfm_recipe_take_adapter(pfm_recipe *recipe, const char *folder, bool must_agree, pfm_error *err) PFM_MUST_CHECK;
/* The same for peft.start, where there is one: what the recipe itself says must agree. */
pfm_status pfm_recipe_take_start(pfm_recipe *recipe, pfm_error *err) PFM_MUST_CHECK;
/* What takes the place of keys under eval. */
typedef struct pfm_answer_settings {
    const char *const *texts; /* [count] each "temperature=0.7"; of a list each adds one */
    size_t count;
    int max_tokens; /* 0: not set */
    bool chooses;   /* answers to choose among are given elsewhere */
    bool asks;      /* eval.choices, which is of a data set, is left aside */
} pfm_answer_settings;
/* Sets them, also in every stage. USAGE names a key that is none, a value that it cannot have, or keys that do not go together.
 */
pfm_status pfm_recipe_set_answers(pfm_recipe *recipe, const pfm_answer_settings *settings, pfm_error *err) PFM_MUST_CHECK;
/* Forgets what decides nothing of what is computed, in every stage and mixture: where data lie, what `compare` tries. */
void pfm_recipe_forget_asides(pfm_recipe *recipe);

/* Appends the complete recipe as YAML that loads to the same recipe, each key with its line of help. */
pfm_status pfm_recipe_write(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* The same as a file, whole or not at all. */
pfm_status pfm_recipe_save(const pfm_recipe *recipe, const char *path, pfm_error *err) PFM_MUST_CHECK;
/* SHA-256 of the canonical text: key and value, in the table's order, of what differs from the defaults, of every stage. Equal
 * recipes have equal hashes, also where a later version knows more keys. */
pfm_status pfm_recipe_hash(const pfm_recipe *recipe, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;
/* Calls function for each key that differs, with both values as YAML or "nothing"; of stages the key has "stages.N." before it,
 * and recipes of different numbers of stages differ in the key "stages" alone. */
typedef pfm_status (*pfm_difference_function)(void *user, const char *key, const char *a, const char *b, pfm_error *err);
pfm_status pfm_recipe_visit_differences(const pfm_recipe *a, const pfm_recipe *b, pfm_difference_function function, void *user,
                                        pfm_error *err) PFM_MUST_CHECK;
/* Appends "key: a's value, not b's" for each key that differs, separated by "; ", of stages with "stages.N." before it. Appends
 * nothing for equal recipes. */
pfm_status pfm_recipe_compare(const pfm_recipe *a, const pfm_recipe *b, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = a split of the recipe's data, at `path`, or where the recipe says when that is NULL. As pfm_dataset_load, and USAGE
 * when neither says. */
pfm_status pfm_recipe_load_data(const pfm_recipe *recipe, const char *path, const char *split, size_t limit, pfm_dataset **out,
                                pfm_error *err) PFM_MUST_CHECK;
/* *out = what is learned from: the split data.train, or the mixture with its members in their order. */
pfm_status pfm_recipe_load_training(const pfm_recipe *recipe, const char *path, pfm_dataset **out,
                                    pfm_error *err) PFM_MUST_CHECK;
/* Whether it is said where all that is learned from lies. */
bool pfm_recipe_has_path(const pfm_recipe *recipe, const char *path);
/* *out = what a person asks, as the recipe's rows ask it: with what is retrieved for it, where they are grounded so. Release
 * with free(). As pfm_dataset_ground. */
pfm_status pfm_recipe_ground(const pfm_recipe *recipe, const char *text, char **out, pfm_error *err) PFM_MUST_CHECK;
/* Notes in every stage that retrieves what its index holds, and where it lies whatever folder one is in: from now on no other
 * index will do. As pfm_retrieval_hash. */
pfm_status pfm_recipe_pin_index(pfm_recipe *recipe, pfm_error *err) PFM_MUST_CHECK;
/* *out = whether it would find the split. */
pfm_status pfm_recipe_has_data(const pfm_recipe *recipe, const char *path, const char *split, bool *out,
                               pfm_error *err) PFM_MUST_CHECK;

#endif
