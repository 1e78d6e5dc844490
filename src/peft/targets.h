/* Which modules of a model a method acts on, as Hugging Face PEFT's settings say it (PEFT 0.21,
 * tuners/tuners_utils.py, check_target_module_exists; utils/other.py, get_pattern_key and _set_trainable). */
#ifndef PFM_PEFT_TARGETS_H
#define PFM_PEFT_TARGETS_H

#include "peft/peft.h"

/* How options name a module: by a whole dotted suffix of its name, "q_proj"; by a regular expression that its whole name
 * matches, behind this mark; or all linear layers of the language model but its head, in one word. */
#define PFM_TARGET_EXPRESSION "re:"
#define PFM_TARGET_ALL_LINEAR "all-linear"
/* The target_modules with which PEFT adapts nothing, and takes what modules_to_save and bias name. */
#define PFM_TARGET_NONE "dummy-target-modules"

typedef struct pfm_targets pfm_targets;

/* true for the end of a name, false for what names in another way. */
bool pfm_targets_is_plain(const char *name);

/* Options are borrowed. USAGE or UNSUPPORTED names the key whose value cannot be used. */
pfm_status pfm_targets_create(const pfm_peft_options *options, pfm_targets **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_targets_free(pfm_targets *targets);

/* Whether it acts on a linear layer; whether a module's own tensors are kept whole, because it or one around it is named. A
 * name that cannot be looked at matches nothing, and pfm_targets_check says so. */
bool pfm_targets_match(pfm_targets *targets, const char *module);
bool pfm_targets_keep_whole(pfm_targets *targets, const char *module);
bool pfm_targets_is_feedforward(pfm_targets *targets, const char *module);
/* The rank and alpha of a layer: those of the first pattern that its name matches, else the method's. */
int pfm_targets_rank(pfm_targets *targets, const char *module);
double pfm_targets_alpha(pfm_targets *targets, const char *module);

/* A linear layer of the model went by, whether it was one. */
void pfm_targets_see(pfm_targets *targets, const char *module);
bool pfm_targets_saw(const pfm_targets *targets, const char *module);
/* After building: USAGE names what matched nothing, and what the model's layers are called. */
pfm_status pfm_targets_check(const pfm_targets *targets, pfm_error *err) PFM_MUST_CHECK;

#endif
