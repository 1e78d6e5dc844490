/* What the rooms need of JSON beyond jansson: files with places in their errors, JSON lines, text out. */
#ifndef PFM_BASE_JSON_H
#define PFM_BASE_JSON_H

#include "base/memory.h"

#include <jansson.h>

/* *out = the document in a file; FORMAT names the line of a syntax error. The caller calls json_decref. */
pfm_status pfm_json_load(const char *path, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* The same with every number as a real, so that whole ones may be of any size. */
pfm_status pfm_json_load_reals(const char *path, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = an array of the values in a file of JSON lines (blank lines are passed over); FORMAT names the line. */
pfm_status pfm_json_load_lines(const char *path, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* Appends the value's compact text (keys in the order of insertion, up to 17 digits). */
pfm_status pfm_json_append(pfm_buffer *buffer, const json_t *value, pfm_error *err) PFM_MUST_CHECK;
/* *out = the same text by itself, to be released with free(). */
pfm_status pfm_json_print(const json_t *value, char **out, pfm_error *err) PFM_MUST_CHECK;
/* Writes the value, indented, and a newline, as a whole file or not at all. */
pfm_status pfm_json_save(const char *path, const json_t *value, pfm_error *err) PFM_MUST_CHECK;
/* object[key] = value, taking the reference, also on error; value NULL is NO_MEMORY (a failed constructor). */
pfm_status pfm_json_take(json_t *object, const char *key, json_t *value, pfm_error *err) PFM_MUST_CHECK;
/* Appends the value to a list, taking both references. The list; NULL (both released) where either is NULL or memory ran out,
 * so that a list can be built in a loop and checked once, by pfm_json_take or json_pack. */
json_t *pfm_json_add(json_t *list, json_t *value);
/* A number, or null where it is not finite. */
json_t *pfm_json_number(double value);

#endif
