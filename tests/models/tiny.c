#include "tiny.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "train/run.h"

#include <math.h>

void tiny_spread(uint32_t seed, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t x = (uint32_t)i * 2654435761u + seed * 40503u;
        x ^= x >> 15;
        x *= 2246822519u;
        x ^= x >> 13;
        out[i] = (float)(x >> 16) / 32768.0f - 1.0f;
    }
}

const char *tiny_path(const char *name) { return test_path(PFM_SOURCE_DIR "/tests/models/golden", name); }

static pfm_weights *open_golden(const char *file)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    char name[256];
    (void)snprintf(name, sizeof name, "%s.safetensors", file);
    assert_ok(pfm_weights_open(tiny_path(name), &weights, &err));
    return weights;
}

static float *read_values(const pfm_weights *weights, const char *tensor, size_t *count)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_weight *weight = pfm_weights_find(weights, tensor);
    if (weight == NULL)
        fail_msg("%s lacks %s", pfm_weights_path(weights), tensor);
    *count = pfm_weight_values(weight);
    float *out = calloc(*count, sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_weight_expand(weight, out, &err));
    return out;
}

float *tiny_golden(const char *file, const char *tensor, size_t count)
{
    size_t there = 0;
    pfm_weights *weights = open_golden(file);
    float *out = read_values(weights, tensor, &there);
    pfm_weights_close(weights);
    assert_int_equal(there, count);
    return out;
}

int32_t *tiny_golden_ids(const char *tensor, size_t *count)
{
    pfm_weights *weights = open_golden("system");
    float *values = read_values(weights, tensor, count);
    int32_t *out = calloc(*count, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < *count; i++)
        out[i] = (int32_t)values[i];
    free(values);
    pfm_weights_close(weights);
    return out;
}

void tiny_copy_model(const char *name, const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const files[][2] = {{"llama", "tokenizer.json"},
                                           {"llama", "tokenizer_config.json"},
                                           {"llama", "chat_template.jinja"},
                                           {NULL, "config.json"},
                                           {NULL, "model.safetensors"}};
    assert_ok(pfm_folder_create(folder, &err));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        pfm_buffer text = {0};
        char from[64];
        (void)snprintf(from, sizeof from, "%s/%s", files[i][0] != NULL ? files[i][0] : name, files[i][1]);
        assert_ok(pfm_file_read(tiny_path(from), 0, &text, &err));
        assert_ok(pfm_file_write(test_path(folder, files[i][1]), text.data, text.size, &err));
        pfm_buffer_free(&text);
    }
}

void tiny_biased_model(const char *folder)
{
    enum { MOST = 64, WIDEST = 64 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    pfm_weight tensors[MOST];
    static char names[MOST][128];
    static float biases[MOST][WIDEST];
    json_t *config = NULL;
    tiny_copy_model("llama", folder);
    assert_ok(pfm_weights_open(tiny_path("llama/model.safetensors"), &weights, &err));
    size_t count = pfm_weights_count(weights), all = count;
    assert_true(2 * count <= MOST);
    for (size_t i = 0; i < count; i++) {
        tensors[i] = *pfm_weights_at(weights, i);
        const char *end = strstr(tensors[i].name, "_proj.weight");
        if (end == NULL)
            continue;
        assert_true(tensors[i].shape[0] <= WIDEST);
        (void)snprintf(names[i], sizeof names[i], "%.*s_proj.bias", (int)(end - tensors[i].name), tensors[i].name);
        tiny_spread(300 + (uint32_t)i, (size_t)tensors[i].shape[0], biases[i]);
        tensors[all++] = (pfm_weight){.name = names[i],
                                      .dtype = PFM_DTYPE_F32,
                                      .rank = 1,
                                      .shape = {tensors[i].shape[0]},
                                      .data = biases[i],
                                      .bytes = (size_t)tensors[i].shape[0] * sizeof(float)};
    }
    assert_ok(pfm_safetensors_write(test_path(folder, "model.safetensors"), tensors, all, NULL, 0, &err));
    assert_ok(pfm_json_load(test_path(folder, "config.json"), &config, &err));
    assert_ok(pfm_json_take(config, "attention_bias", json_true(), &err));
    assert_ok(pfm_json_take(config, "mlp_bias", json_true(), &err));
    assert_ok(pfm_json_save(test_path(folder, "config.json"), config, &err));
    json_decref(config);
    pfm_weights_close(weights);
}

double tiny_distance(const float *a, const float *b, size_t count)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return difference == 0 ? 0 : sqrt(difference / size);
}

void assert_near(const char *what, const float *a, const float *b, size_t count, double bound)
{
    double distance = tiny_distance(a, b, count);
    if (!(distance <= bound))
        fail_msg("%s: relative distance %.3g, allowed %.3g", what, distance, bound);
}

void tiny_each_level(void (*body)(const char *level))
{
    static const char *const levels[] = {"ref", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        pfm_kernels kernels;
        if (pfm_kernels_select(levels[i], &kernels, NULL) == PFM_OK)
            body(levels[i]);
        else
            print_message("this machine lacks %s\n", levels[i]);
    }
}

pfm_context *tiny_context(const char *level, int threads, pfm_precision precision)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_context_options options = {.threads = threads,
                                   .seed = 42,
                                   .precision = precision,
                                   .cpu_level = level,
                                   .home = test_path(test_scratch_folder(), "home")};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

pfm_session *tiny_session(pfm_context *context, bool training, const char *const *sets, int set_count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    char text[8192];
    int length = snprintf(text, sizeof text,
                          "model: {vision: efficientnet-lite0, image_size: 128, aligner: concat-linear, language: '%s'}\n"
                          "peft: {method: lora, rank: 4, alpha: 6, dropout: 0,\n"
                          "       targets: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]}\n"
                          "data: {dataset: phantom}\n"
                          "prompt: {instruction: 'Look at the image and answer: {question}'}\n",
                          tiny_path("llama"));
    assert_in_range(length, 1, sizeof text - 1);
    assert_ok(pfm_recipe_parse(text, (size_t)length, "tiny.yaml", sets, set_count, &recipe, &err));
    assert_ok(pfm_session_create(context, recipe, training, &session, &err));
    return session;
}

/* Only concat-linear's are golden; others keep what was drawn. */
static void set_aligner(pfm_model *model)
{
    if (model->aligner != &pfm_aligner_concat_linear)
        return;
    size_t width = (size_t)model->visual_width, hidden = (size_t)model->language.hidden;
    float *values = calloc(width * hidden, sizeof *values);
    assert_non_null(values);
    int weight = pfm_parameters_find(model->parameters, "aligner.proj.weight"),
        bias = pfm_parameters_find(model->parameters, "aligner.proj.bias");
    tiny_spread(11, width * hidden, values);
    for (size_t i = 0; i < width * hidden; i++)
        values[i] *= 0.02f;
    pfm_parameters_set(model->parameters, weight, values);
    tiny_spread(12, hidden, values);
    for (size_t i = 0; i < hidden; i++)
        values[i] *= 0.1f;
    pfm_parameters_set(model->parameters, bias, values);
    tiny_spread(13, width, model->mean);
    tiny_spread(14, width, model->std);
    for (size_t i = 0; i < width; i++) {
        model->mean[i] *= 0.125f;
        model->std[i] = model->std[i] * 0.25f + 0.5f;
    }
    free(values);
}

void tiny_set_weights(pfm_session *session, bool with_adapter)
{
    pfm_error err = PFM_ERROR_INIT;
    set_aligner(session->model);
    if (with_adapter)
        assert_ok(pfm_run_load_adapter(tiny_path("llama/adapter"), session->model, session->peft, &err));
}

void tiny_features(int image, float *out) { tiny_spread(100 + (uint32_t)image, 16 * 1280, out); }

void tiny_system_create(pfm_context *context, bool training, const char *const *sets, int set_count, tiny_system *out)
{
    pfm_error err = PFM_ERROR_INIT;
    *out = (tiny_system){.context = context, .session = tiny_session(context, training, sets, set_count)};
    pfm_model *model = out->session->model;
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = 512, [PFM_DIM_ANSWERS] = 64, [PFM_DIM_VISUAL] = TINY_IMAGES * model->visual_tokens};
    assert_ok(pfm_model_build(model, capacity, training, false, &out->graph, &err));
    assert_ok(pfm_session_load_weights(out->session, &err));
    const pfm_peft_options *peft = pfm_peft_get_options(out->session->peft);
    const bool lora = model->hook != NULL && strcmp(peft->method, "lora") == 0;
    const bool golden = lora && !model->learns_norms && peft->module_to_save_count == 0 && !peft->lora_bias;
    tiny_set_weights(out->session, golden); /* the adapter there holds LoRA's factors alone */
    pfm_op_environment env = {.context = context, .kernels = context->kernels, .act = model->act, .most_keys = 512};
    assert_ok(
        pfm_executor_create(out->graph.graph, &env, training ? out->graph.language.loss : PFM_NO_VALUE, &out->executor, &err));
    size_t values = pfm_model_image_values(model), size = pfm_act_size(model->act);
    float *features = calloc(values, sizeof *features);
    out->visual = calloc(TINY_IMAGES * values, size);
    assert_true(features != NULL && out->visual != NULL);
    for (int i = 0; i < TINY_IMAGES; i++) {
        tiny_features(i, features);
        assert_ok(pfm_model_arrange(model, features, (char *)out->visual + (size_t)i * values * size, &err));
    }
    free(features);
}

void tiny_system_free(tiny_system *system)
{
    pfm_executor_free(system->executor);
    pfm_model_graph_free(&system->graph);
    pfm_session_free(system->session);
    pfm_context_free(system->context);
    free(system->visual);
    *system = (tiny_system){0};
}

void tiny_rows(pfm_sequence rows[TINY_ROWS])
{
    for (int i = 0; i < TINY_ROWS; i++) {
        char name[32];
        size_t count, one;
        (void)snprintf(name, sizeof name, "row%d", i);
        int32_t *ids = tiny_golden_ids(name, &count), image = i == 3;
        (void)snprintf(name, sizeof name, "row%d.answer", i);
        int32_t *answer = tiny_golden_ids(name, &one);
        for (size_t t = 0; t < count; t++)
            ids[t] -= ids[t] < 0 ? image * TINY_VISUAL : 0;
        rows[i] = (pfm_sequence){.ids = ids, .count = count, .answer = (size_t)answer[0], .group = image, .number = i};
        free(answer);
    }
}

void tiny_rows_add_virtual(pfm_sequence rows[TINY_ROWS], int tokens)
{
    for (int i = 0; i < TINY_ROWS; i++) {
        const size_t more = (size_t)tokens;
        int32_t *ids = calloc(rows[i].count + more, sizeof *ids);
        assert_non_null(ids);
        for (int32_t v = 0; v < tokens; v++)
            ids[v] = PFM_FIRST_VIRTUAL - v;
        memcpy(ids + more, rows[i].ids, rows[i].count * sizeof *ids);
        free((void *)(uintptr_t)rows[i].ids);
        rows[i].ids = ids;
        rows[i].count += more;
        rows[i].answer += more;
    }
}

void tiny_rows_free(pfm_sequence rows[TINY_ROWS])
{
    for (int i = 0; i < TINY_ROWS; i++)
        free((void *)(uintptr_t)rows[i].ids);
}

const pfm_tower_pictures tiny_pictures = {.count = TINY_IMAGES};

double tiny_run(tiny_system *system, const pfm_sequence *rows, size_t count, const pfm_pack_options *options, float loss_scale)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_pack pack = {0};
    double sum = 0;
    const pfm_model *model = system->session->model;
    assert_ok(pfm_pack_rows(&pack, rows, count, options, &err));
    assert_ok(pfm_model_bind(model, &system->graph, system->executor, &pack, TINY_IMAGES * model->visual_tokens, &err));
    assert_ok(pfm_model_bind_images(model, &system->graph, system->executor, system->visual, &tiny_pictures, &err));
    pfm_op_environment *env = pfm_executor_environment(system->executor);
    env->training = true;
    env->dropout_key = 77;
    env->loss_scale = loss_scale;
    pfm_executor_forward(system->executor);
    const float *losses = pfm_executor_data(system->executor, system->graph.language.loss);
    float *seed = pfm_executor_gradient(system->executor, system->graph.language.loss);
    for (size_t a = 0; a < pack.answers; a++) {
        sum += losses[a];
        seed[a] = 1;
    }
    pfm_executor_backward(system->executor);
    pfm_pack_free(&pack);
    return sum;
}

static float *copy_trained(const pfm_parameters *parameters, bool gradients)
{
    float *out = calloc((size_t)pfm_parameters_trainable(parameters), sizeof *out), *next = out;
    assert_non_null(out);
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!p->trainable)
            continue;
        memcpy(next, gradients ? p->gradient : p->values, (size_t)(p->n * p->k) * sizeof *next);
        next += p->n * p->k;
    }
    return out;
}

float *tiny_copy_gradients(const pfm_parameters *parameters) { return copy_trained(parameters, true); }

float *tiny_copy_values(const pfm_parameters *parameters) { return copy_trained(parameters, false); }

static size_t parameter_bytes(const pfm_context *context, const pfm_parameter *p, unsigned char *out)
{
    const pfm_kernels *kernels = context->kernels;
    const size_t n = (size_t)p->n, k = (size_t)p->k;
    const struct {
        const void *data;
        size_t bytes;
    } parts[] = {{p->values, n * k * sizeof(float)},
                 {p->rows, n * k * sizeof(float)},
                 {p->packed_forward, kernels->gemm_pack_size[PFM_ACT_F32](n, k)},
                 {p->packed_backward, kernels->gemm_pack_size[PFM_ACT_F32](k, n)},
                 {p->quantised, p->quantised != NULL ? kernels->quant_pack_size(p->operand.quant_format, n, k) : 0},
                 {p->row_norms, n * sizeof(float)}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].data == NULL)
            continue;
        if (out != NULL)
            memcpy(out + used, parts[i].data, parts[i].bytes);
        used += parts[i].bytes;
    }
    return used;
}

size_t tiny_parameter_bytes(const pfm_context *context, const pfm_parameter *p) { return parameter_bytes(context, p, NULL); }

unsigned char *tiny_copy_parameter(const pfm_context *context, const pfm_parameter *p)
{
    unsigned char *copy = malloc(parameter_bytes(context, p, NULL) + 1);
    assert_non_null(copy);
    (void)parameter_bytes(context, p, copy);
    return copy;
}

void assert_gradients_near(const pfm_parameters *parameters, const float *copy, double bound)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!p->trainable)
            continue;
        assert_near(p->name, p->gradient, copy, (size_t)(p->n * p->k), bound);
        copy += p->n * p->k;
    }
}
