#include "pefomed/infer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "infer/ask_pictures.h"
#include "infer/generate.h"
#include "infer/recorder.h"
#include "models/vision/feature_store.h"
#include "pefomed/sr.h"
#include "train/contexts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct asking {
    pfm_session *session;
    const pfm_ask_options *options;
    pfm_text_stream *stream;
    pfm_asked_pictures pictures;
    pfm_decoding decoding;
    pfm_sr *sr;             /* whose images they are, where a structured report is wanted */
    pfm_recorder *recorder; /* NULL: nothing is recorded */
    json_t *receipts;       /* of what was */
    double started;         /* when everything was loaded */
} asking;

/* The pictures as the recipe shows them, where the options do not say. */
static pfm_status load_images(asking *a, pfm_error *err)
{
    const pfm_recipe *recipe = a->session->recipe;
    const char *slices = a->options->slices != NULL ? a->options->slices : recipe->data.slices;
    pfm_status status =
        pfm_asked_pictures_load(&a->pictures, a->options, slices, recipe->model.window, a->session->context, err);
    if (status == PFM_OK)
        pfm_asked_pictures_warn(&a->pictures, a->options, a->session->context);
    return status;
}

/* A report stands in no image's place. */
static pfm_status check_target(const char *sr, const char *path, pfm_error *err)
{
    struct stat target, image;
    if (stat(sr, &target) == 0 && stat(path, &image) == 0 && image.st_dev == target.st_dev && image.st_ino == target.st_ino)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--sr %s would overwrite an image that is asked about; name another file",
                             sr);
    return PFM_OK;
}

static pfm_status check_sr(const pfm_ask_options *o, pfm_error *err)
{
    if (o->adapter_count > 1)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "a structured report is of one answer, and %zu adapters give as many; name one, or leave --sr out",
                             o->adapter_count);
    for (size_t i = 0; i < o->image_count; i++) {
        pfm_status status = check_target(o->sr, o->images[i], err);
        if (status != PFM_OK)
            return status;
    }
    return pfm_sr_check(o->sr_kind, o->sr_language, err);
}

/* Reads whose images they are, before there is an answer. */
static pfm_status open_sr(asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr_image *images = NULL;
    PFM_TRY(pfm_allocate(a->pictures.count, sizeof *images, &images, err));
    for (size_t i = 0; i < a->pictures.count; i++) {
        const pfm_image_file *file = &a->pictures.items[i].file; /* of a series a slice's, which no option names */
        PFM_TRY(check_target(a->options->sr, file->path, err));
        images[i] = (pfm_sr_image){.path = file->path, .frame = file->frame};
    }
    PFM_TRY(pfm_sr_open(images, a->pictures.count, &a->sr, err));
done:
    free(images);
    return status;
}

/* An answer of the most tokens that it may have counts as cut. */
static bool is_complete(const asking *a, const pfm_answer *answer)
{
    return a->options->choice_count > 0 || answer->tokens < a->session->recipe->eval.max_tokens;
}

static pfm_status write_sr(const asking *a, const pfm_answer *answer, pfm_error *err)
{
    const pfm_ask_options *o = a->options;
    const pfm_sr_text text = {.kind = o->sr_kind,
                              .request = o->report ? NULL : o->question,
                              .indication = o->report ? o->question : NULL,
                              .answer = answer->text,
                              .complete = is_complete(a, answer),
                              .language = o->sr_language,
                              .home = a->session->context->home,
                              .dated = o->sr_dated,
                              .time = o->sr_time};
    return pfm_sr_write(a->sr, &text, o->sr, err);
}

/* How each image was made of its file, in their order. */
static pfm_status list_shown(const asking *a, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    PFM_TRY(pfm_json_take(out, "images", list, err));
    for (size_t i = 0; i < a->pictures.count; i++) {
        char *text = NULL;
        pfm_asked_picture *picture = &a->pictures.items[i];
        pfm_image_record_fit(pfm_vision_get_fit(a->session->vision), &picture->applied);
        PFM_TRY(pfm_asked_picture_tell(picture, &text, err));
        const int added = json_array_append_new(list, json_loads(text, 0, NULL));
        free(text);
        if (added != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the images");
    }
done:
    return status;
}

static void start(void *user) { ((asking *)user)->started = pfm_process_clock(); }

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)request;
    asking *a = user;
    return pfm_features_of_image(a->session->vision, &a->pictures.items[image].image, features, err);
}

/* Of several adapters' answers none can be shown while the others are made; a text that ends the answer is none of it, and is
 * known when it is complete; one that is chosen is not made, or only when all draws are. */
static bool streams(const asking *a)
{
    return a->options->write != NULL && a->options->adapter_count <= 1 && a->options->choice_count == 0 &&
           a->session->recipe->eval.stop_count == 0 && a->session->recipe->eval.draws == 1;
}

static pfm_status show_token(void *user, size_t request, int32_t id, pfm_error *err)
{
    (void)request;
    asking *a = user;
    if (!streams(a))
        return PFM_OK;
    pfm_buffer text = {0};
    pfm_status status = pfm_text_stream_put(a->stream, id, &text, err);
    if (status == PFM_OK && text.size > 0)
        a->options->write(a->options->user, text.data, text.size);
    pfm_buffer_free(&text);
    return status;
}

/* The end of the one answer or, where it was not shown as it was made, all of it; each of several adapters' on a line. */
static pfm_status show_rest(asking *a, const pfm_answer *answers, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    const size_t adapters = a->options->adapter_count;
    if (a->options->write == NULL)
        return PFM_OK;
    if (streams(a))
        status = pfm_text_stream_finish(a->stream, &text, err);
    else if (adapters <= 1)
        status = pfm_buffer_append_string(&text, answers[0].text, err);
    for (size_t i = 0; adapters > 1 && status == PFM_OK && i < adapters; i++)
        status =
            pfm_buffer_append_format(&text, err, "%s%s: %s", i > 0 ? "\n" : "", a->options->adapters[i].name, answers[i].text);
    if (status == PFM_OK && text.size > 0)
        a->options->write(a->options->user, text.data, text.size);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status list_choices(const asking *a, const pfm_answer *answer, json_t *out, pfm_error *err)
{
    json_t *list = json_array();
    pfm_status status = pfm_json_take(out, "choices", list, err);
    for (size_t i = 0; status == PFM_OK && i < a->options->choice_count; i++) {
        const pfm_choice *choice = &answer->choices[i];
        json_t *one = json_pack("{s:s,s:o,s:i,s:o,s:o}", "choice", a->options->choices[i], "log_likelihood",
                                pfm_json_number(choice->log_likelihood), "tokens", (int)choice->tokens, "score",
                                pfm_json_number(choice->score), "probability", pfm_json_number(choice->probability));
        if (json_array_append_new(list, one) != 0)
            status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the choices");
    }
    return status;
}

static pfm_status describe_answer(const asking *a, const pfm_answer *answer, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(out, "answer", json_string(answer->text), err));
    PFM_TRY(pfm_json_take(out, "tokens", json_integer(answer->tokens), err));
    PFM_TRY(pfm_json_take(out, "probability", pfm_json_number(answer->probability), err));
    if (answer->choices != NULL)
        PFM_TRY(list_choices(a, answer, out, err));
    if (a->session->recipe->eval.draws > 1)
        PFM_TRY(pfm_json_take(out, "agreement", pfm_json_number(answer->score), err));
done:
    return status;
}

/* What each of several adapters said. */
static pfm_status list_answers(const asking *a, const pfm_answer *answers, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    PFM_TRY(pfm_json_take(out, "answers", list, err));
    for (size_t i = 0; i < a->options->adapter_count; i++) {
        json_t *one = json_object();
        if (json_array_append_new(list, one) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the answers");
        PFM_TRY(pfm_json_take(one, "adapter", json_string(a->options->adapters[i].name), err));
        PFM_TRY(describe_answer(a, &answers[i], one, err));
    }
done:
    return status;
}

static pfm_status list_sequence(const asking *a, json_t *list, const pfm_answer *answer, pfm_error *err)
{
    json_t *one = json_object();
    if (json_array_append_new(list, one) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the answers");
    pfm_status status = describe_answer(a, answer, one, err);
    return status == PFM_OK ? pfm_json_take(one, "score", pfm_json_number(answer->score), err) : status;
}

/* The best answers of a beam search, as far as asked for. */
static pfm_status list_sequences(const asking *a, const pfm_answer *answer, json_t *out, pfm_error *err)
{
    json_t *list = json_array();
    pfm_status status = pfm_json_take(out, "sequences", list, err);
    if (status == PFM_OK)
        status = list_sequence(a, list, answer, err);
    for (size_t i = 0; status == PFM_OK && i < answer->other_count; i++)
        status = list_sequence(a, list, &answer->others[i], err);
    return status;
}

/* ---- the record ---- */

/* The hash of each image's file, and how it is shown. The slices of a file of several are hashed once. */
static pfm_status list_recorded(const asking *a, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    const char *hashed = NULL;
    pfm_hash_hex hash;
    char *shown = NULL;
    for (size_t i = 0; i < a->pictures.count; i++) {
        const char *path = a->pictures.items[i].file.path;
        if (hashed == NULL || strcmp(hashed, path) != 0)
            PFM_TRY(pfm_hash_file(path, hash, err));
        hashed = path;
        free(shown);
        shown = NULL;
        PFM_TRY(pfm_asked_picture_tell(&a->pictures.items[i], &shown, err));
        list = pfm_json_add(list, pfm_recorded_image(hash, shown));
    }
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not record which images were shown");
    *out = list;
    list = NULL;
done:
    json_decref(list);
    free(shown);
    return status;
}

static const char *name_of_answer(const asking *a, size_t number)
{
    return a->options->adapter_count > 0 ? a->options->adapters[number].name : pfm_path_name(a->options->run);
}

/* Each adapter's answer, before any of them is told to its end. */
static pfm_status record_answers(asking *a, const pfm_request *requests, const pfm_answer *answers, size_t count,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_ask_options *o = a->options;
    pfm_record_receipt receipt;
    json_t *images = NULL;
    if (a->recorder == NULL)
        return PFM_OK;
    PFM_TRY(list_recorded(a, &images, err));
    a->receipts = json_array();
    for (size_t i = 0; i < count; i++) {
        const pfm_recorded_answer entry = {.command = o->report ? "report" : "ask",
                                           .model = name_of_answer(a, i),
                                           .adapter = requests[i].adapter,
                                           .context = o->context,
                                           .question = &requests[i].question,
                                           .images = images,
                                           .decoding = &a->decoding,
                                           .choices = o->choices,
                                           .choice_count = o->choice_count,
                                           .max_tokens = a->session->recipe->eval.max_tokens,
                                           .text = answers[i].text,
                                           .size = strlen(answers[i].text),
                                           .tokens = answers[i].tokens,
                                           .probability = answers[i].probability,
                                           .finish = is_complete(a, &answers[i]) ? "stop" : "length"};
        PFM_TRY(pfm_recorder_put(a->recorder, &entry, &receipt, err));
        a->receipts = pfm_json_add(a->receipts, pfm_record_receipt_describe(&receipt));
    }
done:
    json_decref(images);
    return status;
}

/* Of one answer its own, of several a list. */
static pfm_status tell_receipts(const asking *a, json_t *out, pfm_error *err)
{
    if (a->recorder == NULL)
        return PFM_OK;
    json_t *told = a->options->adapter_count > 1 ? a->receipts : json_array_get(a->receipts, 0);
    return pfm_json_take(out, "record", json_incref(told), err);
}

static pfm_status make_document(const asking *a, const pfm_question *question, const pfm_answer *answers, char **json,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer prompt = {0};
    json_t *document = json_object();
    PFM_TRY(pfm_model_prompt(a->session->model, question, &prompt, err));
    PFM_TRY(describe_answer(a, &answers[0], document, err));
    PFM_TRY(pfm_json_take(document, "prompt", json_string(prompt.data), err));
    PFM_TRY(pfm_json_take(document, "seconds", json_real(pfm_process_clock() - a->started), err));
    PFM_TRY(list_shown(a, document, err));
    if (a->options->adapter_count > 1)
        PFM_TRY(list_answers(a, answers, document, err));
    PFM_TRY(tell_receipts(a, document, err));
    if (a->options->returned > 0)
        PFM_TRY(list_sequences(a, &answers[0], document, err));
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(document);
    pfm_buffer_free(&prompt);
    return status;
}

static pfm_status check_names(const pfm_ask_options *o, pfm_error *err)
{
    for (size_t i = 0; i < o->adapter_count; i++)
        for (size_t j = 0; j < i; j++) {
            if (strcmp(o->adapters[i].name, o->adapters[j].name) == 0)
                return pfm_error_set(err, PFM_ERROR_USAGE,
                                     "two adapters are called %s; give each its own name, as in NAME=FOLDER",
                                     o->adapters[i].name);
        }
    return PFM_OK;
}

static bool is_base(const pfm_named_adapter *adapter) { return strcmp(adapter->folder, PFM_SESSION_NO_ADAPTER) == 0; }

/* The run with its own adapter, with one in its place, or with several side by side: the first that is one takes the place of
 * the run's. requests[i] is the i-th adapter's. */
static pfm_status open_session(asking *a, pfm_context *context, pfm_request *requests, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_ask_options *o = a->options;
    size_t own = 0;
    while (own + 1 < o->adapter_count && is_base(&o->adapters[own]))
        own++;
    PFM_TRY(
        pfm_session_open_with(context, o->run, o->adapter_count > 0 ? o->adapters[own].folder : NULL, false, &a->session, err));
    if (o->adapter_count < 2)
        goto done;
    PFM_TRY(pfm_session_choose_adapters(a->session, err));
    for (size_t i = 0; i < o->adapter_count; i++) {
        if (is_base(&o->adapters[i]))
            requests[i].adapter = -1;
        else if (i != own)
            PFM_TRY(pfm_session_add_adapter(a->session, o->adapters[i].name, o->adapters[i].folder, &requests[i].adapter, err));
    }
done:
    return status;
}

/* What --context says to those whose experts it chooses. */
static pfm_status choose_contexts(const asking *a, pfm_request *requests, size_t count, pfm_error *err)
{
    bool chosen = a->options->context == NULL;
    for (size_t i = 0; a->options->context != NULL && i < count; i++) {
        const pfm_peft_options *adapter = pfm_session_adapter_options(a->session, requests[i].adapter);
        if (!pfm_context_chooses(adapter))
            continue;
        pfm_status status = pfm_context_parse(adapter, a->options->context, &requests[i].context, err);
        if (status != PFM_OK)
            return status;
        chosen = true;
    }
    return chosen ? PFM_OK
                  : pfm_error_set(err, PFM_ERROR_USAGE,
                                  "--context is for experts that are chosen by a column of the data (peft.router: context), "
                                  "which this has not; leave it out");
}

/* The same question to each adapter. */
static pfm_status answer(asking *a, const pfm_request *requests, size_t count, pfm_answer *answers, pfm_error *err)
{
    const pfm_recipe *recipe = a->session->recipe;
    const size_t images = a->pictures.count * count;
    const pfm_generate_options generate = {.max_tokens = recipe->eval.max_tokens,
                                           .decoding = &a->decoding,
                                           .choice_score = pfm_choice_score_of(recipe),
                                           .list_choices = true,
                                           .returned = a->options->returned,
                                           .images = images > 0 ? (int32_t)images : 1,
                                           .ready = start,
                                           .features = give_features,
                                           .on_token = show_token,
                                           .user = a};
    return pfm_generate(a->session, requests, count, &generate, answers, err);
}

/* How the answer is made, here and not as the recipe says. */
static pfm_status choose_answers(asking *a, pfm_error *err)
{
    const pfm_ask_options *o = a->options;
    const pfm_answer_settings settings = {.texts = o->settings,
                                          .count = o->setting_count,
                                          .max_tokens = o->max_tokens,
                                          .chooses = o->choice_count > 0,
                                          .asks = true};
    pfm_status status = pfm_session_set_answers(a->session, &settings, err);
    const int beams = a->session->recipe->eval.beams;
    if (status == PFM_OK && o->returned > beams)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "%d answers are asked for and beam search keeps %d; raise --beams, or ask for fewer", o->returned,
                             beams);
    return status;
}

/* An indication stands where others ask a question. */
static pfm_status check_indication(const asking *a, pfm_error *err)
{
    const bool place = strstr(a->session->model->instruction, "{question}") != NULL, given = a->options->question[0] != '\0';
    if (a->options->report && given && !place)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "this run was trained without an indication: its prompt, \"%.80s\", has no {question} to put one; "
                             "leave --indication out",
                             a->session->model->instruction);
    if (a->options->report && !given && place)
        pfm_log(a->session->context, PFM_LOG_WARNING,
                "this run's prompt, \"%.80s\", has a place that stays empty; --indication TEXT fills it",
                a->session->model->instruction);
    return PFM_OK;
}

pfm_status pfm_ask(pfm_context *context, const pfm_ask_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    asking a = {.options = options};
    const size_t count = options->adapter_count > 1 ? options->adapter_count : 1;
    pfm_request *requests = NULL;
    pfm_answer *answers = NULL;
    char *question = NULL;
    PFM_TRY(check_names(options, err));
    if (options->sr != NULL)
        PFM_TRY(check_sr(options, err));
    PFM_TRY(pfm_recorder_create(context, &options->record, &a.recorder, err));
    PFM_TRY(pfm_asked_pictures_check(&a.pictures, options, context, err)); /* before anything that takes time */
    PFM_TRY(pfm_allocate(count, sizeof *requests, &requests, err));
    PFM_TRY(pfm_allocate(count, sizeof *answers, &answers, err));
    const pfm_choices choices = {options->choices, options->choice_count};
    for (size_t i = 0; i < count; i++)
        requests[i] = (pfm_request){.choices = choices.count > 0 ? &choices : NULL};
    PFM_TRY(open_session(&a, context, requests, err));
    PFM_TRY(pfm_recorder_take_recipe(a.recorder, a.session, err));
    PFM_TRY(load_images(&a, err));
    if (options->sr != NULL)
        PFM_TRY(open_sr(&a, err));
    PFM_TRY(pfm_recipe_ground(a.session->recipe, options->question, &question, err));
    for (size_t i = 0; i < count; i++)
        requests[i].question = (pfm_question){question, a.pictures.count};
    PFM_TRY(choose_contexts(&a, requests, count, err));
    PFM_TRY(choose_answers(&a, err));
    a.decoding = pfm_decoding_of(a.session->recipe, context->seed);
    if (options->image_count == 0 && pfm_model_sees(a.session->model))
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "name at least one image to ask about (RUN IMAGE... QUESTION); only a model with model.vision: none does without");
    PFM_TRY(check_indication(&a, err));
    PFM_TRY(pfm_session_load_vision(a.session, err));
    PFM_TRY(pfm_text_stream_create(a.session->model->tokenizer, true, &a.stream, err));
    PFM_TRY(pfm_recorder_take_session(a.recorder, a.session, err));
    PFM_TRY(answer(&a, requests, count, answers, err));
    PFM_TRY(record_answers(&a, requests, answers, count, err));
    PFM_TRY(show_rest(&a, answers, err));
    if (a.sr != NULL)
        PFM_TRY(write_sr(&a, &answers[0], err));
    PFM_TRY(make_document(&a, &requests[0].question, answers, json, err));
done:
    for (size_t i = 0; answers != NULL && i < count; i++)
        pfm_answer_free(&answers[i]);
    free(answers);
    free(requests);
    free(question);
    pfm_asked_pictures_free(&a.pictures);
    pfm_sr_free(a.sr);
    pfm_recorder_free(a.recorder);
    json_decref(a.receipts);
    pfm_text_stream_free(a.stream);
    pfm_session_free(a.session);
    return status;
}
