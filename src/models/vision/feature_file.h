/* One picture's features as a file: 128 bytes of header (magic, shape, lengths, checksums, key), then f16 values, then a text:
 * how the picture was made of the file that it is of, where there is anything to tell. */
#ifndef PFM_MODELS_VISION_FEATURE_FILE_H
#define PFM_MODELS_VISION_FEATURE_FILE_H

#include "base/hash.h"
#include "models/vision/vision.h"

enum { PFM_FEATURE_HEADER_BYTES = 128, PFM_FEATURE_TOLD_BYTES = 4096 };

/* What is known of text burned into the picture. In files; a check that finds other things takes new numbers. */
typedef enum pfm_feature_text { PFM_FEATURE_TEXT_UNKNOWN, PFM_FEATURE_TEXT_NONE, PFM_FEATURE_TEXT_FOUND } pfm_feature_text;

/* True where the file is there with the right header and length; its values are not read. *text = what it says of text. */
bool pfm_feature_file_present(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, pfm_feature_text *text);
/* True where the file is there, whole, undamaged and has this key and shape: then out holds its values. */
bool pfm_feature_file_read(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, uint16_t *out);
/* *told = the text behind the values, NULL where the file has none, is not there, or is damaged; the caller calls free(). */
pfm_status pfm_feature_file_read_told(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, char **told,
                                      pfm_error *err) PFM_MUST_CHECK;
/* Writes the file under a name of its own and renames it. Not synced to the disk: the checksum tells what a power cut left.
 * told: at most PFM_FEATURE_TOLD_BYTES; NULL: nothing. */
pfm_status pfm_feature_file_write(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape,
                                  const uint16_t *values, const char *told, pfm_feature_text text,
                                  pfm_error *err) PFM_MUST_CHECK;
/* Notes in a file that is there what was found of text; one that refuses is looked at again another time. */
void pfm_feature_file_note(const char *path, pfm_feature_text text);

/* *bytes = what the folder holds in all (0 where it is not there). Temporary files that a killed process left are removed. */
pfm_status pfm_feature_folder_measure(const char *folder, uint64_t *bytes, pfm_error *err) PFM_MUST_CHECK;

#endif
