/* The DICOM storage service: what it receives is answered by rules, and the answers go back (docs/pacs.md). */
#ifndef PFM_PACS_PACS_H
#define PFM_PACS_PACS_H

#include "pacs/study_answer.h"
#include "pefomed/pacs.h"

typedef struct pfm_pacs pfm_pacs;

/* Reads the rules, binds the port, takes up what an earlier process left. Nothing is answered yet. USAGE: options or rules that
 * cannot be. */
pfm_status pfm_pacs_create(pfm_context *context, const pfm_pacs_options *options, pfm_pacs **out,
                           pfm_error *err) PFM_MUST_CHECK;
/* *out = "dicom://PEFOMED@127.0.0.1:11112", with TLS "dicom-tls://..."; release with free(). */
pfm_status pfm_pacs_address(const pfm_pacs *pacs, char **out, pfm_error *err) PFM_MUST_CHECK;
/* Begins to receive, answer and deliver; what `by` names is borrowed until it is stopped. USAGE where the model sees nothing.
 */
pfm_status pfm_pacs_start(pfm_pacs *pacs, const pfm_answerer *by, pfm_error *err) PFM_MUST_CHECK;
/* Receives, answers and delivers no more; what is not answered or delivered is kept for the next process. NULL is allowed. */
void pfm_pacs_stop(pfm_pacs *pacs);
/* Stops it where it was not. NULL is allowed. */
void pfm_pacs_free(pfm_pacs *pacs);

/* Since it was created, and now. */
typedef struct pfm_pacs_stats {
    uint64_t associations, received, refused; /* associations that ended, objects */
    uint64_t answered, ignored, failed;       /* studies; ignored: no rule is for them */
    uint64_t returned, given_up;              /* reports */
    uint64_t studies, bytes, reports;         /* that wait in inbox and outbox */
} pfm_pacs_stats;
/* May be called on any thread until it is freed. */
void pfm_pacs_stats_get(pfm_pacs *pacs, pfm_pacs_stats *out);

#endif
