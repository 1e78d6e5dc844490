/* What MedExpQA's prompts say in each of its languages (the repository hitz-zentroa/MedExpQA, its prompt "02_medrag"). */
#ifndef PFM_DATA_MEDEXPQA_H
#define PFM_DATA_MEDEXPQA_H

#include "data/medexpqa_grounding.h"

typedef struct pfm_medexpqa_words {
    const char *language;  /* "en" */
    const char *task;      /* the prompt's first line, */
    const char *documents; /* the lines before the documents, */
    const char *question;  /* the question, */
    const char *options;   /* and the options, */
    const char *sentence;  /* and the sentence that the answer ends, without the blank before it */
} pfm_medexpqa_words;

/* NULL for a language that MedExpQA has not. */
const pfm_medexpqa_words *pfm_medexpqa_find_words(const char *language);

/* Adds the row of a case from a file in this language, or counts it as left out; grounding as for pfm_medexpqa_ground. FORMAT
 * names the place and the column. */
pfm_status pfm_medexpqa_read_case(const json_t *record, const pfm_medexpqa_words *words,
                                  const pfm_medexpqa_grounding *grounding, const pfm_row_place *place, pfm_rows *out,
                                  pfm_error *err) PFM_MUST_CHECK;

#endif
