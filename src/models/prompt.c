/* From a question to ids: the instruction inside the model's own chat format, the images in the user's turn. */
#include "models/model.h"

#include "base/try.h"
#include "data/dataset.h"

#include <stdio.h>
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

/* Appends what a user says, with as many marks as there are images; instruction NULL: as it is. */
static pfm_status write_content(const pfm_model *model, const char *instruction, const char *said, size_t images,
                                pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    size_t marks = 0;
    if (images > 0 && !pfm_model_sees(model))
        PFM_FAIL(PFM_ERROR_USAGE,
                 "this model sees nothing (model.vision: none) and cannot be shown %zu images; ask it without, or choose a "
                 "model.vision",
                 images);
    if (instruction != NULL)
        PFM_TRY(fill_instruction(instruction, said, &text, err));
    else
        PFM_TRY(pfm_buffer_append_string(&text, said, err));
    for (const char *at = text.data; at != NULL && (at = strstr(at, image_mark)) != NULL; at += strlen(image_mark))
        marks++;
    if (marks > 0 && marks != images)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "there are %zu images and %zu marks <image> in the text \"%.60s\"; write one mark an image, or none", images,
                 marks, text.data);
    for (size_t i = 0; marks == 0 && i < images; i++)
        PFM_TRY(pfm_buffer_append_string(out, model->image_text, err));
    PFM_TRY(pfm_buffer_append(out, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}

/* One message of a chat, and where it stands in the text. */
typedef struct said {
    const char *role;
    pfm_buffer content;
    bool foreign; /* a person or a program wrote it: it never becomes a control token */
    bool shows;   /* every <image> in it is an image */
    pfm_text_run at;
} said;

typedef struct chat {
    const pfm_model *model;
    said *messages; /* [count] */
    size_t count;
    bool plain; /* as the template has it, also where that brings a system message of its own */
    pfm_buffer text;
} chat;

static void free_chat(chat *c)
{
    for (size_t i = 0; c->messages != NULL && i < c->count; i++)
        pfm_buffer_free(&c->messages[i].content);
    free(c->messages);
    pfm_buffer_free(&c->text);
}

static pfm_status say(chat *c, const char *role, bool foreign, pfm_error *err)
{
    c->messages[c->count++] = (said){.role = role, .foreign = foreign, .shows = foreign && strcmp(role, "user") == 0};
    return pfm_buffer_append(&c->messages[c->count - 1].content, "", 0, err);
}

/* The messages of a question: those of its conversation, or the one that asks. */
static pfm_status collect(chat *c, const char *instruction, const pfm_question *question, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_chat_turn asked = {"user", question->text, question->images};
    const pfm_chat_turn *turns = question->turn_count > 0 ? question->turns : &asked;
    const size_t count = question->turn_count > 0 ? question->turn_count : 1;
    size_t images = 0;
    c->plain = question->plain;
    PFM_TRY(pfm_allocate(count + 1, sizeof *c->messages, &c->messages, err));
    if (c->model->system_text != NULL && !c->plain && strcmp(turns[0].role, "system") != 0) {
        PFM_TRY(say(c, "system", false, err));
        PFM_TRY(pfm_buffer_append_string(&c->messages[0].content, c->model->system_text, err));
    }
    for (size_t i = 0; i < count; i++) {
        const bool user = strcmp(turns[i].role, "user") == 0;
        PFM_TRY(say(c, turns[i].role, true, err));
        pfm_buffer *content = &c->messages[c->count - 1].content;
        images += turns[i].images;
        if (user)
            PFM_TRY(write_content(c->model, c->plain ? NULL : instruction, turns[i].text, turns[i].images, content, err));
        else
            PFM_TRY(pfm_buffer_append_string(content, turns[i].text, err));
        if (!user && turns[i].images > 0)
            PFM_FAIL(PFM_ERROR_USAGE, "images stand in what the user says, and not in what the %s says", turns[i].role);
    }
    if (images != question->images)
        PFM_FAIL(PFM_ERROR_USAGE, "the turns of the conversation hold %zu images, and %zu are given", images, question->images);
done:
    return status;
}

static const char *text_or_empty(const pfm_buffer *buffer) { return buffer->data != NULL ? buffer->data : ""; }

/* Renders the chat, its system message cut off where a template puts one of its own in front. What a conversation of a system
 * message alone renders to is that part; it is cut off, but for the token that begins every text. messages[0] is an empty
 * system message. */
static pfm_status render_without_system(const pfm_model *model, const pfm_chat_message *messages, size_t count, pfm_buffer *out,
                                        pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer alone = {0}, both = {0};
    const char *begin = pfm_tokenizer_begin_text(model->tokenizer);
    size_t kept = strlen(begin);
    bool cut = pfm_chat_render(model->tokenizer, messages, 1, false, &alone, NULL) == PFM_OK &&
               pfm_chat_render(model->tokenizer, messages, count, true, &both, NULL) == PFM_OK && both.size > alone.size &&
               alone.size > 0 && memcmp(both.data, alone.data, alone.size) == 0;
    bool begins = cut && alone.size >= kept && memcmp(alone.data, begin, kept) == 0;
    if (cut && !(begins && alone.size == kept)) {
        const char *rest = both.data + alone.size;
        if (begins && strncmp(rest, begin, kept) != 0)
            PFM_TRY(pfm_buffer_append(out, begin, kept, err));
        PFM_TRY(pfm_buffer_append(out, rest, both.size - alone.size, err));
    } else { /* a template without system messages, or with their text inside the user's turn */
        PFM_TRY(pfm_chat_render(model->tokenizer, messages + 1, count - 1, true, out, err));
    }
done:
    pfm_buffer_free(&alone);
    pfm_buffer_free(&both);
    return status;
}

enum { MARKER_SIZE = 64 };

/* A word that no template writes, in the place of the i-th message. */
static void name_marker(size_t i, char out[MARKER_SIZE]) { (void)snprintf(out, MARKER_SIZE, "zqx%zuturn%zuxqz", i, i); }

/* Renders the chat with what its messages say, or with markers where what is foreign stands. */
static pfm_status render_messages(const chat *c, bool marked, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_message *messages = NULL;
    char(*markers)[MARKER_SIZE] = NULL;
    PFM_TRY(pfm_allocate(c->count + 1, sizeof *messages, &messages, err));
    PFM_TRY(pfm_allocate(c->count, sizeof *markers, &markers, err));
    messages[0] = (pfm_chat_message){"system", ""};
    for (size_t i = 0; i < c->count; i++) {
        name_marker(i, markers[i]);
        messages[i + 1] = (pfm_chat_message){
            c->messages[i].role, marked && c->messages[i].foreign ? markers[i] : text_or_empty(&c->messages[i].content)};
    }
    if (c->plain || strcmp(c->messages[0].role, "system") == 0)
        PFM_TRY(pfm_chat_render(c->model->tokenizer, messages + 1, c->count, true, out, err));
    else
        PFM_TRY(render_without_system(c->model, messages, c->count + 1, out, err));
done:
    free(messages);
    free(markers);
    return status;
}

/* Whether a message, or, as some templates write it, the message without white space around it, stands at a place of the text.
 */
static bool stands_at(const pfm_buffer *text, size_t at, const pfm_buffer *content, size_t *length)
{
    size_t begin = 0, end = content->size;
    for (int trimmed = 0; trimmed < 2; trimmed++) {
        if (text->size - at >= end - begin && memcmp(text->data + at, text_or_empty(content) + begin, end - begin) == 0) {
            *length = end - begin;
            return true;
        }
        while (begin < end && strchr(" \t\r\n\f\v", content->data[begin]) != NULL)
            begin++;
        while (end > begin && strchr(" \t\r\n\f\v", content->data[end - 1]) != NULL)
            end--;
    }
    return false;
}

/* Finds where each message stands, by the chat around markers in their places: to look for the messages themselves would not
 * do, for they could say what the chat says, too. false where the template did not write each as it is, and once. */
static bool find_messages(chat *c, const pfm_buffer *marked)
{
    size_t at = 0, from = 0, length;
    char marker[MARKER_SIZE];
    for (size_t i = 0; i < c->count; i++) {
        if (!c->messages[i].foreign)
            continue;
        name_marker(i, marker);
        const char *found = strstr(marked->data + from, marker);
        if (found == NULL)
            return false;
        const size_t before = (size_t)(found - marked->data) - from;
        if (c->text.size - at < before || memcmp(c->text.data + at, marked->data + from, before) != 0 ||
            !stands_at(&c->text, at + before, &c->messages[i].content, &length))
            return false;
        c->messages[i].at = (pfm_text_run){at + before, at + before + length};
        at = c->messages[i].at.end;
        from += before + strlen(marker);
    }
    return strcmp(c->text.data + at, marked->data + from) == 0;
}

/* The whole prompt, and where its messages stand in it. The caller frees it, also on error. */
static pfm_status write_chat(const pfm_model *model, const char *instruction, const pfm_question *question, chat *out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer marked = {0};
    *out = (chat){.model = model};
    PFM_TRY(collect(out, instruction, question, err));
    PFM_TRY(render_messages(out, false, &out->text, err));
    PFM_TRY(render_messages(out, true, &marked, err));
    if (!find_messages(out, &marked))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: the chat template changes what the user says, so that it has no place for it",
                 model->language_path);
done:
    pfm_buffer_free(&marked);
    return status;
}

pfm_status pfm_model_prompt(const pfm_model *model, const pfm_question *question, pfm_buffer *out, pfm_error *err)
{
    chat c;
    pfm_status status = write_chat(model, model->instruction, question, &c, err);
    if (status == PFM_OK)
        status = pfm_buffer_append(out, c.text.data, c.text.size, err);
    free_chat(&c);
    return status;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* The next image at or behind a place of the text; its end where there is none. */
static size_t find_image(const chat *c, size_t from)
{
    for (size_t i = 0; i < c->count; i++) {
        const said *message = &c->messages[i];
        const size_t begin = larger(from, message->at.begin);
        const char *mark = message->shows && begin < message->at.end ? strstr(c->text.data + begin, image_mark) : NULL;
        if (mark != NULL && (size_t)(mark - c->text.data) < message->at.end)
            return (size_t)(mark - c->text.data);
    }
    return c->text.size;
}

/* Text and images in turns. Between two images the words of the chat and of those who speak are one text, in which what is
 * foreign never becomes a control token. */
static pfm_status encode_chat(const chat *c, int32_t first_visual, pfm_ids *ids, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_text_run *plain = NULL;
    PFM_TRY(pfm_allocate(c->count, sizeof *plain, &plain, err));
    for (size_t at = 0;;) {
        const size_t stop = find_image(c, at);
        size_t runs = 0;
        for (size_t i = 0; i < c->count; i++) {
            const pfm_text_run *run = &c->messages[i].at;
            if (c->messages[i].foreign && larger(at, run->begin) < smaller(stop, run->end))
                plain[runs++] = (pfm_text_run){larger(at, run->begin) - at, smaller(stop, run->end) - at};
        }
        const pfm_text_part part = {.text = c->text.data + at,
                                    .length = stop - at,
                                    .parse_special = true,
                                    .continues = at > 0,
                                    .plain = plain,
                                    .plain_count = runs};
        PFM_TRY(pfm_tokenizer_encode_part(c->model->tokenizer, &part, ids, err));
        if (stop == c->text.size)
            break;
        for (int64_t i = 0; i < c->model->sequence_tokens; i++)
            PFM_TRY(pfm_ids_append(ids, -1 - first_visual++, err));
        at = stop + strlen(image_mark);
    }
done:
    free(plain);
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
    chat c;
    PFM_TRY(write_chat(model, instruction, question, &c, err));
    for (int32_t v = 0; v < virtual_tokens; v++)
        PFM_TRY(pfm_ids_append(ids, PFM_FIRST_VIRTUAL - v, err));
    PFM_TRY(encode_chat(&c, first_visual, ids, err));
    if (answer_begin != NULL)
        *answer_begin = ids->count;
    if (answer != NULL)
        PFM_TRY(pfm_model_encode_answer(model, answer, ids, err));
done:
    free_chat(&c);
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
