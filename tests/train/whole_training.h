/* Whole trainings of the tiny data, broken off where a test wants, and the comparison of what they leave. */
#ifndef PFM_TESTS_TRAIN_WHOLE_TRAINING_H
#define PFM_TESTS_TRAIN_WHOLE_TRAINING_H

#include "tiny_training.h"

enum { STOP_NEVER = 1 << 30 };

/* Breaks a training off after so many reported steps: by the flag that a signal would set, or by dying on the spot. */
typedef struct stopper {
    volatile int interrupt;
    int left;
    bool dies;
} stopper;

/* Trains a recipe on the tiny table, or on what text_recipe() names, in f32, with seed 42. */
pfm_status train_recipe(const char *recipe, const char *out, int threads, stopper *s, const char *const *sets, int set_count,
                        bool fresh, pfm_error *err);
/* The same in a process that dies at that reported step. */
void train_and_die(const char *recipe, const char *out, int steps);
/* A folder below the scratch folder; its name stays valid. */
const char *folder_of(const char *name);

void assert_same_file(const char *a, const char *b, const char *name);
/* Tensors alone: the progress beside them holds seconds. */
void assert_same_tensors(const char *a, const char *b, const char *name);
/* Steps 1..steps, each once; what they say but the time and the memory is what the other log says. */
void assert_same_log(const char *a, const char *b, size_t steps);

#endif
