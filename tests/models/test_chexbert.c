/* CheXbert's network against a replica in PyTorch, from a checkpoint laid out like the published one. */
#include "models/text/chexbert.h"

#include "base/file.h"
#include "base/json.h"
#include "test.h"

static const char folder[] = PFM_SOURCE_DIR "/tests/models/golden/chexbert";

static pfm_context *open_context(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 2, .seed = 1, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static void test_against_torch(void **state)
{
    (void)state;
    enum { COPIES = 9 }; /* more than one run takes */
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = open_context();
    pfm_chexbert *chexbert = NULL;
    json_t *golden = NULL;
    const char *texts[256];
    pfm_chexbert_class got[256 * PFM_CHEXBERT_HEADS];
    int seen[PFM_CHEXBERT_CLASSES] = {0};
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/models/golden/chexbert.json", &golden, &err));
    const json_t *rows = json_object_get(golden, "texts"), *classes = json_object_get(golden, "classes");
    const size_t each = json_array_size(rows), count = COPIES * each;
    assert_true(each > 0 && count <= 256);
    for (size_t t = 0; t < count; t++)
        texts[t] = json_string_value(json_array_get(rows, t % each));
    assert_ok(pfm_chexbert_load(context, folder, &chexbert, &err));
    assert_int_equal(strlen(pfm_chexbert_get_digest(chexbert)), 12);
    assert_ok(pfm_chexbert_label(chexbert, texts, count, got, &err));
    for (size_t i = 0; i < count * PFM_CHEXBERT_HEADS; i++) {
        const json_t *row = json_array_get(classes, i / PFM_CHEXBERT_HEADS % each);
        const json_int_t want = json_integer_value(json_array_get(row, i % PFM_CHEXBERT_HEADS));
        if (want != (json_int_t)got[i])
            fail_msg("text %zu, %s: class %d instead of %lld", i / PFM_CHEXBERT_HEADS,
                     pfm_chexbert_names[i % PFM_CHEXBERT_HEADS], (int)got[i], (long long)want);
        seen[got[i]]++;
    }
    for (int c = 0; c < PFM_CHEXBERT_CLASSES; c++)
        assert_true(seen[c] > 0);
    pfm_chexbert_free(chexbert);
    json_decref(golden);
    pfm_context_free(context);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = open_context();
    pfm_chexbert *chexbert = NULL;
    assert_error(pfm_chexbert_load(context, PFM_SOURCE_DIR "/tests/models/golden/text_bert", &chexbert, &err),
                 PFM_ERROR_MISMATCH, "no tensor linear_heads.0.weight: it is no checkpoint of CheXbert");
    assert_error(pfm_chexbert_load(context, test_path(test_scratch_folder(), "none"), &chexbert, &err), PFM_ERROR_IO, "none");
    /* without a config.json it is bert-base, which this one is not */
    const char *weights = test_path(test_scratch_folder(), "chexbert.pth");
    static const char *const copied[] = {"chexbert.pth", "vocab.txt"};
    for (size_t i = 0; i < 2; i++) {
        pfm_buffer bytes = {0};
        assert_ok(pfm_file_read(test_path(folder, copied[i]), 1 << 20, &bytes, &err));
        assert_ok(pfm_file_write(test_path(test_scratch_folder(), copied[i]), bytes.data, bytes.size, &err));
        pfm_buffer_free(&bytes);
    }
    assert_error(pfm_chexbert_load(context, weights, &chexbert, &err), PFM_ERROR_MISMATCH, "[30522,768]");
    assert_null(chexbert);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_torch),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
