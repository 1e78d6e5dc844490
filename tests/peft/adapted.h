/* A model of tests/models/golden/families.json with a PEFT method, which reads GRID_TOKENS tokens: what methods are compared
 * with their references on. Whatever fails here fails the test. */
#ifndef PFM_TESTS_PEFT_ADAPTED_H
#define PFM_TESTS_PEFT_ADAPTED_H

#include "models/grid.h"

#include "nn/executor.h"
#include "train/session.h"

typedef struct adapted {
    pfm_context *context;
    pfm_session *session;
    pfm_model_graph graph;
    pfm_executor *executor;
} adapted;

/* tests/peft/golden/NAME; borrowed until the next. */
const char *golden_path(const char *name);

/* A session of that model, nothing built or loaded; peft: the recipe's section, "{method: none}". */
pfm_session *adapted_session(pfm_context *context, const char *model, const char *peft);
/* Builds its graph, with logits, and loads the weights. */
pfm_status adapted_build(pfm_session *session, pfm_model_graph *graph, pfm_error *err);

/* Both, ready to run, with PEFT's folder of that name in golden/ loaded. */
void adapted_create(const char *model, const char *peft, const char *adapter, adapted *out);
void adapted_free(adapted *a);
/* Forward and backward on the scripts' ids, or embeddings. Then the logits, the gradient of the embeddings and of every tensor
 * of the method are those of golden's PREFIX.NAME, within 1e-5 and 1e-4 of their norms. */
void adapted_run_and_compare(adapted *a, bool ids, const pfm_weights *golden, const char *prefix);
/* `pefomed forward` of that model with that folder of golden/ makes golden's NAME.logits. */
void assert_forward_gives(const char *model, const char *name, bool ids, const pfm_weights *golden);
/* What is saved of it is the file in that folder of golden/ again. */
void assert_saved_is(const adapted *a, const char *adapter);

#endif
