#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "data/dataset.h"
#include "data/sampler.h"
#include "failing.h"
#include "formats/adapter.h"
#include "formats/gguf.h"
#include "image/dicom_charset.h"
#include "image/sr_identity.h"
#include "image/sr_sections.h"
#include "make_dicom.h"
#include "pefomed/image.h"
#include "pefomed/infer.h"
#include "pefomed/inspect.h"
#include "peft/peft.h"
#include "text/tokenizer.h"
#include "train/recipe.h"

static pfm_status recipe(pfm_error *err)
{
    static const char text[] = "model: {vision: efficientnet-lite0, language: smollm2-135m-instruct}\n"
                               "peft: {rank: 8, targets: [q_proj, v_proj]}\ndata: {dataset: phantom}\n";
    static const char *const sets[] = {"train.epochs=2"};
    pfm_status status = PFM_OK;
    pfm_recipe *loaded = NULL, *again = NULL;
    pfm_buffer written = {0}, differences = {0};
    PFM_TRY(pfm_recipe_parse(text, sizeof text - 1, "recipe", sets, 1, &loaded, err));
    assert_int_equal(loaded->peft.rank, 8);
    PFM_TRY(pfm_recipe_write(loaded, &written, err));
    PFM_TRY(pfm_recipe_parse(written.data, written.size, "again", NULL, 0, &again, err));
    PFM_TRY(pfm_recipe_compare(loaded, again, &differences, err));
    assert_int_equal(differences.size, 0);
done:
    pfm_buffer_free(&written);
    pfm_buffer_free(&differences);
    pfm_recipe_free(loaded);
    pfm_recipe_free(again);
    return status;
}

static void test_recipe(void **state)
{
    (void)state;
    failing_try_all("recipe", recipe);
}

static pfm_status data_set(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *data = NULL;
    pfm_sampler *sampler = NULL;
    size_t rows[2];
    pfm_dataset_options options = {.language = "en", .seed = 42};
    PFM_TRY(pfm_dataset_load("slake", test_scratch_folder(), "train", &options, &data, err));
    assert_int_equal(data->count, 2);
    PFM_TRY(pfm_sampler_create(data, 2, 2, 42, &sampler, err));
    PFM_TRY(pfm_sampler_step(sampler, 3, rows, NULL, err));
    assert_true(rows[0] < 2 && rows[1] < 2);
done:
    pfm_sampler_free(sampler);
    pfm_dataset_free(data);
    return status;
}

static void test_data_set(void **state)
{
    (void)state;
    static const char rows[] = "[{\"qid\": 1, \"img_name\": \"a.jpg\", \"q_lang\": \"en\", \"question\": \"Which organ?\", "
                               "\"answer\": \"Lung\", \"answer_type\": \"OPEN\", \"modality\": \"CT\"},"
                               "{\"qid\": 2, \"img_name\": \"b.jpg\", \"q_lang\": \"en\", \"question\": \"Is it CT?\", "
                               "\"answer\": \"Yes\", \"answer_type\": \"CLOSED\"}]";
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "train.json"), rows, sizeof rows - 1, &err));
    failing_try_all("data set", data_set);
}

static pfm_status pictures(pfm_error *err)
{
    static const char *const names[] = {
        "cmyk.jpg",
        "grey16_interlaced.png",
        "dicom/deflated.dcm",
        "dicom/modality_lut.dcm",
        "dicom/ybr_rle.dcm",
        "dicom/palette_segmented.dcm",
        "dicom/jpegls_rgb.dcm",
#ifdef FAILING_BY_WRAP /* DCMTK and OpenJPEG do not always look at what malloc gave; here it is our calls alone that fail */
        "dicom/jpeg_lossless.dcm",
        "dicom/jpeg2000.dcm",
#endif
    };
    pfm_status status = PFM_OK;
    pfm_image picture = {0}, resized = {0};
    int rows = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PFM_TRY(pfm_image_load(test_path(PFM_SOURCE_DIR "/tests/image/golden", names[i]), &picture, err));
        PFM_TRY(pfm_image_find_text(&picture, &rows, err));
        PFM_TRY(pfm_image_resize_bicubic(&picture, 20, 16, &resized, err));
        PFM_TRY(pfm_image_write_png(&resized, test_path(test_scratch_folder(), "resized.png"), err));
        pfm_image_free(&picture);
        pfm_image_free(&resized);
    }
done:
    pfm_image_free(&picture);
    pfm_image_free(&resized);
    return status;
}

static void test_pictures(void **state)
{
    (void)state;
    failing_try_all("pictures", pictures);
}

/* Whose images a report is about, and a name that must be converted. */
static pfm_status reports(pfm_error *err)
{
    static const char *const sets[] = {"\\ISO 2022 IR 87", "GB18030"}, *const names[] = {"\x1b$B;3ED\x1b(B", "\xcd\xf5"};
    static const char *const wanted[] = {"山田", "王"};
    pfm_status status = PFM_OK;
    pfm_sr *sr = NULL;
    pfm_sr_sections sections = {0};
    char *converted = NULL;
    const pfm_sr_image images[] = {{.path = test_path(test_scratch_folder(), "a.dcm")},
                                   {.path = test_path(test_scratch_folder(), "a.dcm"), .frame = 1}};
    PFM_TRY(pfm_sr_open(images, 2, &sr, err));
    PFM_TRY(pfm_sr_add_report(&sections, "Clear. IMPRESSION: Normal.", err));
    for (size_t i = 0; i < 2; i++) {
        PFM_TRY(pfm_charset_convert(sets[i], "PN", names[i], &converted, err));
        assert_string_equal(converted, wanted[i]);
        free(converted);
        converted = NULL;
    }
done:
    free(converted);
    pfm_sr_sections_free(&sections);
    pfm_sr_free(sr);
    return status;
}

static void test_reports(void **state)
{
    (void)state;
    static const struct {
        uint16_t group, element;
        const char *vr, *value;
    } said[] = {{0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1"},
                {0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.2.1"},
                {0x0008, 0x0018, "UI", "1.2.3"},
                {0x0010, 0x0010, "PN", "A^B"},
                {0x0020, 0x000D, "UI", "1.2.4"},
                {0x0020, 0x000E, "UI", "1.2.5"},
                {0x0028, 0x0008, "IS", "3"}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    const unsigned char preamble[128] = {0};
    dicom_bytes(&file, preamble, sizeof preamble);
    dicom_bytes(&file, "DICM", 4);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        dicom_text(&file, said[i].group, said[i].element, said[i].vr, said[i].value);
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "a.dcm"), file.data, file.size, &err));
    pfm_buffer_free(&file);
    failing_try_all("reports", reports);
}

/* Every kind of weight file is read, and written again as safetensors and GGUF. */
static pfm_status weights(pfm_error *err)
{
    static const char *const names[] = {"small.safetensors", "types.gguf", "small.pt", "legacy.pt"};
    pfm_status status = PFM_OK;
    pfm_weights *opened = NULL;
    pfm_gguf_writer *writer = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PFM_TRY(pfm_weights_open(test_path(PFM_SOURCE_DIR "/tests/formats/golden", names[i]), &opened, err));
        assert_true(pfm_weights_count(opened) > 0);
        const pfm_weight *first = pfm_weights_at(opened, 0);
        PFM_TRY(pfm_gguf_writer_create(&writer, err));
        PFM_TRY(pfm_gguf_set_text(writer, "general.architecture", "none", err));
        if (strcmp(pfm_weights_format(opened), "gguf") == 0)
            PFM_TRY(pfm_gguf_copy_meta(writer, opened, NULL, err));
        else
            PFM_TRY(pfm_safetensors_write(test_path(test_scratch_folder(), "again.safetensors"), first, 1, NULL, 0, err));
        PFM_TRY(pfm_gguf_write(writer, test_path(test_scratch_folder(), "again.gguf"), NULL, NULL, err));
        pfm_gguf_writer_free(writer);
        writer = NULL;
        pfm_weights_close(opened);
        opened = NULL;
    }
done:
    pfm_gguf_writer_free(writer);
    pfm_weights_close(opened);
    return status;
}

static void test_weights(void **state)
{
    (void)state;
    failing_try_all("weights", weights);
}

/* Adapters' settings become options, two adapters become one. */
static pfm_status combining(pfm_error *err)
{
    static const char *const cases[] = {"patterns", "regex", "layers", "head"};
    const pfm_context_options options = {.threads = 1, .home = test_scratch_folder()};
    pfm_status status = PFM_OK;
    pfm_context *context = NULL;
    pfm_adapter_config config = {0};
    pfm_peft_options read = {0};
    char *json = NULL, paths[2][400];
    const char *const adapters[] = {paths[0], paths[1]};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(paths[0], sizeof paths[0], "%s/tests/peft/golden/exchange/%s", PFM_SOURCE_DIR, cases[i]);
        pfm_adapter_config_free(&config);
        PFM_TRY(pfm_adapter_config_load(paths[0], &config, err));
        PFM_TRY(pfm_peft_read_config(&config, &read, err));
    }
    (void)snprintf(paths[0], sizeof paths[0], "%s/tests/peft/golden/exchange/first", PFM_SOURCE_DIR);
    (void)snprintf(paths[1], sizeof paths[1], "%s/tests/peft/golden/exchange/third", PFM_SOURCE_DIR);
    const pfm_combine_options combine = {
        .out = test_path(test_scratch_folder(), "combined"), .adapters = adapters, .count = 2, .by = "svd", .rank = 1};
    PFM_TRY(pfm_context_create(&options, &context, err));
    PFM_TRY(pfm_combine_adapters(context, &combine, &json, err));
done:
    free(json);
    pfm_peft_options_free(&read);
    pfm_adapter_config_free(&config);
    pfm_context_free(context);
    return status;
}

static void test_combining(void **state)
{
    (void)state;
#ifndef FAILING_BY_WRAP
    print_message("skipped: only for builds with sanitizers\n"); /* see test_adapter */
    skip();
#endif
    failing_try_all("combining", combining);
}

/* An adapter is read and written again, and everything in reach is inspected. */
static pfm_status adapter(pfm_error *err)
{
    static const char *const names[] = {"adapter", "small.safetensors", "nested.pt"};
    const pfm_context_options options = {.threads = 1, .home = test_scratch_folder()};
    pfm_status status = PFM_OK;
    pfm_adapter_config config = {0};
    pfm_context *context = NULL;
    char *text = NULL;
    PFM_TRY(pfm_adapter_config_load(test_path(PFM_SOURCE_DIR "/tests/formats/golden", "adapter"), &config, err));
    PFM_TRY(pfm_adapter_write(test_path(test_scratch_folder(), "adapter"), &config, NULL, 0, NULL, NULL, err));
    PFM_TRY(pfm_context_create(&options, &context, err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PFM_TRY(pfm_inspect(context, test_path(PFM_SOURCE_DIR "/tests/formats/golden", names[i]), false, &text, err));
        free(text);
        text = NULL;
    }
done:
    free(text);
    pfm_context_free(context);
    pfm_adapter_config_free(&config);
    return status;
}

static void test_adapter(void **state)
{
    (void)state;
#ifndef FAILING_BY_WRAP
    /* jansson 2.14 reads past a text of 16 bytes or more whose buffer could not grow: only our own allocations may fail. */
    print_message("skipped: only for builds with sanitizers\n");
    skip();
#endif
    failing_try_all("adapter", adapter);
}

static pfm_status use_tokenizer(const char *path, pfm_status (*load)(const char *path, pfm_tokenizer **out, pfm_error *err),
                                pfm_error *err)
{
    static const char text[] = "Is the left lung normal?";
    pfm_status status = PFM_OK;
    pfm_tokenizer *loaded = NULL;
    pfm_ids ids = {0};
    pfm_buffer again = {0};
    PFM_TRY(load(path, &loaded, err));
    PFM_TRY(pfm_tokenizer_encode(loaded, text, sizeof text - 1, true, &ids, err));
    PFM_TRY(pfm_tokenizer_decode(loaded, ids.data, ids.count, false, &again, err));
    assert_string_equal(again.data, text);
done:
    pfm_buffer_free(&again);
    pfm_ids_free(&ids);
    pfm_tokenizer_free(loaded);
    return status;
}

static pfm_status tokenizer(pfm_error *err)
{
    return use_tokenizer(test_path(test_scratch_folder(), "tokenizer.json"), pfm_tokenizer_load_json, err);
}

#define FAMILIES PFM_SOURCE_DIR "/tests/text/golden/families/"

/* Not llama2's: jansson asserts where memory ends at the closing quote of "prepend_scheme", 16 bytes with its quotes. */
static pfm_status sentencepiece(pfm_error *err)
{
    return use_tokenizer(FAMILIES "mistral/model/tokenizer.model", pfm_tokenizer_load_sentencepiece, err);
}

static pfm_status vocab_merges(pfm_error *err)
{
    return use_tokenizer(FAMILIES "qwen2/pair/vocab.json", pfm_tokenizer_load_merges, err);
}

static void test_tokenizer(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *golden = json_load_file(PFM_SOURCE_DIR "/tests/text/golden/tokens.json", JSON_ALLOW_NUL, NULL);
    const json_t *first = json_object_get(json_array_get(golden, 0), "tokenizer");
    assert_ok(pfm_json_save(test_path(test_scratch_folder(), "tokenizer.json"), first, &err));
    json_decref(golden);
    failing_try_all("tokenizer", tokenizer);
    failing_try_all("sentencepiece", sentencepiece);
    failing_try_all("vocab_merges", vocab_merges);
}

static pfm_status chat(pfm_error *err)
{
    static const char template[] =
        "{% set ns = namespace(n=0) %}{% for m in messages[1:] if m.role != 'x' %}{% set ns.n = ns.n + 1 %}"
        "{{ ns.n ~ [m.role, 1] | tojson }}{{ (m.content | trim).split('b')[0] }}{% endfor %}";
    static const pfm_text_view tokens[] = {{"a", 1}, {"<e>", 3}};
    static const int32_t types[] = {PFM_TOKEN_NORMAL, PFM_TOKEN_CONTROL};
    static const pfm_tokenizer_source source = {.model = "gpt2",
                                                .pre = "gpt-2",
                                                .tokens = tokens,
                                                .types = types,
                                                .token_count = 2,
                                                .begin = -1,
                                                .end = 1,
                                                .end_of_turn = -1,
                                                .unknown = -1,
                                                .padding = -1,
                                                .chat_template = template};
    static const pfm_chat_message messages[] = {{"s", "t"}, {"u", " a\xff "}, {"x", "y"}, {"u", "cbd"}};
    pfm_status status = PFM_OK;
    pfm_tokenizer *made = NULL;
    pfm_buffer out = {0};
    PFM_TRY(pfm_tokenizer_create(&source, &made, err));
    PFM_TRY(pfm_chat_render(made, messages, 4, true, &out, err));
    assert_string_equal(out.data, "1[\"u\", 1]a\xef\xbf\xbd"
                                  "2[\"u\", 1]c");
done:
    pfm_buffer_free(&out);
    pfm_tokenizer_free(made);
    return status;
}

static void test_chat(void **state)
{
    (void)state;
    failing_try_all("chat", chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipe),    cmocka_unit_test(test_data_set),  cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_reports),   cmocka_unit_test(test_weights),   cmocka_unit_test(test_adapter),
        cmocka_unit_test(test_combining), cmocka_unit_test(test_tokenizer), cmocka_unit_test(test_chat)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
