/* train --plan: what a recipe would take, before anything is loaded. */
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "models/vision/feature_store.h"
#include "pefomed/weights.h"
#include "train/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is guessed where the data are not at hand: text tokens that the rows of an image share, and a row's own. */
enum { SHARED_TEXT = 24, OWN_TEXT = 16, ANSWER_TOKENS = 4 };

typedef struct estimate {
    pfm_context *context;
    const pfm_recipe *whole, *recipe; /* recipe: of the stage */
    size_t stage;
    pfm_peft *peft;
    pfm_model *model;
    pfm_session *session; /* these two where data and model are at hand */
    pfm_trainer *trainer;
    pfm_training_fit fit;
    pfm_plan *plan;
    size_t images; /* 0: unknown */
} estimate;

static pfm_status create_model(estimate *e, const char *language_path, pfm_error *err)
{
    const pfm_recipe *r = e->recipe;
    pfm_status status = PFM_OK;
    pfm_language_config known;
    pfm_model_options options;
    char *vision_path = NULL;
    PFM_TRY(pfm_session_create_peft(r, &e->peft, err));
    PFM_TRY(pfm_session_model_options(r, e->context, e->peft, true, &options, err));
    options.language_path = language_path;
    if (language_path == NULL) {
        PFM_TRY(pfm_language_known(r->model.language, &known, err));
        options.config = &known;
    }
    if (options.vision_hook != NULL && pfm_model_path(e->context, r->model.vision, &vision_path, NULL) == PFM_OK)
        options.vision_path = vision_path; /* else its name tells the shapes */
    PFM_TRY(pfm_model_create(e->context, &options, &e->model, err));
done:
    free(vision_path);
    return status;
}

/* Rows of text alone may be as long as the recipe lets them be; on the mean they are taken to be half as long. */
static void guess_texts(const estimate *e, size_t token_limit, pfm_trainer_sizes *out)
{
    const size_t batch = (size_t)e->recipe->train.batch, context = (size_t)e->model->language.context,
                 most = (size_t)e->recipe->train.max_tokens, one = most < context ? most : context,
                 micro = (size_t)e->recipe->train.micro_batch, rows = micro > 0 ? micro : batch,
                 tokens = rows * one < token_limit ? rows * one : token_limit, fit = 2 * token_limit / one,
                 together = fit < 1      ? 1
                            : fit < rows ? fit
                                         : rows;
    *out = (pfm_trainer_sizes){.tokens = tokens < one ? one : tokens,
                               .answers = together * ANSWER_TOKENS,
                               .rows = together,
                               .mean_step_tokens = (double)batch * (double)one / 2};
}

/* A pfm_sizes_function of an estimate that has no trainer. */
static pfm_status guess_sizes(void *user, size_t token_limit, pfm_trainer_sizes *out, pfm_error *err)
{
    (void)err;
    const estimate *e = user;
    if (!pfm_model_sees(e->model)) {
        guess_texts(e, token_limit, out);
        return PFM_OK;
    }
    const size_t batch = (size_t)e->recipe->train.batch, group = e->recipe->train.pack ? (size_t)e->recipe->data.group : 1,
                 groups = (batch + group - 1) / group,
                 shared = (size_t)(e->model->sequence_tokens + e->model->virtual_tokens) + SHARED_TEXT,
                 one = shared + group * OWN_TEXT, step = groups * shared + batch * OWN_TEXT,
                 rows = (size_t)e->recipe->train.micro_batch,
                 limit = rows > 0 && rows / group * one < token_limit ? rows / group * one : token_limit,
                 within = step < limit ? step : limit, tokens = within < one ? one : within,
                 patches = e->model->tower != NULL ? (size_t)e->model->tower->tokens : 1,
                 most = patches < token_limit ? token_limit / patches : 1, wanted = (tokens + one - 1) / one,
                 fit = wanted < most ? wanted : most, at_once = fit < groups ? fit : groups,
                 together = at_once * group < batch ? at_once * group : batch;
    *out = (pfm_trainer_sizes){.tokens = tokens,
                               .answers = together * ANSWER_TOKENS,
                               .visual = at_once * (size_t)e->model->visual_tokens,
                               .rows = together,
                               .mean_step_tokens = (double)step,
                               .mean_step_images = (double)groups};
    return PFM_OK;
}

/* A trainer that reads the data and nothing else, for the exact sizes. */
static pfm_status open_data(estimate *e, const char *data, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *copy = NULL;
    PFM_TRY(pfm_recipe_copy(e->whole, SIZE_MAX, &copy, err));
    PFM_TRY(pfm_session_create_stage(e->context, copy, e->stage, true, &e->session, err));
    PFM_TRY(pfm_trainer_create(e->session, data, &e->trainer, err));
    e->images = (e->trainer->train.mirrors ? 2 : 1) * e->trainer->train_set->image_count +
                (e->trainer->validate_set != NULL ? e->trainer->validate_set->image_count : 0);
done:
    return status;
}

static pfm_status plan_memory(estimate *e, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool exact = e->trainer != NULL;
    PFM_TRY(pfm_training_fit_memory(e->model, e->recipe, exact ? pfm_trainer_measure : guess_sizes,
                                    exact ? (void *)e->trainer : (void *)e, &e->fit, err));
    PFM_TRY(pfm_peft_check_targets(e->peft, err));
    const pfm_op_environment env = pfm_training_environment(e->model, &e->fit.sizes);
    PFM_TRY(pfm_plan_create(e->fit.graph.graph, &env, e->fit.graph.language.loss, &e->plan, err));
done:
    return status;
}

/* Multiplications and additions of one row of a dimension through the linear layers, forward and backward. */
static double operations_per_row(const estimate *e, pfm_dim dim)
{
    double total = 0;
    const pfm_graph *graph = e->fit.graph.graph;
    for (size_t s = 0; s < e->plan->step_count; s++) {
        const pfm_plan_step *step = &e->plan->steps[s];
        const pfm_graph_node *node = &graph->nodes[step->node];
        if (node->op != &pfm_op_linear || graph->values[node->out[0]].shape.dim != dim)
            continue;
        const pfm_parameter *weight = pfm_parameters_get(e->model->parameters, node->operand[0]);
        total += 2.0 * (step->backward ? 1 + weight->trainable : 1) * (double)weight->n * (double)weight->k;
    }
    return total;
}

/* Operations a second of this machine's products, measured for a tenth of a second. */
static pfm_status measure_rate(pfm_context *context, pfm_act_type act, double *rate, pfm_error *err)
{
    enum { M = 512, N = 576, K = 576 };
    pfm_status status = PFM_OK;
    pfm_block a = {0}, b = {0}, c = {0}, scratch = {0};
    pfm_op_environment env = {.context = context, .kernels = context->kernels, .act = act};
    PFM_TRY(pfm_block_create(M * K * sizeof(float), &a, err));
    PFM_TRY(pfm_block_create(context->kernels->gemm_pack_size[act](N, K), &b, err));
    PFM_TRY(pfm_block_create(M * N * sizeof(float), &c, err));
    PFM_TRY(pfm_block_create(pfm_op_gemm_scratch(&env), &scratch, err));
    pfm_gemm gemm = {
        .m = M, .n = N, .k = K, .a = a.data, .lda = K, .b = b.data, .alpha = 1, .c = c.data, .ldc = N, .c_type = act};
    pfm_op_gemm(&env, &gemm, scratch.data);
    double begun = pfm_process_clock(), best = INFINITY;
    while (pfm_process_clock() - begun < 0.1) { /* the best of them: others may want the machine at the same time */
        double start = pfm_process_clock();
        pfm_op_gemm(&env, &gemm, scratch.data);
        best = fmin(best, pfm_process_clock() - start);
    }
    *rate = 2.0 * M * N * K / best;
done:
    pfm_block_free(&a);
    pfm_block_free(&b);
    pfm_block_free(&c);
    pfm_block_free(&scratch);
    return status;
}

typedef struct figures {
    int64_t trainable, total;
    size_t peak, cache, micro_batch_tokens;
    double seconds; /* a step */
    bool recompute;
} figures;

/* What the cache holds of an image: what the graph reads and, where statistics of the frozen encoder are taken, its features.
 */
static uint64_t cached_bytes(const estimate *e)
{
    const pfm_model *model = e->model;
    const pfm_vision_shape frozen = {.grid = model->shape.grid, .channels = model->shape.channels, .extra = model->shape.extra};
    if (model->tower == NULL)
        return pfm_feature_file_bytes(&frozen);
    return pfm_feature_file_bytes(&model->tower->state) +
           (model->normalise && e->stage == 0 ? pfm_feature_file_bytes(&frozen) : 0);
}

static pfm_status find_figures(const estimate *e, figures *out, pfm_error *err)
{
    double rate = 1, operations = operations_per_row(e, PFM_DIM_TOKENS) * e->fit.sizes.mean_step_tokens;
    if (e->model->tower != NULL)
        operations += operations_per_row(e, PFM_DIM_PATCHES) * (double)e->model->tower->tokens * e->fit.sizes.mean_step_images;
    pfm_status status = measure_rate(e->context, e->model->act, &rate, err);
    *out = (figures){.trainable = pfm_parameters_trainable(e->model->parameters),
                     .total = pfm_model_count_parameters(e->model),
                     .peak = e->fit.peak,
                     .cache = e->images * cached_bytes(e),
                     .micro_batch_tokens = e->fit.sizes.tokens,
                     .recompute = e->fit.recompute,
                     .seconds = operations / rate / 0.7 /* products take about seven tenths of a step */};
    return status;
}

static pfm_status plan_stage(pfm_context *context, const pfm_recipe *whole, size_t stage, const char *data, figures *out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    estimate e = {.context = context, .whole = whole, .recipe = pfm_recipe_get_stage(whole, stage), .stage = stage};
    char *path = NULL;
    bool at_hand = pfm_model_path(context, e.recipe->model.language, &path, NULL) == PFM_OK;
    PFM_TRY(create_model(&e, at_hand ? path : NULL, err));
    if (at_hand && pfm_recipe_has_path(e.recipe, pfm_trainer_data(whole, e.recipe, data)))
        PFM_TRY(open_data(&e, data, err));
    PFM_TRY(plan_memory(&e, err));
    PFM_TRY(find_figures(&e, out, err));
done:
    pfm_plan_free(e.plan);
    pfm_model_graph_free(&e.fit.graph);
    pfm_trainer_free(e.trainer);
    pfm_session_free(e.session);
    pfm_model_free(e.model);
    pfm_peft_free(e.peft);
    free(path);
    return status;
}

static json_t *pack_figures(const figures *f)
{
    return json_pack("{s:I, s:I, s:I, s:f, s:I, s:I, s:b}", "trainable_parameters", (json_int_t)f->trainable,
                     "total_parameters", (json_int_t)f->total, "peak_bytes", (json_int_t)f->peak, "seconds_per_step",
                     f->seconds, "cache_bytes", (json_int_t)f->cache, "micro_batch_tokens", (json_int_t)f->micro_batch_tokens,
                     "recompute", f->recompute);
}

/* *stage = {"name", the figures}. */
static pfm_status name_figures(const char *name, const figures *f, json_t **stage, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *values = pack_figures(f);
    *stage = json_object();
    PFM_TRY(pfm_json_take(*stage, "name", json_string(name), err));
    if (values == NULL || json_object_update(*stage, values) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not make the plan");
done:
    json_decref(values);
    return status;
}

/* true where an earlier stage has the images of this one in the cache. */
static bool finds_images(const pfm_recipe *recipe, size_t stage)
{
    const pfm_recipe *here = pfm_recipe_get_stage(recipe, stage);
    for (size_t i = 0; i < stage && here->data.mixture_count == 0; i++) {
        const pfm_recipe *before = recipe->stages[i];
        if (strcmp(before->data.dataset, here->data.dataset) == 0 && before->model.image_size == here->model.image_size)
            return true;
    }
    return false;
}

/* Of the whole the most that any stage takes; the cache holds the images of all of them. */
static void add_stage(figures *whole, const figures *stage, bool cached)
{
    whole->trainable = stage->trainable > whole->trainable ? stage->trainable : whole->trainable;
    whole->total = stage->total > whole->total ? stage->total : whole->total;
    whole->peak = stage->peak > whole->peak ? stage->peak : whole->peak;
    whole->recompute = whole->recompute || stage->recompute;
    if (stage->micro_batch_tokens > whole->micro_batch_tokens)
        whole->micro_batch_tokens = stage->micro_batch_tokens;
    whole->seconds = fmax(stage->seconds, whole->seconds);
    whole->cache = cached ? (stage->cache > whole->cache ? stage->cache : whole->cache) : whole->cache + stage->cache;
}

pfm_status pfm_train_plan(pfm_context *context, const pfm_recipe *recipe, const char *data, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = NULL, *stages = json_array(), *stage = NULL;
    figures whole = {0}, figure = {0};
    for (size_t i = 0; i < pfm_recipe_count_stages(recipe); i++) {
        const char *name = pfm_recipe_get_stage(recipe, i)->name;
        PFM_TRY(plan_stage(context, recipe, i, data, &figure, err));
        PFM_TRY(name_figures(name != NULL ? name : "train", &figure, &stage, err));
        stages = pfm_json_add(stages, stage);
        stage = NULL;
        add_stage(&whole, &figure, finds_images(recipe, i));
    }
    document = pack_figures(&whole);
    status = pfm_json_take(document, "stages", stages, err);
    stages = NULL;
    if (status != PFM_OK)
        goto done;
    status = pfm_json_print(document, json, err);
done:
    json_decref(document);
    json_decref(stages);
    json_decref(stage);
    return status;
}
