#include "train/session.h"

#include "base/file.h"
#include "base/try.h"
#include "pefomed/weights.h"
#include "train/run.h"

#include <stdlib.h>
#include <string.h>

/* The language model's family, NULL where that cannot be known. */
static const pfm_language_family *find_family(const pfm_context *context, const char *language)
{
    pfm_language_config config = {0};
    pfm_weights *weights = NULL;
    char *path = NULL;
    if (pfm_model_path(context, language, &path, NULL) != PFM_OK)
        return pfm_language_known(language, &config, NULL) == PFM_OK ? config.family : NULL;
    const bool read =
        pfm_weights_open(path, &weights, NULL) == PFM_OK && pfm_language_read_config(weights, &config, NULL) == PFM_OK;
    pfm_weights_close(weights);
    free(path);
    return read ? config.family : NULL;
}

pfm_status pfm_session_choose_layers(const pfm_context *context, pfm_recipe *recipe, pfm_error *err)
{
    const pfm_language_family *family = NULL;
    if (recipe->default_targets || recipe->default_feedforward)
        family = find_family(context, recipe->model.language);
    return family == NULL ? PFM_OK : pfm_recipe_choose_layers(recipe, family->model_types[0], err);
}

pfm_status pfm_session_create_peft(const pfm_recipe *r, pfm_peft **out, pfm_error *err)
{
    char none[] = "none";
    const pfm_peft_options nothing = {.method = none, .rank = r->peft.rank, .alpha = r->peft.alpha};
    pfm_peft *peft = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_create(r->adapts ? &r->peft : &nothing, &peft, err));
    const char *reason = pfm_recipe_adapts(r, "vision") ? pfm_peft_not_in_vision(peft) : NULL;
    if (reason != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s %s; leave vision out of peft.parts, or take another peft.method", r->peft.method, reason);
    *out = peft;
    peft = NULL;
done:
    pfm_peft_free(peft);
    return status;
}

pfm_status pfm_session_vision_layers(const pfm_recipe *recipe, pfm_vision_layers *out, pfm_error *err)
{
    pfm_status status = pfm_vision_layers_parse(recipe->model.layers, recipe->model.layer_count, out, err);
    out->class_token = strcmp(recipe->model.class_token, "keep") == 0;
    return status;
}

/* The block type of the recipe; for what names none, the precision's. */
static pfm_status choose_weights(const pfm_recipe *recipe, const pfm_context *context, bool training, pfm_dtype *out,
                                 pfm_error *err)
{
    const char *name = recipe->model.weights;
    *out = PFM_DTYPE_BF16;
    for (int dtype = 0; dtype < PFM_DTYPE_COUNT; dtype++) {
        if (strcmp(pfm_dtype_get_info((pfm_dtype)dtype)->name, name) == 0)
            *out = (pfm_dtype)dtype;
    }
    if (context->weights != PFM_WEIGHTS_FULL && !training && (*out == PFM_DTYPE_Q4_K || *out == PFM_DTYPE_NF4))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "the recipe keeps its weights in %s (model.weights), which cannot be multiplied in int8; leave "
                             "--weights out",
                             name);
    return PFM_OK;
}

pfm_status pfm_session_model_options(const pfm_recipe *recipe, const pfm_context *context, const pfm_peft *peft, bool training,
                                     pfm_model_options *out, pfm_error *err)
{
    *out = (pfm_model_options){
        .vision = pfm_recipe_sees(recipe) ? recipe->model.vision : NULL,
        .image_size = recipe->model.image_size,
        .aligner = recipe->model.aligner,
        .merge = recipe->model.merge,
        .aligner_inner = recipe->model.aligner_inner,
        .qformer = {.layers = recipe->qformer.layers,
                    .heads = recipe->qformer.heads,
                    .queries = recipe->qformer.queries,
                    .cross_every = recipe->qformer.cross_every,
                    .hidden = recipe->qformer.hidden,
                    .intermediate = recipe->qformer.intermediate,
                    .frozen = recipe->qformer.frozen},
        .gated = {.every = recipe->gated.every, .heads = recipe->gated.heads, .head_dim = recipe->gated.head_dim},
        .aligner_weights = recipe->model.aligner_weights,
        .normalise = recipe->model.normalise,
        .instruction = recipe->prompt.instruction[0],
        .image_text = recipe->prompt.image,
        .system_text = recipe->prompt.system,
        .lowercase_answers = recipe->data.lowercase_answers,
        .training = training,
        .learns_norms = recipe->adapts_norms,
        .frozen = (unsigned)!pfm_recipe_trains(recipe, "aligner") << PFM_PART_ALIGNER |
                  (unsigned)!pfm_recipe_trains(recipe, "peft") << PFM_PART_PEFT |
                  (unsigned)!pfm_recipe_trains(recipe, "norms") << PFM_PART_NORMS,
        .precision = context->precision,
        .virtual_tokens = pfm_peft_virtual_tokens(peft),
        .hook = pfm_recipe_adapts(recipe, "language") ? pfm_peft_hook(peft) : NULL,
        .vision_hook = pfm_recipe_adapts(recipe, "vision") ? pfm_peft_hook(peft) : NULL};
    pfm_status status = choose_weights(recipe, context, training, &out->weights, err);
    if (status != PFM_OK)
        return status;
    return pfm_session_vision_layers(recipe, &out->layers, err);
}

static pfm_status create(pfm_context *context, pfm_recipe *whole, size_t stage, bool training, bool tensors_only,
                         pfm_session **out, pfm_error *err)
{
    const pfm_recipe *recipe = pfm_recipe_get_stage(whole, stage);
    pfm_session *session = NULL;
    pfm_model_options options;
    pfm_status status = pfm_allocate(1, sizeof *session, &session, err);
    if (status != PFM_OK) {
        pfm_recipe_free(whole);
        return status;
    }
    session->context = context;
    session->whole = whole;
    session->recipe = recipe;
    session->stage = stage;
    PFM_TRY(pfm_session_choose_layers(context, whole, err));
    PFM_TRY(pfm_session_create_peft(recipe, &session->peft, err));
    PFM_TRY(pfm_model_path(context, recipe->model.language, &session->language_path, err));
    PFM_TRY(pfm_session_model_options(recipe, context, session->peft, training, &options, err));
    options.language_path = session->language_path;
    if (options.vision_hook != NULL)
        PFM_TRY(pfm_model_path(context, recipe->model.vision, &session->vision_path, err));
    options.vision_path = session->vision_path;
    options.tensors_only = tensors_only;
    PFM_TRY(pfm_model_create(context, &options, &session->model, err));
    *out = session;
    session = NULL;
done:
    pfm_session_free(session);
    return status;
}

pfm_status pfm_session_create_stage(pfm_context *context, pfm_recipe *recipe, size_t stage, bool training, pfm_session **out,
                                    pfm_error *err)
{
    return create(context, recipe, stage, training, false, out, err);
}

pfm_status pfm_session_create(pfm_context *context, pfm_recipe *recipe, bool training, pfm_session **out, pfm_error *err)
{
    return create(context, recipe, pfm_recipe_count_stages(recipe) - 1, training, false, out, err);
}

pfm_status pfm_session_create_for_tensors(pfm_context *context, pfm_recipe *recipe, bool training, pfm_session **out,
                                          pfm_error *err)
{
    return create(context, recipe, pfm_recipe_count_stages(recipe) - 1, training, true, out, err);
}

/* The recipe's method becomes the adapter's; it has learned in these parts, whatever else the run learned. */
static pfm_status replace_adapter(pfm_recipe *recipe, const char *adapter, bool in_language, bool in_vision, pfm_error *err)
{
    const size_t last = pfm_recipe_count_stages(recipe) - 1;
    char language[] = "language", vision[] = "vision", *parts[2];
    size_t count = 0;
    const bool none = strcmp(adapter, PFM_SESSION_NO_ADAPTER) == 0;
    pfm_status status = none ? PFM_OK : pfm_recipe_take_adapter(recipe, adapter, false, err);
    pfm_recipe *stage = recipe->stage_count > 0 ? recipe->stages[last] : recipe;
    stage->adapts = !none;
    stage->adapts_norms = false; /* those that the adapter holds are its own modules */
    if (status != PFM_OK || none)
        return status;
    if (in_language)
        parts[count++] = language;
    if (in_vision)
        parts[count++] = vision;
    pfm_peft_texts_free(&stage->parts, &stage->part_count);
    return pfm_peft_texts_copy(parts, count, &stage->parts, &stage->part_count, err);
}

pfm_status pfm_session_replace_adapter(pfm_recipe *recipe, const char *adapter, pfm_error *err)
{
    char *found = NULL, *vision = NULL;
    pfm_status status = PFM_OK;
    if (strcmp(adapter, PFM_SESSION_NO_ADAPTER) == 0)
        return replace_adapter(recipe, adapter, false, false, err);
    PFM_TRY(pfm_run_vision_folder(adapter, &vision, err));
    PFM_TRY(pfm_adapter_find(adapter, &found, err));
    const bool in_vision = strcmp(vision, adapter) != 0, in_language = strcmp(vision, found) != 0 || !in_vision;
    PFM_TRY(replace_adapter(recipe, adapter, in_language, in_vision, err));
done:
    free(found);
    free(vision);
    return status;
}

pfm_status pfm_session_replace_vision_adapter(pfm_recipe *recipe, const char *adapter, pfm_error *err)
{
    char *vision = NULL;
    pfm_status status = pfm_run_vision_folder(adapter, &vision, err); /* none is no folder */
    if (status == PFM_OK)
        status = replace_adapter(recipe, vision, false, true, err);
    free(vision);
    return status;
}

pfm_status pfm_session_read_recipe(const char *run_or_recipe, pfm_recipe **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL;
    const bool is_run = pfm_path_is_folder(run_or_recipe);
    if (is_run) {
        PFM_TRY(pfm_path_join(run_or_recipe, "recipe.yaml", &file, err));
        if (!pfm_path_exists(file))
            PFM_FAIL(PFM_ERROR_IO, "%s is not a run: it holds no recipe.yaml; pefomed train makes one", run_or_recipe);
    }
    PFM_TRY(pfm_recipe_load(is_run ? file : run_or_recipe, NULL, 0, out, err));
done:
    free(file);
    return status;
}

pfm_status pfm_session_open_with(pfm_context *context, const char *run_or_recipe, const char *adapter, bool training,
                                 pfm_session **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    const bool is_run = pfm_path_is_folder(run_or_recipe);
    PFM_TRY(pfm_session_read_recipe(run_or_recipe, &recipe, err));
    if (adapter != NULL)
        PFM_TRY(pfm_session_replace_adapter(recipe, adapter, err));
    else if (!is_run) /* a run's recipe says it all */
        PFM_TRY(pfm_recipe_take_start(recipe, err));
    status = pfm_session_create(context, recipe, training, &session, err);
    recipe = NULL; /* taken */
    if (status == PFM_OK && is_run)
        status = pfm_string_copy(run_or_recipe, &session->run, err);
    if (status == PFM_OK && adapter != NULL && strcmp(adapter, PFM_SESSION_NO_ADAPTER) != 0)
        status = pfm_string_copy(adapter, &session->adapter, err);
    if (status != PFM_OK)
        goto done;
    *out = session;
    session = NULL;
done:
    pfm_session_free(session);
    pfm_recipe_free(recipe);
    return status;
}

pfm_status pfm_session_open(pfm_context *context, const char *run_or_recipe, bool training, pfm_session **out, pfm_error *err)
{
    return pfm_session_open_with(context, run_or_recipe, NULL, training, out, err);
}

void pfm_session_free(pfm_session *session)
{
    if (session == NULL)
        return;
    pfm_vision_free(session->vision);
    pfm_model_free(session->model);
    pfm_session_free_adapters(session);
    pfm_peft_free(session->peft);
    pfm_recipe_free(session->whole);
    free(session->run);
    free(session->adapter);
    free(session->language_path);
    free(session->vision_path);
    free(session->aligner_path);
    free(session);
}

/* Where the aligner's own file is; known before the encoder works for hours. */
static pfm_status find_aligner_weights(pfm_session *session, pfm_error *err)
{
    if (session->recipe->model.aligner_weights == NULL || session->aligner_path != NULL)
        return PFM_OK;
    pfm_status status = pfm_model_path(session->context, session->recipe->model.aligner_weights, &session->aligner_path, err);
    if (status == PFM_OK) {
        free(session->model->aligner_weights);
        session->model->aligner_weights = NULL;
        status = pfm_string_copy(session->aligner_path, &session->model->aligner_weights, err);
    }
    return status;
}

static pfm_status load_vision(pfm_session *session, const pfm_vision_layers *layers, pfm_vision **out, pfm_error *err)
{
    const pfm_recipe *recipe = session->recipe;
    pfm_status status = PFM_OK;
    if (session->vision_path == NULL)
        PFM_TRY(pfm_model_path(session->context, recipe->model.vision, &session->vision_path, err));
    const pfm_vision_options options = {.kind = recipe->model.vision,
                                        .path = session->vision_path,
                                        .image_size = recipe->model.image_size,
                                        .layers = *layers,
                                        .window = recipe->model.window,
                                        .fit = {.fit = recipe->model.fit, .filter = recipe->model.filter}};
    PFM_TRY(pfm_vision_load(session->context, &options, out, err));
done:
    return status;
}

pfm_status pfm_session_load_vision(pfm_session *session, pfm_error *err)
{
    if (session->vision != NULL || !pfm_model_sees(session->model))
        return PFM_OK;
    const pfm_vision_layers layers = pfm_model_vision_layers(session->model);
    pfm_status status = find_aligner_weights(session, err);
    return status != PFM_OK ? status : load_vision(session, &layers, &session->vision, err);
}

pfm_status pfm_session_load_frozen_vision(pfm_session *session, pfm_vision **out, pfm_error *err)
{
    return load_vision(session, &session->model->layers, out, err);
}

/* What is new in the PEFT method, and is not drawn from the seed alone. */
static pfm_status start_peft(pfm_session *session, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(session->peft);
    const pfm_model *model = session->model;
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    float *rows = NULL;
    pfm_peft_text text = {.width = model->language.hidden};
    if (options->prompt_text != NULL) {
        PFM_TRY(pfm_tokenizer_encode(model->tokenizer, options->prompt_text, strlen(options->prompt_text), false, &ids, err));
        if (ids.count == 0)
            PFM_FAIL(PFM_ERROR_USAGE, "peft.prompt_text '%.60s' has no tokens; leave it out to start at random",
                     options->prompt_text);
        const size_t most = (size_t)options->virtual_tokens;
        text.count = (int64_t)(ids.count < most ? ids.count : most);
        PFM_TRY(pfm_allocate((size_t)(text.count * text.width), sizeof *rows, &rows, err));
        PFM_TRY(pfm_model_embed(model, ids.data, (size_t)text.count, rows, err));
        text.rows = rows;
    }
    PFM_TRY(pfm_peft_start(session->peft, &text, model->parameters, err));
done:
    pfm_ids_free(&ids);
    free(rows);
    return status;
}

/* What a bare recipe begins with. */
static pfm_status start_adapters(pfm_session *session, pfm_error *err)
{
    const pfm_recipe *recipe = session->recipe;
    const char *from = recipe->adapts ? recipe->peft.start : NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(start_peft(session, err)); /* all of it: of the vision encoder such a folder may hold nothing */
    if (from != NULL)
        PFM_TRY(pfm_run_load_adapters(from, session->model, session->peft, err));
done:
    return status;
}

pfm_status pfm_session_load_weights(pfm_session *session, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (session->loaded)
        return PFM_OK;
    PFM_TRY(pfm_peft_check_targets(session->peft, err));
    PFM_TRY(find_aligner_weights(session, err));
    PFM_TRY(pfm_model_load(session->model, session->context->seed, session->run != NULL, err));
    if (session->run != NULL || session->adapter != NULL)
        PFM_TRY(pfm_run_load(session->run, session->adapter, session->model, session->peft, err));
    else
        PFM_TRY(start_adapters(session, err));
    PFM_TRY(pfm_session_load_adapters(session, err));
    session->loaded = true;
done:
    return status;
}

pfm_status pfm_session_set_answers(pfm_session *session, const pfm_answer_settings *settings, pfm_error *err)
{
    return pfm_recipe_set_answers(session->whole, settings, err);
}
