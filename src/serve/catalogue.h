/* What lies in the folders that the server was given: runs, and files of predictions, each known by a name alone. A name is the
 * path below its folder with ':' for '/', behind the folder's own name where several were given. What is no plain file or
 * folder, as a link, is not looked at. Any thread. */
#ifndef PFM_SERVE_CATALOGUE_H
#define PFM_SERVE_CATALOGUE_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_listed {
    char *name, *path;
    int64_t size; /* of a file, bytes */
} pfm_listed;

typedef struct pfm_listing {
    pfm_listed *items; /* sorted by name, names different */
    size_t count, capacity;
    bool cut; /* there is more than is listed */
} pfm_listing;
/* Start with {0}. */
void pfm_listing_free(pfm_listing *listing);
/* NULL where nothing is called so. */
const pfm_listed *pfm_listing_find(const pfm_listing *listing, const char *name);

typedef enum pfm_listed_kind { PFM_LISTED_RUNS, PFM_LISTED_PREDICTIONS, PFM_LISTED_KINDS } pfm_listed_kind;

typedef struct pfm_catalogue pfm_catalogue;
/* run: what is served; runs and predictions: folders [count], none: where the run lies, and the folders of runs and the run.
 * USAGE for what is no folder. */
pfm_status pfm_catalogue_create(const char *run, const char *const *runs, size_t run_count, const char *const *predictions,
                                size_t prediction_count, pfm_catalogue **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_catalogue_free(pfm_catalogue *catalogue);

/* *out (to be {0}) = what there is: PFM_LISTED_RUNS folders with recipe.yaml and log.jsonl, PFM_LISTED_PREDICTIONS files .jsonl
 * and .json whose first row is a prediction. It may be as old as a second. The caller calls pfm_listing_free. */
pfm_status pfm_catalogue_list(pfm_catalogue *catalogue, pfm_listed_kind kind, pfm_listing *out, pfm_error *err) PFM_MUST_CHECK;
/* *path = where what is called so lies, to be released with free(); NULL where there is nothing. */
pfm_status pfm_catalogue_find(pfm_catalogue *catalogue, pfm_listed_kind kind, const char *name, char **path,
                              pfm_error *err) PFM_MUST_CHECK;

#endif
