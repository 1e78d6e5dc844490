#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/threads.h"
#include "base/try.h"
#include "failing.h"
#include "pefomed/context.h"

static pfm_status strings_and_buffers(pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *copy = NULL, *text = NULL, *path = NULL;
    pfm_buffer buffer = {0};
    PFM_TRY(pfm_string_copy("pneumothorax", &copy, err));
    PFM_TRY(pfm_string_format(&text, err, "%s, left", copy));
    PFM_TRY(pfm_path_join("a", text, &path, err));
    for (int i = 0; i < 40; i++)
        PFM_TRY(pfm_buffer_append_format(&buffer, err, "%d: %s\n", i, path));
    assert_non_null(strstr(buffer.data, "39: a/pneumothorax, left\n"));
done:
    pfm_buffer_free(&buffer);
    free(path);
    free(text);
    free(copy);
    return status;
}

static pfm_status files(pfm_error *err)
{
    pfm_status status = PFM_OK;
    char folder[4096], **names = NULL;
    (void)snprintf(folder, sizeof folder, "%s/files", test_scratch_folder());
    const char *path = test_path(folder, "whole");
    pfm_buffer text = {0};
    pfm_mapping mapping = {0};
    size_t count = 0;
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_file_write(path, "contents", 8, err));
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    assert_string_equal(text.data, "contents");
    PFM_TRY(pfm_mapping_open(path, &mapping, err));
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    assert_int_equal(count, 1); /* what failed before left no temporary file behind */
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    pfm_mapping_close(&mapping);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status json(pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = test_path(test_scratch_folder(), "rows.jsonl");
    json_t *rows = NULL, *document = json_object();
    pfm_buffer text = {0};
    PFM_TRY(pfm_json_take(document, "answer", json_string("left lung"), err));
    PFM_TRY(pfm_json_take(document, "score", pfm_json_number(0.5), err));
    PFM_TRY(pfm_json_append(&text, document, err));
    PFM_TRY(pfm_buffer_append_string(&text, "\n{\"answer\": 12}\n", err));
    PFM_TRY(pfm_file_write(path, text.data, text.size, err));
    PFM_TRY(pfm_json_load_lines(path, &rows, err));
    assert_int_equal(json_array_size(rows), 2);
    PFM_TRY(pfm_json_save(test_path(test_scratch_folder(), "rows.json"), rows, err));
done:
    json_decref(document);
    json_decref(rows);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status map_and_hash(pfm_error *err)
{
    static const char keys[] = "abcdefghijklmnopqrstuvwxyz";
    pfm_status status = PFM_OK;
    pfm_map map = {0};
    pfm_hash_hex hex;
    for (size_t i = 0; i < sizeof keys - 1; i++)
        PFM_TRY(pfm_map_set(&map, keys + i, 1, (int64_t)i, err));
    int64_t value = 0;
    assert_true(pfm_map_get(&map, "z", 1, &value));
    assert_int_equal(value, 25);
    PFM_TRY(pfm_hash_bytes("abc", 3, hex, err));
    assert_memory_equal(hex, "ba7816bf", 8);
done:
    pfm_map_free(&map);
    return status;
}

static pfm_status context(pfm_error *err)
{
    pfm_context *made = NULL;
    pfm_context_options options = {.threads = 3, .seed = 7, .home = "/nowhere"};
    pfm_status status = pfm_context_create(&options, &made, err);
    if (status == PFM_OK)
        assert_int_equal(pfm_context_threads(made), 3);
    pfm_context_free(made);
    return status;
}

static void test_base(void **state)
{
    (void)state;
    failing_try_all("strings and buffers", strings_and_buffers);
    failing_try_all("files", files);
    failing_try_all("json", json);
    failing_try_all("map and hash", map_and_hash);
    failing_try_all("context", context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_base)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
