/* A training that takes a second: the tiny language model, a random vision encoder, seven pictures of 64 pixels and a table of
 * questions, all in the test's scratch folder. */
#ifndef PFM_TESTS_TRAIN_TINY_TRAINING_H
#define PFM_TESTS_TRAIN_TINY_TRAINING_H

#include "models/tiny.h"

#include "train/trainer.h"

enum { TRAINING_STEPS = 8, TRAINING_BATCH = 5, TRAINING_ROWS = 17 };

/* Makes weights, pictures, table and recipe at the first call. */
void make_training(void);
const char *training_recipe(void); /* the recipe's path; borrowed */
const char *training_data(void);   /* the table's path; borrowed */
/* "data.path=TABLE": rows of one to three images, some in the other order, some placed by marks. */
const char *training_pairs(void);

/* "data.path=TABLE": rows with an image, three to each, and rows of text alone among them. */
const char *training_mixed(void);
/* A recipe without a vision encoder, on a table of text alone that it names, made at the first call; TEXT_STEPS steps of
 * TRAINING_BATCH rows. */
const char *text_recipe(void);
enum { TEXT_STEPS = 6 };

/* A recipe of two stages on the same pictures, made at the first call: "captions" learns the aligner from a mixture of captions
 * and questions, "questions" all of it from the table; STAGED_FIRST and STAGED_STEPS steps. */
const char *staged_recipe(void);
enum { STAGED_FIRST = 5, STAGED_STEPS = 9 };

/* Writes the first recipe, or the staged one, with another language model and another method, "{method: none}". */
void write_training_recipe(const char *path, const char *language, const char *peft);
void write_staged_recipe(const char *path, const char *language, const char *peft);

/* A trainer ready to step, in f32; sets are overrides, training_pairs() among them or not. */
pfm_trainer *open_trainer(pfm_context *context, const char *const *sets, int set_count);
/* The same of another recipe, which names its data. */
pfm_trainer *open_trainer_of(const char *recipe, pfm_context *context, const char *const *sets, int set_count);
/* Opens one, gives its adapter's factors values that are not zero, and computes a step's gradients, side by side; the caller
 * frees them and closes the trainer. */
float *training_gradients(pfm_context *context, const char *const *sets, int set_count, int64_t step, pfm_step_result *result,
                          pfm_trainer **trainer);
/* The second half of that, for a trainer that is open. */
float *training_step_gradients(pfm_trainer *trainer, int64_t step, pfm_step_result *result);
/* Frees it and its session. */
void close_trainer(pfm_trainer *trainer);

#endif
