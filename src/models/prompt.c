/* From a question to ids: the instruction inside the model's own chat format, the images in the user's turn. */
#include "models/model.h"

#include "base/try.h"
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

static const char image_mark[] = "<image>";

static pfm_status fill_instruction(const char *instruction, const char *question, pfm_buffer *out, pfm_error *err)
{
    static const char place[] = "{question}";
    pfm_status status = PFM_OK;
    const char *at = strstr(instruction, place);
    if (at == NULL && question[0] != '\0')
        PFM_FAIL(PFM_ERROR_USAGE,
                 "prompt.instruction has no place for the question \"%.60s\"; put {question} there, or ask nothing (\"\")",
                 question);
    if (at == NULL)
        return pfm_buffer_append_string(out, instruction, err);
    PFM_TRY(pfm_buffer_append(out, instruction, (size_t)(at - instruction), err));
    PFM_TRY(pfm_buffer_append_string(out, question, err));
    PFM_TRY(pfm_buffer_append_string(out, at + strlen(place), err));
done:
    return status;
}

/* A template may put a system message of its own in front where there is none. What a conversation of a system message alone
 * renders to is that part; without a system text it is cut off, but for the token that begins every text. */
static pfm_status render_chat(const pfm_model *model, const char *content, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer alone = {0};
    const pfm_chat_message messages[] = {{"system", model->system_text != NULL ? model->system_text : ""}, {"user", content}};
    if (model->system_text != NULL)
        return pfm_chat_render(model->tokenizer, messages, 2, true, out, err);
    pfm_buffer both = {0};
    const char *begin = pfm_tokenizer_begin_text(model->tokenizer);
    size_t kept = strlen(begin);
    bool cut = pfm_chat_render(model->tokenizer, messages, 1, false, &alone, NULL) == PFM_OK &&
               pfm_chat_render(model->tokenizer, messages, 2, true, &both, NULL) == PFM_OK && both.size > alone.size &&
               alone.size > 0 && memcmp(both.data, alone.data, alone.size) == 0;
    bool begins = cut && alone.size >= kept && memcmp(alone.data, begin, kept) == 0;
    if (cut && !(begins && alone.size == kept)) {
        const char *rest = both.data + alone.size;
        if (begins && strncmp(rest, begin, kept) != 0)
            PFM_TRY(pfm_buffer_append(out, begin, kept, err));
        PFM_TRY(pfm_buffer_append(out, rest, both.size - alone.size, err));
    } else { /* a template without system messages, or with their text inside the user's turn */
        PFM_TRY(pfm_chat_render(model->tokenizer, messages + 1, 1, true, out, err));
    }
done:
    pfm_buffer_free(&alone);
    pfm_buffer_free(&both);
    return status;
}

/* Appends the user's turn, with as many marks as there are images. */
static pfm_status write_content(const pfm_model *model, const char *instruction, const pfm_question *question, pfm_buffer *out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    size_t marks = 0;
    if (question->images > 0 && !pfm_model_sees(model))
        PFM_FAIL(PFM_ERROR_USAGE,
                 "this model sees nothing (model.vision: none) and cannot be shown %zu images; ask it without, or choose a "
                 "model.vision",
                 question->images);
    PFM_TRY(fill_instruction(instruction, question->text, &text, err));
    for (const char *at = text.data; (at = strstr(at, image_mark)) != NULL; at += strlen(image_mark))
        marks++;
    if (marks > 0 && marks != question->images)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "there are %zu images and %zu marks <image> in the text \"%.60s\"; write one mark an image, or none",
                 question->images, marks, text.data);
    for (size_t i = 0; marks == 0 && i < question->images; i++)
        PFM_TRY(pfm_buffer_append_string(out, model->image_text, err));
    PFM_TRY(pfm_buffer_append(out, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}

/* *begin = where the user's turn stands in a chat that was rendered around it: where the chat around another text first
 * differs. To look for the text itself would not do: it could say what the chat says, too. *found = false where the template
 * did not write it as it is, and once. */
static pfm_status find_content(const pfm_model *model, const pfm_buffer *content, const pfm_buffer *chat, size_t *begin,
                               bool *found, pfm_error *err)
{
    pfm_buffer other = {0};
    size_t at = 0;
    pfm_status status = render_chat(model, content->data[0] == 'x' ? "y" : "x", &other, err);
    while (status == PFM_OK && at < other.size && at < chat->size && other.data[at] == chat->data[at])
        at++;
    *begin = at;
    *found = status == PFM_OK && at < other.size && chat->size == other.size - 1 + content->size &&
             memcmp(chat->data + at, content->data, content->size) == 0 &&
             memcmp(chat->data + at + content->size, other.data + at + 1, other.size - at - 1) == 0;
    pfm_buffer_free(&other);
    return status;
}

/* The whole prompt; *content_begin and *content_end: the user's turn, where every <image> is an image. */
static pfm_status render(const pfm_model *model, const char *instruction, const pfm_question *question, pfm_buffer *out,
                         size_t *content_begin, size_t *content_end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer content = {0};
    PFM_TRY(write_content(model, instruction, question, &content, err));
    PFM_TRY(render_chat(model, content.data, out, err));
    bool found = false;
    PFM_TRY(find_content(model, &content, out, content_begin, &found, err));
    *content_end = *content_begin + content.size;
    if (!found)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: the chat template changes what the user says, so that it has no place for it",
                 model->language_path);
done:
    pfm_buffer_free(&content);
    return status;
}

pfm_status pfm_model_prompt(const pfm_model *model, const pfm_question *question, pfm_buffer *out, pfm_error *err)
{
    pfm_buffer text = {0};
    size_t begin, end;
    pfm_status status = render(model, model->instruction, question, &text, &begin, &end, err);
    if (status == PFM_OK)
        status = pfm_buffer_append(out, text.data, text.size, err);
    pfm_buffer_free(&text);
    return status;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Text and images in turns. Between two images the chat's and the user's words are one text, in which what a person wrote
 * (begin .. end) never becomes a control token. */
static pfm_status encode_turns(const pfm_model *model, const pfm_buffer *text, size_t begin, size_t end, int32_t first_visual,
                               pfm_ids *ids, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t at = 0;;) {
        const size_t written = larger(at, begin);
        const char *mark = strstr(text->data + written, image_mark);
        bool found = mark != NULL && (size_t)(mark - text->data) < end;
        const size_t stop = found ? (size_t)(mark - text->data) : text->size;
        const pfm_text_part part = {.text = text->data + at,
                                    .length = stop - at,
                                    .parse_special = true,
                                    .continues = at > 0,
                                    .plain_begin = written - at,
                                    .plain_end = smaller(stop, end) - at};
        PFM_TRY(pfm_tokenizer_encode_part(model->tokenizer, &part, ids, err));
        if (!found)
            break;
        for (int64_t i = 0; i < model->sequence_tokens; i++)
            PFM_TRY(pfm_ids_append(ids, -1 - first_visual++, err));
        at = stop + strlen(image_mark);
    }
done:
    return status;
}

pfm_status pfm_model_encode_answer(const pfm_model *model, const char *answer, pfm_ids *ids, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *prepared = NULL;
    PFM_TRY(pfm_answer_prepare(answer, model->lowercase_answers, &prepared, err));
    PFM_TRY(pfm_tokenizer_encode(model->tokenizer, prepared, strlen(prepared), false, ids, err));
    PFM_TRY(pfm_ids_append(ids, pfm_tokenizer_end(model->tokenizer), err));
done:
    free(prepared);
    return status;
}

static pfm_status encode_row(const pfm_model *model, int virtual_tokens, const char *instruction, const pfm_question *question,
                             const char *answer, int32_t first_visual, pfm_ids *ids, size_t *answer_begin, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    size_t begin, end;
    PFM_TRY(render(model, instruction, question, &text, &begin, &end, err));
    for (int32_t v = 0; v < virtual_tokens; v++)
        PFM_TRY(pfm_ids_append(ids, PFM_FIRST_VIRTUAL - v, err));
    PFM_TRY(encode_turns(model, &text, begin, end, first_visual, ids, err));
    if (answer_begin != NULL)
        *answer_begin = ids->count;
    if (answer != NULL)
        PFM_TRY(pfm_model_encode_answer(model, answer, ids, err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_model_encode(const pfm_model *model, const pfm_question *question, const char *answer, int32_t first_visual,
                            pfm_ids *ids, size_t *answer_begin, pfm_error *err)
{
    return pfm_model_encode_as(model, model->instruction, question, answer, first_visual, ids, answer_begin, err);
}

pfm_status pfm_model_encode_as(const pfm_model *model, const char *instruction, const pfm_question *question,
                               const char *answer, int32_t first_visual, pfm_ids *ids, size_t *answer_begin, pfm_error *err)
{
    return encode_row(model, model->virtual_tokens, instruction, question, answer, first_visual, ids, answer_begin, err);
}

pfm_status pfm_model_encode_prompt(const pfm_model *model, int virtual_tokens, const pfm_question *question, pfm_ids *ids,
                                   pfm_error *err)
{
    return encode_row(model, virtual_tokens, model->instruction, question, NULL, 0, ids, NULL, err);
}
