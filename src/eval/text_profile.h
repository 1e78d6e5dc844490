/* Profiles of texts: files that name metrics and what is done to texts before. Those of src/eval/profiles are part of the
 * program; a user's own is named by its path. A profile is YAML with
 * definition, a sentence or two; metrics, a list of metrics' names; references, a list of steps (prepare_list.h) for
 * references, absent: the texts as they are; predictions, the same for predictions; bert and bert_layer, the encoder of
 * bertscore_*. */
#ifndef PFM_EVAL_TEXT_PROFILE_H
#define PFM_EVAL_TEXT_PROFILE_H

#include "eval/prepare.h"
#include "eval/yaml_file.h"

typedef struct pfm_text_profile {
    char *name; /* the file's, without .yaml */
    char *definition;
    char *metrics;  /* separated by commas */
    char *bert;     /* NULL: not said */
    int bert_layer; /* 0: not said */
    pfm_preparation references, predictions;
} pfm_text_profile;

extern const pfm_builtin_file pfm_profile_files[]; /* that are part of the program */

/* *out = the profile of this name, or NULL where the program has none; of a file, where it is a path's. FORMAT or USAGE names
 * the line of the file that is wrong. */
pfm_status pfm_text_profile_load(const char *name, pfm_text_profile **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_text_profile_free(pfm_text_profile *profile);

/* *out = what the profile does to texts, for a signature; NULL where it does nothing. Release with free(). */
pfm_status pfm_text_profile_describe(const pfm_text_profile *profile, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
