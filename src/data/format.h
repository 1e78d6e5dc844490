/* Inside the data room: what a data set's file provides, and what it is made from. */
#ifndef PFM_DATA_FORMAT_H
#define PFM_DATA_FORMAT_H

#include "base/memory.h"
#include "data/dataset.h"
#include "data/records.h"

typedef struct pfm_names {
    char **items;
    size_t count, capacity;
} pfm_names; /* start with {0} */
pfm_status pfm_names_add(pfm_names *names, const char *name,
                         pfm_error *err) PFM_MUST_CHECK; /* one that is there is left alone */
bool pfm_names_has(const pfm_names *names, const char *name);
/* Appends "a, b, c", or "none". */
pfm_status pfm_names_append(const pfm_names *names, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_names_free(pfm_names *names);

typedef struct pfm_rows {
    pfm_row *items;
    size_t count, capacity;
    size_t left_out; /* rows of the files that are not among them, since */
    const char *left_out_why;
    size_t series, short_series, slices_asked; /* as of pfm_dataset */
} pfm_rows;                                    /* start with {0} */
void pfm_row_free(pfm_row *row);               /* what it holds, not the row itself */
void pfm_rows_free(pfm_rows *rows);

/* The columns' names; NULL where the format has none. `images` is a list of names, whose first `image` may repeat. Where there
 * is no column `question`, rows ask nothing: their answers are captions. Where there is no column of images, rows have none. */
typedef struct pfm_columns {
    const char *id, *image, *images, *question, *answer, *report, *answer_type, *patient, *series;
    bool needs_answer_type; /* otherwise yes and no are closed, all else is open, where it is absent */
    bool may_show_nothing;  /* an empty list of images: the row is text alone */
} pfm_columns;

/* One JSON array a split: "FOLDER/train.json" and so on. */
typedef struct pfm_json_splits {
    pfm_columns columns;
    const char *images;    /* the folder of the images within FOLDER */
    const char *language;  /* the column of the language, or NULL */
    bool needs_language;   /* a language must be chosen even where the file holds one */
    bool makes_validation; /* where no file holds a validation split, training rows are held back for it */
} pfm_json_splits;

/* A data set is a layout, where it keeps one JSON array a split, or two functions. */
typedef struct pfm_dataset_format {
    const char *name;
    const char *profile;           /* by which its answers are scored; NULL: vqa */
    const pfm_json_splits *layout; /* NULL, or the functions are NULL */
    const char *language;          /* the column of the language, or NULL; of a layout it is the layout's */
    bool grounds;                  /* it knows the option `grounding` */
    const char *restricted;        /* NULL, or its terms forbid to hand it on, to a service that answers too: a word that every
                                      writing of its name has, in small letters without signs */
    /* Adds the splits that there are, under their canonical names. */
    pfm_status (*list_splits)(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err);
    /* Adds the rows of a split that list_splits named, in the file's order. Images are not numbered; ids may repeat. */
    pfm_status (*read)(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err);
    /* *out = what a person asks, as a row would ask it with what was retrieved for it; NULL where `grounds` is false. */
    pfm_status (*ground)(const pfm_dataset_options *options, const char *text, char **out, pfm_error *err);
} pfm_dataset_format;

#define PFM_DATASET_DECLARE(name) extern const pfm_dataset_format pfm_dataset_##name;
#include "data/dataset_list.h"
PFM_DATASET_LIST(PFM_DATASET_DECLARE)

/* "validate" for val, valid, validation and dev; every other name itself. */
const char *pfm_split_canonical(const char *name);

/* Adds the splits that a data set has. */
pfm_status pfm_dataset_list_splits(const char *name, const char *path, const pfm_dataset_options *options, pfm_names *out,
                                   pfm_error *err) PFM_MUST_CHECK;

/* ---- rows from JSON ---- */

/* Where a row stands, for errors and made ids. */
typedef struct pfm_row_place {
    const char *file, *unit; /* "row" or "line" */
    size_t number;           /* from 1 */
    const char *split, *image_folder;
} pfm_row_place;

enum { PFM_ROW_MOST_IMAGES = 1000 };

/* *out = the row in a JSON object. FORMAT names the place and the column. */
pfm_status pfm_row_read(const json_t *object, const pfm_columns *columns, const pfm_row_place *place, pfm_row *out,
                        pfm_error *err) PFM_MUST_CHECK;
/* Completes the path of an image that the data name without the ending of its file. Where there is no such file the path gets
 * the ending of a JPEG, which is what most are, and is counted as missing by whoever opens it. */
pfm_status pfm_row_find_image(pfm_row_image *image, pfm_error *err) PFM_MUST_CHECK;
/* The text of a column: borrowed, NULL where it is absent or null. FORMAT where it is no string. */
pfm_status pfm_row_get_text(const json_t *object, const char *column, const pfm_row_place *place, const char **out,
                            pfm_error *err) PFM_MUST_CHECK;
/* *out = a copy of a column's text, or of a number's JSON text; NULL where it is absent or null. FORMAT where it is neither.
 * Released with free(). */
pfm_status pfm_row_copy_scalar(const json_t *object, const char *column, const pfm_row_place *place, char **out,
                               pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_rows_take(pfm_rows *rows, pfm_row *row, pfm_error *err) PFM_MUST_CHECK; /* zeroes *row; frees it on error */

/* Where a row names no patient and an image of it is DICOM, its Patient ID does, as a hash. */
pfm_status pfm_rows_find_patients(pfm_rows *rows, pfm_error *err) PFM_MUST_CHECK;
/* Puts slices in the place of images that are folders and, where `slices` says which, of those that are DICOM files. */
pfm_status pfm_rows_open_series(pfm_rows *rows, const char *slices, pfm_error *err) PFM_MUST_CHECK;

/* What list_splits and read are for a layout. */
pfm_status pfm_json_splits_list(const pfm_json_splits *layout, const char *path, const pfm_dataset_options *options,
                                pfm_names *out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_json_splits_read(const pfm_json_splits *layout, const char *path, const char *split,
                                const pfm_dataset_options *options, pfm_rows *out, pfm_error *err) PFM_MUST_CHECK;

/* Keeps the rows of "train" or "validate" of a training set without validation rows, frees the others. */
pfm_status pfm_rows_hold_out(pfm_rows *rows, const char *split, const pfm_dataset_options *options, const char *name,
                             pfm_error *err) PFM_MUST_CHECK;

#endif
