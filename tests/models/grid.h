/* The grid of small random models that script/vectors/language_families.py lists in golden/families.json, written as files of
 * every format. Whatever fails here fails the test. */
#ifndef PFM_TESTS_MODELS_GRID_H
#define PFM_TESTS_MODELS_GRID_H

#include "base/json.h"
#include "formats/weights.h"
#include "tiny.h"

enum { GRID_TENSORS = 64, GRID_TOKENS = 7, GRID_PROMPT = 9, GRID_NEW_TOKENS = 64, GRID_NONE = -1 };

/* One model with its tensors as a Hugging Face file has them, in f32. */
typedef struct grid_model {
    const char *name;     /* borrowed from the document */
    const json_t *config; /* config.json */
    const json_t *gguf;   /* architecture, meta, tensors, rope_freqs; null: GGUF has no such model */
    pfm_weight tensors[GRID_TENSORS];
    size_t count;
} grid_model;

/* The list; the caller calls json_decref. */
json_t *grid_load(void);
/* The model number i of the list; with changed >= 0 every value of that tensor is another. */
void grid_model_create(const json_t *list, size_t i, int changed, grid_model *out);
void grid_model_free(grid_model *model);

/* Writes a folder (borrowed until the next of that name) as save_pretrained does, without the tensors first ..
 * first+left_out-1; `shards` files with an index where that is more than one. */
const char *grid_write(const grid_model *model, const char *name, size_t first, size_t left_out, int shards);
/* The same model as a GGUF file, under gguf's names and metadata. */
const char *grid_write_gguf(const grid_model *model);

/* golden/families.safetensors' tensor MODEL.WHAT as f32; *shape NULL or its two sizes. The caller frees. */
float *grid_golden(const grid_model *model, const char *what, int64_t shape[2]);

#endif
