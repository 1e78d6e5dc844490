/* Weights for tests that need a whole encoder where none has been fetched. */
#ifndef PFM_TESTS_MODELS_RANDOM_LITE0_H
#define PFM_TESTS_MODELS_RANDOM_LITE0_H

/* Writes the tensors of EfficientNet-Lite `number` (without the classifier) with random values, always the same ones, as
 * safetensors. */
void write_random_lite(const char *path, int number);
void write_random_lite0(const char *path);

#endif
