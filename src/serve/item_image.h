/* Images of a study's items, which lie in folders that the server was given. */
#ifndef PFM_SERVE_ITEM_IMAGE_H
#define PFM_SERVE_ITEM_IMAGE_H

#include "base/json.h"

/* Appends the file of this name in the first of the folders that has it, or below it. A name that leads out of its folder, also
 * by a link, is as one that is not there: MISMATCH. The error tells no path. */
pfm_status pfm_item_image_read(const char *const *folders, size_t count, const char *name, pfm_buffer *out,
                               pfm_error *err) PFM_MUST_CHECK;
/* Of each name in a text, one a line, whether it is there: [true, false, ...]; none without a folder. NULL: no memory. */
json_t *pfm_item_images_list(const char *const *folders, size_t count, const char *names);
/* *out = the name on line k, from 0; NULL where there is none. Release with free(). */
pfm_status pfm_item_image_name(const char *names, size_t k, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
