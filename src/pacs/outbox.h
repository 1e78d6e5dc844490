/* Results on their way: files below PEFOMED_HOME/serve/outbox until they were delivered. A thread of its own sends them, tries
 * again after pauses, also in the next process, and gives up in the end. */
#ifndef PFM_PACS_OUTBOX_H
#define PFM_PACS_OUTBOX_H

#include "pacs/pacs_rules.h"
#include "pefomed/context.h"

typedef struct pfm_outbox pfm_outbox;

typedef struct pfm_outbox_options {
    const char *title; /* of the sender, this program */
    double give_up;    /* hours */
    bool allow_remote; /* DICOMweb servers on other machines */
} pfm_outbox_options;

pfm_status pfm_outbox_open(pfm_context *context, const pfm_outbox_options *options, pfm_outbox **out,
                           pfm_error *err) PFM_MUST_CHECK;
/* Whether a result of this name waits: it was made, though its study may still be there. */
bool pfm_outbox_has(pfm_outbox *outbox, const char *name);
/* *out = where the report of a name is to be written; release with free(). Then
 * pfm_outbox_add, which keeps it; and, when its study is no longer there, pfm_outbox_send, so that none is sent twice. */
pfm_status pfm_outbox_path(pfm_outbox *outbox, const char *name, char **out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_outbox_add(pfm_outbox *outbox, const char *name, const pfm_pacs_target *target, pfm_error *err) PFM_MUST_CHECK;
void pfm_outbox_send(pfm_outbox *outbox, const char *name);

/* *returned = reports that were delivered, *given_up those that were not in time, *waiting = that are still here. */
void pfm_outbox_count(pfm_outbox *outbox, uint64_t *returned, uint64_t *given_up, size_t *waiting);

/* Begins to deliver. */
pfm_status pfm_outbox_start(pfm_outbox *outbox, pfm_error *err) PFM_MUST_CHECK;
/* Ends after the delivery that is under way; the rest is left for the next process. NULL is allowed. */
void pfm_outbox_stop(pfm_outbox *outbox);
/* Stops it where it was not. NULL is allowed. */
void pfm_outbox_close(pfm_outbox *outbox);

#endif
