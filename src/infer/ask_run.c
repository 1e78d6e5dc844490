#include "pefomed/infer.h"

#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "image/image.h"
#include "infer/generate.h"
#include "models/vision/feature_store.h"

#include <stdlib.h>

typedef struct asking {
    pfm_session *session;
    const pfm_ask_options *options;
    pfm_text_stream *stream;
    pfm_image *images; /* [options->image_count] */
    double started;    /* when everything was loaded */
} asking;

static pfm_status load_images(asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(a->options->image_count, sizeof *a->images, &a->images, err));
    for (size_t i = 0; i < a->options->image_count; i++)
        PFM_TRY(pfm_image_load(a->options->images[i], &a->images[i], err));
done:
    return status;
}

static void start(void *user) { ((asking *)user)->started = pfm_process_clock(); }

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)request;
    asking *a = user;
    return pfm_features_of_image(a->session->vision, &a->images[image], features, err);
}

static pfm_status show_token(void *user, size_t request, int32_t id, pfm_error *err)
{
    (void)request;
    asking *a = user;
    if (a->options->write == NULL)
        return PFM_OK;
    pfm_buffer text = {0};
    pfm_status status = pfm_text_stream_put(a->stream, id, &text, err);
    if (status == PFM_OK && text.size > 0)
        a->options->write(a->options->user, text.data, text.size);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status show_rest(asking *a, pfm_error *err)
{
    if (a->options->write == NULL)
        return PFM_OK;
    pfm_buffer text = {0};
    pfm_status status = pfm_text_stream_finish(a->stream, &text, err);
    if (status == PFM_OK && text.size > 0)
        a->options->write(a->options->user, text.data, text.size);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status make_document(const asking *a, const pfm_question *question, const pfm_answer *answer, char **json,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer prompt = {0};
    json_t *document = json_object();
    PFM_TRY(pfm_model_prompt(a->session->model, question, &prompt, err));
    PFM_TRY(pfm_json_take(document, "answer", json_string(answer->text), err));
    PFM_TRY(pfm_json_take(document, "prompt", json_string(prompt.data), err));
    PFM_TRY(pfm_json_take(document, "tokens", json_integer(answer->tokens), err));
    PFM_TRY(pfm_json_take(document, "seconds", json_real(pfm_process_clock() - a->started), err));
    PFM_TRY(pfm_json_take(document, "probability", pfm_json_number(answer->probability), err));
    *json = json_dumps(document, JSON_COMPACT);
    if (*json == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not make the answer");
done:
    json_decref(document);
    pfm_buffer_free(&prompt);
    return status;
}

pfm_status pfm_ask(pfm_context *context, const pfm_ask_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    asking a = {.options = options};
    pfm_answer answer = {0};
    PFM_TRY(load_images(&a, err)); /* before anything that takes time */
    PFM_TRY(pfm_session_open(context, options->run, false, &a.session, err));
    if (options->image_count == 0 && pfm_model_sees(a.session->model))
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "name at least one image to ask about (RUN IMAGE... QUESTION); only a model with model.vision: none does without");
    PFM_TRY(pfm_session_load_vision(a.session, err));
    PFM_TRY(pfm_text_stream_create(a.session->model->tokenizer, true, &a.stream, err));
    pfm_request request = {.question = {options->question, options->image_count}};
    pfm_generate_options generate = {.max_tokens =
                                         options->max_tokens > 0 ? options->max_tokens : a.session->recipe->eval.max_tokens,
                                     .images = options->image_count > 0 ? (int32_t)options->image_count : 1,
                                     .ready = start,
                                     .features = give_features,
                                     .on_token = show_token,
                                     .user = &a};
    PFM_TRY(pfm_generate(a.session, &request, 1, &generate, &answer, err));
    PFM_TRY(show_rest(&a, err));
    PFM_TRY(make_document(&a, &request.question, &answer, json, err));
done:
    free(answer.text);
    for (size_t i = 0; a.images != NULL && i < options->image_count; i++)
        pfm_image_free(&a.images[i]);
    free(a.images);
    pfm_text_stream_free(a.stream);
    pfm_session_free(a.session);
    return status;
}
