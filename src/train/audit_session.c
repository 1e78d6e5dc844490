#include "train/audit_session.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* ---- files and folders ---- */

static pfm_status hash_folder(const char *folder, pfm_hash_hex hash, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL, *path = NULL;
    size_t count = 0;
    pfm_buffer list = {0};
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        pfm_hash_hex one;
        free(path);
        path = NULL;
        PFM_TRY(pfm_path_join(folder, names[i], &path, err));
        if (names[i][0] == '.' || pfm_path_is_folder(path))
            continue;
        PFM_TRY(pfm_hash_file(path, one, err));
        PFM_TRY(pfm_buffer_append_format(&list, err, "%s  %s\n", one, names[i]));
    }
    PFM_TRY(pfm_hash_bytes(list.data != NULL ? list.data : "", list.size, hash, err));
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(path);
    pfm_buffer_free(&list);
    return status;
}

pfm_status pfm_audit_hash(const char *path, pfm_hash_hex hash, pfm_error *err)
{
    return pfm_path_is_folder(path) ? hash_folder(path, hash, err) : pfm_hash_file(path, hash, err);
}

static pfm_status add_part(json_t *weights, const char *part, const char *name, const char *path, pfm_error *err)
{
    pfm_hash_hex hash;
    pfm_status status = pfm_audit_hash(path, hash, err);
    return status == PFM_OK ? pfm_json_take(weights, part, json_pack("{s:s, s:s}", "name", name, "sha256", hash), err) : status;
}

/* ---- before anything is learned ---- */

pfm_status pfm_audit_session(const pfm_session *session, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex recipe;
    json_t *weights = json_object();
    const pfm_context *context = session->context;
    PFM_TRY(pfm_recipe_hash(session->recipe, recipe, err));
    PFM_TRY(pfm_json_take(document, "seed", json_integer((json_int_t)context->seed), err));
    PFM_TRY(pfm_json_take(document, "precision", json_string(context->precision == PFM_PRECISION_F32 ? "f32" : "bf16"), err));
    PFM_TRY(pfm_json_take(document, "recipe_sha256", json_string(recipe), err));
    PFM_TRY(pfm_json_take(document, "weights", json_incref(weights), err));
    PFM_TRY(add_part(weights, "language", session->recipe->model.language, session->language_path, err));
    if (session->vision != NULL)
        PFM_TRY(pfm_json_take(weights, "vision",
                              json_pack("{s:s, s:s}", "name", session->recipe->model.vision, "sha256",
                                        pfm_vision_get_weights_hash(session->vision)),
                              err));
    if (session->aligner_path != NULL)
        PFM_TRY(add_part(weights, "aligner", session->recipe->model.aligner_weights, session->aligner_path, err));
done:
    json_decref(weights);
    return status;
}

/* ---- what was learned ---- */

static const char aligner_file[] = "aligner.safetensors";

/* files[name] = the hash of a folder's file, where it is there. */
static pfm_status add_file(json_t *files, const char *folder, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_hash_hex hash;
    PFM_TRY(pfm_path_join(folder, name, &path, err));
    if (!pfm_path_exists(path))
        goto done;
    PFM_TRY(pfm_hash_file(path, hash, err));
    PFM_TRY(pfm_json_take(files, name, json_string(hash), err));
done:
    free(path);
    return status;
}

/* All that a run's or an adapter's folder may hold of one; or the file that it is. */
static pfm_status list_files(const char *path, json_t *files, pfm_error *err)
{
    static const char *const names[] = {"adapter/adapter_config.json",
                                        "adapter/adapter_model.safetensors",
                                        "adapter/adapter_model.bin",
                                        "adapter-vision/adapter_config.json",
                                        "adapter-vision/adapter_model.safetensors",
                                        "adapter-vision/adapter_model.bin",
                                        "adapter_config.json",
                                        "adapter_model.safetensors",
                                        "adapter_model.bin"};
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    if (!pfm_path_is_folder(path)) {
        PFM_TRY(pfm_hash_file(path, hash, err));
        PFM_TRY(pfm_json_take(files, pfm_path_name(path), json_string(hash), err));
        goto done;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        PFM_TRY(add_file(files, path, names[i], err));
done:
    return status;
}

/* Of the folders (or files) from which an adapter and its aligner come, the first that has an aligner; *found: there is one. */
static pfm_status add_aligner(json_t *weights, const char *folder, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    if (*found || folder == NULL || !pfm_path_is_folder(folder))
        return PFM_OK;
    PFM_TRY(pfm_path_join(folder, aligner_file, &path, err));
    *found = pfm_path_exists(path);
    if (*found)
        PFM_TRY(add_part(weights, "aligner", aligner_file, path, err));
done:
    free(path);
    return status;
}

pfm_status pfm_audit_adapter(const pfm_session *session, int32_t number, json_t *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_session_adapter *other = number > 0 ? &session->others[number - 1] : NULL;
    const char *replaced = session->adapter, *start = session->recipe->peft.start;
    const char *own = replaced != NULL ? replaced : session->run != NULL ? session->run : start;
    const char *folder = other != NULL ? other->folder : number == 0 ? own : NULL;
    bool found = false;
    json_t *files = json_object();
    if (files == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list what an adapter is made from");
    if (folder != NULL)
        PFM_TRY(list_files(folder, files, err));
    PFM_TRY(
        pfm_json_take(weights, "adapter",
                      json_object_size(files) > 0
                          ? json_pack("{s:s, s:O}", "name", other != NULL ? other->name : pfm_path_name(folder), "files", files)
                          : json_null(),
                      err));
    if (other != NULL)
        PFM_TRY(add_aligner(weights, other->folder, &found, err));
    PFM_TRY(add_aligner(weights, replaced, &found, err));
    PFM_TRY(add_aligner(weights, session->run, &found, err));
done:
    json_decref(files);
    return status;
}
