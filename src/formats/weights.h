/* Weight files behind one interface: named tensors and key-values, memory-mapped, checked when opened.
 *
 * Reads GGUF v2 and v3, safetensors (sharded too) and PyTorch checkpoints (zip, and the form before torch 1.6; no code in them
 * is ever run). Everything in a file is doubted: counts, lengths, offsets, overlaps, names. A file that passes pfm_weights_open
 * can be read without further checks, as long as nobody shortens it while it is mapped.
 *
 * Threads: after opening, everything here may be called from any number of threads at once. */
#ifndef PFM_FORMATS_WEIGHTS_H
#define PFM_FORMATS_WEIGHTS_H

#include "base/dtype.h"
#include "pefomed/status.h"

enum { PFM_MAX_RANK = 8 };

typedef struct pfm_weights pfm_weights;

/* One tensor, borrowed from its pfm_weights. Row-major, outermost dimension first, also for GGUF (whose file order is
 * reversed). Quantised types hold blocks along the innermost dimension, whose size is a multiple of the block. */
typedef struct pfm_weight {
    const char *name;
    pfm_dtype dtype;
    int rank; /* 0 (a scalar) .. PFM_MAX_RANK */
    int64_t shape[PFM_MAX_RANK];
    const struct pfm_weight_parts
        *parts;       /* nf4 from bitsandbytes, which lies in parts (bitsandbytes.h): data is the first of them */
    const void *data; /* aligned to an element of its type (blocks: to 2 bytes); never NULL */
    size_t bytes;
} pfm_weight;

/* Opens a .gguf, a .safetensors, a *.index.json (shards beside it), a PyTorch checkpoint (.bin, .pt, .pth), or a folder that
 * holds one of these under Hugging Face's names or one such file. The kind is told from the content, not from the name.
 * IO, FORMAT or UNSUPPORTED name the file and the byte, tensor or key. The caller closes *out. */
pfm_status pfm_weights_open(const char *path, pfm_weights **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_weights_close(pfm_weights *weights); /* NULL is fine */

size_t pfm_weights_count(const pfm_weights *weights);
const pfm_weight *pfm_weights_at(const pfm_weights *weights, size_t index);       /* in the file's order; index < count */
const pfm_weight *pfm_weights_find(const pfm_weights *weights, const char *name); /* NULL: there is none */
const char *pfm_weights_format(const pfm_weights *weights);                       /* "gguf", "safetensors", "torch" */
const char *pfm_weights_path(const pfm_weights *weights);                         /* as it was given */

size_t pfm_weight_values(const pfm_weight *weight); /* the product of the shape */
/* out [values] f32: quantised types exactly as ggml dequantises them, f64 and integers rounded to the nearest f32, bool 0 or 1.
 */
pfm_status pfm_weight_expand(const pfm_weight *weight, float *out, pfm_error *err) PFM_MUST_CHECK;
/* The same for rows row0 .. row0+rows-1 of the outermost dimension; out [rows, values / shape[0]]. USAGE outside of the tensor,
 * for a scalar, and for a quantised tensor of one dimension. */
pfm_status pfm_weight_expand_rows(const pfm_weight *weight, int64_t row0, int64_t rows, float *out,
                                  pfm_error *err) PFM_MUST_CHECK;
/* Of a tensor of two dimensions in blocks: the bytes of a row, and rows row0 .. row0+rows-1 (inside of it) as blocks one behind
 * the other. */
size_t pfm_weight_row_blocks(const pfm_weight *weight);
void pfm_weight_copy_blocks(const pfm_weight *weight, int64_t row0, int64_t rows, void *out);
/* to [columns, rows] = from [rows, columns], transposed. */
void pfm_weight_transpose(const float *from, int64_t rows, int64_t columns, float *to);
/* The tensor's mapped pages will not be read again soon and stop counting as memory; reading them again still works. */
void pfm_weights_release(const pfm_weights *weights, const pfm_weight *weight);

/* What a model demands of its file. */
typedef struct pfm_weight_expected {
    const char *name;
    int rank;
    int64_t shape[PFM_MAX_RANK]; /* -1: any size */
    bool optional;               /* may be absent */
} pfm_weight_expected;
/* MISMATCH lists (several of) the tensors that are missing, misshapen, or there but not expected. `ignored`, NULL or ended by
 * NULL, holds shell patterns of names that are not looked at: "*.num_batches_tracked". */
pfm_status pfm_weights_expect(const pfm_weights *weights, const pfm_weight_expected *expected, size_t count,
                              const char *const *ignored, pfm_error *err) PFM_MUST_CHECK;

/* Key-values: GGUF's own; safetensors' __metadata__ strings; a torch checkpoint's scalars ("epoch"). A getter returns false,
 * NULL or 0 and leaves *out alone where the key is absent or of another type. Integers count as numbers, booleans as 0 or 1;
 * an unsigned integer past INT64_MAX is a number only. Texts are borrowed; those of arrays end at their length, not in a NUL.
 */
bool pfm_weights_meta_integer(const pfm_weights *weights, const char *key, int64_t *out);
bool pfm_weights_meta_number(const pfm_weights *weights, const char *key, double *out);
const char *pfm_weights_meta_string(const pfm_weights *weights, const char *key,
                                    size_t *length); /* NUL behind; length may be NULL */
size_t pfm_weights_meta_array_count(const pfm_weights *weights, const char *key);
bool pfm_weights_meta_array_string(const pfm_weights *weights, const char *key, size_t index, const char **text,
                                   size_t *length);
bool pfm_weights_meta_array_integer(const pfm_weights *weights, const char *key, size_t index, int64_t *out);
bool pfm_weights_meta_array_number(const pfm_weights *weights, const char *key, size_t index, double *out);
/* Every key in the file's order; NULL past the last. */
const char *pfm_weights_meta_key(const pfm_weights *weights, size_t index);

#endif
