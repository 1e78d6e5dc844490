/* Writing GGUF v3 files; reading them is weights.h's. */
#ifndef PFM_FORMATS_GGUF_H
#define PFM_FORMATS_GGUF_H

#include "formats/safetensors.h"

/* Collects key-values and tensors, then writes them. Setting a key again replaces its value at its old place. */
typedef struct pfm_gguf_writer pfm_gguf_writer;

pfm_status pfm_gguf_writer_create(pfm_gguf_writer **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_gguf_writer_free(pfm_gguf_writer *writer); /* NULL is fine */

/* Sets one key. Keys and texts are copied; keys are 1 to 1024 printable bytes (USAGE). */
pfm_status pfm_gguf_set_u32(pfm_gguf_writer *writer, const char *key, uint32_t value, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_i32(pfm_gguf_writer *writer, const char *key, int32_t value, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_u64(pfm_gguf_writer *writer, const char *key, uint64_t value, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_f32(pfm_gguf_writer *writer, const char *key, float value, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_bool(pfm_gguf_writer *writer, const char *key, bool value, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_text(pfm_gguf_writer *writer, const char *key, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* texts[i] has lengths[i] bytes; lengths NULL: they end in NULs. */
pfm_status pfm_gguf_set_texts(pfm_gguf_writer *writer, const char *key, const char *const *texts, const size_t *lengths,
                              size_t count, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_i32s(pfm_gguf_writer *writer, const char *key, const int32_t *values, size_t count,
                             pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_set_f32s(pfm_gguf_writer *writer, const char *key, const float *values, size_t count,
                             pfm_error *err) PFM_MUST_CHECK;

/* Copies every key-value of a GGUF that was read, byte for byte, but those whose key fits one of the shell patterns in `except`
 * (NULL, or ended by NULL). Keys already set are replaced. USAGE where the source is no GGUF. */
pfm_status pfm_gguf_copy_meta(pfm_gguf_writer *writer, const pfm_weights *source, const char *const *except,
                              pfm_error *err) PFM_MUST_CHECK;

/* Adds a tensor: name (copied; llama.cpp reads at most 63 bytes), dtype (one that GGUF has, block types included), rank (at
 * most 4) and shape, outermost dimension first; bytes follows from them. data is borrowed until the file is written; NULL is
 * made by `fill` then. USAGE, UNSUPPORTED name the tensor. */
pfm_status pfm_gguf_add_tensor(pfm_gguf_writer *writer, const pfm_weight *tensor, pfm_error *err) PFM_MUST_CHECK;

/* Writes the file whole or not at all; fill may be NULL where every tensor has data. */
pfm_status pfm_gguf_write(const pfm_gguf_writer *writer, const char *path, pfm_weight_fill fill, void *user,
                          pfm_error *err) PFM_MUST_CHECK;

#endif
