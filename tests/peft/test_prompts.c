/* Prompt tuning, P-tuning and prefix tuning against Hugging Face PEFT (script/vectors/prompts.py): logits, gradients and greedy
 * answers with the files that it wrote; and that what is saved and loaded again has the same bits. */
#include "virtual_network.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "infer/generate.h"
#include "pefomed/infer.h"
#include "train/run.h"

static void compare(const golden_prompts *p, const char *what, const float *values, size_t count)
{
    size_t there;
    char label[128];
    float *golden = prompts_golden(p, what, &there);
    (void)snprintf(label, sizeof label, "%s: %s", p->name, what);
    assert_int_equal(count, there);
    assert_near(label, values, golden, count, 1e-4);
    free(golden);
}

/* Logits, and the gradients of the input and of all that trains. */
static void check_learning(const golden_prompts *p, int encoder, const char *folder, int trained)
{
    network n;
    network_create(p, encoder, true, folder, "", PFM_PRECISION_F32, &n);
    const pfm_model *model = n.session->model;
    network_run_backward(&n);
    compare(p, "logits", pfm_executor_data(n.executor, n.graph.language.logits), network_count_logits(&n));
    compare(p, "grad_in", pfm_executor_gradient(n.executor, n.graph.language.visual),
            (size_t)(NETWORK_TOKENS * model->language.hidden));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *parameter = pfm_parameters_get(model->parameters, i);
        char name[128];
        if (!parameter->trainable)
            continue;
        (void)snprintf(name, sizeof name, "%s.grad", parameter->name);
        compare(p, name, parameter->gradient, (size_t)(parameter->n * parameter->k));
        trained--;
    }
    assert_int_equal(trained, 0);
    network_free(&n);
}

static void gradients_are_pefts(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_PROMPTS; i++) {
        const golden_prompts *p = &all_golden_prompts[i];
        check_learning(p, 0, prompts_folder(p), 1); /* the table itself */
        if (p->encoder > 0)
            check_learning(p, p->encoder, prompts_folder_with_encoder(p), strcmp(p->method, "p_tuning") == 0 ? 7 : 5);
    }
}

static void answering_needs_the_table_alone(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_PROMPTS; i++) {
        const golden_prompts *p = &all_golden_prompts[i];
        network n;
        network_create(p, p->encoder, false, prompts_folder(p), "", PFM_PRECISION_F32, &n);
        compare(p, "logits", network_run(&n, false), network_count_logits(&n));
        const size_t vocabulary = (size_t)n.session->model->language.vocabulary;
        compare(p, "ids_logits", network_run(&n, true) + (NETWORK_TOKENS - 1) * vocabulary, vocabulary);
        network_free(&n);
    }
}

/* ---- answers ---- */

static const int32_t images[TINY_QUESTIONS] = {0, 0, 0, 1, 2, 2};
static const char *const questions[TINY_QUESTIONS] = {"Is the lung normal?",         "Is the lung normal, or not?",
                                                      "Where is the lesion?",        "Is the lung normal?",
                                                      "Which organ is abnormal? 12", "What?"};

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)user;
    (void)image;
    (void)err;
    tiny_features(images[request], features);
    return PFM_OK;
}

static pfm_status take_id(void *user, size_t request, int32_t id, pfm_error *err)
{
    return pfm_ids_append((pfm_ids *)user + request, id, err);
}

/* All questions, behind the images that they share or each alone. */
static void check_answers(const golden_prompts *p, pfm_session *session, bool together)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_request requests[TINY_QUESTIONS];
    pfm_answer answers[TINY_QUESTIONS];
    pfm_ids ids[TINY_QUESTIONS] = {{0}};
    for (int32_t i = 0; i < TINY_QUESTIONS; i++)
        requests[i] = (pfm_request){{questions[i], 1}, together ? images[i] : i};
    const pfm_generate_options options = {
        .max_tokens = TINY_NEW_TOKENS, .images = together ? 2 : 1, .features = give_features, .on_token = take_id, .user = ids};
    assert_ok(pfm_generate(session, requests, TINY_QUESTIONS, &options, answers, &err));
    for (int i = 0; i < TINY_QUESTIONS; i++) {
        char name[32];
        size_t count;
        (void)snprintf(name, sizeof name, "answer%d", i);
        float *golden = prompts_golden(p, name, &count);
        assert_int_equal(ids[i].count, count);
        for (size_t t = 0; t < count; t++)
            assert_int_equal(ids[i].data[t], (int32_t)golden[t]);
        free(golden);
        free(answers[i].text);
        pfm_ids_free(&ids[i]);
    }
}

static void greedy_answers_are_pefts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    for (int i = 0; i < GOLDEN_PROMPTS_ON_LLAMA; i++) {
        const golden_prompts *p = &all_golden_prompts[i];
        char method[64], tokens[64];
        (void)snprintf(method, sizeof method, "peft.method=%s", p->method);
        (void)snprintf(tokens, sizeof tokens, "peft.virtual_tokens=%d", p->tokens);
        const char *const sets[] = {method, tokens, "peft.targets=[]"};
        pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
        pfm_session *session = tiny_session(context, false, sets, 3);
        pfm_model_graph graph;
        const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = TINY_VISUAL};
        assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
        assert_ok(pfm_session_load_weights(session, &err));
        pfm_model_graph_free(&graph);
        tiny_set_weights(session, false);
        assert_ok(pfm_run_load_adapter(prompts_folder(p), session->model, session->peft, &err));
        check_answers(p, session, true);
        check_answers(p, session, false);
        pfm_session_free(session);
        pfm_context_free(context);
    }
}

/* ---- files ---- */

/* A run of a network: its recipe, adapter and (empty) aligner. */
static const char *save_run(const network *n, const char *name)
{
    static char folder[256];
    pfm_error err = PFM_ERROR_INIT;
    (void)snprintf(folder, sizeof folder, "%s/run_%s", test_scratch_folder(), name);
    assert_ok(pfm_folder_create(folder, &err));
    assert_ok(pfm_recipe_save(n->session->recipe, test_path(folder, "recipe.yaml"), &err));
    assert_ok(pfm_run_save(folder, "base", n->session->model, n->session->peft, &err));
    return folder;
}

/* What a training computes is what is answered after it, bit by bit, and what goes on to learn. */
static void check_bits(const golden_prompts *p, pfm_precision precision)
{
    network learned, answering, again;
    char adapter[300];
    network_create(p, p->encoder, true, NULL, "", precision, &learned);
    (void)snprintf(adapter, sizeof adapter, "%s/adapter", save_run(&learned, "bits"));
    network_create(p, p->encoder, false, adapter, "", precision, &answering);
    network_create(p, p->encoder, true, adapter, "", precision, &again);
    const size_t bytes = network_count_logits(&learned) * sizeof(float);
    const float *logits = network_run(&learned, false);
    assert_memory_equal(network_run(&answering, false), logits, bytes);
    assert_memory_equal(network_run(&again, false), logits, bytes);
    const pfm_parameters *a = learned.session->model->parameters, *b = again.session->model->parameters;
    for (int i = 0; i < pfm_parameters_count(a); i++) {
        const pfm_parameter *x = pfm_parameters_get(a, i), *y = pfm_parameters_get(b, i);
        assert_string_equal(x->name, y->name);
        if (x->part == PFM_PART_PEFT)
            assert_memory_equal(x->values, y->values, (size_t)(x->n * x->k) * sizeof(float));
    }
    network_free(&learned);
    network_free(&answering);
    network_free(&again);
}

static void what_is_saved_and_loaded_has_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_PROMPTS; i++) {
        check_bits(&all_golden_prompts[i], PFM_PRECISION_F32);
        check_bits(&all_golden_prompts[i], PFM_PRECISION_BF16);
    }
}

/* The untrained model of a recipe is where its training begins. */
static void answering_starts_where_learning_does(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_PROMPTS; i++) {
        network learning, answering;
        const golden_prompts *p = &all_golden_prompts[i];
        network_create(p, p->encoder, true, NULL, "", PFM_PRECISION_F32, &learning);
        network_create(p, p->encoder, false, NULL, "", PFM_PRECISION_F32, &answering);
        assert_memory_equal(network_run(&answering, false), network_run(&learning, false),
                            network_count_logits(&learning) * sizeof(float));
        network_free(&learning);
        network_free(&answering);
    }
}

static json_t *load_settings(const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *settings = NULL;
    assert_ok(pfm_json_load(test_path(folder, "adapter_config.json"), &settings, &err));
    return settings;
}

/* Every setting of PEFT's that says something is written as PEFT writes it, and its file is read. */
static void settings_are_pefts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const same[] = {"peft_type",         "task_type",          "num_virtual_tokens",
                                       "prefix_projection", "inference_mode",     "encoder_reparameterization_type",
                                       "encoder_dropout",   "encoder_num_layers", "num_transformer_submodules",
                                       "prompt_tuning_init"};
    for (int i = 0; i < GOLDEN_PROMPTS; i++) {
        const golden_prompts *p = &all_golden_prompts[i];
        network n;
        char adapter[300];
        network_create(p, p->encoder, true, NULL, "", PFM_PRECISION_F32, &n);
        (void)snprintf(adapter, sizeof adapter, "%s/adapter", save_run(&n, "settings"));
        json_t *ours = load_settings(adapter), *theirs = load_settings(prompts_folder(p));
        for (size_t k = 0; k < sizeof same / sizeof *same; k++) {
            if (!json_equal(json_object_get(ours, same[k]), json_object_get(theirs, same[k])) &&
                json_object_get(theirs, same[k]) != NULL)
                fail_msg("%s: %s is not PEFT's", p->name, same[k]);
        }
        const json_t *width = json_object_get(ours, "encoder_hidden_size");
        assert_int_equal(json_integer_value(width), p->encoder);
        pfm_peft_options options = {.encoder_hidden = PFM_ENCODER_DEFAULT};
        const pfm_peft_method *method = pfm_peft_get_method(n.session->peft);
        assert_string_equal(method->type, json_string_value(json_object_get(theirs, "peft_type")));
        assert_ok(method->read_config(theirs, &options, &err));
        assert_int_equal(options.virtual_tokens, p->tokens);
        assert_int_equal(options.encoder_hidden, 0);
        json_decref(ours);
        json_decref(theirs);
        network_free(&n);
    }
}

static void settings_that_cannot_be_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const counts[] = {"0", "-1", "1000000000000", "\"5\"", "null", "2.5", "[5]", "4097"};
    const pfm_peft_method *method = NULL;
    pfm_peft_options options = {0};
    assert_ok(pfm_peft_find_method("prefix_tuning", &method, &err));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        json_t *settings = json_pack("{s:o}", "num_virtual_tokens", json_loads(counts[i], JSON_DECODE_ANY, NULL));
        assert_error(method->read_config(settings, &options, &err), PFM_ERROR_FORMAT, "num_virtual_tokens");
        json_decref(settings);
    }
    json_t *settings = json_pack("{s:i, s:i}", "num_virtual_tokens", 5, "num_transformer_submodules", 2);
    assert_error(method->read_config(settings, &options, &err), PFM_ERROR_UNSUPPORTED, "num_transformer_submodules");
    json_decref(settings);
    assert_int_equal(options.virtual_tokens, 0);
}

/* Loads a folder that holds these tensors alone. */
static pfm_status load_tensors(network *n, const pfm_weight *tensors, size_t count, pfm_error *err)
{
    const char *folder = test_path(test_scratch_folder(), "other");
    pfm_status status = pfm_folder_create(folder, err);
    if (status == PFM_OK)
        status = pfm_file_write(test_path(folder, "adapter_config.json"), "{}", 2, err);
    if (status == PFM_OK)
        status = pfm_safetensors_write(test_path(folder, "adapter_model.safetensors"), tensors, count, NULL, 0, err);
    return status == PFM_OK ? pfm_run_load_adapter(folder, n->session->model, n->session->peft, err) : status;
}

static void other_files_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const float values[6 * 33];
    const golden_prompts *p = &all_golden_prompts[1]; /* P-tuning: 6 tokens of 32 columns */
    const pfm_weight table = {.name = "prompt_embeddings", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {6, 32}, .data = values};
    pfm_weight shorter = table, other[2] = {table, table};
    shorter.shape[0] = 5;
    other[1].name = "prompt_embedding";
    network n;
    network_create(p, 24, false, NULL, "", PFM_PRECISION_F32, &n);
    assert_error(load_tensors(&n, &shorter, 1, &err), PFM_ERROR_MISMATCH, "prompt_embeddings is not 6 x 32");
    assert_error(load_tensors(&n, other, 2, &err), PFM_ERROR_MISMATCH, "holds 2 tensors");
    assert_error(load_tensors(&n, &other[1], 1, &err), PFM_ERROR_MISMATCH, "lacks the tensor prompt_embeddings");
    assert_ok(load_tensors(&n, &table, 1, &err));
    network_free(&n);
    network_create(p, 24, true, NULL, "", PFM_PRECISION_F32, &n);
    assert_error(load_tensors(&n, &table, 1, &err), PFM_ERROR_MISMATCH, "and not the encoder");
    network_free(&n);
}

/* What `pefomed forward` with gradients makes of a model and, where that is not NULL, an adapter: the tensors of these names.
 */
static void check_forward(const golden_prompts *p, network *n, const char *model, const char *adapter,
                          const char *const names[3])
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_language_config *language = &n->session->model->language;
    char in[256], out[256];
    float gradient[NETWORK_TOKENS * TINY_VOCABULARY];
    (void)snprintf(in, sizeof in, "%s/in.safetensors", test_scratch_folder());
    (void)snprintf(out, sizeof out, "%s/out.safetensors", test_scratch_folder());
    tiny_spread(2, network_count_logits(n), gradient);
    const pfm_weight given[] = {{.name = "inputs_embeds",
                                 .dtype = PFM_DTYPE_F32,
                                 .rank = 2,
                                 .shape = {NETWORK_TOKENS, language->hidden},
                                 .data = n->embeds},
                                {.name = "grad_out",
                                 .dtype = PFM_DTYPE_F32,
                                 .rank = 2,
                                 .shape = {NETWORK_TOKENS, language->vocabulary},
                                 .data = gradient}};
    assert_ok(pfm_safetensors_write(in, given, 2, NULL, 0, &err));
    const pfm_forward_options options = {.model = model, .input = in, .output = out, .adapter = adapter, .grad = true};
    assert_ok(pfm_forward(n->context, &options, &err));
    pfm_weights *made = NULL;
    assert_ok(pfm_weights_open(out, &made, &err));
    for (size_t k = 0; k < 3; k++) {
        const pfm_weight *weight = pfm_weights_find(made, names[k]);
        assert_non_null(weight);
        float *values = calloc(pfm_weight_values(weight), sizeof *values);
        assert_non_null(values);
        assert_ok(pfm_weight_expand(weight, values, &err));
        compare(p, names[k], values, pfm_weight_values(weight));
        free(values);
    }
    pfm_weights_close(made);
}

/* `pefomed forward` of a run, and of a model with the adapter that PEFT wrote: virtual tokens stand before what is given, and
 * nothing is said of them. */
static void forward_gives_the_given_tokens(void **state)
{
    (void)state;
    static const char *const table[] = {"logits", "grad_in", "prompt_embeddings.grad"},
                             *const embedding[] = {"logits", "grad_in", "prompt_encoder.embedding.weight.grad"};
    for (int i = 0; i < GOLDEN_PROMPTS; i++) {
        const golden_prompts *p = &all_golden_prompts[i];
        network n;
        const bool encodes = p->encoder > 0;
        network_create(p, p->encoder, true, encodes ? prompts_folder_with_encoder(p) : prompts_folder(p), "", PFM_PRECISION_F32,
                       &n);
        if (!p->gpt2) /* which has no tokenizer, as runs do */
            check_forward(p, &n, save_run(&n, "forward"), NULL, encodes ? embedding : table);
        check_forward(p, &n, n.session->model->language_path, prompts_folder(p), table);
        network_free(&n);
    }
}

/* ---- how they start ---- */

static void prompt_text_is_where_the_table_starts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const golden_prompts *p = &all_golden_prompts[0]; /* 5 tokens */
    static const char *const texts[] = {"no yes", "Is the lung normal? The left lung, the right lung"};
    for (int i = 0; i < 2; i++) {
        network n;
        pfm_ids ids = {0};
        char more[128];
        (void)snprintf(more, sizeof more, ", prompt_text: '%s'", texts[i]);
        network_create(p, 0, true, NULL, more, PFM_PRECISION_F32, &n);
        const pfm_model *model = n.session->model;
        assert_ok(pfm_tokenizer_encode(model->tokenizer, texts[i], strlen(texts[i]), false, &ids, &err));
        assert_true(i == 0 ? ids.count > 1 && ids.count < 5 : ids.count > 5);
        const pfm_parameter *table =
            pfm_parameters_get(model->parameters, pfm_parameters_find(model->parameters, "prompt_embeddings"));
        const pfm_parameter *embedding =
            pfm_parameters_get(model->parameters, pfm_parameters_find(model->parameters, "model.embed_tokens.weight"));
        for (int64_t v = 0; v < 5; v++) {
            const int32_t id = ids.data[(size_t)v % ids.count];
            assert_memory_equal(table->values + v * TINY_HIDDEN, (const float *)embedding->rows + id * TINY_HIDDEN,
                                TINY_HIDDEN * sizeof(float));
        }
        pfm_ids_free(&ids);
        network_free(&n);
    }
}

static void options_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char text[] = "a text";
    static const struct {
        const char *method;
        int tokens, encoder;
        bool text;
        const char *part;
    } table[] = {{"prompt_tuning", 0, -1, false, "peft.virtual_tokens cannot be 0"},
                 {"p_tuning", 4097, -1, false, "peft.virtual_tokens cannot be 4097"},
                 {"prefix_tuning", -3, -1, false, "peft.virtual_tokens"},
                 {"prompt_tuning", 5, 8, false, "peft.encoder_hidden is not of prompt_tuning"},
                 {"p_tuning", 5, -1, true, "peft.prompt_text is of prompt_tuning"},
                 {"prefix_tuning", 5, 0, true, "peft.prompt_text is of prompt_tuning"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        pfm_peft *peft = NULL;
        const pfm_peft_options options = {.method = (char *)(uintptr_t)table[i].method,
                                          .virtual_tokens = table[i].tokens,
                                          .encoder_hidden = table[i].encoder,
                                          .prompt_text = table[i].text ? text : NULL};
        assert_error(pfm_peft_create(&options, &peft, &err), PFM_ERROR_USAGE, table[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_pefts),
        cmocka_unit_test(answering_needs_the_table_alone),
        cmocka_unit_test(greedy_answers_are_pefts),
        cmocka_unit_test(what_is_saved_and_loaded_has_the_same_bits),
        cmocka_unit_test(answering_starts_where_learning_does),
        cmocka_unit_test(settings_are_pefts),
        cmocka_unit_test(settings_that_cannot_be_are_refused),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(forward_gives_the_given_tokens),
        cmocka_unit_test(prompt_text_is_where_the_table_starts),
        cmocka_unit_test(options_that_do_not_go_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
