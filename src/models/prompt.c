/* From a question to ids: the instruction inside the model's own chat format, the image at the head of the user's turn. */
#include "models/model.h"

#include "base/try.h"
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

static const char image_mark[] = "<image>";

static pfm_status fill_instruction(const pfm_model *model, const char *question, pfm_buffer *out, pfm_error *err)
{
    static const char place[] = "{question}";
    pfm_status status = PFM_OK;
    const char *at = strstr(model->instruction, place);
    if (at == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "prompt.instruction does not hold {question}");
    PFM_TRY(pfm_buffer_append(out, model->instruction, (size_t)(at - model->instruction), err));
    PFM_TRY(pfm_buffer_append_string(out, question, err));
    PFM_TRY(pfm_buffer_append_string(out, at + strlen(place), err));
done:
    return status;
}

/* A template may put a system message of its own in front where there is none. What a conversation of a system message alone
 * renders to is that part; without a system text it is cut off. */
static pfm_status render_chat(const pfm_model *model, const char *content, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer alone = {0};
    const pfm_chat_message messages[] = {{"system", model->system_text != NULL ? model->system_text : ""}, {"user", content}};
    if (model->system_text != NULL)
        return pfm_chat_render(model->tokenizer, messages, 2, true, out, err);
    pfm_buffer both = {0};
    bool cut = pfm_chat_render(model->tokenizer, messages, 1, false, &alone, NULL) == PFM_OK &&
               pfm_chat_render(model->tokenizer, messages, 2, true, &both, NULL) == PFM_OK && both.size > alone.size &&
               memcmp(both.data, alone.data, alone.size) == 0;
    if (cut)
        PFM_TRY(pfm_buffer_append(out, both.data + alone.size, both.size - alone.size, err));
    else /* a template without system messages */
        PFM_TRY(pfm_chat_render(model->tokenizer, messages + 1, 1, true, out, err));
done:
    pfm_buffer_free(&alone);
    pfm_buffer_free(&both);
    return status;
}

/* The whole prompt; *content_begin and *content_end: what stands behind <image> in the user's turn. */
static pfm_status render(const pfm_model *model, const char *question, pfm_buffer *out, size_t *content_begin,
                         size_t *content_end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer content = {0};
    PFM_TRY(pfm_buffer_append_string(&content, image_mark, err));
    PFM_TRY(pfm_buffer_append_string(&content, "\n", err));
    PFM_TRY(fill_instruction(model, question, &content, err));
    PFM_TRY(render_chat(model, content.data, out, err));
    const char *at = strstr(out->data, content.data);
    if (at == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: the chat template changes what the user says; the image has no place in it",
                 model->language_path);
    *content_begin = (size_t)(at - out->data) + strlen(image_mark);
    *content_end = (size_t)(at - out->data) + content.size;
done:
    pfm_buffer_free(&content);
    return status;
}

pfm_status pfm_model_prompt(const pfm_model *model, const char *question, pfm_buffer *out, pfm_error *err)
{
    pfm_buffer text = {0};
    size_t begin, end;
    pfm_status status = render(model, question, &text, &begin, &end, err);
    if (status == PFM_OK)
        status = pfm_buffer_append(out, text.data, text.size, err);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_model_encode(const pfm_model *model, const char *question, const char *answer, int32_t first_visual,
                            pfm_ids *ids, size_t *answer_begin, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    char *prepared = NULL;
    size_t begin, end;
    PFM_TRY(render(model, question, &text, &begin, &end, err));
    PFM_TRY(pfm_tokenizer_encode(model->tokenizer, text.data, begin - strlen(image_mark), true, ids, err));
    for (int64_t i = 0; i < model->visual_tokens; i++)
        PFM_TRY(pfm_ids_append(ids, -1 - (first_visual + (int32_t)i), err));
    /* what a person wrote never becomes a control token */
    PFM_TRY(pfm_tokenizer_encode(model->tokenizer, text.data + begin, end - begin, false, ids, err));
    PFM_TRY(pfm_tokenizer_encode(model->tokenizer, text.data + end, text.size - end, true, ids, err));
    if (answer_begin != NULL)
        *answer_begin = ids->count;
    if (answer != NULL) {
        PFM_TRY(pfm_answer_prepare(answer, model->lowercase_answers, &prepared, err));
        PFM_TRY(pfm_tokenizer_encode(model->tokenizer, prepared, strlen(prepared), false, ids, err));
        PFM_TRY(pfm_ids_append(ids, pfm_tokenizer_end(model->tokenizer), err));
    }
done:
    pfm_buffer_free(&text);
    free(prepared);
    return status;
}
