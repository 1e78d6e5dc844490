/* Frozen features, computed once. They are kept in $PEFOMED_HOME/features, a file a picture, named by the SHA-256 of the
 * weights' hash, the encoder's description (vision.h) and the picture file's hash. Values are always rounded to f16, whether
 * they come from a file or were just computed, so that both are the same bits. A file appears whole or not at all; one that is
 * cut short or damaged is computed again, never trusted. Several processes may use the folder at once. */
#ifndef PFM_MODELS_VISION_FEATURE_STORE_H
#define PFM_MODELS_VISION_FEATURE_STORE_H

#include "models/vision/vision.h"

/* What the folder may hold in all; past it features are computed whenever they are asked for. */
#define PFM_FEATURE_QUOTA (UINT64_C(20) << 30)

/* The bytes that one picture's features take on disk. */
uint64_t pfm_feature_file_bytes(const pfm_vision_shape *shape);

typedef struct pfm_feature_store pfm_feature_store;

/* Makes ready the features of the pictures files[0..count-1] (one may stand there several times): hashes the
 * files, computes what is not kept yet on all threads (progress "features"), keeps it while the folder holds less than `quota`
 * bytes (0: keeps nothing). Where the folder cannot be written a warning is logged and nothing is kept. The caller frees *out
 * before the vision. A picture that cannot be read is the error of its file. INTERRUPTED: what was computed is kept. Not to be
 * called from within a pool's item. */
pfm_status pfm_feature_store_create(pfm_vision *vision, const pfm_image_file *files, size_t count, uint64_t quota,
                                    pfm_feature_store **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_feature_store_free(pfm_feature_store *store);

size_t pfm_feature_store_count(const pfm_feature_store *store);
pfm_vision_shape pfm_feature_store_get_shape(const pfm_feature_store *store);
/* How many different pictures there are, and how many of them were found kept, and are kept now. */
void pfm_feature_store_get_counts(const pfm_feature_store *store, size_t *pictures, size_t *found, size_t *kept);

/* Of how many different pictures it is known whether they hold burned-in text (pfm_image_has_text), and how many do. Known are
 * those that were decoded for it and those whose features are kept; mirrored ones do not count. */
void pfm_feature_store_get_texts(const pfm_feature_store *store, size_t *looked, size_t *found);
/* One warning where any does. NULL is a data set without images. */
void pfm_feature_store_warn_of_text(const pfm_feature_store *store, const char *dataset, const char *split);

/* What picture `index` is kept under: equal for equal pictures; borrowed. */
const char *pfm_feature_store_key(const pfm_feature_store *store, size_t index);

/* *json = what was applied to the values of picture `index` (pfm_image_applied_json), borrowed; NULL of a finished picture. It
 * is known from where the picture was decoded, and kept with its features. Not to be called while others read. */
pfm_status pfm_feature_store_tell(pfm_feature_store *store, size_t index, const char **json, pfm_error *err) PFM_MUST_CHECK;

/* out [tokens, channels] = the features of picture `index`. May be called from several threads at once, also from within a
 * pool's items. USAGE for an index past the end; MISMATCH when the picture's file has changed since create. */
pfm_status pfm_feature_store_read(pfm_feature_store *store, size_t index, float *out, pfm_error *err) PFM_MUST_CHECK;
/* The same as f16 (IEEE binary16). */
pfm_status pfm_feature_store_read_f16(pfm_feature_store *store, size_t index, uint16_t *out, pfm_error *err) PFM_MUST_CHECK;

/* out [tokens, channels] = the features of a picture in memory, rounded as those of a store. Not to be called from within a
 * pool's item: a single picture may take the whole pool. */
pfm_status pfm_features_of_image(pfm_vision *vision, const pfm_image *image, float *out, pfm_error *err) PFM_MUST_CHECK;

#endif
