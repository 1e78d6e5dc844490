/* A reader of the pickles inside PyTorch checkpoints that can build nothing but plain data and descriptions of tensors. It
 * interprets the opcodes that torch.save writes (protocol 2); any other opcode, and any global but those that describe
 * tensors, is an error that names it. Nothing is imported, called or run. (Python's pickletools.py documents the opcodes.) */
#ifndef PFM_FORMATS_PICKLE_H
#define PFM_FORMATS_PICKLE_H

#include "formats/weights.h"

typedef enum pfm_pickle_kind {
    PFM_PICKLE_NONE,
    PFM_PICKLE_BOOL,
    PFM_PICKLE_INTEGER,
    PFM_PICKLE_BIG, /* an integer past 64 bits: its bytes in text, little-endian */
    PFM_PICKLE_NUMBER,
    PFM_PICKLE_TEXT,
    PFM_PICKLE_TUPLE,
    PFM_PICKLE_LIST,
    PFM_PICKLE_DICT,    /* items: key, value, key, value, ... */
    PFM_PICKLE_GLOBAL,  /* integer: its line in the list of allowed ones */
    PFM_PICKLE_STORAGE, /* integer: index in storages */
    PFM_PICKLE_TENSOR   /* integer: index in tensors */
} pfm_pickle_kind;

typedef struct pfm_pickle_node {
    pfm_pickle_kind kind;
    int mark; /* for whoever walks the nodes; starts as 0 */
    union {
        int64_t integer;
        double number;
        struct {
            const char *data; /* in the pickle's bytes */
            size_t length;
        } text;
        struct {
            uint32_t *items; /* indices of nodes */
            size_t count, capacity;
        } list;
    };
} pfm_pickle_node;

typedef struct pfm_pickle_storage {
    const char *key; /* in the pickle's bytes */
    size_t key_length;
    pfm_dtype dtype;
    uint64_t values;
    const unsigned char *data; /* set by whoever knows where the data lie */
} pfm_pickle_storage;

typedef struct pfm_pickle_tensor {
    size_t storage;  /* index in storages */
    uint64_t offset; /* in values */
    int rank;
    int64_t shape[PFM_MAX_RANK], stride[PFM_MAX_RANK]; /* in values, not negative */
} pfm_pickle_tensor;

typedef struct pfm_pickle {
    pfm_pickle_node *nodes;
    size_t count, capacity;
    pfm_pickle_storage *storages;
    size_t storage_count, storage_capacity;
    pfm_pickle_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    uint32_t root; /* the node that the pickle leaves */
} pfm_pickle;

/* Interprets one pickle at the begin of data, which must outlive *out (to be {0}; release with pfm_pickle_free also after an
 * error). *used = its length in bytes. `place` is the file's path and `base` the offset of data in it, for messages. */
pfm_status pfm_pickle_read(const unsigned char *data, size_t size, const char *place, size_t base, pfm_pickle *out,
                           size_t *used, pfm_error *err) PFM_MUST_CHECK;
void pfm_pickle_free(pfm_pickle *pickle);

/* The node is this text. */
bool pfm_pickle_is_text(const pfm_pickle_node *node, const char *text);
/* The value under a text key in a dict node; NULL where there is none. */
pfm_pickle_node *pfm_pickle_get(const pfm_pickle *pickle, const pfm_pickle_node *dict, const char *key);

#endif
