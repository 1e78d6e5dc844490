/* What MedExpQA's prompt shows in the place for documents (the repository hitz-zentroa/MedExpQA, its grounding entities). */
#ifndef PFM_DATA_MEDEXPQA_GROUNDING_H
#define PFM_DATA_MEDEXPQA_GROUNDING_H

#include "data/corpus.h"
#include "data/format.h"

/* A grounding that is ready to be shown; start with {0}, which shows nothing. */
typedef struct pfm_medexpqa_grounding {
    const char *name; /* NULL: "none" */
    pfm_retrieval limits;
    pfm_index *index; /* of "retrieved" */
} pfm_medexpqa_grounding;

/* USAGE: no such grounding, or a number out of its range. Else what pfm_index_open says. */
pfm_status pfm_medexpqa_open_grounding(const pfm_dataset_options *options, pfm_medexpqa_grounding *out,
                                       pfm_error *err) PFM_MUST_CHECK;
void pfm_medexpqa_close_grounding(pfm_medexpqa_grounding *grounding);

/* Appends what a grounding (NULL: none) shows of a case whose correct option is known: "none" nothing, "full" the doctor's
 * explanation, "wrong" that without what it says of the correct option, "hidden" that with [HIDDEN] for what gives the answer
 * away, "retrieved" the snippets that fit the query best, but none of the case's own record or explanation; of those it adds to
 * `places` where they are from. FORMAT where the case has no such text. */
pfm_status pfm_medexpqa_ground(const json_t *record, const pfm_medexpqa_grounding *grounding, int correct, const char *query,
                               const pfm_row_place *place, pfm_buffer *out, json_t *places, pfm_error *err) PFM_MUST_CHECK;
/* The last of these for a query alone; own and places may be NULL. */
pfm_status pfm_medexpqa_retrieve(const pfm_medexpqa_grounding *grounding, const char *query, const pfm_own_texts *own,
                                 pfm_buffer *out, json_t *places, pfm_error *err) PFM_MUST_CHECK;

#endif
