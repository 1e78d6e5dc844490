/* Images of a study's items, which lie in folders that the server was given (image_folders.h). Names are a text, one a line;
 * one that stands there several times, as that of a series of which several slices were asked about, is one image. */
#ifndef PFM_SERVE_ITEM_IMAGE_H
#define PFM_SERVE_ITEM_IMAGE_H

#include "base/json.h"

/* Of each image whether it is there: [true, false, ...]; none where there are no folders. NULL: no memory. */
json_t *pfm_item_images_list(const char *const *folders, size_t count, const char *names);
/* *out = the name of image k, from 0; NULL where there is none. Release with free(). */
pfm_status pfm_item_image_name(const char *names, size_t k, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
