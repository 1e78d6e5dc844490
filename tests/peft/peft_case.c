#include "peft_case.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "pefomed/infer.h"
#include "train/optimiser.h"
#include "train/run.h"

#include <math.h>

const char *peft_path(const char *name) { return test_path(PFM_SOURCE_DIR "/tests/peft/golden", name); }

const char *peft_write_model(const json_t *list, const char *name)
{
    static char folder[256];
    json_t *grid = list == NULL ? grid_load() : NULL;
    const json_t *models = list == NULL ? grid : list;
    grid_model model;
    size_t i = 0;
    while (i < json_array_size(models) &&
           strcmp(json_string_value(json_object_get(json_array_get(models, i), "name")), name) != 0)
        i++;
    assert_true(i < json_array_size(models));
    grid_model_create(models, i, GRID_NONE, &model);
    (void)snprintf(folder, sizeof folder, "%s", grid_write(&model, name, 0, 0, 1));
    grid_model_free(&model);
    json_decref(grid);
    return folder;
}

static pfm_weights *open_golden(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(peft_path("dora_ia3.safetensors"), &weights, &err));
    return weights;
}

float *peft_golden(const char *tensor, size_t *count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = open_golden();
    const pfm_weight *weight = pfm_weights_find(weights, tensor);
    if (weight == NULL)
        fail_msg("dora_ia3.safetensors lacks %s", tensor);
    float *out = calloc(pfm_weight_values(weight), sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_weight_expand(weight, out, &err));
    if (count != NULL)
        *count = pfm_weight_values(weight);
    pfm_weights_close(weights);
    return out;
}

/* ---- a language model alone ---- */

void peft_model_create(pfm_context *context, const peft_case *c, bool training, const char *adapter, peft_model *out)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    char text[1024];
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = PEFT_TOKENS, [PFM_DIM_ANSWERS] = PEFT_TOKENS, [PFM_DIM_VISUAL] = PEFT_TOKENS};
    int length = snprintf(text, sizeof text,
                          "model: {vision: efficientnet-lite0, image_size: 128, language: '%s'}\n"
                          "peft: {dropout: 0}\ndata: {dataset: phantom}\n",
                          c->language);
    *out = (peft_model){.context = context};
    assert_ok(pfm_recipe_parse(text, (size_t)length, "case.yaml", c->sets, c->set_count, &recipe, &err));
    assert_ok(pfm_session_create_for_tensors(context, recipe, training, &out->session, &err));
    pfm_model *model = out->session->model;
    assert_ok(pfm_model_build(model, capacity, false, true, &out->graph, &err));
    assert_ok(pfm_session_load_weights(out->session, &err));
    if (adapter != NULL)
        assert_ok(pfm_run_load_adapter(adapter, model, out->session->peft, &err));
    pfm_op_environment env = {.context = context, .kernels = context->kernels, .act = model->act, .most_keys = PEFT_TOKENS};
    assert_ok(pfm_executor_create(out->graph.graph, &env, training ? out->graph.language.logits : PFM_NO_VALUE, &out->executor,
                                  &err));
    out->embeds = calloc((size_t)(PEFT_TOKENS * model->language.hidden), sizeof *out->embeds);
    assert_non_null(out->embeds);
    tiny_spread(1, (size_t)(PEFT_TOKENS * model->language.hidden), out->embeds);
    for (int32_t t = 0; t < PEFT_TOKENS; t++) {
        out->ids[t] = -1 - t;
        out->index[t] = t;
    }
    const pfm_sequence row = {.ids = out->ids, .count = PEFT_TOKENS, .answer = PEFT_TOKENS};
    const pfm_pack_options options = {.share = true, .inference = true};
    assert_ok(pfm_pack_rows(&out->pack, &row, 1, &options, &err));
    assert_ok(pfm_model_bind(model, &out->graph, out->executor, &out->pack, PEFT_TOKENS, &err));
    assert_ok(pfm_executor_resize(out->executor, PFM_DIM_ANSWERS, PEFT_TOKENS, &err));
    pfm_executor_bind(out->executor, out->graph.language.index, out->index);
    pfm_executor_bind(out->executor, out->graph.language.visual, out->embeds);
}

void peft_model_free(peft_model *model)
{
    pfm_pack_free(&model->pack);
    pfm_executor_free(model->executor);
    pfm_model_graph_free(&model->graph);
    pfm_session_free(model->session);
    pfm_context_free(model->context);
    free(model->embeds);
    *model = (peft_model){0};
}

const float *peft_model_run(peft_model *model)
{
    pfm_executor_forward(model->executor);
    return pfm_executor_data(model->executor, model->graph.language.logits);
}

size_t peft_model_logits(const peft_model *model) { return (size_t)(PEFT_TOKENS * model->session->model->language.vocabulary); }

/* ---- against PEFT ---- */

/* What the model computed of that name: "logits", "grad_in", or a tensor's with ".grad" behind. */
static const float *find_computed(const peft_model *m, const char *what, size_t *count)
{
    const pfm_model *model = m->session->model;
    *count = peft_model_logits(m);
    if (strcmp(what, "logits") == 0)
        return pfm_executor_data(m->executor, m->graph.language.logits);
    *count = (size_t)(PEFT_TOKENS * model->language.hidden);
    if (strcmp(what, "grad_in") == 0)
        return pfm_executor_gradient(m->executor, m->graph.language.visual);
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        pfm_error err = PFM_ERROR_INIT;
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        char *name = NULL;
        if (p->gradient == NULL)
            continue;
        assert_ok(pfm_run_tensor_name(m->session->peft, p, &name, &err));
        const size_t length = strlen(name);
        const bool found = strncmp(name, what, length) == 0 && strcmp(what + length, ".grad") == 0;
        free(name);
        *count = (size_t)(p->n * p->k);
        if (found)
            return p->gradient;
    }
    fail_msg("nothing computed %s", what);
    return NULL;
}

static void compare_tensor(const peft_case *c, const peft_model *m, const char *what, double error, pfm_precision precision)
{
    char name[256];
    size_t count, wanted;
    const float *made = find_computed(m, what, &count);
    (void)snprintf(name, sizeof name, "%s.%s", c->name, what);
    float *golden = peft_golden(name, &wanted);
    assert_int_equal(count, wanted);
    double size = 0, own = 0, product = 0;
    for (size_t i = 0; i < count; i++) {
        size += (double)golden[i] * golden[i];
        own += (double)made[i] * made[i];
        product += (double)golden[i] * made[i];
    }
    if (precision == PFM_PRECISION_F32)
        assert_near(name, made, golden, count, 1e-4);
    else if (!(product / sqrt(size * own) >= 0.999))
        fail_msg("%s: cosine %.6f", name, product / sqrt(size * own));
    else
        assert_near(name, made, golden, count, 1.5 * error / sqrt(size));
    free(golden);
}

void peft_case_compare(const peft_case *c, const char *level, pfm_precision precision, int tensors)
{
    peft_model m;
    pfm_weights *golden = open_golden();
    char begin[64];
    int compared = 0;
    (void)snprintf(begin, sizeof begin, "%s.error.", c->name);
    peft_model_create(tiny_context(level, 2, precision), c, true, peft_path(c->name), &m);
    const size_t logits = peft_model_logits(&m);
    (void)peft_model_run(&m);
    tiny_spread(2, logits, pfm_executor_gradient(m.executor, m.graph.language.logits));
    pfm_executor_backward(m.executor);
    for (size_t i = 0; i < pfm_weights_count(golden); i++) {
        const char *name = pfm_weights_at(golden, i)->name;
        if (strncmp(name, begin, strlen(begin)) != 0)
            continue;
        float *error = peft_golden(name, NULL);
        compare_tensor(c, &m, name + strlen(begin), error[0], precision);
        free(error);
        compared++;
    }
    assert_int_equal(compared, tensors);
    pfm_weights_close(golden);
    peft_model_free(&m);
}

/* ---- merging ---- */

/* A parameter of the base with the method in it, as a tensor of a Hugging Face file; the caller frees its data. */
static pfm_weight merge_parameter(const peft_model *m, const pfm_weights *base, const pfm_parameter *p, pfm_tensor_place *place)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_language_config *config = &m->session->model->language;
    const pfm_parameters *parameters = m->session->model->parameters;
    const size_t count = (size_t)(p->n * p->k);
    float *values = calloc(count, sizeof *values);
    char module[160];
    assert_non_null(values);
    assert_ok(pfm_language_place(config, NULL, false, p->name, place, &err));
    assert_ok(pfm_language_read_tensor(base, config, p->name, p->n, p->k, values, &err));
    if (p->part != PFM_PART_BASE)
        memcpy(values, p->values, count * sizeof *values);
    const char *end = strrchr(p->name, '.');
    (void)snprintf(module, sizeof module, "%.*s", (int)(end - p->name), p->name);
    if (strcmp(end, ".weight") == 0)
        assert_ok(pfm_peft_merge(m->session->peft, parameters, module, p->n, p->k, values, &err));
    else
        assert_ok(pfm_peft_merge_bias(m->session->peft, parameters, module, p->n, values, &err));
    assert_ok(pfm_language_to_file_order(place, p->n, p->k, values, &err));
    const bool transposed = place->order == PFM_ORDER_TRANSPOSED;
    return (pfm_weight){.name = place->name,
                        .dtype = PFM_DTYPE_F32,
                        .rank = p->k == 1 ? 1 : 2,
                        .shape = {transposed ? p->k : p->n, transposed ? p->n : p->k},
                        .data = values,
                        .bytes = count * sizeof *values};
}

static void write_merged(const peft_case *c, const peft_model *m, const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *base = NULL;
    pfm_weight tensors[GRID_TENSORS];
    pfm_tensor_place places[GRID_TENSORS];
    pfm_buffer config = {0};
    size_t count = 0;
    const pfm_parameters *parameters = m->session->model->parameters;
    assert_ok(pfm_weights_open(c->language, &base, &err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!pfm_language_owns(p))
            continue;
        assert_true(count < GRID_TENSORS);
        tensors[count] = merge_parameter(m, base, p, &places[count]);
        count++;
    }
    assert_ok(pfm_folder_create(folder, &err));
    assert_ok(pfm_safetensors_write(test_path(folder, "model.safetensors"), tensors, count, NULL, 0, &err));
    assert_ok(pfm_file_read(test_path(c->language, "config.json"), 0, &config, &err));
    assert_ok(pfm_file_write(test_path(folder, "config.json"), config.data, config.size, &err));
    pfm_buffer_free(&config);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)tensors[i].data);
    pfm_weights_close(base);
}

void peft_case_merge(const peft_case *c)
{
    peft_model m, bare;
    char folder[256];
    (void)snprintf(folder, sizeof folder, "%s/merged_%s", test_scratch_folder(), c->name);
    peft_model_create(tiny_context(NULL, 1, PFM_PRECISION_F32), c, false, peft_path(c->name), &m);
    write_merged(c, &m, folder);
    const peft_case merged = {.language = folder, .sets = {"peft.method=none", "trainable=[aligner]"}, .set_count = 2};
    peft_model_create(tiny_context(NULL, 1, PFM_PRECISION_F32), &merged, false, NULL, &bare);
    const float *logits = peft_model_run(&m);
    assert_near(c->name, peft_model_run(&bare), logits, peft_model_logits(&m), 1e-5);
    peft_model_free(&m);
    peft_model_free(&bare);
}

/* ---- files ---- */

static void assert_same_learned(const pfm_parameters *a, const pfm_parameters *b)
{
    int compared = 0;
    assert_int_equal(pfm_parameters_count(a), pfm_parameters_count(b));
    for (int i = 0; i < pfm_parameters_count(a); i++) {
        const pfm_parameter *p = pfm_parameters_get(a, i), *q = pfm_parameters_get(b, i);
        if (p->part != PFM_PART_PEFT)
            continue;
        assert_string_equal(p->name, q->name);
        assert_memory_equal(p->values, q->values, (size_t)(p->n * p->k) * sizeof *p->values);
        compared++;
    }
    assert_true(compared > 0);
}

/* Lists as PEFT writes them are sets. */
static void assert_same_setting(const char *key, json_t *a, const json_t *b)
{
    bool same = json_is_array(a) ? json_array_size(a) == json_array_size(b) : json_equal(a, b);
    for (size_t i = 0; same && i < json_array_size(a); i++) {
        bool found = false;
        for (size_t j = 0; j < json_array_size(b); j++)
            found |= json_equal(json_array_get(a, i), json_array_get(b, j));
        same = found;
    }
    if (!same)
        fail_msg("\"%s\" is not what PEFT wrote", key);
}

/* Every tensor of PEFT's file is in ours under the same name, with the same shape; and every key of ours in PEFT's. */
static void assert_same_form(const char *ours, const char *theirs)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *a = NULL, *b = NULL;
    json_t *one = NULL, *other = NULL, *value;
    const char *key;
    char path[512];
    assert_ok(pfm_weights_open(ours, &a, &err));
    assert_ok(pfm_weights_open(theirs, &b, &err));
    assert_int_equal(pfm_weights_count(a), pfm_weights_count(b));
    for (size_t i = 0; i < pfm_weights_count(a); i++) {
        const pfm_weight *p = pfm_weights_at(a, i), *q = pfm_weights_find(b, p->name);
        if (q == NULL || p->rank != q->rank || p->shape[0] != q->shape[0] || (p->rank == 2 && p->shape[1] != q->shape[1]))
            fail_msg("%s is not as PEFT has it", p->name);
    }
    (void)snprintf(path, sizeof path, "%s/adapter_config.json", ours);
    assert_ok(pfm_json_load(path, &one, &err));
    (void)snprintf(path, sizeof path, "%s/adapter_config.json", theirs);
    assert_ok(pfm_json_load(path, &other, &err));
    json_object_foreach(one, key, value)
    {
        if (strcmp(key, "base_model_name_or_path") != 0)
            assert_same_setting(key, value, json_object_get(other, key));
    }
    json_decref(one);
    json_decref(other);
    pfm_weights_close(a);
    pfm_weights_close(b);
}

void peft_case_save(const peft_case *c)
{
    pfm_error err = PFM_ERROR_INIT;
    peft_model m, again;
    char folder[256], adapter[300];
    (void)snprintf(folder, sizeof folder, "%s/saved_%s", test_scratch_folder(), c->name);
    (void)snprintf(adapter, sizeof adapter, "%s/adapter", folder);
    peft_model_create(tiny_context(NULL, 1, PFM_PRECISION_F32), c, false, peft_path(c->name), &m);
    assert_ok(pfm_run_save(folder, "base", m.session->model, m.session->peft, &err));
    assert_same_form(adapter, peft_path(c->name));
    peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), c, false, adapter, &again);
    assert_same_learned(m.session->model->parameters, again.session->model->parameters);
    const float *logits = peft_model_run(&m);
    assert_memory_equal(peft_model_run(&again), logits, peft_model_logits(&m) * sizeof *logits);
    peft_model_free(&m);
    peft_model_free(&again);
}

void peft_case_forward(const peft_case *c)
{
    pfm_error err = PFM_ERROR_INIT;
    peft_model m;
    pfm_weights *made = NULL;
    char in[256], out[256], name[64];
    size_t count;
    peft_model_create(tiny_context(NULL, 1, PFM_PRECISION_F32), c, false, NULL, &m);
    (void)snprintf(in, sizeof in, "%s/in.safetensors", test_scratch_folder());
    (void)snprintf(out, sizeof out, "%s/out.safetensors", test_scratch_folder());
    (void)snprintf(name, sizeof name, "%s.logits", c->name);
    const pfm_weight tensor = {.name = "inputs_embeds",
                               .dtype = PFM_DTYPE_F32,
                               .rank = 2,
                               .shape = {PEFT_TOKENS, m.session->model->language.hidden},
                               .data = m.embeds};
    assert_ok(pfm_safetensors_write(in, &tensor, 1, NULL, 0, &err));
    const pfm_forward_options options = {.model = c->language, .input = in, .output = out, .adapter = peft_path(c->name)};
    assert_ok(pfm_forward(m.context, &options, &err));
    assert_ok(pfm_weights_open(out, &made, &err));
    float *golden = peft_golden(name, &count), *logits = calloc(count, sizeof *logits);
    assert_non_null(logits);
    assert_ok(pfm_weight_expand(pfm_weights_find(made, "logits"), logits, &err));
    assert_near(name, logits, golden, count, 1e-4);
    free(golden);
    free(logits);
    pfm_weights_close(made);
    peft_model_free(&m);
}

/* ---- training ---- */

void peft_randomise(pfm_parameters *parameters, uint32_t seed)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const size_t count = (size_t)(p->n * p->k);
        if (p->part != PFM_PART_PEFT || p->initial == PFM_INITIAL_UNIFORM)
            continue;
        float *values = calloc(count, sizeof *values);
        assert_non_null(values);
        tiny_spread(seed + (uint32_t)i, count, values);
        for (size_t j = 0; j < count; j++)
            values[j] = p->initial == PFM_INITIAL_ZERO ? 0.2f * values[j] : p->values[j] * (1 + 0.3f * values[j]);
        pfm_parameters_set(parameters, i, values);
        free(values);
    }
}

static unsigned char **keep_parameters(const tiny_system *system)
{
    const pfm_parameters *parameters = system->session->model->parameters;
    const int count = pfm_parameters_count(parameters);
    unsigned char **kept = calloc((size_t)count, sizeof *kept);
    assert_non_null(kept);
    for (int i = 0; i < count; i++)
        kept[i] = tiny_copy_parameter(system->context, pfm_parameters_get(parameters, i));
    return kept;
}

static void check_what_changes(tiny_system *system, const pfm_sequence *rows, int trained)
{
    const pfm_pack_options options = {.share = true};
    pfm_parameters *parameters = system->session->model->parameters;
    unsigned char **before = keep_parameters(system), **after;
    int changed = 0;
    for (int step = 0; step < 2; step++) { /* a zero second factor hides the first in the first step */
        pfm_parameters_zero_gradients(parameters);
        (void)tiny_run(system, rows, TINY_ROWS, &options, 0.1f);
        pfm_adamw_step(parameters, system->context, system->session->recipe, step, 1e-3, 1);
        pfm_parameters_repack(parameters);
    }
    after = keep_parameters(system);
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if ((memcmp(before[i], after[i], tiny_parameter_bytes(system->context, p)) != 0) != p->trainable)
            fail_msg("%s: %s", p->name, p->trainable ? "trains, but did not change" : "is frozen, but changed");
        changed += p->trainable;
        free(before[i]);
        free(after[i]);
    }
    assert_int_equal(changed, trained);
    free(before);
    free(after);
}

static void check_packing(tiny_system *system, const pfm_sequence *rows)
{
    pfm_parameters *parameters = system->session->model->parameters;
    double losses[2];
    float *apart = NULL;
    for (int shares = 0; shares < 2; shares++) {
        const pfm_pack_options options = {.share = shares != 0};
        pfm_parameters_zero_gradients(parameters);
        losses[shares] = tiny_run(system, rows, TINY_ROWS, &options, 0.1f);
        if (shares == 0)
            apart = tiny_copy_gradients(parameters);
    }
    assert_gradients_near(parameters, apart, 1e-5);
    assert_true(fabs(losses[0] - losses[1]) <= 1e-5 * losses[0]);
    free(apart);
}

void peft_check_training(const char *const *sets, int set_count, int trained)
{
    pfm_sequence rows[TINY_ROWS];
    const char *list[10];
    assert_true(set_count < 10);
    memcpy(list, sets, (size_t)set_count * sizeof *sets);
    tiny_rows(rows);
    for (int quantised = 0; quantised < 2; quantised++) {
        tiny_system system;
        list[set_count] = "model.weights=q4_0";
        tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), true, list, set_count + quantised, &system);
        check_what_changes(&system, rows, trained);
        peft_randomise(system.session->model->parameters, 70);
        check_packing(&system, rows);
        tiny_system_free(&system);
    }
    tiny_rows_free(rows);
}
