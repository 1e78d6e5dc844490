#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "text/jinja.h"
#include "base/utf8.h"

#include <string.h>

/* Beyond what the texts themselves need many times over. */
enum { TEMPLATE_MEMORY = 64 << 20 };

typedef struct chat {
    const pfm_tokenizer *tokenizer;
    pfm_jinja_arena arena;
    pfm_jinja_dict variables;
} chat;

static pfm_status set(chat *c, pfm_jinja_dict *dict, const char *key, pfm_jinja_value value, pfm_error *err)
{
    return pfm_jinja_dict_set(&c->arena, dict, key, strlen(key), value, err);
}

/* A text of the caller's, repaired where it is no UTF-8. */
static pfm_status set_text(chat *c, pfm_jinja_dict *dict, const char *key, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer repaired = {0};
    char *copy = NULL;
    if (pfm_utf8_valid(text, strlen(text)))
        return set(c, dict, key, pfm_jinja_text(text), err);
    PFM_TRY(pfm_utf8_append_repaired(&repaired, text, strlen(text), err));
    PFM_TRY(pfm_jinja_allocate(&c->arena, repaired.size + 1, &copy, err));
    memcpy(copy, repaired.data, repaired.size);
    PFM_TRY(set(c, dict, key, pfm_jinja_text(copy), err));
done:
    pfm_buffer_free(&repaired);
    return status;
}

static pfm_status set_token(chat *c, const char *key, int32_t id, pfm_error *err)
{
    if (id < 0 || c->tokenizer->vocabulary.tokens[id].text == NULL)
        return PFM_OK; /* then the template finds it undefined, as in transformers */
    return set_text(c, &c->variables, key, c->tokenizer->vocabulary.tokens[id].text, err);
}

static pfm_status set_messages(chat *c, const pfm_chat_message *messages, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_jinja_value *items = NULL;
    PFM_TRY(pfm_jinja_allocate(&c->arena, count * sizeof *items, &items, err));
    for (size_t i = 0; i < count; i++) {
        items[i].type = PFM_JINJA_DICT;
        PFM_TRY(pfm_jinja_allocate(&c->arena, sizeof *items[i].dict, &items[i].dict, err));
        PFM_TRY(set_text(c, items[i].dict, "role", messages[i].role, err));
        PFM_TRY(set_text(c, items[i].dict, "content", messages[i].content, err));
    }
    pfm_jinja_value list = {.type = PFM_JINJA_LIST, .items = items, .length = count};
    PFM_TRY(set(c, &c->variables, "messages", list, err));
done:
    return status;
}

static pfm_status set_variables(chat *c, const pfm_chat_message *messages, size_t count, bool generation_prompt, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_tokenizer *tokenizer = c->tokenizer;
    pfm_jinja_value none = {.type = PFM_JINJA_NONE}, prompt = {.type = PFM_JINJA_BOOLEAN, .number = generation_prompt};
    PFM_TRY(set_messages(c, messages, count, err));
    PFM_TRY(set(c, &c->variables, "tools", none, err));
    PFM_TRY(set(c, &c->variables, "documents", none, err));
    PFM_TRY(set(c, &c->variables, "add_generation_prompt", prompt, err));
    PFM_TRY(set_token(c, "bos_token", tokenizer->begin, err));
    PFM_TRY(set_token(c, "eos_token", tokenizer->end, err));
    PFM_TRY(set_token(c, "unk_token", tokenizer->unknown, err));
    PFM_TRY(set_token(c, "pad_token", tokenizer->padding, err));
done:
    return status;
}

pfm_status pfm_chat_render(const pfm_tokenizer *tokenizer, const pfm_chat_message *messages, size_t count,
                           bool generation_prompt, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t size = out->size, needed = 0;
    chat c = {.tokenizer = tokenizer};
    const char *template = tokenizer->chat_template;
    if (count == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "a chat needs at least one message");
    if (template == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "this model has no chat template; write the one it was trained with into chat_template.jinja beside its "
                 "tokenizer (docs/add-a-tokenizer.md shows Vicuna's)");
    for (size_t i = 0; i < count; i++)
        needed += strlen(messages[i].role) + strlen(messages[i].content) + sizeof(pfm_jinja_value);
    c.arena.limit = TEMPLATE_MEMORY + needed * 64;
    PFM_TRY(set_variables(&c, messages, count, generation_prompt, err));
    PFM_TRY(pfm_jinja_render(template, strlen(template), &c.variables, &c.arena, out, err));
done:
    if (status != PFM_OK && out->data != NULL) {
        out->size = size;
        out->data[size] = '\0';
    }
    pfm_jinja_arena_free(&c.arena);
    return status;
}
