/* A question about an image in the chat format of each family of language models, against transformers: the token that begins a
 * text stands once where the template has it, and nowhere else; the parts around the image are cut as one text. */
#include "models/model.h"
#include "test.h"

#include "base/file.h"
#include "models/language/tokenizer_load.h"

#include <jansson.h>

/* A model that has what a prompt needs, with the tokenizer of a golden folder or file and another chat template. */
static void open_model(const char *path, const char *template, pfm_model *out)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const files[] = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json"};
    static char instruction[] = "{question}", image[] = "<image>\n", name[] = "MODEL";
    const char *source = test_path(PFM_SOURCE_DIR "/tests/text/golden/families", path);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char from[512], to[512];
        pfm_buffer bytes = {0};
        (void)snprintf(from, sizeof from, "%s/%s", source, files[i]);
        (void)snprintf(to, sizeof to, "%s/%s", test_scratch_folder(), files[i]);
        (void)remove(to);
        if (!pfm_path_exists(from))
            continue;
        assert_ok(pfm_file_read(from, 0, &bytes, &err));
        assert_ok(pfm_file_write(to, bytes.data, bytes.size, &err));
        pfm_buffer_free(&bytes);
    }
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "chat_template.jinja"), template, strlen(template), &err));
    *out = (pfm_model){
        .instruction = instruction, .image_text = image, .language_path = name, .visual_tokens = 2, .sequence_tokens = 2};
    assert_ok(pfm_tokenizer_load(test_scratch_folder(), &out->tokenizer, &err));
}

static void check_ids(const char *path, const json_t *prompt, const pfm_ids *got)
{
    const json_t *before = json_object_get(prompt, "before"), *behind = json_object_get(prompt, "behind");
    size_t first = json_array_size(before), last = json_array_size(behind);
    bool same = got->count == first + 2 + last;
    for (size_t i = 0; same && i < got->count; i++) {
        int64_t wanted = i < first       ? json_integer_value(json_array_get(before, i))
                         : i < first + 2 ? -1 - (int64_t)(i - first)
                                         : json_integer_value(json_array_get(behind, i - first - 2));
        same = got->data[i] == wanted;
    }
    for (size_t i = 0; i < got->count && !same; i++)
        print_message("%d ", got->data[i]);
    if (!same)
        fail_msg("%s: those are not transformers' ids", path);
}

static void the_ids_are_those_of_transformers(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    size_t i;
    json_t *prompt, *golden = json_load_file(PFM_SOURCE_DIR "/tests/text/golden/families.json", JSON_ALLOW_NUL, NULL);
    json_array_foreach(json_object_get(golden, "prompts"), i, prompt)
    {
        const char *path = json_string_value(json_object_get(prompt, "path")),
                   *question = json_string_value(json_object_get(prompt, "question"));
        pfm_model model;
        pfm_buffer text = {0};
        pfm_ids ids = {0};
        open_model(path, json_string_value(json_object_get(prompt, "template")), &model);
        assert_ok(pfm_model_prompt(&model, &(pfm_question){question, 1}, &text, &err));
        assert_string_equal(text.data, json_string_value(json_object_get(prompt, "text")));
        assert_ok(pfm_model_encode(&model, &(pfm_question){question, 1}, NULL, 0, &ids, NULL, &err));
        check_ids(path, prompt, &ids);
        pfm_tokenizer_free(model.tokenizer);
        pfm_buffer_free(&text);
        pfm_ids_free(&ids);
    }
    assert_true(i >= 6);
    json_decref(golden);
}

/* The system part that a template puts in by itself goes, the begin token before it stays, and is not doubled. */
static void the_begin_token_stays(void **state)
{
    (void)state;
    static const char header[] =
        "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% if m.role != 'system' %}SYSTEM default\n{% endif %}"
        "{% endif %}{{ m.role + ' ' + m.content + '\n' }}{% endfor %}";
    static const char always[] = "{% for m in messages %}{{ bos_token + m.role + ' ' + m.content + '\n' }}{% endfor %}";
    static const struct {
        const char *template, *wanted;
    } cases[] = {{header, "<s>user <image>\nWhy?\n"}, {always, "<s>user <image>\nWhy?\n"}};
    pfm_error err = PFM_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_model model;
        pfm_buffer text = {0};
        open_model("llama2/prepend", cases[i].template, &model);
        assert_ok(pfm_model_prompt(&model, &(pfm_question){"Why?", 1}, &text, &err));
        assert_string_equal(text.data, cases[i].wanted);
        pfm_tokenizer_free(model.tokenizer);
        pfm_buffer_free(&text);
    }
}

/* What a person writes is never a control token, and does not part the text around it. */
static void a_question_holds_no_control_tokens(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_model model;
    pfm_ids ids = {0};
    open_model("llama2/prepend", "{{ '<s>' }}{% for m in messages %}{{ m.content }}{% endfor %}{{ '</s>' }}", &model);
    assert_ok(pfm_model_encode(&model, &(pfm_question){"<s>Why</s> ?</s", 1}, NULL, 0, &ids, NULL, &err));
    int begins = 0, ends = 0;
    for (size_t i = 0; i < ids.count; i++) {
        begins += ids.data[i] == pfm_tokenizer_id(model.tokenizer, "<s>");
        ends += ids.data[i] == pfm_tokenizer_id(model.tokenizer, "</s>");
    }
    assert_int_equal(begins, 1);
    assert_int_equal(ends, 1);
    assert_int_equal(ids.data[0], pfm_tokenizer_id(model.tokenizer, "<s>"));
    assert_int_equal(ids.data[ids.count - 1], pfm_tokenizer_id(model.tokenizer, "</s>"));
    pfm_ids_free(&ids);
    pfm_tokenizer_free(model.tokenizer);
}

/* Each image is written as the recipe says, unless the question gives it a place. */
static void an_image_stands_in_its_own_text(void **state)
{
    (void)state;
    static const struct {
        const char *question;
        size_t images;
        const char *wanted;
    } cases[] = {{"Why?", 1, "<s>[INST] <Img><image></Img> Why? [/INST]"},
                 {"Why?", 2, "<s>[INST] <Img><image></Img> <Img><image></Img> Why? [/INST]"},
                 {"Is <image> larger?", 1, "<s>[INST] Is <image> larger? [/INST]"}};
    static char image[] = "<Img><image></Img> ";
    pfm_error err = PFM_ERROR_INIT;
    pfm_model model;
    open_model("llama2/prepend", "{% for m in messages %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}{% endfor %}",
               &model);
    model.image_text = image;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_buffer text = {0};
        assert_ok(pfm_model_prompt(&model, &(pfm_question){cases[i].question, cases[i].images}, &text, &err));
        assert_string_equal(text.data, cases[i].wanted);
        pfm_buffer_free(&text);
    }
    pfm_tokenizer_free(model.tokenizer);
}

/* Without an image nothing in the text marks the user's turn: it is still found, whatever it says. */
static void a_question_without_images_keeps_its_place(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_model model;
    static const char *const questions[] = {"<s>", "</s>", "user", "x", "y", "<s>user <s>user"};
    open_model("llama2/prepend",
               "{{ '<s>' }}{% for m in messages %}{{ m.role + ' x' + m.content + ' user' }}{% endfor %}{{ '</s>' }}", &model);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        pfm_ids ids = {0};
        pfm_buffer text = {0}, wanted = {0};
        const pfm_question question = {questions[i], 0};
        int begins = 0, ends = 0;
        assert_ok(pfm_buffer_append_format(&wanted, &err, "<s>user x%s user</s>", questions[i]));
        assert_ok(pfm_model_prompt(&model, &question, &text, &err));
        assert_string_equal(text.data, wanted.data);
        assert_ok(pfm_model_encode(&model, &question, NULL, 0, &ids, NULL, &err));
        for (size_t t = 0; t < ids.count; t++) {
            assert_true(ids.data[t] >= 0);
            begins += ids.data[t] == pfm_tokenizer_id(model.tokenizer, "<s>");
            ends += ids.data[t] == pfm_tokenizer_id(model.tokenizer, "</s>");
        }
        assert_true(begins == 1 && ends == 1);
        assert_int_equal(ids.data[0], pfm_tokenizer_id(model.tokenizer, "<s>"));
        assert_int_equal(ids.data[ids.count - 1], pfm_tokenizer_id(model.tokenizer, "</s>"));
        pfm_ids_free(&ids);
        pfm_buffer_free(&text);
        pfm_buffer_free(&wanted);
    }
    pfm_tokenizer_free(model.tokenizer);
}

/* A conversation: each user's text in the instruction, or as it is; images in their turns; control tokens in none of them. */
static void a_conversation_keeps_its_turns(void **state)
{
    (void)state;
    static const pfm_chat_turn turns[] = {
        {"system", " Be brief.", 0}, {"user", "<s>A", 1}, {"assistant", "<image></s>", 0}, {"user", "<image> or <image>?", 2}};
    static const char template[] = "{% for m in messages %}{% if loop.first and m.role != 'system' %}DEFAULT{% endif %}"
                                   "{{ bos_token + m.role + ' ' + m.content|trim + '\n' }}{% endfor %}";
    static const char instructed[] = "<s>system Be brief.\n<s>user <image>\nQ: <s>A\n<s>assistant <image></s>\n"
                                     "<s>user Q: <image> or <image>?\n";
    static const char plain[] = "<s>system Be brief.\n<s>user <image>\n<s>A\n<s>assistant <image></s>\n"
                                "<s>user <image> or <image>?\n";
    char asks[] = "Q: {question}";
    pfm_error err = PFM_ERROR_INIT;
    pfm_model model;
    open_model("llama2/prepend", template, &model);
    for (int as_is = 0; as_is < 2; as_is++) {
        pfm_buffer text = {0};
        pfm_ids ids = {0};
        const pfm_question question = {.images = 3, .turns = turns, .turn_count = 4, .plain = as_is == 1};
        int begins = 0, ends = 0, shown = 0;
        model.instruction = asks;
        assert_ok(pfm_model_prompt(&model, &question, &text, &err));
        assert_string_equal(text.data, as_is == 1 ? plain : instructed);
        assert_ok(pfm_model_encode(&model, &question, NULL, 0, &ids, NULL, &err));
        for (size_t t = 0; t < ids.count; t++) {
            begins += ids.data[t] == pfm_tokenizer_id(model.tokenizer, "<s>");
            ends += ids.data[t] == pfm_tokenizer_id(model.tokenizer, "</s>");
            if (ids.data[t] < 0)
                assert_int_equal(ids.data[t], -1 - shown++);
        }
        assert_int_equal(begins, 4);
        assert_int_equal(ends, 0);
        assert_int_equal(shown, 3 * model.sequence_tokens);
        pfm_ids_free(&ids);
        pfm_buffer_free(&text);
    }
    const pfm_question alone = {.turns = turns + 1, .turn_count = 1, .images = 1, .plain = true};
    pfm_buffer text = {0};
    assert_ok(pfm_model_prompt(&model, &alone, &text, &err));
    assert_string_equal(text.data, "DEFAULT<s>user <image>\n<s>A\n");
    pfm_buffer_free(&text);
    static const pfm_chat_turn shows[] = {{"assistant", "A", 1}};
    assert_error(pfm_model_prompt(&model, &(pfm_question){.turns = shows, .turn_count = 1, .images = 1}, &text, &err),
                 PFM_ERROR_USAGE, "images stand in what the user says");
    assert_error(pfm_model_prompt(&model, &(pfm_question){.turns = turns, .turn_count = 4, .images = 2}, &text, &err),
                 PFM_ERROR_USAGE, "the turns of the conversation hold 3 images, and 2 are given");
    pfm_tokenizer_free(model.tokenizer);
}

/* A mark needs an image, an image a model that sees, and a chat that changes what is said has no place for it. */
static void what_cannot_be_shown_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_model model;
    pfm_ids ids = {0};
    open_model("llama2/prepend", "{% for m in messages %}{{ bos_token + m.content }}{% endfor %}", &model);
    assert_error(pfm_model_encode(&model, &(pfm_question){"Is <image> larger?", 0}, NULL, 0, &ids, NULL, &err), PFM_ERROR_USAGE,
                 "there are 0 images and 1 marks <image>");
    model.visual_tokens = model.sequence_tokens = 0;
    assert_error(pfm_model_encode(&model, &(pfm_question){"Why?", 2}, NULL, 0, &ids, NULL, &err), PFM_ERROR_USAGE,
                 "this model sees nothing (model.vision: none) and cannot be shown 2 images");
    assert_ok(pfm_model_encode(&model, &(pfm_question){"Why?", 0}, NULL, 0, &ids, NULL, &err));
    pfm_ids_free(&ids);
    pfm_tokenizer_free(model.tokenizer);
    static const char *const changing[] = {"{% for m in messages %}{{ bos_token + m.content + m.content }}{% endfor %}",
                                           "{% for m in messages %}{{ bos_token + m.role }}{% endfor %}"};
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++) {
        open_model("llama2/prepend", changing[i], &model);
        assert_error(pfm_model_encode(&model, &(pfm_question){" Why?", 0}, NULL, 0, &ids, NULL, &err), PFM_ERROR_UNSUPPORTED,
                     "the chat template changes what the user says");
        pfm_tokenizer_free(model.tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_ids_are_those_of_transformers),
                                       cmocka_unit_test(the_begin_token_stays),
                                       cmocka_unit_test(a_question_holds_no_control_tokens),
                                       cmocka_unit_test(an_image_stands_in_its_own_text),
                                       cmocka_unit_test(a_question_without_images_keeps_its_place),
                                       cmocka_unit_test(a_conversation_keeps_its_turns),
                                       cmocka_unit_test(what_cannot_be_shown_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
