/* pefomed eval: a split's questions answered and scored. */
#include "pefomed/evaluate.h"

#include "base/file.h"
#include "base/map.h"
#include "base/try.h"
#include "eval/answers.h"
#include "eval/metric.h"
#include "eval/predictions.h"
#include "eval/probe.h"
#include "eval/row_choices.h"
#include "eval/shown.h"
#include "eval/vqa.h"
#include "infer/generate.h"
#include "models/vision/feature_store.h"
#include "train/contexts.h"

#include <stdlib.h>
#include <string.h>

/* What captions are scored by; an exact match of so many words says nothing. */
static const char caption_metrics[] = "bleu1,bleu4,rouge_l,cider,f1_token";

typedef struct evaluation {
    pfm_context *context;
    const pfm_eval_options *options;
    pfm_session *session;
    pfm_dataset *dataset, *training;  /* training: NULL where there is no such split, and for captions
                                         that are not chosen among its own */
    bool captions;                    /* the split asks nothing */
    const pfm_score_profile *profile; /* by which its answers are scored */
    pfm_probe probe;
    pfm_feature_store *features; /* of the split's images; NULL where the probe makes its own */
    size_t *replacement;         /* [image_count] for the swapping probes */
    size_t *order;               /* [count] rows, those of the same images together */
    int32_t *contexts;           /* [count] of the rows in the split's order */
    pfm_row_choices choices;     /* of the rows, where the recipe says so */
    const char *split;
} evaluation;

/* Answers and captions have no score in common. */
static pfm_status tell_captions(evaluation *e, pfm_error *err)
{
    size_t asking = 0;
    for (size_t i = 0; i < e->dataset->count; i++)
        asking += pfm_row_asks(&e->dataset->rows[i]);
    e->captions = asking == 0;
    if (asking > 0 && asking < e->dataset->count)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "the split '%s' has %zu rows with a question and %zu without; their scores cannot be mixed, "
                             "give each a split of its own",
                             e->split, asking, e->dataset->count - asking);
    return PFM_OK;
}

static pfm_status check_probe(const evaluation *e, pfm_error *err)
{
    if (e->probe == PFM_PROBE_NONE || e->dataset->image_count > 0)
        return PFM_OK;
    return pfm_error_set(
        err, PFM_ERROR_USAGE,
        "the split '%s' shows no images, so that the probe %s has nothing to take away or to swap; leave --probe "
        "out",
        e->split, pfm_probe_name(e->probe));
}

static pfm_status load_data(evaluation *e, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_recipe *recipe = e->session->recipe;
    const char *data = e->options->data;
    bool found = false;
    PFM_TRY(pfm_recipe_load_data(recipe, data, e->split, (size_t)e->options->limit, &e->dataset, err));
    pfm_dataset_tell_left_out(e->dataset, e->context);
    PFM_TRY(tell_captions(e, err));
    PFM_TRY(check_probe(e, err));
    PFM_TRY(pfm_dataset_check_images(e->dataset, err));
    if (!e->captions || strcmp(recipe->eval.choices, "train") == 0)
        PFM_TRY(pfm_recipe_has_data(recipe, data, recipe->data.train, &found, err));
    if (found)
        PFM_TRY(pfm_recipe_load_data(recipe, data, recipe->data.train, 0, &e->training, err));
done:
    return status;
}

static pfm_status prepare_images(evaluation *e, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_file *files = NULL;
    size_t matched = 0, images = e->dataset->image_count;
    if (images == 0 || e->probe == PFM_PROBE_BLANK || e->probe == PFM_PROBE_NOISE)
        goto done;
    if (e->probe != PFM_PROBE_NONE) {
        PFM_TRY(pfm_allocate(images, sizeof *e->replacement, &e->replacement, err));
        PFM_TRY(pfm_probe_swap_dataset(e->dataset, e->probe, e->context->seed, e->replacement, &matched, err));
        pfm_log(e->context, PFM_LOG_INFO, "%zu of %zu images are replaced by one of the same kind", matched, images);
    }
    PFM_TRY(pfm_dataset_list_images(e->dataset, &files, err));
    PFM_TRY(pfm_feature_store_create(e->session->vision, files, images, PFM_FEATURE_QUOTA, &e->features, err));
    pfm_feature_store_warn_of_text(e->features, e->dataset->name, e->dataset->split);
done:
    free(files);
    return status;
}

/* A made-up picture of the size of the true one. */
static pfm_status give_made_image(evaluation *e, const pfm_row_image *shown, float *features, pfm_error *err)
{
    pfm_image image = {0};
    pfm_image_applied applied;
    const pfm_image_file file = {.path = shown->path, .frame = shown->frame};
    pfm_status status = pfm_image_load_file(&file, NULL, NULL, &image, &applied, err);
    if (status != PFM_OK)
        return status;
    if (e->probe == PFM_PROBE_BLANK)
        pfm_probe_make_blank(&image);
    else
        pfm_probe_make_noise(&image, e->context->seed, (uint64_t)shown->index);
    status = pfm_features_of_image(e->session->vision, &image, features, err);
    pfm_image_free(&image);
    return status;
}

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    evaluation *e = user;
    const pfm_row_image *shown = &e->dataset->rows[e->order[request]].images[image];
    if (e->features == NULL)
        return give_made_image(e, shown, features, err);
    size_t index = (size_t)shown->index;
    return pfm_feature_store_read(e->features, e->replacement != NULL ? e->replacement[index] : index, features, err);
}

/* Predictions in the split's order from answers in the order of images. */
static pfm_status collect(const evaluation *e, const pfm_answer *answers, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = e->dataset->count, *place = NULL;
    json_t *predictions = json_array(), *prediction = NULL;
    PFM_TRY(pfm_allocate(count, sizeof *place, &place, err));
    for (size_t i = 0; i < count; i++)
        place[e->order[i]] = i;
    for (size_t i = 0; i < count; i++) {
        const pfm_answer *given = &answers[place[i]];
        PFM_TRY(pfm_prediction_create(&e->dataset->rows[i], e->profile, given->text, given->probability, &prediction, err));
        if (e->session->recipe->eval.draws > 1)
            PFM_TRY(pfm_json_take(prediction, "agreement", pfm_json_number(given->score), err));
        if (e->options->out != NULL)
            PFM_TRY(pfm_shown_tell(e->features, e->replacement, &e->dataset->rows[i], prediction, err));
        if (json_array_append_new(predictions, prediction) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not collect the predictions");
    }
    *out = predictions;
    predictions = NULL;
done:
    json_decref(predictions);
    free(place);
    return status;
}

/* Rows of the same images stand together, so that they share them; where a vision encoder learned, those of one context among
 * them, as it may compute the images for each context. */
static pfm_status order_rows(evaluation *e, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_row *rows = e->dataset->rows;
    const size_t count = e->dataset->count;
    PFM_TRY(pfm_dataset_order_by_images(e->dataset, &e->order, err));
    PFM_TRY(pfm_allocate(count, sizeof *e->contexts, &e->contexts, err));
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_context_of_row(pfm_peft_get_options(e->session->peft), &rows[i], &e->contexts[i], err));
    for (size_t begin = 0, end; e->session->model->tower != NULL && begin < count; begin = end) {
        for (end = begin + 1; end < count && rows[e->order[end]].image_set == rows[e->order[begin]].image_set; end++)
            ;
        pfm_contexts_order(e->contexts, count, e->order + begin, end - begin);
    }
done:
    return status;
}

/* Answers every row. */
static pfm_status answer(evaluation *e, json_t **predictions, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = e->dataset->count;
    pfm_request *requests = NULL;
    pfm_answer *answers = NULL;
    PFM_TRY(order_rows(e, err));
    PFM_TRY(pfm_allocate(count, sizeof *requests, &requests, err));
    PFM_TRY(pfm_allocate(count, sizeof *answers, &answers, err));
    for (size_t i = 0; i < count; i++) {
        const pfm_row *row = &e->dataset->rows[e->order[i]];
        requests[i] = (pfm_request){.question = {row->question, row->image_count},
                                    .group = row->image_set,
                                    .context = e->contexts[e->order[i]],
                                    .choices = pfm_row_choices_of(&e->choices, e->order[i]),
                                    .draws = pfm_name_number(row->id, strlen(row->id))};
    }
    const pfm_recipe *recipe = e->session->recipe;
    const pfm_decoding decoding = pfm_decoding_of(recipe, e->context->seed);
    pfm_generate_options generate = {.max_tokens = recipe->eval.max_tokens,
                                     .decoding = &decoding,
                                     .choice_score = pfm_choice_score_of(recipe),
                                     .images = recipe->eval.batch,
                                     .features = give_features,
                                     .user = e};
    PFM_TRY(pfm_generate(e->session, requests, count, &generate, answers, err));
    PFM_TRY(collect(e, answers, predictions, err));
done:
    for (size_t i = 0; answers != NULL && i < count; i++)
        pfm_answer_free(&answers[i]);
    free(requests);
    free(answers);
    return status;
}

/* The model card shows what the run itself does, as its recipe says. */
static bool is_for_card(const evaluation *e)
{
    const pfm_eval_options *o = e->options;
    return e->session->run != NULL && o->limit == 0 && o->adapter == NULL && o->setting_count == 0;
}

/* RUN/scores/SPLIT-PROBE.json, for the model card. */
static pfm_status keep_scores(const evaluation *e, const json_t *scores, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *folder = NULL, *name = NULL, *path = NULL;
    if (!is_for_card(e))
        return PFM_OK;
    PFM_TRY(pfm_path_join(e->session->run, "scores", &folder, err));
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_string_format(&name, err, "%s-%s.json", e->split, pfm_probe_name(e->probe)));
    PFM_TRY(pfm_path_join(folder, name, &path, err));
    PFM_TRY(pfm_json_save(path, scores, err));
done:
    free(folder);
    free(name);
    free(path);
    return status;
}

/* What `score --metrics` says of the predictions, and what was scored. */
static pfm_status score_captions(const evaluation *e, const json_t *predictions, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_set set = {.reports = true};
    PFM_TRY(pfm_rows_visit(predictions, pfm_answer_set_add, &set, err));
    PFM_TRY(pfm_score_metrics(&set, caption_metrics, e->context->seed, e->context->threads, out, err));
    PFM_TRY(pfm_json_take(*out, "dataset", json_string(e->session->recipe->data.dataset), err));
    PFM_TRY(pfm_json_take(*out, "split", json_string(e->split), err));
    PFM_TRY(pfm_json_take(*out, "probe", json_string(pfm_probe_name(e->probe)), err));
done:
    pfm_answer_set_free(&set);
    return status;
}

static pfm_status score(const evaluation *e, const json_t *predictions, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *training = NULL, *scores = NULL;
    if (e->training != NULL && !e->captions)
        PFM_TRY(pfm_training_rows_create(e->training, &training, err));
    pfm_score_options options = {.dataset = e->session->recipe->data.dataset,
                                 .split = e->split,
                                 .probe = pfm_probe_name(e->probe),
                                 .profile = e->profile,
                                 .seed = e->context->seed,
                                 .threads = e->context->threads};
    if (e->captions)
        PFM_TRY(score_captions(e, predictions, &scores, err));
    else
        PFM_TRY(pfm_score_vqa(predictions, training, &options, &scores, err));
    PFM_TRY(keep_scores(e, scores, err));
    PFM_TRY(pfm_json_print(scores, json, err));
done:
    json_decref(training);
    json_decref(scores);
    return status;
}

pfm_status pfm_eval(pfm_context *context, const pfm_eval_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    evaluation e = {.context = context, .options = options};
    json_t *predictions = NULL;
    PFM_TRY(pfm_probe_parse(options->probe, &e.probe, err));
    PFM_TRY(pfm_session_open_with(context, options->run, options->adapter, false, &e.session, err));
    PFM_TRY(pfm_session_set_answers(
        e.session, &(pfm_answer_settings){options->settings, options->setting_count, options->max_tokens, false, false}, err));
    e.split = options->split != NULL ? options->split : e.session->recipe->data.validate;
    PFM_TRY(pfm_score_profile_find(pfm_dataset_profile(e.session->recipe->data.dataset), &e.profile, err));
    PFM_TRY(load_data(&e, err));
    PFM_TRY(pfm_row_choices_create(e.session->recipe, e.dataset, e.training, &e.choices, err));
    if (e.dataset->image_count > 0)
        PFM_TRY(pfm_session_load_vision(e.session, err));
    PFM_TRY(prepare_images(&e, err));
    if (e.features != NULL)
        pfm_vision_rest(e.session->vision);
    PFM_TRY(answer(&e, &predictions, err));
    if (options->out != NULL)
        PFM_TRY(pfm_predictions_save(options->out, predictions, err));
    PFM_TRY(score(&e, predictions, json, err));
    if (is_for_card(&e))
        PFM_TRY(pfm_card(context, e.session->run, err));
done:
    json_decref(predictions);
    pfm_feature_store_free(e.features);
    free(e.replacement);
    free(e.order);
    free(e.contexts);
    pfm_row_choices_free(&e.choices);
    pfm_dataset_free(e.dataset);
    pfm_dataset_free(e.training);
    pfm_session_free(e.session);
    return status;
}
