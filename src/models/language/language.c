#include "models/language/language_parts.h"
#include "models/language/language_wrapped.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* Every family, a line each. */
static const pfm_language_family *const families[] = {&pfm_language_llama, &pfm_language_qwen2, &pfm_language_phi,
                                                      &pfm_language_gpt2, &pfm_language_stablelm};
enum { FAMILIES = sizeof families / sizeof *families, TYPES = sizeof families[0]->model_types / sizeof(char *) };

/* "a, b, c" of all that config.json or (gguf) a GGUF may say. */
static pfm_status list_known(bool gguf, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t f = 0; f < FAMILIES; f++) {
        for (size_t i = 0; i < (gguf ? 1 : TYPES); i++) {
            const char *name = gguf ? families[f]->architecture : families[f]->model_types[i];
            if (status == PFM_OK && name != NULL)
                status = pfm_buffer_append_format(out, err, "%s%s", out->size > 0 ? ", " : "", name);
        }
    }
    return status;
}

static bool is_of(const pfm_language_family *family, bool gguf, const char *name)
{
    if (gguf)
        return strcmp(family->architecture, name) == 0;
    for (size_t i = 0; i < TYPES; i++) {
        if (family->model_types[i] != NULL && strcmp(family->model_types[i], name) == 0)
            return true;
    }
    return false;
}

static pfm_status find_family(bool gguf, const char *name, const char *path, const pfm_language_family **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (size_t f = 0; name != NULL && f < FAMILIES; f++) {
        if (is_of(families[f], gguf, name)) {
            *out = families[f];
            return PFM_OK;
        }
    }
    PFM_TRY(list_known(gguf, &known, err));
    PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s is a language model of the family '%.60s'; known are: %s", path,
             name != NULL ? name : "(not stated)", known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

/* The config.json of a Hugging Face folder, beside the weights. */
static pfm_status load_config_json(const char *path, json_t **out, pfm_error *err)
{
    char *file = NULL;
    pfm_status status = pfm_path_beside(path, "config.json", &file, err);
    if (status == PFM_OK)
        status = pfm_json_load(file, out, err);
    free(file);
    return status;
}

pfm_status pfm_language_read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    const pfm_language_family *family = NULL;
    pfm_status status = PFM_OK;
    const char *path = pfm_weights_path(weights);
    json_t *json = NULL, *own = NULL;
    *config = (pfm_language_config){0};
    if (strcmp(pfm_weights_format(weights), "gguf") == 0) {
        PFM_TRY(find_family(true, pfm_weights_meta_string(weights, "general.architecture", NULL), path, &family, err));
        config->family = family;
        PFM_TRY(family->read_config(weights, config, err));
    } else {
        PFM_TRY(load_config_json(path, &json, err));
        PFM_TRY(pfm_wrapped_config(json, &own, &config->wrapped, err));
        PFM_TRY(find_family(false, json_string_value(json_object_get(own, "model_type")), path, &family, err));
        config->family = family;
        PFM_TRY(family->read_config_json(own, weights, config, err));
    }
done:
    json_decref(own);
    json_decref(json);
    return status;
}

/* From ids, visual tokens and positions to the loss or the logits. */
static pfm_status build_network(pfm_builder *builder, const pfm_language_config *config, bool with_loss,
                                pfm_language_values *values, pfm_error *err)
{
    const pfm_language_family *f = config->family;
    pfm_status status = PFM_OK;
    pfm_value hidden, x;
    PFM_TRY((f->embed != NULL ? f->embed : pfm_language_embed)(builder, config, values, &hidden, err));
    PFM_TRY(pfm_language_blocks(builder, config, values, &hidden, err));
    PFM_TRY(pfm_language_choose(builder, values, hidden, &x, err));
    PFM_TRY(f->last_centres ? pfm_build_layernorm(builder, x, f->last_norm, config->epsilon, 0, &x, err)
                            : pfm_build_rmsnorm(builder, x, f->last_norm, config->epsilon, &x, err));
    PFM_TRY(pfm_language_head(builder, config, with_loss, x, values, err));
done:
    return status;
}

pfm_status pfm_language_build(pfm_builder *builder, const pfm_language_config *config, bool with_loss,
                              pfm_language_values *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph *graph = builder->graph;
    values->rope = values->targets = values->loss = values->logits = PFM_NO_VALUE;
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, &values->ids, err));
    builder->ids = values->ids;
    builder->block = -1;
    builder->block_count = config->layers;
    builder->made = PFM_NO_VALUE;
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, &values->positions, err));
    if (config->rotary > 0)
        PFM_TRY(
            pfm_graph_input(graph, PFM_DIM_FIXED, config->context, config->rotary, PFM_STORAGE_F32, false, &values->rope, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_ANSWERS, 0, 1, PFM_STORAGE_I32, false, &values->index, err));
    if (with_loss)
        PFM_TRY(pfm_graph_input(graph, PFM_DIM_ANSWERS, 0, 1, PFM_STORAGE_I32, false, &values->targets, err));
    PFM_TRY(build_network(builder, config, with_loss, values, err));
done:
    return status;
}
