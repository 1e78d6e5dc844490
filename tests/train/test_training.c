/* Whole trainings: the same bits for any number of threads and however often they are broken off, a log without gaps, and
 * errors that lose nothing. */
#include "whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/weights.h"
#include "pefomed/train.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

static pfm_status train_with(const char *out, int threads, stopper *s, const char *const *sets, int set_count, bool fresh,
                             pfm_error *err)
{
    make_training();
    return train_recipe(training_recipe(), out, threads, s, sets, set_count, fresh, err);
}

static pfm_status train_plainly(const char *out, const char *const *sets, int set_count, pfm_error *err)
{
    stopper s = {.left = STOP_NEVER};
    return train_with(out, 2, &s, sets, set_count, false, err);
}

/* The run that nothing disturbs, made once. */
static const char *reference(void)
{
    static const char *folder;
    pfm_error err = PFM_ERROR_INIT;
    if (folder == NULL) {
        folder = folder_of("reference");
        assert_ok(train_plainly(folder, NULL, 0, &err));
    }
    return folder;
}

static void assert_same_run(const char *a, const char *b)
{
    assert_same_file(a, b, "adapter/adapter_model.safetensors");
    assert_same_file(a, b, "adapter/adapter_config.json");
    assert_same_file(a, b, "aligner.safetensors");
    assert_same_tensors(a, b, "checkpoint/state.safetensors");
    assert_same_log(a, b, TRAINING_STEPS);
}

static void threads_do_not_change_a_run(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = STOP_NEVER};
    const char *out = folder_of("one_thread");
    assert_ok(train_with(out, 1, &s, NULL, 0, false, &err));
    assert_same_run(out, reference());
}

static void a_stopped_run_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const int stops[] = {1, 3, 2}; /* off and on the steps that are saved anyway */
    const char *out = folder_of("stopped");
    int done = 0;
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        stopper s = {.left = stops[i]};
        char message[64];
        done += stops[i];
        (void)snprintf(message, sizeof message, "stopped after step %d of %d", done, TRAINING_STEPS);
        assert_error(train_with(out, 1 + (int)i % 2, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, message);
        assert_false(pfm_path_exists(test_path(out, "aligner.safetensors"))); /* it is not finished */
    }
    assert_ok(train_plainly(out, NULL, 0, &err));
    assert_same_run(out, reference());
    assert_ok(train_plainly(out, NULL, 0, &err)); /* a finished one stays as it is */
    assert_same_run(out, reference());
}

static void a_killed_run_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const int deaths[] = {2, 5, 1, 3}; /* before the first checkpoint, past it, at once, past the next */
    const char *out = folder_of("killed");
    make_training();
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        train_and_die(training_recipe(), out, deaths[i]);
    assert_ok(train_plainly(out, NULL, 0, &err));
    assert_same_run(out, reference());
}

static void go_on_to_the_same_bits(const char *name, const char *const *sets, int set_count)
{
    pfm_error err = PFM_ERROR_INIT;
    char whole[256], stopped[256];
    (void)snprintf(whole, sizeof whole, "%s_whole", folder_of(name));
    (void)snprintf(stopped, sizeof stopped, "%s_stopped", folder_of(name));
    stopper s = {.left = 4};
    assert_ok(train_plainly(whole, sets, set_count, &err));
    assert_error(train_with(stopped, 1, &s, sets, set_count, false, &err), PFM_ERROR_INTERRUPTED, "stopped after step 4");
    assert_ok(train_plainly(stopped, sets, set_count, &err));
    assert_same_run(stopped, whole);
}

/* Learned queries, attention of other sorts, features as they are, visual tokens beside the sequence. */
static void other_aligners_go_on_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const qformer[] = {"model.aligner=qformer",  "model.normalise=false", "qformer.layers=2",
                                          "qformer.hidden=16",      "qformer.heads=2",       "qformer.queries=3",
                                          "qformer.intermediate=24"},
                             *const gated[] = {"model.aligner=gated-cross-attention", "gated.every=1", "gated.heads=2",
                                               "gated.head_dim=8"};
    go_on_to_the_same_bits("qformer", qformer, sizeof qformer / sizeof *qformer);
    go_on_to_the_same_bits("gated", gated, sizeof gated / sizeof *gated);
}

static void read_tensor(const char *run, const char *file, const char *name, float *out, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(test_path(run, file), &weights, &err));
    const pfm_weight *weight = pfm_weights_find(weights, name);
    assert_non_null(weight);
    assert_int_equal(pfm_weight_values(weight), count);
    assert_ok(pfm_weight_expand(weight, out, &err));
    pfm_weights_close(weights);
}

/* The same table without words of sides, of which it has `from` in place of `to`. */
static void replace_all(pfm_buffer *text, const char *from, const char *to)
{
    for (char *at = text->data; (at = strstr(at, from)) != NULL; at += strlen(to))
        memcpy(at, to, strlen(to));
}

/* Half of the images are seen mirrored, the same ones after a resume, packed or not; sides are refused before anything is
 * done. */
static void mirrored_images_go_on_to_the_same_bits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"data.mirror=horizontal", "train.pack=false"};
    static float a[TINY_HIDDEN * 1280], b[TINY_HIDDEN * 1280];
    pfm_buffer table = {0}, changed = {0};
    char whole[256];
    make_training();
    assert_error(train_plainly(folder_of("sides"), sets, 1, &err), PFM_ERROR_USAGE, "6 of 17 rows speak of a side");
    assert_false(pfm_path_exists(folder_of("sides")));
    err = (pfm_error)PFM_ERROR_INIT;
    assert_ok(pfm_file_read(training_data(), 0, &table, &err));
    assert_ok(pfm_buffer_append(&changed, table.data, table.size, &err));
    assert_ok(pfm_buffer_append(&changed, "", 1, &err));
    replace_all(&changed, "left", "that");
    replace_all(&changed, "right", "blank");
    assert_ok(pfm_file_write(training_data(), changed.data, table.size, &err));
    go_on_to_the_same_bits("mirrored", sets, 1);
    assert_ok(train_plainly(folder_of("unmirrored"), NULL, 0, &err));
    assert_ok(train_plainly(folder_of("mirrored_unpacked"), sets, 2, &err));
    assert_ok(pfm_file_write(training_data(), table.data, table.size, &err));
    (void)snprintf(whole, sizeof whole, "%s_whole", folder_of("mirrored"));
    read_tensor(whole, "aligner.safetensors", "proj.weight", a, TINY_HIDDEN * 1280);
    read_tensor(folder_of("mirrored_unpacked"), "aligner.safetensors", "proj.weight", b, TINY_HIDDEN * 1280);
    assert_near("proj.weight", a, b, TINY_HIDDEN * 1280, 1e-3);
    read_tensor(folder_of("unmirrored"), "aligner.safetensors", "proj.weight", b, TINY_HIDDEN * 1280);
    double far = 0, all = 0;
    for (size_t i = 0; i < TINY_HIDDEN * 1280; i++) {
        far += fabs((double)a[i] - (double)b[i]);
        all += fabs((double)b[i]);
    }
    assert_true(far > 0.01 * all);
    pfm_buffer_free(&table);
    pfm_buffer_free(&changed);
}

static void other_methods_go_on_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const dora[] = {"peft.method=dora", "peft.rate_ratio=4"}, *const ia3[] = {"peft.method=ia3"};
    go_on_to_the_same_bits("dora", dora, sizeof dora / sizeof *dora);
    go_on_to_the_same_bits("ia3", ia3, sizeof ia3 / sizeof *ia3);
}

static void a_torn_line_of_the_log_is_written_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = 4};
    const char *out = folder_of("torn");
    assert_error(train_with(out, 2, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, "stopped");
    FILE *log = fopen(test_path(out, "log.jsonl"), "a");
    assert_non_null(log);
    assert_true(fputs("{\"step\":5,\"lo", log) >= 0);
    assert_int_equal(fclose(log), 0);
    assert_ok(train_plainly(out, NULL, 0, &err));
    assert_same_run(out, reference());
}

/* The recipes differ in packing alone. AdamW makes much of small differences, so this bound is wider than that of a gradient.
 */
static void packing_does_not_change_what_is_learned(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"train.pack=false"};
    static float a[TINY_HIDDEN * 1280], b[TINY_HIDDEN * 1280];
    const char *out = folder_of("unpacked");
    assert_ok(train_plainly(out, sets, 1, &err));
    read_tensor(out, "aligner.safetensors", "proj.weight", a, TINY_HIDDEN * 1280);
    read_tensor(reference(), "aligner.safetensors", "proj.weight", b, TINY_HIDDEN * 1280);
    assert_near("proj.weight", a, b, TINY_HIDDEN * 1280, 1e-3);
    static const char factor[] = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";
    read_tensor(out, "adapter/adapter_model.safetensors", factor, a, TINY_HIDDEN * 4);
    read_tensor(reference(), "adapter/adapter_model.safetensors", factor, b, TINY_HIDDEN * 4);
    assert_near(factor, a, b, TINY_HIDDEN * 4, 1e-2);
}

static void something_is_learned(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *lines = NULL;
    assert_ok(pfm_json_load_lines(test_path(reference(), "log.jsonl"), &lines, &err));
    double first = json_number_value(json_object_get(json_array_get(lines, 0), "loss"));
    double last = json_number_value(json_object_get(json_array_get(lines, TRAINING_STEPS - 1), "loss"));
    assert_true(last < 0.8 * first);
    assert_true(json_is_number(json_object_get(json_array_get(lines, TRAINING_STEPS - 1), "validation_loss")));
    json_decref(lines);
}

/* ---- errors ---- */

static void a_folder_of_another_recipe_is_left_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"peft.rank=3"};
    const char *out = folder_of("other");
    stopper s = {.left = 2};
    assert_error(train_with(out, 2, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, "stopped after step 2");
    assert_error(train_plainly(out, sets, 1, &err), PFM_ERROR_MISMATCH, "peft.rank");
    assert_ok(train_plainly(out, NULL, 0, &err)); /* nothing was lost */
    assert_same_run(out, reference());
    s = (stopper){.left = STOP_NEVER};
    assert_ok(train_with(out, 2, &s, sets, 1, true, &err)); /* and --fresh begins anew */
    assert_error(train_plainly(out, NULL, 0, &err), PFM_ERROR_MISMATCH, "another recipe");
}

/* Somebody mends an answer of the table while a run is broken off: what follows would be neither the old run nor a new one. */
static void a_run_does_not_go_on_with_other_data(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer table = {0};
    const char *out = folder_of("mended");
    stopper s = {.left = 2};
    assert_error(train_with(out, 2, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, "stopped after step 2");
    assert_ok(pfm_file_read(training_data(), 0, &table, &err));
    char *answer = strstr(table.data, "\"answer\": \"no\"");
    assert_non_null(answer);
    answer[11] = 'N';
    assert_ok(pfm_file_write(training_data(), table.data, table.size, &err));
    assert_error(train_plainly(out, NULL, 0, &err), PFM_ERROR_MISMATCH, "was trained on other rows or images");
    answer[11] = 'n';
    assert_ok(pfm_file_write(training_data(), table.data, table.size, &err));
    assert_ok(train_plainly(out, NULL, 0, &err));
    assert_same_run(out, reference());
    pfm_buffer_free(&table);
}

static void bad_recipes_are_one_line_and_make_no_folder(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *set, *part;
    } cases[] = {{"peft.rank=0", "peft.rank"},
                 {"peft.targets=[q_proj, q_prj]", "'q_prj' matches no layer"},
                 {"peft.rnk=3", "peft.rank"},
                 {"data.train=nowhere", "nowhere"},
                 {"train.max_tokens=16", "train.max_tokens"},
                 {"model.language=/nowhere", "/nowhere"}};
    const char *out = folder_of("refused");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_status status = train_plainly(out, &cases[i].set, 1, &err);
        if (status == PFM_OK || strstr(err.message, cases[i].part) == NULL || strchr(err.message, '\n') != NULL)
            fail_msg("%s: %s with \"%s\"", cases[i].set, pfm_status_name(status), err.message);
        err = (pfm_error)PFM_ERROR_INIT;
        assert_false(pfm_path_exists(out));
    }
}

static void a_folder_that_cannot_be_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    make_training();
    char out[512];
    (void)snprintf(out, sizeof out, "%s/run", training_data()); /* below a file */
    assert_error(train_plainly(out, NULL, 0, &err), PFM_ERROR_IO, "table.jsonl");
}

/* No room for a checkpoint, by the limit of a file's size; with room again the same command goes on. */
static void without_room_nothing_is_lost(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    struct rlimit before, small;
    const char *out = folder_of("full");
    stopper s = {.left = 2};
    assert_error(train_with(out, 2, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, "stopped after step 2");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    pfm_status status = train_plainly(out, NULL, 0, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(status, PFM_ERROR_IO);
    assert_non_null(strstr(err.message, "state.safetensors"));
    err = (pfm_error)PFM_ERROR_INIT;
    pfm_weights *weights = NULL; /* the old checkpoint is whole */
    assert_ok(pfm_weights_open(test_path(out, "checkpoint/state.safetensors"), &weights, &err));
    assert_string_equal(pfm_weights_meta_string(weights, "step", NULL), "2");
    pfm_weights_close(weights);
    char **names = NULL;
    size_t count = 0;
    assert_ok(pfm_folder_list(test_path(out, "checkpoint"), &names, &count, &err)); /* and no half file lies beside it */
    assert_int_equal(count, 1);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    assert_ok(train_plainly(out, NULL, 0, &err));
    assert_same_run(out, reference());
}

static void a_damaged_checkpoint_is_an_error(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    stopper s = {.left = 2};
    const char *out = folder_of("damaged");
    assert_error(train_with(out, 2, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, "stopped");
    assert_ok(pfm_file_read(test_path(out, "checkpoint/state.safetensors"), 0, &text, &err));
    assert_ok(pfm_file_write(test_path(out, "checkpoint/state.safetensors"), text.data, text.size / 2, &err));
    assert_error(train_plainly(out, NULL, 0, &err), PFM_ERROR_FORMAT, "state.safetensors");
    assert_ok(pfm_file_write(test_path(out, "checkpoint/state.safetensors"), text.data, text.size, &err));
    assert_ok(pfm_file_write(test_path(out, "log.jsonl"), "", 0, &err));
    assert_error(train_plainly(out, NULL, 0, &err), PFM_ERROR_FORMAT, "log.jsonl has 0 lines");
    pfm_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_a_run),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bits),
        cmocka_unit_test(a_killed_run_goes_on_to_the_same_bits),
        cmocka_unit_test(other_aligners_go_on_to_the_same_bits),
        cmocka_unit_test(other_methods_go_on_to_the_same_bits),
        cmocka_unit_test(mirrored_images_go_on_to_the_same_bits),
        cmocka_unit_test(a_torn_line_of_the_log_is_written_again),
        cmocka_unit_test(packing_does_not_change_what_is_learned),
        cmocka_unit_test(something_is_learned),
        cmocka_unit_test(a_folder_of_another_recipe_is_left_alone),
        cmocka_unit_test(a_run_does_not_go_on_with_other_data),
        cmocka_unit_test(bad_recipes_are_one_line_and_make_no_folder),
        cmocka_unit_test(a_folder_that_cannot_be_is_named),
        cmocka_unit_test(without_room_nothing_is_lost),
        cmocka_unit_test(a_damaged_checkpoint_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
