/* Series: the slices that belong together, from a folder of DICOM files or from one file of several frames, in the order in
 * which they lie in the body (PS3.3, C.7.6.2), not in that of their names.
 *
 * A series is what has the same Series Instance UID, the same orientation (localizers stand alone) and is shown together. Its
 * slices are sorted along the normal of their plane, that is the direction of the rows times that of the columns (of axial
 * slices from the feet to the head); where a position is missing, by Instance Number; where that is missing too, by the names
 * of their files. Slices count from 1.
 *
 * Nothing here tells what a file says of a patient: files and series are named by numbers. */
#ifndef PEFOMED_SERIES_H
#define PEFOMED_SERIES_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A series has at most so many slices, a folder so many files and series. */
#define PFM_SERIES_MOST_SLICES 100000
#define PFM_SERIES_MOST_FILES 100000
#define PFM_SERIES_MOST 1000

typedef struct pfm_slice {
    char *path;
    int frame;  /* of the file, from 0 */
    int number; /* in the series, from 1 */
    int file;   /* of the folder's files in the order of their names, from 1 */
} pfm_slice;

typedef struct pfm_series {
    pfm_slice *slices;   /* [count] those that were chosen, in the order in which they were */
    size_t count, total; /* total: slices of the series */
    size_t asked;        /* how many slices were asked for, where that is more than there are; else 0 */
    int number, of;      /* which series this is, from 1, and how many there are */
    const char *order;   /* by what it is sorted: "position", "instance" or "name"; static */
    size_t duplicates;   /* slices that lie where another one does */
    char modality[17];   /* "CT"; "" where the file does not say */
    const char *plane;   /* "axial", "coronal", "sagittal", "oblique", or "" where it is not known; static */
} pfm_series;

/* Whether an image stands for a series: a folder, and a DICOM file where slices are asked for. A file of another kind is one
 * picture whatever is asked for, so that a data set may mix them. */
bool pfm_series_is(const char *path, const char *slices);

/* *out = slices of a series in a folder, or of one file: its frames. `series` chooses among several by its number or by its
 * Series Instance UID; NULL will do where there is one. `slices` is "all" or NULL; "8", so many evenly spaced ones (of n slices
 * those of the numbers floor((2 i + 1) n / 16) + 1, i = 0..7; all where there are not more); or numbers and ranges, as in
 * "3,10,20", "40-60", "40-60/5", in that order. The caller calls pfm_series_free.
 *
 * USAGE: no such series, or several of which none is chosen (lists them); slices that there are not. IO, FORMAT: a folder
 * without pictures in DICOM, a file that is damaged. */
pfm_status pfm_series_open(const char *path, const char *series, const char *slices, pfm_series *out,
                           pfm_error *err) PFM_MUST_CHECK;
void pfm_series_free(pfm_series *series);
/* Whether fewer slices are there than were asked for: then out = a sentence about it. */
bool pfm_series_lacks(const pfm_series *series, char out[120]);

/* A file in memory. */
typedef struct pfm_series_file {
    const void *bytes; /* [size] */
    size_t size;
    const char *name; /* what errors call it */
} pfm_series_file;

/* *out [*count] = the series of these files, whole, in the order in which a folder's are numbered. Of a slice `file` is the
 * number among these, from 1, and path is NULL. Files that hold no pictures in DICOM are in none. The caller calls
 * pfm_series_free on each, and free(). */
pfm_status pfm_series_arrange(const pfm_series_file *files, size_t file_count, pfm_series **out, size_t *count,
                              pfm_error *err) PFM_MUST_CHECK;
/* USAGE for what says no slices; NULL is all of them. */
pfm_status pfm_slices_check(const char *slices, pfm_error *err) PFM_MUST_CHECK;
/* Appends to *json, an object's text as pfm_image_applied_json makes it, what is known of slice `slice` of `series`:
 * "slice", "slices", "file", "series", "order" and, where there are any, "duplicates"; "slices_asked" where that is more than
 * there are. */
pfm_status pfm_series_tell(const pfm_series *series, size_t slice, char **json, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
