/* Images of a study's items, which lie in a folder that the server was given. */
#ifndef PFM_SERVE_ITEM_IMAGE_H
#define PFM_SERVE_ITEM_IMAGE_H

#include "base/memory.h"

#include <stdbool.h>

/* Appends the file of this name in a folder, or below it. A name that leads out of the folder, also by a link, is as one that
 * is not there: MISMATCH. The error tells no path. */
pfm_status pfm_item_image_read(const char *folder, const char *name, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* How many of the names in a text, one a line, are there; 0 where folder is NULL. */
size_t pfm_item_images_missing(const char *folder, const char *names);
/* How many names there are in a text, one a line. */
size_t pfm_item_images_count(const char *names);
/* *out = the name on line k, from 0; NULL where there is none. Release with free(). */
pfm_status pfm_item_image_name(const char *names, size_t k, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
