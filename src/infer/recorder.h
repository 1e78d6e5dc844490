/* What is recorded of an answer (docs/records.md): the model by its hashes, what was asked and shown, how it was decoded, and
 * what came. */
#ifndef PFM_INFER_RECORDER_H
#define PFM_INFER_RECORDER_H

#include "infer/generate.h"
#include "infer/record.h"
#include "pefomed/record.h"

typedef struct pfm_recorder pfm_recorder;

/* Everything is borrowed for the call. */
typedef struct pfm_recorded_answer {
    const char *command; /* "ask", "report", "serve" */
    const char *asker;   /* the token that was shown, of which a salted hash is kept; NULL: nobody is known */
    const char *request; /* what the answer is called elsewhere; NULL: nothing */
    const char *model;   /* as it was asked for */
    int32_t adapter;     /* as pfm_request has it */
    const char *context; /* what chose the experts; NULL: nothing was said */
    const pfm_question *question;
    const json_t *images; /* a list of pfm_recorded_image, in the order in which the model sees them */
    const char *held_to;  /* NULL, or the shape of the answer: "json_object", or the SHA-256 of a JSON schema's compact text */
    const pfm_decoding *decoding;
    const char *const *choices; /* [choice_count] among which it was chosen */
    size_t choice_count;
    int32_t max_tokens;
    const char *text; /* [size] */
    size_t size;
    int32_t tokens;
    double probability;
    const char *finish; /* "stop", "length", "broken_off" */
} pfm_recorded_answer;

/* *out = NULL where options name no file. USAGE: texts of which there are none. As pfm_record_open. */
pfm_status pfm_recorder_create(const pfm_context *context, const pfm_record_options *options, pfm_recorder **out,
                               pfm_error *err) PFM_MUST_CHECK;
void pfm_recorder_free(pfm_recorder *recorder);
/* The session's recipe as the run has it, before its answers are set otherwise. NULL: nothing is recorded. */
pfm_status pfm_recorder_take_recipe(pfm_recorder *recorder, const pfm_session *session, pfm_error *err) PFM_MUST_CHECK;
/* Then computes the hashes of what it is made from, once, with all its adapters, its vision encoder loaded; borrows it. */
pfm_status pfm_recorder_take_session(pfm_recorder *recorder, const pfm_session *session, pfm_error *err) PFM_MUST_CHECK;
/* {"sha256","shown"}: the hash of a file's bytes, and how a picture was made of it (JSON text of an object). NULL: no memory.
 */
json_t *pfm_recorded_image(const char *sha256, const char *shown);
/* Appends the answer. When it returns it is on the disk. From any thread. */
pfm_status pfm_recorder_put(pfm_recorder *recorder, const pfm_recorded_answer *answer, pfm_record_receipt *out,
                            pfm_error *err) PFM_MUST_CHECK;
/* The last entry. */
void pfm_recorder_head(pfm_recorder *recorder, pfm_record_receipt *out);
/* {"sequence","hash"} of an entry, as those who ask are told it. NULL: no memory. */
json_t *pfm_record_receipt_describe(const pfm_record_receipt *receipt);

#endif
