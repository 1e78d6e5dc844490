/* What is said about a study: its rule's questions, or a report, by the engine. */
#ifndef PFM_PACS_STUDY_ANSWER_H
#define PFM_PACS_STUDY_ANSWER_H

#include "infer/engine.h"
#include "infer/recorder.h"
#include "pacs/dicom_study.h"

#include <stdbool.h>

/* Who answers. */
typedef struct pfm_answerer {
    pfm_engine *engine;
    const pfm_session *session;
    const char *model;      /* its name */
    pfm_recorder *recorder; /* NULL: nothing is recorded */
} pfm_answerer;

/* Asks all questions at once; they share their pictures. Records the answers, where they are to be, and writes them as a
 * structured report. `stopping` is looked at while the engine works: INTERRUPTED. MISMATCH: the pictures and a question are
 * longer than the model reads. */
pfm_status pfm_dicom_study_answer(const pfm_answerer *by, pfm_dicom_study *study, bool (*stopping)(void *user), void *user,
                                  const char *path, pfm_error *err) PFM_MUST_CHECK;

#endif
