#include "whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/weights.h"
#include "pefomed/train.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void watch(void *user, const pfm_progress *progress)
{
    stopper *s = user;
    if (strcmp(progress->task, "training") != 0 || --s->left != 0)
        return;
    if (s->dies)
        raise(SIGKILL);
    s->interrupt = 1;
}

pfm_status train_recipe(const char *recipe, const char *out, int threads, stopper *s, const char *const *sets, int set_count,
                        bool fresh, pfm_error *err)
{
    pfm_context *context = NULL;
    char *json = NULL;
    const pfm_context_options options = {.threads = threads,
                                         .seed = 42,
                                         .precision = PFM_PRECISION_F32,
                                         .progress = watch,
                                         .user = s,
                                         .interrupt = &s->interrupt,
                                         .home = test_path(test_scratch_folder(), "home")};
    pfm_status status = pfm_context_create(&options, &context, err);
    if (status != PFM_OK)
        return status;
    const pfm_train_options train = {.recipe = recipe,
                                     .data = strcmp(recipe, text_recipe()) == 0 ? NULL : training_data(),
                                     .out = out,
                                     .sets = sets,
                                     .set_count = set_count,
                                     .fresh = fresh};
    status = pfm_train(context, &train, &json, err);
    assert_int_equal(status == PFM_OK, json != NULL);
    free(json);
    pfm_context_free(context);
    return status;
}

const char *folder_of(const char *name)
{
    static char paths[32][256];
    static int used;
    assert_true(used < 32);
    (void)snprintf(paths[used], sizeof paths[0], "%s/%s", test_scratch_folder(), name);
    return paths[used++];
}

void assert_same_file(const char *a, const char *b, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer x = {0}, y = {0};
    assert_ok(pfm_file_read(test_path(a, name), 0, &x, &err));
    assert_ok(pfm_file_read(test_path(b, name), 0, &y, &err));
    if (x.size != y.size || memcmp(x.data, y.data, x.size) != 0)
        fail_msg("%s differs between %s and %s", name, a, b);
    pfm_buffer_free(&x);
    pfm_buffer_free(&y);
}

void assert_same_tensors(const char *a, const char *b, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *x = NULL, *y = NULL;
    assert_ok(pfm_weights_open(test_path(a, name), &x, &err));
    assert_ok(pfm_weights_open(test_path(b, name), &y, &err));
    assert_int_equal(pfm_weights_count(x), pfm_weights_count(y));
    for (size_t i = 0; i < pfm_weights_count(x); i++) {
        const pfm_weight *p = pfm_weights_at(x, i), *q = pfm_weights_find(y, p->name);
        if (q == NULL || p->bytes != q->bytes || memcmp(p->data, q->data, p->bytes) != 0)
            fail_msg("%s differs between %s and %s", p->name, a, b);
    }
    assert_string_equal(pfm_weights_meta_string(x, "step", NULL), pfm_weights_meta_string(y, "step", NULL));
    pfm_weights_close(x);
    pfm_weights_close(y);
}

void assert_same_log(const char *a, const char *b, size_t steps)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *x = NULL, *y = NULL;
    static const char *const keys[] = {"epoch",
                                       "loss",
                                       "lr",
                                       "grad_norm",
                                       "tokens",
                                       "samples",
                                       "validation_loss",
                                       "stage",
                                       "logits_change",
                                       "balance_loss",
                                       "router_entropy",
                                       "dropped",
                                       "expert_load",
                                       "vision_balance_loss",
                                       "vision_router_entropy",
                                       "vision_dropped",
                                       "vision_expert_load"};
    assert_ok(pfm_json_load_lines(test_path(a, "log.jsonl"), &x, &err));
    assert_ok(pfm_json_load_lines(test_path(b, "log.jsonl"), &y, &err));
    assert_int_equal(json_array_size(x), steps);
    assert_int_equal(json_array_size(y), steps);
    for (size_t i = 0; i < steps; i++) {
        const json_t *p = json_array_get(x, i), *q = json_array_get(y, i);
        assert_int_equal(json_integer_value(json_object_get(p, "step")), i + 1);
        assert_int_equal(json_integer_value(json_object_get(q, "step")), i + 1);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            const json_t *one = json_object_get(p, keys[k]), *other = json_object_get(q, keys[k]);
            if (one != other && !json_equal(one, other))
                fail_msg("step %zu: %s differs between %s and %s", i + 1, keys[k], a, b);
        }
    }
    json_decref(x);
    json_decref(y);
}

void train_and_die(const char *recipe, const char *out, int steps)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        stopper s = {.left = steps, .dies = true};
        pfm_error ignored = PFM_ERROR_INIT;
        (void)!train_recipe(recipe, out, 1, &s, NULL, 0, false, &ignored);
        _exit(1);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}
