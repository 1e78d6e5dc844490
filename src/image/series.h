/* Inside the reader of series: what is known of every slice before they are sorted, and which of them are wanted. */
#ifndef PFM_IMAGE_SERIES_H
#define PFM_IMAGE_SERIES_H

#include "pefomed/series.h"

#include "base/memory.h"

#include <stdbool.h>

/* A slice as its file describes it. */
typedef struct pfm_series_entry {
    size_t uid; /* number of its series UID among those of the folder */
    bool is_localizer, has_orientation, has_position, has_instance, has_series_number;
    double orientation[6], position[3]; /* cosines of a row and of a column; millimetres */
    double along;                       /* the position along the normal */
    double instance, series_number;
    int file, frame;
    char modality[17];
    int group; /* which series it is of, from 0 */
} pfm_series_entry;

typedef struct pfm_series_scan {
    const char *path; /* the folder, or the file; borrowed */
    bool in_memory;   /* slices have no paths */
    char **names;     /* [name_count] files of the folder, sorted; NULL of a file */
    size_t name_count;
    pfm_series_entry *entries;
    size_t count, capacity;
    char **uids;
    size_t uid_count, uid_capacity;
} pfm_series_scan; /* start with {0} */

/* Adds the slices of a file, which is number `number` from 0; a file that is no DICOM, or has no pixels, adds none. */
pfm_status pfm_series_scan_file(pfm_series_scan *scan, const char *path, int number, pfm_error *err) PFM_MUST_CHECK;
/* The same of a DICOM file in memory. */
pfm_status pfm_series_scan_bytes(pfm_series_scan *scan, const void *bytes, size_t size, const char *name, int number,
                                 pfm_error *err) PFM_MUST_CHECK;
void pfm_series_scan_free(pfm_series_scan *scan);

/* How many slices a number alone asks for, evenly spaced; 0 where `slices` says others. */
size_t pfm_slices_asked(const char *slices);
/* *chosen [*count] = numbers from 0 of `total` slices, as `slices` says them; the caller calls free(). `name` is for errors. */
pfm_status pfm_slices_choose(const char *slices, size_t total, const char *name, size_t **chosen, size_t *count,
                             pfm_error *err) PFM_MUST_CHECK;

#endif
