/* A kind of thing that inspect knows: one file with one pfm_inspector, and one line in inspect_list.h. */
#ifndef PFM_FORMATS_INSPECT_INTERNAL_H
#define PFM_FORMATS_INSPECT_INTERNAL_H

#include "base/file.h"
#include "base/json.h"
#include "formats/weights.h"
#include "pefomed/image.h"
#include "pefomed/inspect.h"

typedef struct pfm_inspect_target {
    const char *path;
    bool is_folder, identifiers; /* identifiers: what names a patient is told, not hidden */
    size_t bytes;                /* of a file */
    unsigned char head[1024];    /* its begin, zeros behind */
    size_t head_size;
} pfm_inspect_target;

typedef struct pfm_inspector {
    const char *kind;
    bool (*probe)(const pfm_inspect_target *target);
    pfm_status (*describe)(const pfm_inspect_target *target, json_t *out, pfm_error *err);
} pfm_inspector;

/* The folder holds an entry of this name. */
bool pfm_inspect_has(const pfm_inspect_target *target, const char *name);
bool pfm_inspect_ends_with(const char *text, const char *tail);
/* *out = a text as JSON; one that is not UTF-8 or longer than a page as {"length","first"}. */
json_t *pfm_inspect_text(const char *text, size_t length);

/* Sets "text_like" and "text_rows": whether text seems to be burned into a picture. */
pfm_status pfm_inspect_burned_in(const pfm_image *image, json_t *out, pfm_error *err) PFM_MUST_CHECK;
/* Sets "tensors", "types" and "parameters". */
pfm_status pfm_inspect_tensors(const pfm_weights *weights, json_t *out, pfm_error *err) PFM_MUST_CHECK;
/* Describes an adapter's folder. */
pfm_status pfm_inspect_adapter(const char *folder, json_t *out, pfm_error *err) PFM_MUST_CHECK;
/* out[key] = the JSON file folder/name, where there is one. */
pfm_status pfm_inspect_json_file(const char *folder, const char *name, const char *key, json_t *out,
                                 pfm_error *err) PFM_MUST_CHECK;

#endif
