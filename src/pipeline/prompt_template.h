/* Prompts with places: {question}, {text}, {NAME} of an earlier step; {{ and }} stand for a brace. A line that holds places
 * alone, all of which come out blank, is left out. */
#ifndef PFM_PIPELINE_PROMPT_TEMPLATE_H
#define PFM_PIPELINE_PROMPT_TEMPLATE_H

#include "base/memory.h"

#include <stdbool.h>

/* USAGE where a place is none of the names [count], or a brace stands alone. */
pfm_status pfm_template_check(const char *text, const char *const *names, size_t count, pfm_error *err) PFM_MUST_CHECK;
/* Whether a checked template has this place. */
bool pfm_template_has(const char *text, const char *name);
/* *out = the checked template with values [count] in the places of names [count], without blanks around it. Release with
 * free(). */
pfm_status pfm_template_fill(const char *text, const char *const *names, const char *const *values, size_t count, char **out,
                             pfm_error *err) PFM_MUST_CHECK;

#endif
