/* Data sets: questions about images with their answers, read from the files in which they are published.
 *
 * Adding one is a file with a `const pfm_dataset_format` (format.h) and a line in dataset_list.h. */
#ifndef PFM_DATA_DATASET_H
#define PFM_DATA_DATASET_H

#include "base/hash.h"
#include "pefomed/data.h"
#include "pefomed/image.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pfm_answer_type { PFM_ANSWER_OPEN, PFM_ANSWER_CLOSED } pfm_answer_type;

typedef struct pfm_row_image {
    char *name; /* as the data set writes it: of a series the same for all of its slices */
    char *path; /* the file to open */
    int frame;  /* of the file, from 0 */
    int slice;  /* of the series that `name` stands for, from 1; 0: it stands for this picture alone */
    char *key;  /* NULL where the path is as different from other images as this one is; else what is */
    int index;  /* 0..image_count-1 of the data set, in order of first appearance */
} pfm_row_image;

/* Equal for equal pictures of equal files. */
static inline const char *pfm_row_image_key(const pfm_row_image *image)
{
    return image->key != NULL ? image->key : image->path;
}

typedef struct pfm_row {
    char *id;              /* the data set's own, else a made one; unique within the split */
    pfm_row_image *images; /* [image_count] in the order in which the model sees them; none where it is text alone */
    size_t image_count;
    char *question;   /* as the data set writes it; "" for a caption or report */
    char *ungrounded; /* the question without what it is grounded in; NULL where it is grounded in nothing */
    char *answer;     /* as the data set writes it, a number as its JSON text; a caption's or report's text */
    pfm_answer_type answer_type;
    char *patient; /* NULL where the data set does not say; never to be shown */
    char *series;  /* NULL, or which series of a folder its images are of (pefomed/series.h) */
    json_t *extra; /* object: the columns that no field above holds, as in the data */
    int image_set; /* 0..set_count-1, in order of first appearance: equal where rows have equal images in equal order; without
                      images a row has one of its own */
    int member;    /* of a mixture: which data set it comes from, from 0 */
} pfm_row;

/* Otherwise its answer is a caption or report of what the images show. */
static inline bool pfm_row_asks(const pfm_row *row) { return row->question[0] != '\0'; }

typedef struct pfm_dataset {
    char *name, *split;
    pfm_row *rows;             /* [count], in the split's order */
    size_t count, image_count; /* rows, distinct images */
    size_t set_count;          /* distinct lists of images and rows without any; image_count where every row has one */
    size_t member_count;       /* of a mixture, whose members' rows stand one behind the other; else 0 */
    size_t left_out;           /* rows of the files that are not here, */
    const char *left_out_why;  /* since they are so; NULL where there are none; static */
    size_t series;             /* of its images: several slices that belong together */
    size_t short_series;       /* of these the ones that have fewer slices than */
    size_t slices_asked;       /* were asked for; all are shown */
} pfm_dataset;

/* From where a question is shown what fits it, and how much of that. */
typedef struct pfm_retrieval {
    const char *index;  /* the file that pefomed index wrote; NULL: none */
    const char *sha256; /* what it must be made from; NULL: anything */
    int snippets;       /* at most, 1..100 */
    int words;          /* of all snippets together, at most; 0: no limit */
} pfm_retrieval;

/* The hash of the index, which must be the one it must be. As pfm_dataset_load says of it. */
pfm_status pfm_retrieval_hash(const pfm_retrieval *retrieval, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_dataset_options {
    const char *language;    /* NULL, or the only language to take */
    bool any_language;       /* take every language: to count them, never to learn from */
    const char *grounding;   /* NULL or "none", or what a question is grounded in (medexpqa) */
    pfm_retrieval retrieval; /* of the grounding "retrieved" */
    uint64_t seed;           /* of the rows held back where there is no validation split */
    double validate_share;   /* of the images (patients) to hold back, 0..1 */
    const char *validate_by; /* "image" or "patient"; "auto" or NULL: what the format has, mostly image */
    const char *slices;      /* which slices of a series are shown (pefomed/series.h); NULL: all of a folder's, and of a file
                                with several frames the first */
    size_t limit;            /* the first rows only; 0: all */
} pfm_dataset_options;

/* *out = a split of the data set `name` that lies at `path`; the caller frees it with pfm_dataset_free. Splits are named train,
 * validate (also val, valid, validation, dev) and test, or what else the data set names them. Where it brings no validation
 * split and its format allows, "validate" is a share of the training images (or patients), chosen by the seed, and "train" the
 * rest; rows that share an image or, by patient, a patient are never divided.
 *
 * USAGE: no such data set, split, or language, or a grounding that it has not. IO: a file is missing. FORMAT: a row without
 * question, answer or image, of a wrong type; the message names file and row. Image files are not touched: see
 * pfm_dataset_check_images. Rows that nothing can be learned from are left out and counted. */
pfm_status pfm_dataset_load(const char *name, const char *path, const char *split, const pfm_dataset_options *options,
                            pfm_dataset **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_dataset_free(pfm_dataset *dataset);

/* *out = what a person asks of a model that learned from the data set `name`, as its rows ask it: with what is retrieved for
 * it, where that is the grounding, else as it is. Release with free(). USAGE: a data set that grounds nothing, or a language
 * that is not said. Else as pfm_dataset_load says of the index. */
pfm_status pfm_dataset_ground(const char *name, const pfm_dataset_options *options, const char *text, char **out,
                              pfm_error *err) PFM_MUST_CHECK;

/* Warns of the rows that were left out, and of slices that series have not, where there are any. */
void pfm_dataset_tell_left_out(const pfm_dataset *dataset, const pfm_context *context);

/* *out = a mixture that takes the members' rows, and leaves the members empty; ids are unique within it, and an image that
 * several have is one. */
pfm_status pfm_dataset_join(pfm_dataset *const *members, size_t count, pfm_dataset **out, pfm_error *err) PFM_MUST_CHECK;

/* *out = whether pfm_dataset_load would find this split. */
pfm_status pfm_dataset_has_split(const char *name, const char *path, const char *split, const pfm_dataset_options *options,
                                 bool *out, pfm_error *err) PFM_MUST_CHECK;

/* IO where the file of some image cannot be opened: names the first row and counts the others. */
pfm_status pfm_dataset_check_images(const pfm_dataset *dataset, pfm_error *err) PFM_MUST_CHECK;

/* *out [image_count] = the images by their index; the paths are borrowed, release the list with free(). */
pfm_status pfm_dataset_list_images(const pfm_dataset *dataset, pfm_image_file **out, pfm_error *err) PFM_MUST_CHECK;

/* A hash of the rows in their order: each image's name and bytes, question and answer. Where the files lie does not matter. IO
 * where an image cannot be read. */
pfm_status pfm_dataset_hash(const pfm_dataset *dataset, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;
/* The same of the questions without what they are grounded in: equal where rows are the same, whatever they are shown. */
pfm_status pfm_dataset_hash_ungrounded(const pfm_dataset *dataset, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;

/* pfm_dataset_names, which lists them, is public: pefomed/data.h. */
bool pfm_dataset_is_known(const char *name);
/* Whether its terms forbid to hand it on, to a service that answers too; by any writing of its name, "MIMIC-CXR" too. */
bool pfm_dataset_is_restricted(const char *name);
/* The profile by which its answers are scored (pfm_score_list names them); static. */
const char *pfm_dataset_profile(const char *name);

/* *out [count] = the rows' numbers, those of one image_set together, sets in the order of their first row; release with free().
 */
pfm_status pfm_dataset_order_by_images(const pfm_dataset *dataset, size_t **out, pfm_error *err) PFM_MUST_CHECK;

/* *out = an answer as a model learns it: blanks around it removed, in lower case (Unicode's simple mapping) where asked.
 * Release with free(). */
pfm_status pfm_answer_prepare(const char *answer, bool lowercase, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
