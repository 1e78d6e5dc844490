#include "train/trainer.h"

#include "base/random.h"
#include "base/try.h"
#include "train/overlap.h"
#include "train/sides.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *pfm_trainer_data(const pfm_recipe *whole, const pfm_recipe *stage, const char *data)
{
    const pfm_recipe *last = pfm_recipe_get_stage(whole, pfm_recipe_count_stages(whole) - 1);
    return strcmp(stage->data.dataset, last->data.dataset) == 0 ? data : NULL;
}

static pfm_status create_sampler(pfm_trainer *trainer, pfm_error *err)
{
    const pfm_recipe *recipe = trainer->session->recipe;
    double *ratios = NULL;
    pfm_status status = PFM_OK;
    if (recipe->data.mixture_count > 0)
        PFM_TRY(pfm_allocate(recipe->data.mixture_count, sizeof *ratios, &ratios, err));
    for (size_t i = 0; i < recipe->data.mixture_count; i++)
        ratios[i] = recipe->data.mixture[i].ratio;
    PFM_TRY(pfm_sampler_create_mixture(trainer->train_set, ratios, recipe->data.group, recipe->train.batch, trainer->seed,
                                       &trainer->sampler, err));
    trainer->steps = recipe->train.steps > 0 ? recipe->train.steps
                                             : (int64_t)pfm_sampler_count_steps(trainer->sampler, recipe->train.epochs);
    trainer->total = trainer->steps;
done:
    free(ratios);
    return status;
}

static pfm_status load_data(pfm_trainer *trainer, const char *data, pfm_error *err)
{
    const pfm_recipe *recipe = trainer->session->recipe;
    pfm_status status = PFM_OK;
    bool validates = false;
    data = pfm_trainer_data(trainer->session->whole, recipe, data);
    PFM_TRY(pfm_recipe_load_training(recipe, data, &trainer->train_set, err));
    pfm_dataset_tell_left_out(trainer->train_set, trainer->session->context);
    PFM_TRY(pfm_samples_create(trainer->session, trainer->train_set, &trainer->train, err));
    trainer->train.mirrors = strcmp(recipe->data.mirror, "horizontal") == 0;
    trainer->train.mirror_seed = trainer->seed;
    if (trainer->train.mirrors)
        PFM_TRY(pfm_sides_check(trainer->train_set, err));
    PFM_TRY(pfm_recipe_has_data(recipe, data, recipe->data.validate, &validates, err));
    if (validates) {
        PFM_TRY(pfm_recipe_load_data(recipe, data, recipe->data.validate, (size_t)recipe->train.validate_limit,
                                     &trainer->validate_set, err));
        pfm_dataset_tell_left_out(trainer->validate_set, trainer->session->context);
        PFM_TRY(pfm_samples_create(trainer->session, trainer->validate_set, &trainer->validate, err));
    }
    PFM_TRY(create_sampler(trainer, err));
done:
    return status;
}

/* Everything that decides the bits of a run, the data, the kernels and smaller micro-batches for want of memory apart: the
 * recipe, the seed, the precision. */
static pfm_status hash_run(const pfm_session *session, pfm_hash_hex out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    char *text = NULL;
    pfm_recipe *recipe = NULL;
    PFM_TRY(pfm_recipe_copy(session->whole, SIZE_MAX, &recipe, err));
    pfm_recipe_forget_asides(recipe); /* data may lie elsewhere the next time */
    PFM_TRY(pfm_recipe_hash(recipe, hash, err));
    PFM_TRY(pfm_string_format(&text, err, "%s seed %llu precision %d", hash, (unsigned long long)session->context->seed,
                              (int)session->context->precision));
    PFM_TRY(pfm_hash_bytes(text, strlen(text), out, err));
done:
    pfm_recipe_free(recipe);
    free(text);
    return status;
}

/* A number that differs for every (seed, what it is for, count). */
static uint64_t mix(uint64_t seed, uint32_t purpose, uint64_t count)
{
    uint32_t counter[4] = {(uint32_t)count, (uint32_t)(count >> 32), purpose, 0}, out[4];
    pfm_philox(seed, counter, out);
    return (uint64_t)out[0] << 32 | out[1];
}

pfm_status pfm_trainer_create(pfm_session *session, const char *data, pfm_trainer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_trainer *trainer = NULL;
    size_t batch = (size_t)session->recipe->train.batch;
    uint64_t seed = session->context->seed;
    PFM_TRY(pfm_allocate(1, sizeof *trainer, &trainer, err));
    trainer->session = session;
    trainer->seed = session->stage == 0 ? seed : mix(seed, 0x73746167u, session->stage);
    trainer->log = -1;
    trainer->token_limit = PFM_TOKENS_AT_ONCE;
    trainer->state.best_loss = -1;
    PFM_TRY(pfm_allocate(batch, sizeof *trainer->rows, &trainer->rows, err));
    PFM_TRY(pfm_allocate(batch, sizeof *trainer->groups, &trainer->groups, err));
    PFM_TRY(hash_run(session, trainer->identity.recipe, err));
    PFM_TRY(load_data(trainer, data, err));
    *out = trainer;
    trainer = NULL;
done:
    pfm_trainer_free(trainer);
    return status;
}

pfm_status pfm_trainer_place(pfm_trainer *trainer, int64_t first, int64_t total, const char *folder, pfm_error *err)
{
    const pfm_session *session = trainer->session;
    bool last = session->stage + 1 == pfm_recipe_count_stages(session->whole);
    trainer->first = first;
    trainer->total = total;
    pfm_status status = pfm_string_copy(folder, &trainer->folder, err);
    if (status == PFM_OK)
        status = last ? pfm_string_copy(folder, &trainer->output, err)
                      : pfm_string_format(&trainer->output, err, "%s/stages/%s", folder, session->recipe->name);
    return status;
}

void pfm_trainer_free(pfm_trainer *trainer)
{
    if (trainer == NULL)
        return;
    pfm_executor_free(trainer->executor);
    pfm_model_graph_free(&trainer->graph);
    pfm_micro_batch_free(&trainer->batch);
    pfm_samples_free(&trainer->train);
    pfm_samples_free(&trainer->validate);
    pfm_dataset_free(trainer->train_set);
    pfm_dataset_free(trainer->validate_set);
    pfm_sampler_free(trainer->sampler);
    if (trainer->log >= 0)
        close(trainer->log);
    free(trainer->rows);
    free(trainer->groups);
    free(trainer->before);
    free(trainer->folder);
    free(trainer->output);
    free(trainer);
}

static size_t cut(const pfm_trainer *trainer, const pfm_samples *samples, const size_t *rows, const int *groups, size_t count,
                  size_t *used)
{
    const pfm_recipe *recipe = trainer->session->recipe;
    return pfm_micro_batch_cut(samples, rows, groups, count, recipe->train.pack, trainer->token_limit,
                               (size_t)recipe->train.micro_batch, used);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Raises the sizes to those of the micro-batches that the rows are cut into; adds their tokens and images to the means. */
static void measure(const pfm_trainer *trainer, const pfm_samples *samples, const size_t *rows, const int *groups, size_t count,
                    pfm_trainer_sizes *most)
{
    for (size_t begin = 0; begin < count;) {
        size_t used, taken = cut(trainer, samples, rows + begin, groups + begin, count - begin, &used), answers = 0, visual = 0;
        for (size_t i = begin; i < begin + taken; i++) {
            const pfm_sequence text = pfm_samples_sequence(samples, rows[i]);
            answers += text.count - text.answer;
            if (i == begin || groups[i] != groups[i - 1])
                visual += (size_t)pfm_samples_visual_rows(samples, rows[i]);
        }
        most->tokens = larger(most->tokens, used);
        most->answers = larger(most->answers, answers);
        most->visual = larger(most->visual, visual);
        most->rows = larger(most->rows, taken);
        most->mean_step_tokens += (double)used;
        most->mean_step_images += (double)pfm_model_count_images(trainer->session->model, (int64_t)visual);
        begin += taken;
    }
}

enum { VALIDATION_GROUP = 16 }; /* rows of the same images that share them in a validation */

/* Validation goes through the rows image by image. */
static pfm_status validation_order(const pfm_trainer *trainer, size_t **rows, int **groups, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = trainer->validate.count, in_group = 0;
    int group = 0;
    PFM_TRY(pfm_dataset_order_by_images(trainer->validate_set, rows, err));
    PFM_TRY(pfm_allocate(count, sizeof **groups, groups, err));
    for (size_t i = 0; i < count; i++, in_group++) {
        const pfm_row *all = trainer->validate_set->rows;
        if (i > 0 && (all[(*rows)[i]].image_set != all[(*rows)[i - 1]].image_set || in_group == VALIDATION_GROUP)) {
            group++;
            in_group = 0;
        }
        (*groups)[i] = group;
    }
    pfm_samples_divide_groups(&trainer->validate, *rows, *groups, count);
done:
    return status;
}

/* The texts and groups of a step. */
static pfm_status draw_step(pfm_trainer *trainer, int64_t step, pfm_error *err)
{
    size_t batch = (size_t)trainer->session->recipe->train.batch;
    pfm_status status = pfm_sampler_step(trainer->sampler, (size_t)step, trainer->rows, trainer->groups, err);
    for (size_t i = 0; status == PFM_OK && i < batch; i++)
        trainer->rows[i] =
            pfm_samples_draw(&trainer->train, trainer->rows[i], trainer->seed, (uint64_t)step * (uint64_t)batch + i);
    if (status == PFM_OK)
        pfm_samples_divide_groups(&trainer->train, trainer->rows, trainer->groups, batch);
    return status;
}

pfm_status pfm_trainer_measure(void *user, size_t token_limit, pfm_trainer_sizes *sizes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_trainer *trainer = user;
    trainer->token_limit = token_limit;
    size_t *rows = NULL;
    int *groups = NULL;
    *sizes =
        (pfm_trainer_sizes){.tokens = 1, .answers = 1, .visual = (size_t)trainer->session->model->visual_tokens, .rows = 1};
    for (int64_t step = 0; step < trainer->steps; step++) {
        PFM_TRY(draw_step(trainer, step, err));
        measure(trainer, &trainer->train, trainer->rows, trainer->groups, (size_t)trainer->session->recipe->train.batch, sizes);
    }
    sizes->mean_step_tokens /= (double)trainer->steps;
    sizes->mean_step_images /= (double)trainer->steps;
    if (trainer->validate_set != NULL) {
        const pfm_trainer_sizes training = *sizes;
        PFM_TRY(validation_order(trainer, &rows, &groups, err));
        measure(trainer, &trainer->validate, rows, groups, trainer->validate.count, sizes);
        sizes->mean_step_tokens = training.mean_step_tokens;
        sizes->mean_step_images = training.mean_step_images;
    }
done:
    free(rows);
    free(groups);
    return status;
}

pfm_status pfm_trainer_build(pfm_trainer *trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_session *session = trainer->session;
    pfm_training_fit fit = {0};
    PFM_TRY(pfm_training_fit_memory(session->model, session->recipe, pfm_trainer_measure, trainer, &fit, err));
    trainer->sizes = fit.sizes;
    trainer->graph = fit.graph;
    (void)snprintf(trainer->identity.micro_batches, sizeof trainer->identity.micro_batches, "%zu", trainer->token_limit);
    if (session->context->memory > 0)
        pfm_log(session->context, PFM_LOG_INFO, "%.2f GiB at most%s%s", (double)fit.peak / 1073741824.0,
                fit.token_limit < PFM_TOKENS_AT_ONCE ? ", in smaller micro-batches" : "",
                fit.recompute ? ", blocks computed again in the backward" : "");
done:
    return status;
}

/* Comes after the weights, so that what loading them takes for a moment does not add to the peak. */
static pfm_status create_executor(pfm_trainer *trainer, pfm_error *err)
{
    const pfm_op_environment env = pfm_training_environment(trainer->session->model, &trainer->sizes);
    return pfm_executor_create(trainer->graph.graph, &env, trainer->graph.language.loss, &trainer->executor, err);
}

/* The features of the training images as they are before anything is learned: those at hand, unless a part of the encoder is
 * within the graph. */
static pfm_status open_frozen_features(pfm_trainer *trainer, pfm_vision **vision, pfm_feature_store **own,
                                       pfm_feature_store **features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *features = trainer->train.features;
    if (trainer->session->model->tower == NULL)
        return PFM_OK;
    PFM_TRY(pfm_session_load_frozen_vision(trainer->session, vision, err));
    PFM_TRY(pfm_samples_open_features(&trainer->train, *vision, own, err));
    *features = *own;
done:
    return status;
}

/* By the images of the first stage; later ones keep what the aligner learned with. */
static pfm_status normalise_features(pfm_trainer *trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_model *model = trainer->session->model;
    pfm_feature_statistics statistics = {0};
    pfm_vision *vision = NULL;
    pfm_feature_store *own = NULL, *store = NULL;
    float *features = NULL;
    if (!model->normalise || trainer->session->stage > 0)
        return PFM_OK;
    if (trainer->train_set->image_count == 0 && trainer->session->whole->stage_count > 1)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "stage %s shows no image, so that it cannot tell how later stages' features are to be normalised; set "
                 "model.normalise: false, or begin with a stage that has images",
                 trainer->session->recipe->name);
    PFM_TRY(open_frozen_features(trainer, &vision, &own, &store, err));
    PFM_TRY(pfm_allocate(pfm_model_frozen_values(model), sizeof *features, &features, err));
    for (size_t i = 0; i < trainer->train_set->image_count; i++) {
        PFM_TRY(pfm_feature_store_read(store, i, features, err));
        PFM_TRY(pfm_feature_statistics_add(model, &statistics, features, err));
    }
    pfm_feature_statistics_finish(&statistics, model);
done:
    pfm_feature_statistics_free(&statistics);
    pfm_feature_store_free(own);
    pfm_vision_free(vision);
    free(features);
    return status;
}

/* rows = what the rows are, out = that and, where it chooses experts, what is known of each. */
static pfm_status hash_rows(const pfm_samples *samples, pfm_hash_hex rows, pfm_hash_hex out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer both = {0};
    PFM_TRY(pfm_dataset_hash(samples->dataset, rows, err));
    memcpy(out, rows, sizeof(pfm_hash_hex));
    if (samples->session->recipe->peft.context == NULL)
        goto done;
    PFM_TRY(pfm_buffer_append_string(&both, rows, err));
    for (size_t i = 0; i < samples->count; i++)
        PFM_TRY(pfm_buffer_append_format(&both, err, " %d", samples->contexts[i]));
    PFM_TRY(pfm_hash_bytes(both.data, both.size, out, err));
done:
    pfm_buffer_free(&both);
    return status;
}

pfm_status pfm_trainer_prepare(pfm_trainer *trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_session_load_vision(trainer->session, err));
    PFM_TRY(pfm_samples_prepare_features(&trainer->train, err));
    PFM_TRY(hash_rows(&trainer->train, trainer->row_hashes[0], trainer->identity.train, err));
    if (trainer->validate_set != NULL) {
        PFM_TRY(pfm_samples_prepare_features(&trainer->validate, err));
        PFM_TRY(hash_rows(&trainer->validate, trainer->row_hashes[1], trainer->identity.validate, err));
        PFM_TRY(pfm_overlap_warn(&trainer->train, &trainer->validate, err));
    }
    if (trainer->session->vision != NULL)
        pfm_vision_rest(trainer->session->vision);
    PFM_TRY(normalise_features(trainer, err));
    PFM_TRY(pfm_session_load_weights(trainer->session, err));
    PFM_TRY(create_executor(trainer, err));
done:
    return status;
}

/* What answer token `a` counts: 1, or as much as makes every answer count `mean_tokens` (0: does not). */
static float token_weight(const pfm_micro_batch *batch, size_t a, double mean_tokens)
{
    const pfm_sequence *row = &batch->sequences[batch->pack.answer_row[a]];
    return mean_tokens > 0 ? (float)(mean_tokens / (double)(row->count - row->answer)) : 1;
}

/* Runs one micro-batch forward, and backward while training; adds its losses, weighted (token_weight). */
static pfm_status run_micro_batch(pfm_trainer *trainer, const pfm_samples *samples, const size_t *rows, const int *groups,
                                  size_t count, size_t first_number, double mean_tokens, double *loss, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_executor *executor = trainer->executor;
    PFM_TRY(pfm_micro_batch_fill(&trainer->batch, samples, rows, groups, count, first_number,
                                 trainer->session->recipe->train.pack, err));
    const pfm_pack *pack = &trainer->batch.pack;
    PFM_TRY(pfm_model_bind(trainer->session->model, &trainer->graph, executor, pack, trainer->batch.visual_rows, err));
    PFM_TRY(pfm_micro_batch_bind_images(&trainer->batch, trainer->session->model, &trainer->graph, executor, err));
    pfm_executor_forward(executor);
    const float *losses = pfm_executor_data(executor, trainer->graph.language.loss);
    for (size_t a = 0; a < pack->answers; a++)
        *loss += (double)token_weight(&trainer->batch, a, mean_tokens) * (double)losses[a];
    if (!pfm_executor_environment(executor)->training)
        goto done;
    float *seed = pfm_executor_gradient(executor, trainer->graph.language.loss);
    for (size_t a = 0; a < pack->answers; a++)
        seed[a] = token_weight(&trainer->batch, a, mean_tokens);
    pfm_executor_backward(executor);
done:
    return status;
}

static bool over_answers(const pfm_recipe *recipe) { return strcmp(recipe->train.mean_over, "answers") == 0; }

pfm_status pfm_trainer_gradients(pfm_trainer *trainer, int64_t step, pfm_step_result *result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t batch = (size_t)trainer->session->recipe->train.batch, used;
    pfm_op_environment *env = pfm_executor_environment(trainer->executor);
    int64_t pictures = 0; /* of all rows */
    *result = (pfm_step_result){.samples = (int64_t)batch};
    PFM_TRY(draw_step(trainer, step, err));
    for (size_t i = 0; i < batch; i++) {
        const pfm_sequence text = pfm_samples_sequence(&trainer->train, trainer->rows[i]);
        result->answers += (int64_t)(text.count - text.answer);
        pictures += (int64_t)trainer->train_set->rows[trainer->rows[i] % trainer->train.count].image_count;
    }
    double mean_tokens = over_answers(trainer->session->recipe) ? (double)result->answers / (double)batch : 0;
    env->training = true;
    env->dropout_key = mix(trainer->session->context->seed, 0x64726f70u, (uint64_t)(trainer->first + step));
    env->loss_scale = 1.0f / (float)result->answers;
    env->rows[PFM_ROWS_SEQUENCE].scale = 1.0f / (float)batch;
    env->rows[PFM_ROWS_PICTURES].scale = pictures > 0 ? 1.0f / (float)pictures : 0;
    trainer->train.step = step;
    trainer->batch.reading = 0;
    pfm_parameters_zero_gradients(trainer->session->model->parameters);
    for (size_t begin = 0; begin < batch;) {
        size_t taken = cut(trainer, &trainer->train, trainer->rows + begin, trainer->groups + begin, batch - begin, &used);
        PFM_TRY(run_micro_batch(trainer, &trainer->train, trainer->rows + begin, trainer->groups + begin, taken, begin,
                                mean_tokens, &result->loss, err));
        result->tokens += (int64_t)trainer->batch.pack.tokens;
        pfm_routing_add(&result->routing, PFM_ROWS_SEQUENCE, trainer->graph.graph, trainer->executor);
        pfm_routing_add(&result->vision_routing, PFM_ROWS_PICTURES, trainer->graph.graph, trainer->executor);
        begin += taken;
    }
    result->loss /= (double)result->answers;
    result->reading = trainer->batch.reading;
    pfm_routing_finish(&result->routing, PFM_ROWS_SEQUENCE, trainer->graph.graph, result->samples);
    pfm_routing_finish(&result->vision_routing, PFM_ROWS_PICTURES, trainer->graph.graph, pictures);
done:
    return status;
}

pfm_status pfm_trainer_step(pfm_trainer *trainer, int64_t step, pfm_step_result *result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_recipe *recipe = trainer->session->recipe;
    pfm_parameters *parameters = trainer->session->model->parameters;
    const pfm_context *context = trainer->session->context;
    PFM_TRY(pfm_trainer_gradients(trainer, step, result, err));
    result->gradient_norm = pfm_gradient_norm(parameters, context);
    if (!isfinite(result->loss) || !isfinite(result->gradient_norm))
        PFM_FAIL(PFM_ERROR_NUMERIC,
                 "step %lld: the loss is %g and the gradient's norm %g; a lower train.learning_rate may help",
                 (long long)(trainer->first + step + 1), result->loss, result->gradient_norm);
    double clip = recipe->train.clip_norm, scale = clip > 0 && result->gradient_norm > clip ? clip / result->gradient_norm : 1;
    result->learning_rate = pfm_learning_rate(recipe, step, trainer->steps);
    pfm_adamw_step(parameters, context, recipe, step, result->learning_rate, scale);
    pfm_parameters_repack(parameters);
done:
    return status;
}

pfm_status pfm_trainer_validate(pfm_trainer *trainer, double *loss, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *rows = NULL, used, count = trainer->validate.count;
    int *groups = NULL;
    double sum = 0, answers = 0;
    PFM_TRY(validation_order(trainer, &rows, &groups, err));
    pfm_executor_environment(trainer->executor)->training = false;
    for (size_t begin = 0; begin < count;) {
        size_t taken = cut(trainer, &trainer->validate, rows + begin, groups + begin, count - begin, &used);
        PFM_TRY(run_micro_batch(trainer, &trainer->validate, rows + begin, groups + begin, taken, 0, 0, &sum, err));
        answers += (double)trainer->batch.pack.answers;
        begin += taken;
        pfm_report_progress(trainer->session->context, "validating", "rows", (double)begin, (double)count, "");
    }
    *loss = sum / answers;
done:
    free(rows);
    free(groups);
    return status;
}
