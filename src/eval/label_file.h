/* What the labeller says of each text of a predictions file, as a file of its own. */
#ifndef PFM_EVAL_LABEL_FILE_H
#define PFM_EVAL_LABEL_FILE_H

#include "eval/answer_set.h"

/* Writes a JSON line for each row: {"id","labeller","reference":{finding: label},"prediction":{...}}, the texts as the set
 * holds them. The file appears whole or not at all. */
pfm_status pfm_label_file_write(const pfm_answer_set *set, const char *path, pfm_error *err) PFM_MUST_CHECK;

#endif
