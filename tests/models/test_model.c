/* The whole system against torch (script/vectors/language.py): from features and texts to ids, loss and the gradients of LoRA
 * and aligner, packed and apart; the features' statistics. */
#include "tiny.h"

#include <math.h>

static const char *const questions[TINY_ROWS] = {"Is the lung normal?", "Is the lung normal, or not?",
                                                 "Which organ is abnormal? 12", "Where? <|im_end|>"};
static const char *const answers[TINY_ROWS] = {"No", " Yes, it is ", "Left Lung", "\xc3\x9cnten"};

static void ids_are_those_of_transformers(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    for (int i = 0; i < TINY_ROWS; i++) {
        char name[32];
        size_t count, one, begin = 0;
        (void)snprintf(name, sizeof name, "row%d", i);
        int32_t *golden = tiny_golden_ids(name, &count);
        (void)snprintf(name, sizeof name, "row%d.answer", i);
        int32_t *answer = tiny_golden_ids(name, &one);
        pfm_ids ids = {0};
        assert_ok(pfm_model_encode(session->model, &(pfm_question){questions[i], 1}, answers[i], 0, &ids, &begin, &err));
        assert_int_equal(ids.count, count);
        assert_memory_equal(ids.data, golden, count * sizeof *golden);
        assert_int_equal(begin, answer[0]);
        ids.count = 0;
        assert_ok(pfm_model_encode(session->model, &(pfm_question){questions[i], 1}, NULL, 5, &ids, &begin,
                                   &err)); /* the prompt alone */
        assert_int_equal(ids.count, begin);
        for (size_t t = 0; t < ids.count; t++)
            assert_int_equal(ids.data[t], golden[t] < 0 ? golden[t] - 5 : golden[t]);
        pfm_ids_free(&ids);
        free(golden);
        free(answer);
    }
    pfm_session_free(session);
    pfm_context_free(context);
}

static void the_prompt_is_shown_as_it_is_given(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"prompt.system=Be brief.", "prompt.instruction=A {question} B"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    pfm_buffer text = {0};
    assert_ok(pfm_model_prompt(session->model, &(pfm_question){"Why?", 1}, &text, &err));
    assert_string_equal(text.data,
                        "<|im_start|>user\n<image>\nLook at the image and answer: Why?<|im_end|>\n<|im_start|>assistant\n");
    pfm_session_free(session);
    session = tiny_session(context, false, sets, 2);
    pfm_buffer_clear(&text);
    /* what a person wrote is not filled in again */
    assert_ok(pfm_model_prompt(session->model, &(pfm_question){"{question}", 1}, &text, &err));
    assert_string_equal(text.data,
                        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<image>\nA {question} B<|im_end|>\n"
                        "<|im_start|>assistant\n");
    pfm_buffer_free(&text);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* The ids of a prompt of two images, put together from its parts: text, picture, text, picture, text. */
static void check_places(const pfm_session *session, const pfm_question *question, const char *const parts[3])
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids ids = {0}, wanted = {0};
    const pfm_tokenizer *tokenizer = session->model->tokenizer;
    assert_ok(pfm_model_encode(session->model, question, NULL, 2, &ids, NULL, &err));
    assert_ok(pfm_tokenizer_encode(tokenizer, "<|im_start|>user\n", 17, true, &wanted, &err));
    for (int part = 0; part < 3; part++) {
        assert_ok(pfm_tokenizer_encode(tokenizer, parts[part], strlen(parts[part]), false, &wanted, &err));
        for (int32_t i = 0; part < 2 && i < TINY_VISUAL; i++)
            assert_ok(pfm_ids_append(&wanted, -1 - (2 + part * TINY_VISUAL + i), &err));
    }
    static const char end[] = "<|im_end|>\n<|im_start|>assistant\n";
    assert_ok(pfm_tokenizer_encode(tokenizer, end, strlen(end), true, &wanted, &err));
    assert_int_equal(ids.count, wanted.count);
    assert_memory_equal(ids.data, wanted.data, wanted.count * sizeof *wanted.data);
    pfm_ids_free(&ids);
    pfm_ids_free(&wanted);
}

static void images_stand_where_the_text_says(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const char *set = "prompt.instruction=Left <image>, right <image>: {question}";
    pfm_session *session = tiny_session(context, false, NULL, 0), *placed = tiny_session(context, false, &set, 1);
    pfm_ids ids = {0};
    pfm_buffer text = {0};
    check_places(session, &(pfm_question){"Why?", 2}, (const char *const[]){"", "\n", "\nLook at the image and answer: Why?"});
    check_places(session, &(pfm_question){"<image> or <image>", 2},
                 (const char *const[]){"Look at the image and answer: ", " or ", ""});
    /* and a person's text is text, also between images */
    check_places(session, &(pfm_question){"<image><|im_end|><image><|im_start|>", 2},
                 (const char *const[]){"Look at the image and answer: ", "<|im_end|>", "<|im_start|>"});
    check_places(placed, &(pfm_question){"Why?", 2}, (const char *const[]){"Left ", ", right ", ": Why?"});
    assert_ok(pfm_model_prompt(session->model, &(pfm_question){"Why?", 3}, &text, &err));
    assert_non_null(strstr(text.data, "user\n<image>\n<image>\n<image>\nLook at"));
    assert_error(pfm_model_encode(session->model, &(pfm_question){"Is <image> worse?", 2}, NULL, 0, &ids, NULL, &err),
                 PFM_ERROR_USAGE, "there are 2 images and 1 marks <image>");
    assert_error(pfm_model_encode(placed->model, &(pfm_question){"<image>?", 2}, NULL, 0, &ids, NULL, &err), PFM_ERROR_USAGE,
                 "there are 2 images and 3 marks <image>");
    assert_ok(pfm_model_encode(session->model, &(pfm_question){"Why?", 1}, "<image> <|im_end|>", 0, &ids, NULL, &err));
    size_t pictures = 0, ends = 0; /* an answer is text in any case */
    for (size_t i = 0; i < ids.count; i++) {
        pictures += ids.data[i] < 0;
        ends += ids.data[i] == pfm_tokenizer_end(session->model->tokenizer);
    }
    assert_int_equal(pictures, TINY_VISUAL);
    assert_int_equal(ends, 2); /* of the user's turn and of the answer */
    pfm_ids_free(&ids);
    pfm_buffer_free(&text);
    pfm_session_free(session);
    pfm_session_free(placed);
    pfm_context_free(context);
}

static void captions_need_no_question(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const char *set = "prompt.instruction=[caption] Describe this image.";
    pfm_session *session = tiny_session(context, false, &set, 1);
    pfm_buffer text = {0};
    assert_ok(pfm_model_prompt(session->model, &(pfm_question){"", 1}, &text, &err));
    assert_non_null(strstr(text.data, "user\n<image>\n[caption] Describe this image.<|im_end|>"));
    assert_error(pfm_model_prompt(session->model, &(pfm_question){"Why?", 1}, &text, &err), PFM_ERROR_USAGE,
                 "prompt.instruction has no place for the question \"Why?\"");
    pfm_buffer_free(&text);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* Logits of the token behind a prompt of two images. */
static void last_logits(tiny_system *system, const pfm_ids *ids, float out[TINY_VOCABULARY])
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_pack pack = {0};
    const pfm_sequence row = {.ids = ids->data, .count = ids->count, .answer = ids->count};
    const pfm_pack_options options = {.inference = true};
    assert_ok(pfm_pack_rows(&pack, &row, 1, &options, &err));
    assert_ok(pfm_model_bind(system->session->model, &system->graph, system->executor, &pack, TINY_IMAGES * TINY_VISUAL, &err));
    assert_ok(
        pfm_model_bind_images(system->session->model, &system->graph, system->executor, system->visual, &tiny_pictures, &err));
    pfm_executor_forward(system->executor);
    memcpy(out, pfm_executor_data(system->executor, system->graph.language.logits), TINY_VOCABULARY * sizeof *out);
    pfm_pack_free(&pack);
}

/* Each of two images is looked at, and which comes first is seen. */
static void exchanged_images_give_other_logits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    tiny_system system;
    pfm_ids ids = {0};
    float logits[4][TINY_VOCABULARY];
    static const int order[4][2] = {{0, 1}, {1, 0}, {0, 2}, {2, 1}};
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), false, NULL, 0, &system);
    assert_ok(pfm_model_encode(system.session->model, &(pfm_question){"Where?", 2}, NULL, 0, &ids, NULL, &err));
    for (int i = 0; i < 4; i++) {
        pfm_ids shown = {0};
        for (size_t t = 0; t < ids.count; t++) {
            int32_t visual = -1 - ids.data[t];
            int32_t row = visual < 0 ? 0 : order[i][visual / TINY_VISUAL] * TINY_VISUAL + visual % TINY_VISUAL;
            assert_ok(pfm_ids_append(&shown, visual < 0 ? ids.data[t] : -1 - row, &err));
        }
        last_logits(&system, &shown, logits[i]);
        pfm_ids_free(&shown);
        for (int j = 0; j < i; j++)
            assert_true(tiny_distance(logits[i], logits[j], TINY_VOCABULARY) > 1e-3);
    }
    pfm_ids_free(&ids);
    tiny_system_free(&system);
}

/* dW = sum over images' visual tokens of their gradient times their row; db = the sum of the gradients. */
static void compare_aligner(const tiny_system *system, const char *level)
{
    const pfm_model *model = system->session->model;
    size_t width = (size_t)model->visual_width;
    float *weight = calloc(TINY_HIDDEN * width, sizeof *weight), bias[TINY_HIDDEN] = {0};
    assert_non_null(weight);
    for (int image = 0; image < 2; image++) {
        char name[32];
        (void)snprintf(name, sizeof name, "visual%d.grad", image);
        float *gradient = tiny_golden("system", name, TINY_VISUAL * TINY_HIDDEN);
        for (int t = 0; t < TINY_VISUAL; t++) {
            const float *row = (const float *)system->visual + (size_t)(image * TINY_VISUAL + t) * width;
            for (int j = 0; j < TINY_HIDDEN; j++) {
                bias[j] += gradient[t * TINY_HIDDEN + j];
                for (size_t k = 0; k < width; k++)
                    weight[(size_t)j * width + k] += gradient[t * TINY_HIDDEN + j] * row[k];
            }
        }
        free(gradient);
    }
    const pfm_parameters *all = model->parameters;
    const pfm_parameter *w = pfm_parameters_get(all, pfm_parameters_find(all, "aligner.proj.weight"));
    const pfm_parameter *b = pfm_parameters_get(all, pfm_parameters_find(all, "aligner.proj.bias"));
    assert_near(level, w->gradient, weight, TINY_HIDDEN * width, 1e-4);
    assert_near(level, b->gradient, bias, TINY_HIDDEN, 1e-4);
    free(weight);
}

static void compare_factors(const tiny_system *system)
{
    const pfm_parameters *all = system->session->model->parameters;
    int compared = 0;
    for (int i = 0; i < pfm_parameters_count(all); i++) {
        const pfm_parameter *p = pfm_parameters_get(all, i);
        char name[160];
        if (!p->trainable || strncmp(p->name, "aligner.", 8) == 0)
            continue;
        (void)snprintf(name, sizeof name, "base_model.model.%s.grad", p->name);
        float *golden = tiny_golden("system", name, (size_t)(p->n * p->k));
        assert_near(name, p->gradient, golden, (size_t)(p->n * p->k), 1e-4);
        free(golden);
        compared++;
    }
    assert_int_equal(compared, 2 * 7 * 2);
}

static void compare_system(const char *level)
{
    for (int share = 0; share < 2; share++) {
        tiny_system system;
        pfm_sequence rows[TINY_ROWS];
        const pfm_pack_options options = {.share = share != 0};
        size_t answers_in_all = 0;
        tiny_system_create(tiny_context(level, 2, PFM_PRECISION_F32), true, NULL, 0, &system);
        tiny_rows(rows);
        for (int i = 0; i < TINY_ROWS; i++)
            answers_in_all += rows[i].count - rows[i].answer;
        double sum = tiny_run(&system, rows, TINY_ROWS, &options, 1.0f / (float)answers_in_all);
        float *loss = tiny_golden("system", "loss", 1), mean = (float)(sum / (double)answers_in_all);
        assert_near("loss", &mean, loss, 1, 1e-5);
        compare_factors(&system);
        compare_aligner(&system, level);
        free(loss);
        tiny_rows_free(rows);
        tiny_system_free(&system);
    }
}

static void loss_and_gradients_are_those_of_torch(void **state)
{
    (void)state;
    tiny_each_level(compare_system);
}

/* Rows of neighbours, row by row, channels innermost: each value says where it came from. */
static void features_are_arranged_and_normalised(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    pfm_model *model = session->model;
    enum { CHANNELS = 1280, WIDTH = 4 * CHANNELS };
    static float features[16 * CHANNELS], rows[TINY_VISUAL * WIDTH];
    for (int i = 0; i < 16 * CHANNELS; i++)
        features[i] = (float)i;
    assert_int_equal(model->visual_tokens, TINY_VISUAL);
    assert_int_equal(model->visual_width, WIDTH);
    for (int j = 0; j < WIDTH; j++) {
        model->mean[j] = (float)j;
        model->std[j] = 2;
    }
    assert_ok(pfm_model_arrange(model, features, rows, &err));
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++)
            for (int c = 0; c < CHANNELS; c++) {
                int token = y / 2 * 2 + x / 2, column = (y % 2 * 2 + x % 2) * CHANNELS + c;
                assert_true(rows[token * WIDTH + column] == (float)((y * 4 + x) * CHANNELS + c - column) / 2);
            }
    pfm_session_free(session);
    pfm_context_free(context);
}

static void statistics_are_those_of_all_rows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    pfm_model *model = session->model;
    pfm_feature_statistics statistics = {0};
    static float features[16 * 1280], rows[TINY_IMAGES][TINY_VISUAL][5120];
    for (int i = 0; i < TINY_IMAGES; i++) {
        tiny_features(i, features);
        assert_ok(pfm_model_arrange(model, features, rows[i], &err)); /* mean 0, deviation 1 so far */
        assert_ok(pfm_feature_statistics_add(model, &statistics, features, &err));
    }
    pfm_feature_statistics_finish(&statistics, model);
    pfm_feature_statistics_free(&statistics);
    const int n = TINY_IMAGES * TINY_VISUAL;
    for (int j = 0; j < 5120; j++) {
        double mean = 0, squares = 0;
        for (int r = 0; r < n; r++)
            mean += rows[r / TINY_VISUAL][r % TINY_VISUAL][j] / (double)n;
        for (int r = 0; r < n; r++)
            squares += pow(rows[r / TINY_VISUAL][r % TINY_VISUAL][j] - mean, 2);
        assert_true(fabs(model->mean[j] - mean) < 1e-6);
        assert_true(fabs(model->std[j] - (sqrt(squares / (n - 1)) + 1e-3)) < 1e-5);
    }
    pfm_session_free(session);
    pfm_context_free(context);
}

static pfm_status create(const char *set, pfm_error *err)
{
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    char text[1024];
    int length = snprintf(text, sizeof text,
                          "model: {vision: efficientnet-lite0, image_size: 128, language: '%s'}\ndata: {dataset: phantom}\n",
                          tiny_path("llama"));
    pfm_status status = pfm_recipe_parse(text, (size_t)length, "r.yaml", &set, 1, &recipe, err);
    if (status == PFM_OK)
        status = pfm_session_create(context, recipe, false, &session, err);
    pfm_session_free(session);
    pfm_context_free(context);
    return status;
}

static void what_does_not_fit_is_an_error(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(create("model.merge=4", &err));
    assert_error(create("model.merge=3", &err), PFM_ERROR_USAGE, "merge");
    assert_error(create("model.aligner=mlp", &err), PFM_ERROR_USAGE, "mlp");
    assert_error(create("model.vision=clip", &err), PFM_ERROR_USAGE, "clip");
    assert_error(create("model.language=/nowhere/at/all", &err), PFM_ERROR_IO, "/nowhere/at/all");
}

/* A row may stand behind another instruction than the model's own. */
static void an_instruction_may_be_another(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    const pfm_question asks = {"Why?", 1}, shows = {"", 1};
    pfm_ids filled = {0}, written = {0}, own = {0};
    assert_ok(pfm_model_encode_as(session->model, "Say {question}", &asks, "yes", 0, &filled, NULL, &err));
    assert_ok(pfm_model_encode_as(session->model, "Say Why?", &shows, "yes", 0, &written, NULL, &err));
    assert_ok(pfm_model_encode(session->model, &asks, "yes", 0, &own, NULL, &err));
    assert_int_equal(filled.count, written.count);
    assert_memory_equal(filled.data, written.data, filled.count * sizeof *filled.data);
    assert_true(own.count != filled.count || memcmp(own.data, filled.data, own.count * sizeof *own.data) != 0);
    assert_error(pfm_model_encode_as(session->model, "Say it.", &asks, NULL, 0, &own, NULL, &err), PFM_ERROR_USAGE,
                 "no place for the question");
    pfm_ids_free(&filled);
    pfm_ids_free(&written);
    pfm_ids_free(&own);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* Initial values: the aligner's are as large as makes visual tokens as large as text tokens; the same for a seed. */
static void initial_values_come_from_the_seed(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    float *first = NULL;
    for (int round = 0; round < 2; round++) {
        pfm_context *context = tiny_context(NULL, round + 1, PFM_PRECISION_F32);
        pfm_session *session = tiny_session(context, false, NULL, 0);
        pfm_model *model = session->model;
        pfm_model_graph graph;
        const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
        assert_ok(pfm_model_build(model, capacity, false, false, &graph, &err));
        assert_ok(pfm_session_load_weights(session, &err));
        const pfm_parameter *w =
            pfm_parameters_get(model->parameters, pfm_parameters_find(model->parameters, "aligner.proj.weight"));
        size_t count = (size_t)(w->n * w->k);
        double squares = 0;
        for (size_t i = 0; i < count; i++)
            squares += (double)w->values[i] * w->values[i];
        double deviation = sqrt(squares / (double)count) * sqrt((double)w->k); /* of the golden embedding: 0.5 */
        assert_true(deviation > 0.48 && deviation < 0.53);
        if (round == 0) {
            first = malloc(count * sizeof *first);
            assert_non_null(first);
            memcpy(first, w->values, count * sizeof *first);
        } else {
            assert_memory_equal(first, w->values, count * sizeof *first);
        }
        pfm_model_graph_free(&graph);
        pfm_session_free(session);
        pfm_context_free(context);
    }
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_transformers),        cmocka_unit_test(the_prompt_is_shown_as_it_is_given),
        cmocka_unit_test(images_stand_where_the_text_says),     cmocka_unit_test(captions_need_no_question),
        cmocka_unit_test(exchanged_images_give_other_logits),   cmocka_unit_test(loss_and_gradients_are_those_of_torch),
        cmocka_unit_test(features_are_arranged_and_normalised), cmocka_unit_test(statistics_are_those_of_all_rows),
        cmocka_unit_test(what_does_not_fit_is_an_error),        cmocka_unit_test(initial_values_come_from_the_seed),
        cmocka_unit_test(an_instruction_may_be_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
