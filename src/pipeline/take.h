/* What is taken from a reply. */
#ifndef PFM_PIPELINE_TAKE_H
#define PFM_PIPELINE_TAKE_H

#include "base/memory.h"

#include <stdbool.h>

typedef enum pfm_take_kind {
    PFM_TAKE_WHOLE,      /* all of it */
    PFM_TAKE_LAST_LINE,  /* its last line that is not blank */
    PFM_TAKE_AFTER,      /* what stands behind the last mark */
    PFM_TAKE_LINE_AFTER, /* the rest of the line behind the last mark */
    PFM_TAKE_MATCH       /* the first group of a regular expression's last match, or the match where it has none */
} pfm_take_kind;

typedef struct pfm_take {
    pfm_take_kind kind;
    char *argument; /* the mark or the expression; NULL where the kind has none */
} pfm_take;

/* The names in the order of the kinds, ended by NULL: "whole", "last_line", "after", "line_after", "match". */
extern const char *const pfm_take_names[];
bool pfm_take_has_argument(pfm_take_kind kind);

/* USAGE where the argument is none: an empty mark, an expression that does not compile; says why. */
pfm_status pfm_take_check(const pfm_take *take, pfm_error *err) PFM_MUST_CHECK;
/* *out = the part, without blanks around it; NULL where there is no such part or it is blank. Release with free(). */
pfm_status pfm_take_apply(const pfm_take *take, const char *reply, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
