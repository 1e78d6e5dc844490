/* Adapters beside a session's own: each with its parameters under names of its own, and where it comes with another aligner
 * with that too. */
#include "train/session.h"

#include "base/file.h"
#include "base/try.h"
#include "formats/adapter.h"
#include "train/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* *out = the aligner's file in a folder, or NULL. */
static pfm_status find_aligner(const char *folder, char **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_path_join(folder, "aligner.safetensors", out, err);
    if (status == PFM_OK && !pfm_path_exists(*out)) {
        free(*out);
        *out = NULL;
    }
    return status;
}

static pfm_status same_bytes(const char *a, const char *b, bool *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer left = {0}, right = {0};
    PFM_TRY(pfm_file_read(a, 0, &left, err));
    PFM_TRY(pfm_file_read(b, 0, &right, err));
    *out = left.size == right.size && memcmp(left.data, right.data, left.size) == 0;
done:
    pfm_buffer_free(&left);
    pfm_buffer_free(&right);
    return status;
}

/* An adapter that was learned with another aligner than the session's brings it along. */
static pfm_status add_aligner(pfm_session *session, pfm_session_adapter *other, int32_t number, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *own = NULL, *its = NULL;
    bool same = false;
    pfm_model_slot *slot = NULL;
    PFM_TRY(find_aligner(other->folder, &its, err));
    if (its == NULL || !pfm_model_sees(session->model))
        goto done;
    if (session->adapter != NULL)
        PFM_TRY(find_aligner(session->adapter, &own, err));
    if (own == NULL && session->run != NULL)
        PFM_TRY(find_aligner(session->run, &own, err));
    if (own != NULL)
        PFM_TRY(same_bytes(own, its, &same, err));
    if (same)
        goto done;
    PFM_TRY(pfm_model_add_slot(session->model, number, pfm_peft_get_slot(other->peft), &slot, err));
    other->aligner = its;
    its = NULL;
done:
    free(own);
    free(its);
    return status;
}

static pfm_status check_name(const pfm_session *session, const char *name, pfm_error *err)
{
    for (size_t i = 0; i < session->other_count; i++) {
        if (strcmp(session->others[i].name, name) == 0)
            return pfm_error_set(err, PFM_ERROR_USAGE, "two adapters are called %s; give each its own name, as in NAME=FOLDER",
                                 name);
    }
    return PFM_OK;
}

pfm_status pfm_session_choose_adapters(pfm_session *session, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (session->set != NULL)
        return PFM_OK;
    if (session->model->learns_norms)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "the run trained the language model's norms, which are there once; no adapters can stand beside it");
    if (session->model->tower != NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "the run's vision encoder learned too (peft.parts), which is there once; no adapters can stand beside it");
    PFM_TRY(pfm_peft_set_create(&session->set, err));
    PFM_TRY(pfm_peft_set_add(session->set, session->peft, "of the run", err));
    session->model->hook = pfm_peft_set_hook(session->set);
    session->model->several = true;
done:
    return status;
}

static pfm_status check_parts(const char *name, const char *folder, pfm_error *err)
{
    char *vision = NULL;
    pfm_status status = pfm_run_vision_folder(folder, &vision, err);
    if (status == PFM_OK && strcmp(vision, folder) != 0)
        status = pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                               "the adapter %s is also one of the vision encoder (%s), which is there once; it cannot stand "
                               "beside others",
                               name, vision);
    free(vision);
    return status;
}

static pfm_status open_adapter(const char *name, const char *folder, int32_t number, pfm_session_adapter *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_adapter_config config = {0};
    pfm_peft_options options = {0};
    char *path = NULL, slot[24];
    PFM_TRY(pfm_string_copy(name, &out->name, err));
    PFM_TRY(pfm_string_copy(folder, &out->folder, err));
    PFM_TRY(pfm_adapter_find(folder, &path, err));
    PFM_TRY(pfm_adapter_config_load(path, &config, err));
    PFM_TRY(pfm_peft_read_config(&config, &options, err));
    PFM_TRY(pfm_peft_create(&options, &out->peft, err));
    (void)snprintf(slot, sizeof slot, "adapter%d/", (int)number);
    PFM_TRY(pfm_peft_set_slot(out->peft, slot, err));
done:
    pfm_peft_options_free(&options);
    pfm_adapter_config_free(&config);
    free(path);
    return status;
}

pfm_status pfm_session_add_adapter(pfm_session *session, const char *name, const char *folder, int32_t *number, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(check_name(session, name, err));
    PFM_TRY(check_parts(name, folder, err));
    PFM_TRY(pfm_session_choose_adapters(session, err));
    PFM_TRY(
        pfm_array_reserve(&session->others, &session->other_capacity, session->other_count + 1, sizeof *session->others, err));
    pfm_session_adapter *other = &session->others[session->other_count++];
    const int32_t its = (int32_t)session->other_count;
    *other = (pfm_session_adapter){0};
    PFM_TRY(open_adapter(name, folder, its, other, err));
    PFM_TRY(pfm_peft_set_add(session->set, other->peft, name, err));
    PFM_TRY(add_aligner(session, other, its, err));
    if (number != NULL)
        *number = its;
done:
    return status;
}

static const pfm_peft *adapter_of(const pfm_session *session, int32_t adapter)
{
    return adapter == 0 ? session->peft : session->others[adapter - 1].peft;
}

const pfm_peft_options *pfm_session_adapter_options(const pfm_session *session, int32_t adapter)
{
    return adapter < 0 ? NULL : pfm_peft_get_options(adapter_of(session, adapter));
}

int pfm_session_virtual_tokens(const pfm_session *session, int32_t adapter)
{
    return adapter < 0 ? 0 : pfm_peft_virtual_tokens(adapter_of(session, adapter));
}

pfm_status pfm_session_load_adapters(pfm_session *session, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t slot = 0;
    for (size_t i = 0; i < session->other_count; i++) {
        const pfm_session_adapter *other = &session->others[i];
        PFM_TRY(pfm_peft_check_targets(other->peft, err));
        PFM_TRY(pfm_run_load_adapter(other->folder, session->model, other->peft, err));
        if (other->aligner != NULL)
            PFM_TRY(pfm_run_load_slot(other->aligner, session->model, &session->model->slots[slot++], err));
    }
done:
    return status;
}

void pfm_session_free_adapters(pfm_session *session)
{
    pfm_peft_set_free(session->set);
    for (size_t i = 0; i < session->other_count; i++) {
        free(session->others[i].name);
        free(session->others[i].folder);
        free(session->others[i].aligner);
        pfm_peft_free(session->others[i].peft);
    }
    free(session->others);
}
