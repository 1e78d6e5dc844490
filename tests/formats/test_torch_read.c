#include "support_formats.h"
#include "test.h"

static void check_values(const pfm_weights *weights, const char *name, const float *wanted, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    float values[32];
    const pfm_weight *weight = pfm_weights_find(weights, name);
    assert_non_null(weight);
    assert_int_equal(pfm_weight_values(weight), count);
    assert_ok(pfm_weight_expand(weight, values, &err));
    assert_memory_equal(values, wanted, count * sizeof *wanted);
}

/* The zip form and the older one hold the same; strided tensors come out row-major. */
static void test_both_forms(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const files[] = {"small.pt", "legacy.pt"};
    for (int i = 0; i < 2; i++) {
        pfm_weights *weights = NULL;
        assert_ok(pfm_weights_open(formats_data(files[i]), &weights, &err));
        assert_string_equal(pfm_weights_format(weights), "torch");
        assert_int_equal(pfm_weights_count(weights), 16);
        check_values(weights, "f32", (float[]){0, 1, 2, 3, 4, 5}, 6);
        check_values(weights, "tied", (float[]){0, 1, 2, 3, 4, 5}, 6);
        check_values(weights, "f16", (float[]){100, 101, 102, 103}, 4);
        check_values(weights, "bf16", (float[]){200, 201, 202, 203}, 4);
        check_values(weights, "f64", (float[]){300, 301, 302}, 3);
        check_values(weights, "i64", (float[]){-1, 0, 1}, 3);
        check_values(weights, "u8", (float[]){253, 254, 255}, 3);
        check_values(weights, "bool", (float[]){1, 0, 1}, 3);
        check_values(weights, "scalar", (float[]){7.5}, 1);
        check_values(weights, "empty", NULL, 0);
        check_values(weights, "column", (float[]){4, 5, 6, 7, 16, 17, 18, 19}, 8);
        check_values(weights, "transposed",
                     (float[]){0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23}, 24);
        check_values(weights, "parameter", (float[]){1, 1}, 2);
        assert_int_equal(pfm_weights_find(weights, "transposed")->shape[0], 4);
        pfm_weights_close(weights);
    }
}

static void test_a_wrapped_state_dict(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    int64_t epoch = 0;
    double rate = 0;
    assert_ok(pfm_weights_open(formats_data("nested.pt"), &weights, &err));
    check_values(weights, "a.b.0", (float[]){1}, 1);
    check_values(weights, "a.b.1", (float[]){0}, 1);
    assert_true(pfm_weights_meta_integer(weights, "epoch", &epoch) && epoch == 3);
    assert_true(pfm_weights_meta_number(weights, "lr", &rate) && rate == 0.5);
    assert_string_equal(pfm_weights_meta_string(weights, "name", NULL), "n");
    assert_true(pfm_weights_meta_integer(weights, "ok", &epoch) && epoch == 1);
    pfm_weights_close(weights);
}

#define try_pickle(bytes) formats_try(bytes, sizeof(bytes) - 1, &err)
#define STORAGE                                                                                                                \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                                         \
    "0X\3\0\0\0cpuK\4tQ"

/* Files that would run code in Python, or hold nonsense. Each is refused for what it says. */
static void test_hostile_pickles(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_error(try_pickle("\x80\2cos\nsystem\nX\6\0\0\0rm -rf\x85R."), PFM_ERROR_FORMAT, "imports os.system at byte 2");
    assert_error(try_pickle("\x80\2cposix\nsystem\nX\2\0\0\0id\x85R."), PFM_ERROR_FORMAT, "imports posix.system");
    assert_error(try_pickle("\x80\2c__builtin__\neval\nX\1\0\0\0"
                            "1\x85R."),
                 PFM_ERROR_FORMAT, "__builtin__.eval");
    assert_error(try_pickle("\x80\2"
                            "ctorch.storage\n_load_from_bytes\nX\1\0\0\0"
                            "1\x85R."),
                 PFM_ERROR_FORMAT, "_load_from_bytes");
    assert_error(try_pickle("\x80\2(ios\nsystem\n."), PFM_ERROR_FORMAT, "0x69 (INST)");
    assert_error(try_pickle("\x80\3X\2\0\0\0osX\6\0\0\0system\x93."), PFM_ERROR_FORMAT, "STACK_GLOBAL");
    assert_error(try_pickle("\x80\4\x95."), PFM_ERROR_UNSUPPORTED, "protocol 4");
    assert_error(try_pickle("\x80\2ccollections\nOrderedDict\n)\x81."), PFM_ERROR_FORMAT, "NEWOBJ");
    assert_error(try_pickle("\x80\2ccollections\nOrderedDict"), PFM_ERROR_FORMAT, "without end");
    assert_error(try_pickle("\x80\2N)R."), PFM_ERROR_FORMAT, "no function");
    assert_error(try_pickle("\x80\2Nb."), PFM_ERROR_FORMAT, "attributes");
    assert_error(try_pickle("\x80\2NN}b."), PFM_ERROR_FORMAT, "attributes");
    assert_error(try_pickle("\x80\2."), PFM_ERROR_FORMAT, "empty stack");
    assert_error(try_pickle("\x80\2t."), PFM_ERROR_FORMAT, "no mark");
    assert_error(try_pickle("\x80\2(\x87."), PFM_ERROR_FORMAT, "empty stack");
    assert_error(try_pickle("\x80\2}(Nu."), PFM_ERROR_FORMAT, "without a value");
    assert_error(try_pickle("\x80\2Na."), PFM_ERROR_FORMAT, "empty stack");
    assert_error(try_pickle("\x80\2NNa."), PFM_ERROR_FORMAT, "no container");
    assert_error(try_pickle("\x80\2h\0."), PFM_ERROR_FORMAT, "did not keep");
    assert_error(try_pickle("\x80\2Nr\xff\xff\xff\xff."), PFM_ERROR_FORMAT, "out of order");
    assert_error(try_pickle("\x80\2X\xff\xff\xff\xffno."), PFM_ERROR_FORMAT, "cut short");
    assert_error(try_pickle("\x80\2K\1."), PFM_ERROR_FORMAT, "no PyTorch checkpoint");
    assert_error(try_pickle("\x80\2(K\1tQ."), PFM_ERROR_FORMAT, "no storage");
    assert_error(try_pickle("\x80\2ctorch\nFloatStorage\n)R."), PFM_ERROR_FORMAT, "calls a storage type");
    assert_error(try_pickle("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R."), PFM_ERROR_FORMAT, "describes a tensor wrongly");
    assert_error(try_pickle("\x80\2ctorch._utils\n_rebuild_parameter\n)R."), PFM_ERROR_FORMAT, "makes a parameter");
    assert_error(try_pickle("\x80\2ccollections\nOrderedDict\nK\1\x85R."), PFM_ERROR_FORMAT, "OrderedDict");
}

/* An old-form checkpoint around one pickle, with one storage of four f32 under the key "0". */
static pfm_status try_checkpoint(const char *pickle, size_t size, pfm_error *err)
{
    static const char head[] =
        "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}X\x0d\0\0\0little_endian\x88s.";
    static const char keys[] = "\x80\2]X\1\0\0\0"
                               "0a.";
    static const float values[4] = {1, 2, 3, 4};
    pfm_buffer file = {0};
    put_bytes(&file, head, sizeof head - 1);
    put_bytes(&file, pickle, size);
    put_bytes(&file, keys, sizeof keys - 1);
    put_u64(&file, 4);
    put_bytes(&file, values, sizeof values);
    pfm_status status = formats_try(file.data, file.size, err);
    pfm_buffer_free(&file);
    return status;
}

#define TENSOR(offset, size, stride)                                                                                           \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE offset size stride "\x89Nt"                                                 \
    "R"
#define try_tensor(pickle) try_checkpoint("\x80\2" pickle ".", sizeof("\x80\2" pickle ".") - 1, &err)

static void test_tensors_that_lie(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(try_tensor(TENSOR("K\0", "K\4\x85", "K\1\x85")));
    assert_ok(try_tensor(TENSOR("K\1", "K\2\x85", "K\2\x85")));
    assert_ok(try_tensor(TENSOR("K\0", ")", ")")));
    assert_error(try_tensor(TENSOR("K\0", "K\5\x85", "K\1\x85")), PFM_ERROR_FORMAT, "past its storage");
    assert_error(try_tensor(TENSOR("K\1", "K\4\x85", "K\1\x85")), PFM_ERROR_FORMAT, "past its storage");
    assert_error(try_tensor(TENSOR("K\4", ")", ")")), PFM_ERROR_FORMAT, "past its storage");
    assert_error(try_tensor(TENSOR("K\0", "K\2\x85", "K\4\x85")), PFM_ERROR_FORMAT, "past its storage");
    assert_error(try_tensor(TENSOR("K\0", "K\5\x85", "K\0\x85")), PFM_ERROR_UNSUPPORTED, "expanded view");
    assert_error(try_tensor(TENSOR("J\xff\xff\xff\xff", "K\1\x85", "K\1\x85")), PFM_ERROR_FORMAT, "wrongly");
    assert_error(try_tensor(TENSOR("K\0", "J\xff\xff\xff\xff\x85", "K\1\x85")), PFM_ERROR_FORMAT, "wrongly");
    assert_error(try_tensor(TENSOR("K\0", "K\1K\1\x86", "K\1\x85")), PFM_ERROR_FORMAT, "wrongly");
    assert_error(try_tensor(TENSOR("K\0", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\4\x86", "K\1K\1\x86")), PFM_ERROR_FORMAT,
                 "more values");
    assert_error(try_tensor("(" STORAGE "K\1t"), PFM_ERROR_FORMAT, "holds no tensor");
    assert_error(try_tensor("N"), PFM_ERROR_FORMAT, "a storage that no tensor has");
    assert_error(try_tensor("]q\0h\0a" TENSOR("K\0", "K\4\x85", "K\1\x85") "a"), PFM_ERROR_FORMAT, "hold themselves");
    assert_error(try_tensor("]("
                            "](" TENSOR("K\0", "K\4\x85", "K\1\x85") "eq\0h\0e"),
                 PFM_ERROR_UNSUPPORTED, "the same container twice");
    assert_error(try_tensor("}N" TENSOR("K\0", "K\4\x85", "K\1\x85") "s"), PFM_ERROR_UNSUPPORTED, "neither text nor integer");
}

/* Views of one storage must not multiply a small file in memory. */
static void test_many_copies_of_one_storage(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer pickle = {0};
    static const char one[] = TENSOR("K\0", "K\2K\2\x86", "K\1K\2\x86");
    put_bytes(&pickle, "\x80\2](", 4);
    put_bytes(&pickle, one, sizeof one - 1);
    put_bytes(&pickle, "q\0", 2);
    for (int i = 0; i < 200; i++)
        put_bytes(&pickle, "h\0", 2);
    put_bytes(&pickle, "e.", 2);
    assert_error(try_checkpoint(pickle.data, pickle.size, &err), PFM_ERROR_UNSUPPORTED, "views of the same storage");
    pfm_buffer_free(&pickle);
}

static void test_damage(void **state)
{
    (void)state;
    static const char *const files[] = {"small.pt", "legacy.pt", "nested.pt"};
    for (int i = 0; i < 3; i++) {
        formats_check_prefixes(formats_data(files[i]), 1, 0);
        formats_check_flips(formats_data(files[i]), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_forms),
                                       cmocka_unit_test(test_a_wrapped_state_dict),
                                       cmocka_unit_test(test_hostile_pickles),
                                       cmocka_unit_test(test_tensors_that_lie),
                                       cmocka_unit_test(test_many_copies_of_one_storage),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
