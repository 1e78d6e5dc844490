/* Where the images lie that predictions name: folders that the server was given. */
#ifndef PFM_SERVE_IMAGE_FOLDERS_H
#define PFM_SERVE_IMAGE_FOLDERS_H

#include "base/memory.h"

/* USAGE names the first of the folders that is none. */
pfm_status pfm_image_folders_check(const char *const *folders, size_t count, pfm_error *err) PFM_MUST_CHECK;

/* *out = the file, or the folder of a series, that is called `name` in one of the folders, or in a folder that lies in one of
 * them: the first that is there; release with free(). All links are followed; what leads out of its folder is as what is not
 * there: NULL. */
pfm_status pfm_image_folders_find(const char *const *folders, size_t count, const char *name, char **out,
                                  pfm_error *err) PFM_MUST_CHECK;

#endif
