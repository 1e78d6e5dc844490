/* Shared by the readers behind weights.h: a reader is one file with a probe and a read function, and one line in
 * weights_readers.h. */
#ifndef PFM_FORMATS_WEIGHTS_INTERNAL_H
#define PFM_FORMATS_WEIGHTS_INTERNAL_H

#include "base/file.h"
#include "base/map.h"
#include "formats/weights.h"

typedef enum pfm_meta_kind { PFM_META_INTEGER, PFM_META_NUMBER, PFM_META_BOOL, PFM_META_STRING } pfm_meta_kind;

typedef struct pfm_meta_text {
    const char *data;
    size_t length;
} pfm_meta_text;

/* One key-value. Texts and arrays are owned by the pfm_weights (pfm_weights_keep) or lie in a mapping. */
typedef struct pfm_meta {
    const char *key;
    pfm_meta_kind kind; /* of the elements, where it is an array */
    bool array;
    size_t count;                  /* elements; 1 unless an array */
    const pfm_meta_text *texts;    /* count of them, when kind is STRING */
    const unsigned char *elements; /* count of them, little-endian, as packed in the file, when it is not */
    size_t element_bytes;
    bool is_signed;     /* INTEGER: how elements extend */
    uint32_t gguf_type; /* GGUF only: with raw, the value as it stands in the file, to copy it */
    const unsigned char *raw;
    size_t raw_bytes;
} pfm_meta;

struct pfm_weights {
    char *path;
    const char *format;
    pfm_mapping *mappings;
    size_t mapping_count, mapping_capacity;
    pfm_weight *items;
    size_t count, capacity;
    pfm_map names; /* tensor name -> index in items */
    pfm_meta *metas;
    size_t meta_count, meta_capacity;
    pfm_map keys;
    void **kept; /* memory freed with the weights */
    size_t kept_count, kept_capacity;
};

typedef struct pfm_weights_reader {
    const char *format;
    bool (*probe)(const unsigned char *data, size_t size);
    /* Adds the tensors and key-values of one mapped file. `path` is for messages. */
    pfm_status (*read)(pfm_weights *weights, const unsigned char *data, size_t size, const char *path, pfm_error *err);
} pfm_weights_reader;

/* *out = `bytes` zeroed bytes that live as long as the weights. */
pfm_status pfm_weights_keep(pfm_weights *weights, size_t count, size_t size, void *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = a copy of a text, with a NUL, that lives as long as the weights. */
pfm_status pfm_weights_keep_text(pfm_weights *weights, const char *text, size_t length, const char **out,
                                 pfm_error *err) PFM_MUST_CHECK;

/* FORMAT unless a name can stand in a message and in a file: not empty, not long, UTF-8 without control characters. `what` is
 * "tensor's name" or "key". */
pfm_status pfm_weights_check_name(const char *what, const char *name, size_t length, const char *place,
                                  pfm_error *err) PFM_MUST_CHECK;
/* *bytes = the size of a tensor. FORMAT where a dimension is negative, the product overflows or a quantised row is not whole
 * blocks; `place` (a path) and name are for messages. */
pfm_status pfm_weight_measure(const pfm_weight *weight, const char *place, size_t *bytes, pfm_error *err) PFM_MUST_CHECK;

/* data is aligned as pfm_weight promises. */
bool pfm_weight_is_aligned(const pfm_weight *weight);

/* Adds a tensor whose name is not yet NUL-terminated; weight->name is ignored, data must hold weight->bytes bytes and is copied
 * where it is not aligned. FORMAT for a name that is empty, too long, not printable or already there. */
pfm_status pfm_weights_add(pfm_weights *weights, const char *name, size_t length, const pfm_weight *weight, const char *place,
                           pfm_error *err) PFM_MUST_CHECK;
/* Adds a key-value; meta->key is ignored. FORMAT for a key that is not printable or already there. */
pfm_status pfm_weights_add_meta(pfm_weights *weights, const char *key, size_t length, const pfm_meta *meta, const char *place,
                                pfm_error *err) PFM_MUST_CHECK;
/* Adds a text, copied. */
pfm_status pfm_weights_add_meta_text(pfm_weights *weights, const char *key, size_t key_length, const char *text, size_t length,
                                     const char *place, pfm_error *err) PFM_MUST_CHECK;
const pfm_meta *pfm_weights_meta_find(const pfm_weights *weights, const char *key);

/* The first bytes of a file are those of a format that is read here. */
bool pfm_weights_known(const unsigned char *data, size_t size);
/* Reads a file that is already in memory, which is borrowed until the weights are closed; `place` names it in messages. */
pfm_status pfm_weights_open_bytes(const void *data, size_t size, const char *place, pfm_weights **out,
                                  pfm_error *err) PFM_MUST_CHECK;

/* Maps one file and adds what it holds; the files of one set must be of one format. */
pfm_status pfm_weights_add_file(pfm_weights *weights, const char *path, pfm_error *err) PFM_MUST_CHECK;
/* Reads a Hugging Face index ({"weight_map": {name: file}}) and adds its shards. */
pfm_status pfm_weights_add_index(pfm_weights *weights, const char *path, pfm_error *err) PFM_MUST_CHECK;

/* A part of a file that two tensors must not share. */
typedef struct pfm_extent {
    size_t begin, end;
    const char *name;
} pfm_extent;
/* FORMAT names two tensors whose bytes overlap; sorts the extents. With `whole`, also FORMAT for bytes of 0..whole that belong
 * to none (0: gaps are fine). */
pfm_status pfm_extents_check(pfm_extent *extents, size_t count, size_t whole, const char *place, pfm_error *err) PFM_MUST_CHECK;

#endif
