/* What the table, the CSV file and the plot of a comparison share: how a result's figures are found and written. */
#ifndef PFM_EVAL_COMPARE_CELLS_H
#define PFM_EVAL_COMPARE_CELLS_H

#include "base/json.h"

#include <stdbool.h>

/* A number of an object, NaN where it is absent or null. */
double pfm_cell_number(const json_t *object, const char *key);
const char *pfm_cell_text(const json_t *object, const char *key); /* a string, or NULL */
/* recipe[part][figure][key], such as scores, overall, mean. */
double pfm_cell_figure(const json_t *recipe, const char *part, const char *figure, const char *key);
/* Bound 0 or 1 of recipe[part][figure].ci95. */
double pfm_cell_bound(const json_t *recipe, const char *part, const char *figure, size_t bound);
/* *out = the names of the figures that some recipe of the result has, an array, in their order; the caller calls json_decref.
 */
pfm_status pfm_cell_figures(const json_t *result, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* What trained nothing and stands beside the recipes. */
typedef struct pfm_cell_reference {
    const char *key, *name; /* in the result, for people */
} pfm_cell_reference;
enum { PFM_CELL_REFERENCES = 3 };
/* Fills out: untrained, prior, chance. */
void pfm_cell_references(const json_t *result, pfm_cell_reference out[PFM_CELL_REFERENCES]);
/* What an interval draws: "images", or "rows" where the rows show none. */
const char *pfm_cell_units(const json_t *result);
/* Decimals that suit a figure: 1 of percentages, 3 where no recipe is above 1.5. */
int pfm_cell_decimals(const json_t *result, const char *figure);
/* Columns that UTF-8 text takes, a code point each. */
size_t pfm_cell_width(const char *text);
/* "7,823,424". */
void pfm_cell_count(double count, char out[40]);

#endif
