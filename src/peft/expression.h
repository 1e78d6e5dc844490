/* Regular expressions as Python's re reads them, in which Hugging Face PEFT's settings name modules, run by PCRE2. What the two
 * read differently is refused. */
#ifndef PFM_PEFT_EXPRESSION_H
#define PFM_PEFT_EXPRESSION_H

#include "pefomed/status.h"

#include <stdbool.h>

typedef struct pfm_expression pfm_expression;

/* UNSUPPORTED names what is not read here as Python reads it; USAGE: it is no regular expression. */
pfm_status pfm_expression_create(const char *text, pfm_expression **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_expression_free(pfm_expression *expression);
/* *out = whether all of a text matches, as re.fullmatch says. UNSUPPORTED: it needs too much time or memory. */
pfm_status pfm_expression_match(const pfm_expression *expression, const char *text, bool *out, pfm_error *err) PFM_MUST_CHECK;

#endif
