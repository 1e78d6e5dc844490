/* A step that a run answers, or a language model of this machine: as `pefomed ask` does, all cases in few batches, and each
 * answer in the same log as those of servers. */
#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/process.h"
#include "base/try.h"
#include "eval/answers.h"
#include "infer/generate.h"
#include "models/vision/feature_store.h"
#include "pefomed/weights.h"
#include "pipeline/pipeline_internal.h"
#include "train/contexts.h"

#include <stdlib.h>
#include <string.h>

typedef struct local {
    pfm_pipeline_work *work;
    const pfm_pipeline_step *step;
    pfm_session *session;
    pfm_hash_hex model, recipe; /* what answers */
    uint64_t seed;
    pfm_feature_store *features;
    pfm_turn *turns;
    size_t *order;      /* [count] the turns that are asked, those of the same images together */
    json_t **requests;  /* [count] what is asked of each of them */
    pfm_hash_hex *keys; /* [count] */
    pfm_request *asked; /* [count] */
    pfm_answer *answers;
    size_t count, turn_count;
    double started; /* of the batch */
} local;

/* ---- the model ---- */

/* A language model by itself is asked as it stands. */
static pfm_status open_model(local *l, const char *name, pfm_error *err)
{
    static const char recipe_text[] = "model: {vision: none}\ndata: {dataset: table}\nprompt: {instruction: '{question}'}\n";
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = NULL;
    char *set = NULL, *path = NULL;
    PFM_TRY(pfm_model_path(l->work->context, name, &path, err));
    PFM_TRY(pfm_string_format(&set, err, "model.language=%s", name));
    const char *const sets[] = {set};
    PFM_TRY(pfm_recipe_parse(recipe_text, sizeof recipe_text - 1, name, sets, 1, &recipe, err));
    PFM_TRY(pfm_session_replace_adapter(recipe, PFM_SESSION_NO_ADAPTER, err));
    status = pfm_session_create(l->work->context, recipe, false, &l->session, err);
    recipe = NULL; /* taken */
done:
    pfm_recipe_free(recipe);
    free(path);
    free(set);
    return status;
}

static pfm_status add_setting(char **texts, size_t *count, const char *name, double value, pfm_error *err)
{
    pfm_status status = pfm_string_format(&texts[*count], err, "%s=%.17g", name, value);
    *count += status == PFM_OK;
    return status;
}

/* The step says how its answers are made; what it does not know, as beams, the recipe. */
static pfm_status set_answers(const local *l, pfm_error *err)
{
    enum { NUMBERS = 4, MOST = NUMBERS + 16 };
    pfm_status status = PFM_OK;
    const pfm_pipeline_step *step = l->step;
    char *texts[MOST] = {0};
    size_t count = 0;
    PFM_TRY(add_setting(texts, &count, "temperature", step->temperature, err));
    if (step->temperature == 0) {
        PFM_TRY(add_setting(texts, &count, "top_k", 0, err));
        PFM_TRY(add_setting(texts, &count, "top_p", 1, err));
        PFM_TRY(add_setting(texts, &count, "min_p", 0, err));
    } else if (step->top_p > 0) { /* not NaN */
        PFM_TRY(add_setting(texts, &count, "top_p", step->top_p, err));
    }
    for (size_t i = 0; i < step->stop_count; i++) {
        PFM_TRY(pfm_string_format(&texts[count], err, "stop=%s", step->stop[i]));
        count++;
    }
    const pfm_answer_settings settings = {
        .texts = (const char *const *)texts, .count = count, .max_tokens = step->max_tokens, .asks = true};
    PFM_TRY(pfm_session_set_answers(l->session, &settings, err));
done:
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    return status;
}

static pfm_status open_session(local *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (pfm_pipeline_is_run(l->step->run))
        PFM_TRY(pfm_session_open(l->work->context, l->step->run, false, &l->session, err));
    else
        PFM_TRY(open_model(l, l->step->run, err));
    PFM_TRY(set_answers(l, err));
    if (strstr(l->session->model->instruction, "{question}") == NULL)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "step %s: %s was trained on images alone: its prompt, \"%.80s\", has no {question} where the step's prompt could "
            "stand",
            l->step->name, l->step->run, l->session->model->instruction);
done:
    return status;
}

/* ---- what it is known by ---- */

static pfm_status add_file(pfm_hash *hash, const char *path, pfm_error *err)
{
    pfm_hash_hex digest;
    pfm_status status = pfm_hash_file(path, digest, err);
    if (status == PFM_OK)
        pfm_hash_update(hash, digest, sizeof digest);
    return status;
}

/* A file, or the files of a folder; what is not there is nothing. */
static pfm_status add_files(pfm_hash *hash, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    if (path == NULL || !pfm_path_exists(path))
        return PFM_OK;
    if (!pfm_path_is_folder(path))
        return add_file(hash, path, err);
    PFM_TRY(pfm_folder_list(path, &names, &count, err));
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        char *file = NULL;
        status = pfm_path_join(path, names[i], &file, err);
        if (status == PFM_OK && !pfm_path_is_folder(file))
            status = add_file(hash, file, err);
        free(file);
    }
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

static pfm_status add_beside(pfm_hash *hash, const char *run, const char *name, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = run != NULL ? pfm_path_join(run, name, &path, err) : PFM_OK;
    if (status == PFM_OK)
        status = add_files(hash, path, err);
    free(path);
    return status;
}

/* Of a name that fetch knows, or a path. */
static pfm_status add_model(const local *l, pfm_hash *hash, const char *name, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = name != NULL ? pfm_model_path(l->work->context, name, &path, err) : PFM_OK;
    if (status == PFM_OK)
        status = add_files(hash, path, err);
    free(path);
    return status;
}

/* All files that decide what the model says, wherever they lie, and the recipe as the step has it. */
static pfm_status identify(local *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash *hash = NULL;
    pfm_recipe *recipe = NULL;
    const pfm_session *s = l->session;
    PFM_TRY(pfm_hash_create(&hash, err));
    PFM_TRY(add_files(hash, s->language_path, err));
    if (pfm_recipe_sees(s->recipe))
        PFM_TRY(add_model(l, hash, s->recipe->model.vision, err));
    PFM_TRY(add_model(l, hash, s->recipe->model.aligner_weights, err));
    PFM_TRY(add_files(hash, s->run == NULL ? s->recipe->peft.start : NULL, err));
    PFM_TRY(add_beside(hash, s->run, "adapter", err));
    PFM_TRY(add_beside(hash, s->run, "adapter-vision", err));
    PFM_TRY(add_beside(hash, s->run, "aligner.safetensors", err));
    pfm_hash_finish(hash, l->model);
    PFM_TRY(pfm_recipe_copy(s->recipe, 0, &recipe, err));
    pfm_recipe_forget_asides(recipe);
    PFM_TRY(pfm_recipe_hash(recipe, l->recipe, err));
done:
    pfm_recipe_free(recipe);
    pfm_hash_free(hash);
    return status;
}

/* ---- what is asked ---- */

static const pfm_row *row_of(const local *l, size_t i) { return l->work->cases[l->turns[l->order[i]].number].row; }

static pfm_status make_request(const local *l, const pfm_turn *turn, json_t **out, pfm_error *err)
{
    static const char *const weights[] = {"full", "q8_0", "q4_0", "q4_1"};
    pfm_status status = PFM_OK;
    const pfm_context *context = l->work->context;
    const pfm_row *row = l->work->cases[turn->number].row;
    json_t *request = json_object(), *images = json_array();
    PFM_TRY(pfm_json_take(request, "model_sha256", json_string(l->model), err));
    PFM_TRY(pfm_json_take(request, "recipe_sha256", json_string(l->recipe), err));
    PFM_TRY(pfm_json_take(request, "precision", json_string(context->precision == PFM_PRECISION_F32 ? "f32" : "bf16"), err));
    PFM_TRY(pfm_json_take(request, "weights", json_string(weights[context->weights]), err));
    PFM_TRY(pfm_json_take(request, "prompt", json_string(turn->prompt), err));
    for (size_t i = 0; l->step->images && i < row->image_count; i++)
        images = pfm_json_add(images, json_string(l->work->image_hashes[row->images[i].index]));
    PFM_TRY(pfm_json_take(request, "images", images == NULL ? NULL : json_incref(images), err));
    if (l->step->temperature > 0) { /* what is drawn depends on both */
        PFM_TRY(pfm_json_take(request, "seed", json_integer((json_int_t)l->seed), err));
        PFM_TRY(pfm_json_take(request, "row", json_string(row->id), err));
    }
    *out = request;
    request = NULL;
done:
    json_decref(images);
    json_decref(request);
    return status;
}

static pfm_status give_logged(const local *l, pfm_turn *turn, const char *key, int attempts, pfm_error *err)
{
    const char *reply = pfm_call_log_find(l->work->log, key, &turn->answer.cut_short);
    turn->answer.attempts = attempts;
    return reply != NULL ? pfm_string_copy(reply, &turn->answer.text, err) : PFM_OK;
}

/* A prompt that the model has no room for fails by itself, and is in the log. */
static pfm_status refuse_long(const local *l, pfm_turn *turn, const char *key, json_t *request, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    const pfm_row *row = l->work->cases[turn->number].row;
    const pfm_question question = {turn->prompt, l->step->images ? row->image_count : 0};
    const int64_t answer = l->session->recipe->eval.max_tokens, context = l->session->model->language.context;
    PFM_TRY(pfm_model_encode_prompt(l->session->model, pfm_session_virtual_tokens(l->session, 0), &question, &ids, err));
    if ((int64_t)ids.count + answer <= context)
        goto done;
    PFM_TRY(
        pfm_string_format(&turn->answer.error, err,
                          "the prompt takes %zu tokens and its answer up to %lld, and %.200s has room for %lld: shorten it, or "
                          "lower max_tokens",
                          ids.count, (long long)answer, l->step->run, (long long)context));
    PFM_TRY(pfm_call_log_append(
        l->work->log,
        &(pfm_call_line){.key = key, .label = turn->label, .request = request, .attempt = 1, .error = turn->answer.error},
        err));
done:
    pfm_ids_free(&ids);
    return status;
}

/* What the log does not answer, those of the same images together. */
static pfm_status choose_turns(local *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t count = l->turn_count;
    size_t *rows = NULL, *turn_of = NULL;
    const pfm_dataset *dataset = l->work->dataset;
    PFM_TRY(pfm_dataset_order_by_images(dataset, &rows, err));
    PFM_TRY(pfm_allocate(dataset->count, sizeof *turn_of, &turn_of, err));
    PFM_TRY(pfm_allocate(count, sizeof *l->order, &l->order, err));
    PFM_TRY(pfm_allocate(count, sizeof(json_t *), &l->requests, err));
    PFM_TRY(pfm_allocate(count, sizeof *l->keys, &l->keys, err));
    for (size_t i = 0; i < count; i++)
        turn_of[l->turns[i].number] = i + 1; /* 0: the case has no turn */
    for (size_t r = 0; r < dataset->count; r++) {
        if (turn_of[rows[r]] == 0)
            continue;
        const size_t i = turn_of[rows[r]] - 1;
        PFM_TRY(make_request(l, &l->turns[i], &l->requests[l->count], err));
        PFM_TRY(pfm_call_log_key(l->requests[l->count], l->keys[l->count], err));
        PFM_TRY(give_logged(l, &l->turns[i], l->keys[l->count], 0, err));
        if (l->turns[i].answer.text == NULL)
            PFM_TRY(refuse_long(l, &l->turns[i], l->keys[l->count], l->requests[l->count], err));
        if (l->turns[i].answer.text == NULL && l->turns[i].answer.error == NULL) {
            l->order[l->count++] = i;
        } else {
            json_decref(l->requests[l->count]);
            l->requests[l->count] = NULL;
        }
    }
done:
    free(rows);
    free(turn_of);
    return status;
}

static pfm_status prepare_images(local *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_file *files = NULL;
    if (!l->step->images || l->work->dataset->image_count == 0)
        return PFM_OK;
    PFM_TRY(pfm_session_load_vision(l->session, err));
    PFM_TRY(pfm_dataset_list_images(l->work->dataset, &files, err));
    PFM_TRY(pfm_feature_store_create(l->session->vision, files, l->work->dataset->image_count, PFM_FEATURE_QUOTA, &l->features,
                                     err));
    pfm_feature_store_warn_of_text(l->features, l->work->dataset->name, l->work->dataset->split);
    pfm_vision_rest(l->session->vision);
done:
    free(files);
    return status;
}

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    const local *l = user;
    return pfm_feature_store_read(l->features, (size_t)row_of(l, request)->images[image].index, features, err);
}

/* ---- what is answered ---- */

static pfm_status keep_answer(const local *l, size_t i, double seconds, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    const pfm_answer *answer = &l->answers[i];
    const bool cut = answer->tokens >= l->session->recipe->eval.max_tokens;
    json_t *usage = json_pack("{s:i}", "completion_tokens", (int)answer->tokens);
    PFM_TRY(pfm_answer_make_valid(answer->text, &text, err));
    PFM_TRY(pfm_call_log_append(l->work->log,
                                &(pfm_call_line){.key = l->keys[i],
                                                 .label = l->turns[l->order[i]].label,
                                                 .request = l->requests[i],
                                                 .attempt = 1,
                                                 .seconds = seconds,
                                                 .reply = text.size > 0 ? text.data : "",
                                                 .finish = cut ? "length" : "stop",
                                                 .usage = usage},
                                err));
    PFM_TRY(give_logged(l, &l->turns[l->order[i]], l->keys[i], 1, err));
done:
    json_decref(usage);
    pfm_buffer_free(&text);
    return status;
}

/* The seconds of a batch are shared by its answers. */
static pfm_status keep_answers(void *user, size_t begin, size_t end, pfm_error *err)
{
    local *l = user;
    pfm_status status = PFM_OK;
    const double now = pfm_process_clock(), each = (now - l->started) / (double)(end - begin);
    for (size_t i = begin; status == PFM_OK && i < end; i++)
        status = keep_answer(l, i, each, err);
    l->started = now;
    return status;
}

static pfm_status answer(local *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_recipe *recipe = l->session->recipe;
    const pfm_decoding decoding = pfm_decoding_of(recipe, l->seed);
    PFM_TRY(pfm_allocate(l->count, sizeof *l->asked, &l->asked, err));
    PFM_TRY(pfm_allocate(l->count, sizeof *l->answers, &l->answers, err));
    for (size_t i = 0; i < l->count; i++) {
        const pfm_row *row = row_of(l, i);
        l->asked[i] = (pfm_request){.question = {l->turns[l->order[i]].prompt, l->step->images ? row->image_count : 0},
                                    .group = row->image_set,
                                    .draws = pfm_name_number(row->id, strlen(row->id))};
        PFM_TRY(pfm_context_of_row(pfm_peft_get_options(l->session->peft), row, &l->asked[i].context, err));
    }
    const pfm_generate_options options = {.max_tokens = recipe->eval.max_tokens,
                                          .decoding = &decoding,
                                          .images = recipe->eval.batch,
                                          .features = give_features,
                                          .on_answers = keep_answers,
                                          .user = l};
    l->started = pfm_process_clock();
    PFM_TRY(pfm_generate(l->session, l->asked, l->count, &options, l->answers, err));
done:
    return status;
}

static void release(local *l)
{
    for (size_t i = 0; l->requests != NULL && i < l->turn_count; i++)
        json_decref(l->requests[i]);
    for (size_t i = 0; l->answers != NULL && i < l->count; i++)
        pfm_answer_free(&l->answers[i]);
    free(l->requests);
    free(l->keys);
    free(l->order);
    free(l->asked);
    free(l->answers);
    pfm_feature_store_free(l->features);
    pfm_session_free(l->session);
}

pfm_status pfm_pipeline_ask_local(pfm_pipeline_work *work, const pfm_pipeline_step *step, pfm_turn *turns, size_t count,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    local l = {.work = work, .step = step, .turns = turns, .turn_count = count, .seed = (uint64_t)step->seed};
    PFM_TRY(open_session(&l, err));
    PFM_TRY(identify(&l, err));
    PFM_TRY(choose_turns(&l, err));
    if (l.count > 0) {
        PFM_TRY(prepare_images(&l, err));
        PFM_TRY(answer(&l, err));
    }
done:
    release(&l);
    return status;
}

pfm_status pfm_pipeline_check_local(pfm_pipeline_work *work, const pfm_pipeline_step *step, pfm_error *err)
{
    pfm_status status = PFM_OK;
    local l = {.work = work, .step = step};
    PFM_TRY(open_session(&l, err));
    if (step->images && work->dataset->image_count > 0 && !pfm_model_sees(l.session->model))
        PFM_FAIL(PFM_ERROR_USAGE,
                 "step %s shows images, and %s is a model that sees none; name one that does, or leave the images out "
                 "(--no-images)",
                 step->name, step->run);
done:
    release(&l);
    return status;
}
