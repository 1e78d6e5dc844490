/* What MedExpQA's prompt shows in the place for documents (the repository hitz-zentroa/MedExpQA, its grounding entities). */
#ifndef PFM_DATA_MEDEXPQA_GROUNDING_H
#define PFM_DATA_MEDEXPQA_GROUNDING_H

#include "data/format.h"

/* Appends what a grounding shows of a case whose correct option is known: "none" (also NULL) nothing, "full" the doctor's
 * explanation, "wrong" that without what it says of the correct option, "hidden" that with [HIDDEN] for what gives the answer
 * away. FORMAT where the case has no such text, UNSUPPORTED for "retrieved", USAGE for another name. */
pfm_status pfm_medexpqa_ground(const json_t *record, const char *grounding, int correct, const pfm_row_place *place,
                               pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
