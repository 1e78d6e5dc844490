/* Evaluation, questions and export of a run. */
#ifndef PEFOMED_INFER_H
#define PEFOMED_INFER_H

#include "pefomed/context.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one question ---- */

/* Receives the answer piece by piece as it is made: `length` bytes of UTF-8, valid for the call only. */
typedef void (*pfm_text_function)(void *user, const char *text, size_t length);

typedef struct pfm_ask_options {
    const char *run;         /* a run's folder, or a recipe file: the untrained model */
    const char *image;       /* a picture file */
    const char *question;
    int max_tokens;          /* of the answer; 0: the recipe's eval.max_tokens */
    pfm_text_function write; /* NULL: the answer is in the result only */
    void *user;
} pfm_ask_options;

/* *json = {"answer","prompt","tokens","seconds","probability"}, the caller calls free(). prompt is the exact text given to the
 * model with <image> where the visual tokens stand; seconds is from the loaded model to the last token. */
pfm_status pfm_ask(pfm_context *context, const pfm_ask_options *options, char **json, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
