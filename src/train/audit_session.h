/* What a model is made from, by hash: for a run's audit and for records of answers. */
#ifndef PFM_TRAIN_AUDIT_SESSION_H
#define PFM_TRAIN_AUDIT_SESSION_H

#include "train/session.h"

#include <jansson.h>

/* *hash = the SHA-256 of a file; of a folder what `cd FOLDER && LC_ALL=C sha256sum * | sha256sum` prints. */
pfm_status pfm_audit_hash(const char *path, pfm_hash_hex hash, pfm_error *err) PFM_MUST_CHECK;
/* document: "seed", "precision", "recipe_sha256", and "weights" with "language", "vision" and "aligner", each of which has
 * "name" and "sha256", as they are before anything is learned. */
pfm_status pfm_audit_session(const pfm_session *session, json_t *document, pfm_error *err) PFM_MUST_CHECK;
/* weights: "adapter" {"name","files":{path in its folder: sha256}}, null of the base and of what nothing was learned for; and
 * "aligner", where a learned one stands in the place of the recipe's. number: as pfm_session_add_adapter gives it. */
pfm_status pfm_audit_adapter(const pfm_session *session, int32_t number, json_t *weights, pfm_error *err) PFM_MUST_CHECK;

#endif
