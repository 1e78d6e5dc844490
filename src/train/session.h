/* A recipe made flesh: the system that it names, with its PEFT method, its vision encoder and, for a run, what was trained.
 * Training, evaluation, asking and export start here. */
#ifndef PFM_TRAIN_SESSION_H
#define PFM_TRAIN_SESSION_H

#include "models/model.h"
#include "models/vision/vision.h"
#include "peft/peft_set.h"
#include "train/recipe.h"

/* An adapter that stands beside the session's own. */
typedef struct pfm_session_adapter {
    char *name, *folder;
    char *aligner; /* the file of its own, or NULL: it has the session's */
    pfm_peft *peft;
} pfm_session_adapter;

typedef struct pfm_session {
    pfm_context *context;     /* borrowed */
    pfm_recipe *whole;        /* the recipe with all its stages */
    const pfm_recipe *recipe; /* the stage that this is; of what is trained the last, which is its end */
    size_t stage;             /* its number */
    pfm_peft *peft;
    pfm_session_adapter *others; /* [other_count] numbers 1, 2, ... beside it */
    size_t other_count, other_capacity;
    pfm_peft_set *set; /* of all of them; NULL where there are no others */
    pfm_model *model;
    pfm_vision *vision; /* what of the encoder is computed outside of the graph; NULL until pfm_session_load_vision, and where
                           the model sees nothing */
    bool loaded;        /* the weights are there */
    char *run;          /* the run's folder, or NULL for a bare recipe */
    char *adapter;      /* the folder of the adapter, where neither the run nor the recipe says which; or NULL */
    char *language_path, *vision_path, *aligner_path;
} pfm_session;

/* Asks the language model of which family it is, where that decides which layers the recipe changes; a model that is not at
 * hand and not known by name decides nothing. Sessions do it by themselves. */
pfm_status pfm_session_choose_layers(const pfm_context *context, pfm_recipe *recipe, pfm_error *err) PFM_MUST_CHECK;
/* The PEFT method of a recipe of one stage: none where nothing of it is learned yet. */
pfm_status pfm_session_create_peft(const pfm_recipe *recipe, pfm_peft **out, pfm_error *err) PFM_MUST_CHECK;
/* The layers of its vision encoder, and whether the class token stays. */
pfm_status pfm_session_vision_layers(const pfm_recipe *recipe, pfm_vision_layers *out, pfm_error *err) PFM_MUST_CHECK;
/* What a recipe says of its model, with strings borrowed from it; the caller adds the language model's path or shapes. */
pfm_status pfm_session_model_options(const pfm_recipe *recipe, const pfm_context *context, const pfm_peft *peft, bool training,
                                     pfm_model_options *out, pfm_error *err) PFM_MUST_CHECK;
/* Takes the recipe, also on error. Weights are not loaded yet. The stage is the last. */
pfm_status pfm_session_create(pfm_context *context, pfm_recipe *recipe, bool training, pfm_session **out,
                              pfm_error *err) PFM_MUST_CHECK;
/* The same for one of the recipe's stages. */
pfm_status pfm_session_create_stage(pfm_context *context, pfm_recipe *recipe, size_t stage, bool training, pfm_session **out,
                                    pfm_error *err) PFM_MUST_CHECK;
/* The same for tensors alone: no text can be read or written, and the language model may lack a tokenizer. */
pfm_status pfm_session_create_for_tensors(pfm_context *context, pfm_recipe *recipe, bool training, pfm_session **out,
                                          pfm_error *err) PFM_MUST_CHECK;
/* *out = the recipe of a run's folder or in a file, which is read and nothing else; the caller frees it. */
pfm_status pfm_session_read_recipe(const char *run_or_recipe, pfm_recipe **out, pfm_error *err) PFM_MUST_CHECK;
/* From a run's folder (run.h) or a recipe file (the untrained model). training: gradients
 * can be computed. */
pfm_status pfm_session_open(pfm_context *context, const char *run_or_recipe, bool training, pfm_session **out,
                            pfm_error *err) PFM_MUST_CHECK;
/* The same with an adapter's folder, whose method and tensors (and aligner, where it has one) take the place of the run's or
 * the recipe's; PFM_SESSION_NO_ADAPTER: with none; NULL: with its own. */
#define PFM_SESSION_NO_ADAPTER "none"
pfm_status pfm_session_open_with(pfm_context *context, const char *run_or_recipe, const char *adapter, bool training,
                                 pfm_session **out, pfm_error *err) PFM_MUST_CHECK;
/* Takes an adapter's folder in place of what the recipe of a session to be says of peft and norms. */
pfm_status pfm_session_replace_adapter(pfm_recipe *recipe, const char *adapter, pfm_error *err) PFM_MUST_CHECK;
/* The same of an adapter of the vision encoder alone, or of the one that such a folder holds beside the language model's. */
pfm_status pfm_session_replace_vision_adapter(pfm_recipe *recipe, const char *adapter, pfm_error *err) PFM_MUST_CHECK;
void pfm_session_free(pfm_session *session);

/* How answers are made, in place of what the recipe says; as pfm_recipe_set_answers. */
pfm_status pfm_session_set_answers(pfm_session *session, const pfm_answer_settings *settings, pfm_error *err) PFM_MUST_CHECK;

/* ---- several adapters side by side (session_adapters.c) ---- */

/* Before building: from now on each request says which adapter it goes through; the session's own is number 0, the base -1.
 * UNSUPPORTED where what was learned is in the base's own parameters. */
pfm_status pfm_session_choose_adapters(pfm_session *session, pfm_error *err) PFM_MUST_CHECK;
/* The same with an adapter's folder, or a run with its aligner, beside the session's own. *number (NULL allowed) = this one's,
 * for pfm_request. USAGE where the name is taken; UNSUPPORTED where it, or the session's own, cannot stand beside others. */
pfm_status pfm_session_add_adapter(pfm_session *session, const char *name, const char *folder, int32_t *number,
                                   pfm_error *err) PFM_MUST_CHECK;
/* The method of an adapter; NULL of the base. */
const pfm_peft_options *pfm_session_adapter_options(const pfm_session *session, int32_t adapter);
/* How many tokens an adapter puts before every input. */
int pfm_session_virtual_tokens(const pfm_session *session, int32_t adapter);
/* Inside: loads what was added, and releases it. */
pfm_status pfm_session_load_adapters(pfm_session *session, pfm_error *err) PFM_MUST_CHECK;
void pfm_session_free_adapters(pfm_session *session);

/* Does nothing for a model that sees nothing. */
pfm_status pfm_session_load_vision(pfm_session *session, pfm_error *err) PFM_MUST_CHECK;
/* *out = the encoder as its file has it, with the features that the recipe names; the caller frees it. */
pfm_status pfm_session_load_frozen_vision(pfm_session *session, pfm_vision **out, pfm_error *err) PFM_MUST_CHECK;
/* After a graph has been built, once: the frozen weights, the initial values and, for a run, the trained ones; checks the
 * targets. */
pfm_status pfm_session_load_weights(pfm_session *session, pfm_error *err) PFM_MUST_CHECK;

#endif
