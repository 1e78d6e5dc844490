#include "train/audit.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "formats/adapter.h"
#include "train/audit_session.h"

#include <stdlib.h>

/* The adapter that training began with. */
static pfm_status audit_start(json_t *weights, const char *start, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *folder = NULL, *path = NULL;
    pfm_hash_hex hash;
    if (start == NULL)
        return PFM_OK;
    PFM_TRY(pfm_adapter_find(start, &folder, err));
    PFM_TRY(pfm_adapter_tensors_path(folder, &path, err));
    PFM_TRY(pfm_audit_hash(path, hash, err));
    PFM_TRY(pfm_json_take(weights, "adapter", json_pack("{s:s, s:s}", "name", start, "sha256", hash), err));
done:
    free(folder);
    free(path);
    return status;
}

/* What the rows are without what they are grounded in: the same for every grounding. */
static pfm_status audit_ungrounded(const pfm_dataset *dataset, json_t *facts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    bool grounded = false;
    for (size_t i = 0; i < dataset->count; i++)
        grounded = grounded || dataset->rows[i].ungrounded != NULL;
    if (!grounded)
        return PFM_OK;
    PFM_TRY(pfm_dataset_hash_ungrounded(dataset, hash, err));
    PFM_TRY(pfm_json_take(facts, "ungrounded_sha256", json_string(hash), err));
done:
    return status;
}

/* How many images seem to hold burned-in text. */
static pfm_status audit_text(const pfm_samples *samples, json_t *facts, pfm_error *err)
{
    size_t looked = 0, found = 0;
    if (samples->features == NULL)
        return PFM_OK;
    pfm_feature_store_get_texts(samples->features, &looked, &found);
    return pfm_json_take(facts, "text_like", json_integer((json_int_t)found), err);
}

/* The index that questions are shown snippets of. */
static pfm_status audit_index(const pfm_recipe *recipe, json_t *document, pfm_error *err)
{
    if (recipe->data.index_sha256 == NULL)
        return PFM_OK;
    return pfm_json_take(document, "index",
                         json_pack("{s:s, s:s}", "name", recipe->data.index, "sha256", recipe->data.index_sha256), err);
}

static pfm_status audit_data(const pfm_trainer *trainer, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_dataset *sets[] = {trainer->train_set, trainer->validate_set};
    json_t *data = json_object();
    PFM_TRY(pfm_json_take(document, "data", data, err));
    PFM_TRY(pfm_json_take(data, "dataset", json_string(trainer->train_set->name), err));
    for (int i = 0; i < 2; i++) {
        if (sets[i] == NULL)
            continue;
        PFM_TRY(pfm_json_take(data, sets[i]->split,
                              json_pack("{s:I, s:I, s:s}", "rows", (json_int_t)sets[i]->count, "images",
                                        (json_int_t)sets[i]->image_count, "sha256", trainer->row_hashes[i]),
                              err));
        PFM_TRY(audit_ungrounded(sets[i], json_object_get(data, sets[i]->split), err));
        PFM_TRY(audit_text(i == 0 ? &trainer->train : &trainer->validate, json_object_get(data, sets[i]->split), err));
    }
    PFM_TRY(audit_index(trainer->session->recipe, document, err));
done:
    return status;
}

/* The stages that began before this one, as the audit there is knows them; an empty list where there is none. */
static pfm_status load_stages(const pfm_trainer *trainer, const char *path, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *former = NULL;
    size_t i = 0;
    json_t *stage = NULL;
    *out = json_array();
    if (trainer->session->stage > 0 && pfm_path_exists(path))
        PFM_TRY(pfm_json_load(path, &former, err));
    json_array_foreach(json_object_get(former, "stages"), i, stage)
    {
        if (i < trainer->session->stage && json_array_append(*out, stage) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write %s", path);
    }
done:
    json_decref(former);
    return status;
}

/* What each stage changed stands in the log's last line of the stage. */
static pfm_status add_changes(const pfm_trainer *trainer, json_t *stages, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *lines = NULL, *line = NULL, *stage = NULL;
    size_t i = 0, s = 0;
    PFM_TRY(pfm_path_join(trainer->folder, "log.jsonl", &path, err));
    if (pfm_path_exists(path))
        PFM_TRY(pfm_json_load_lines(path, &lines, err));
    json_array_foreach(lines, i, line)
    {
        json_t *change = json_object_get(line, "logits_change");
        json_array_foreach(stages, s, stage)
        {
            if (change != NULL && json_equal(json_object_get(stage, "name"), json_object_get(line, "stage")))
                PFM_TRY(pfm_json_take(stage, "logits_change", json_incref(change), err));
        }
    }
done:
    json_decref(lines);
    free(path);
    return status;
}

/* Name, steps, what trains, its data, and what was changed; those of the stages before are kept. */
static pfm_status audit_stages(const pfm_trainer *trainer, const char *path, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_recipe *recipe = trainer->session->recipe;
    json_t *stages = NULL, *stage = json_object(), *parts = json_array();
    if (trainer->session->whole->stage_count == 0)
        goto done;
    PFM_TRY(load_stages(trainer, path, &stages, err));
    PFM_TRY(pfm_json_take(document, "stages", stages, err));
    for (size_t i = 0; i < recipe->trainable_count; i++)
        parts = pfm_json_add(parts, json_string(recipe->trainable[i]));
    PFM_TRY(pfm_json_take(stage, "name", json_string(recipe->name), err));
    PFM_TRY(pfm_json_take(stage, "first_step", json_integer((json_int_t)trainer->first + 1), err));
    PFM_TRY(pfm_json_take(stage, "steps", json_integer((json_int_t)trainer->steps), err));
    PFM_TRY(pfm_json_take(stage, "trainable", json_incref(parts), err));
    PFM_TRY(pfm_json_take(stage, "trainable_parameters",
                          json_integer((json_int_t)pfm_parameters_trainable(trainer->session->model->parameters)), err));
    PFM_TRY(audit_data(trainer, stage, err));
    if (json_array_append(stages, stage) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write %s", path);
    PFM_TRY(add_changes(trainer, stages, err));
done:
    json_decref(stage);
    json_decref(parts);
    return status;
}

pfm_status pfm_audit_write(const pfm_trainer *trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_session *session = trainer->session;
    char *path = NULL, time[32], machine[128];
    json_t *document = json_object();
    pfm_process_time(time);
    pfm_process_machine(machine, sizeof machine);
    PFM_TRY(pfm_json_take(document, "version", json_string(pfm_version()), err));
    PFM_TRY(pfm_json_take(document, "time", json_string(time), err));
    PFM_TRY(pfm_json_take(document, "machine",
                          json_pack("{s:s, s:s, s:i}", "processor", machine, "kernels", session->context->cpu_level, "threads",
                                    pfm_context_threads(session->context)),
                          err));
    PFM_TRY(pfm_audit_session(session, document, err));
    PFM_TRY(audit_start(json_object_get(document, "weights"), session->recipe->peft.start, err));
    PFM_TRY(audit_data(trainer, document, err));
    PFM_TRY(pfm_path_join(trainer->folder, "audit.json", &path, err));
    PFM_TRY(audit_stages(trainer, path, document, err));
    PFM_TRY(pfm_json_save(path, document, err));
done:
    json_decref(document);
    free(path);
    return status;
}
