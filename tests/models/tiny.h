/* The tiny language models in tests/models/golden and the system that script/vectors/language.py made of one of them: what
 * tests of the upper rooms run on. Whatever fails here fails the test. */
#ifndef PFM_TESTS_MODELS_TINY_H
#define PFM_TESTS_MODELS_TINY_H

#include "train/session.h"

#include "test.h"

enum {
    TINY_VOCABULARY = 300,
    TINY_HIDDEN = 32,
    TINY_IMAGES = 3,
    TINY_VISUAL = 4,
    TINY_ROWS = 4,
    TINY_QUESTIONS = 6,
    TINY_NEW_TOKENS = 32
};

/* The script's `spread`: values in [-1,1). */
void tiny_spread(uint32_t seed, size_t count, float *out);

/* tests/models/golden/NAME. */
const char *tiny_path(const char *name);
/* A tensor of `count` values of the golden file NAME.safetensors; the caller frees. */
float *tiny_golden(const char *file, const char *tensor, size_t count);
/* The same as ids; *count tells how many. */
int32_t *tiny_golden_ids(const char *tensor, size_t *count);

/* Makes a folder from which a golden model can be read: its own files and the tokenizer, which the models share. */
void tiny_copy_model(const char *name, const char *folder);

/* The golden llama again, with biases in all linear layers of its blocks. */
void tiny_biased_model(const char *folder);

/* ||a - b|| / ||b||. */
double tiny_distance(const float *a, const float *b, size_t count);
void assert_near(const char *what, const float *a, const float *b, size_t count, double bound);

/* Runs `body` at every kernel level that this machine has. */
void tiny_each_level(void (*body)(const char *level));
pfm_context *tiny_context(const char *level, int threads, pfm_precision precision);

/* The golden system: llama with its adapter (where the method is lora and norms are frozen), the aligner and the statistics of
 * the script; sets are a recipe's overrides. */
typedef struct tiny_system {
    pfm_context *context;
    pfm_session *session;
    pfm_model_graph graph;
    pfm_executor *executor;
    void *visual; /* act rows of the tiny_pictures */
} tiny_system;

extern const pfm_tower_pictures tiny_pictures; /* TINY_IMAGES of them, of which nothing is known */

/* With a loss and gradients where training, else with logits; room for 512 tokens. Frees the context at its end. */
void tiny_system_create(pfm_context *context, bool training, const char *const *sets, int set_count, tiny_system *out);
void tiny_system_free(tiny_system *system);
/* The recipe's session alone, its weights not yet loaded. */
pfm_session *tiny_session(pfm_context *context, bool training, const char *const *sets, int set_count);
/* Sets the script's aligner, statistics and adapter; with_adapter false: only the first two. */
void tiny_set_weights(pfm_session *session, bool with_adapter);
/* features f32 [grid * grid, channels] of a picture of the script. */
void tiny_features(int image, float *out);

/* The golden rows: ids with the image's visual rows, where the answer begins, one group an image. Free with tiny_rows_free. */
void tiny_rows(pfm_sequence rows[TINY_ROWS]);
void tiny_rows_free(pfm_sequence rows[TINY_ROWS]);
/* Puts so many virtual tokens before each of them. */
void tiny_rows_add_virtual(pfm_sequence rows[TINY_ROWS], int tokens);

/* Runs these rows forward and, where the system trains, backward, adding to the gradients; the sum of the losses. The gradient
 * is that of loss_scale times this sum. */
double tiny_run(tiny_system *system, const pfm_sequence *rows, size_t count, const pfm_pack_options *options, float loss_scale);
/* All trained parameters' gradients, or values, side by side; the caller frees. */
float *tiny_copy_gradients(const pfm_parameters *parameters);
float *tiny_copy_values(const pfm_parameters *parameters);
/* Everything that the kernels and the files take from a parameter, side by side: how many bytes, and a copy; the caller frees.
 */
size_t tiny_parameter_bytes(const pfm_context *context, const pfm_parameter *p);
unsigned char *tiny_copy_parameter(const pfm_context *context, const pfm_parameter *p);
/* Each trained parameter's gradient against such a copy. */
void assert_gradients_near(const pfm_parameters *parameters, const float *copy, double bound);

#endif
