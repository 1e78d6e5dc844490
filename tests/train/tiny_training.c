#include "tiny_training.h"

#include "base/file.h"
#include "models/random_lite0.h"
#include "pefomed/image.h"

static char recipe_path[256], data_path[256], pairs_set[256], mixed_set[256];

const char *training_recipe(void) { return recipe_path; }
const char *training_data(void) { return data_path; }
const char *training_pairs(void) { return pairs_set; }
const char *training_mixed(void) { return mixed_set; }

enum { PICTURES = 7, SIDE = 64 };

static void make_picture(int number)
{
    pfm_error err = PFM_ERROR_INIT;
    static uint8_t rgb[SIDE * SIDE * 3];
    char name[32];
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        rgb[i] = (uint8_t)((i / 3 % SIDE) * (number + 1) + (i / 3 / SIDE) * 3 * (i % 3) + 40 * number);
    const pfm_image image = {.width = SIDE, .height = SIDE, .rgb = rgb};
    (void)snprintf(name, sizeof name, "p%d.png", number);
    assert_ok(pfm_image_write_png(&image, test_path(test_scratch_folder(), name), &err));
}

static void make_table(void)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const questions[] = {"Is the lung normal?", "Where is the lesion?", "Which organ is abnormal?",
                                            "Is the heart normal?"};
    static const char *const answers[] = {"yes", "left lung", "no", "the liver", "right"};
    pfm_buffer text = {0};
    for (int row = 0; row < TRAINING_ROWS + 4; row++) {
        bool train = row < TRAINING_ROWS;
        int picture = train ? row / 4 : 5 + (row - TRAINING_ROWS) / 2;
        assert_ok(pfm_buffer_append_format(
            &text, &err, "{\"image\": \"p%d.png\", \"question\": \"%s\", \"answer\": \"%s\", \"split\": \"%s\"}\n", picture,
            questions[row % 4], answers[row * 7 % 5], train ? "train" : "validate"));
    }
    assert_ok(pfm_file_write(data_path, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

static const char usual_peft[] = "{method: lora, rank: 4, alpha: 8, dropout: 0.3, targets: [q_proj, v_proj, up_proj]}";

static void append_model(pfm_buffer *text, const char *language, const char *peft)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_buffer_append_format(
        text, &err,
        "model: {vision: '%s/lite0.safetensors', image_size: 64, merge: 1, aligner: concat-linear, language: '%s'}\n"
        "peft: %s\n",
        test_scratch_folder(), language, peft));
}

static void make_pairs(void)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const images[] = {"\"p0.png\", \"p1.png\"", "\"p1.png\", \"p0.png\"",
                                         "\"p2.png\", \"p3.png\", \"p2.png\"", "\"p1.png\""};
    static const char *const questions[] = {"Is the lung normal?", "Is the lung smaller?", "Which organ is abnormal?"};
    static const char *const answers[] = {"yes", "left lung", "no", "the liver", "right"};
    pfm_buffer text = {0};
    for (int row = 0; row < 12; row++)
        assert_ok(pfm_buffer_append_format(
            &text, &err, "{\"images\": [%s], \"question\": \"%s\", \"answer\": \"%s\", \"split\": \"train\"}\n",
            images[row / 3], questions[row % 3], answers[row * 7 % 5]));
    assert_ok(pfm_buffer_append_string(
        &text, "{\"images\": [\"p0.png\", \"p1.png\"], \"question\": \"Is <image> as <image>?\", \"answer\": \"no\"}\n", &err));
    assert_ok(pfm_buffer_append_string(&text,
                                       "{\"images\": [\"p4.png\", \"p5.png\"], \"question\": \"Is the lung normal?\", "
                                       "\"answer\": \"no\", \"split\": \"validate\"}\n",
                                       &err));
    assert_ok(pfm_file_write(strchr(pairs_set, '=') + 1, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

/* Of every four rows three show one image and one shows none; so too of the validation. */
static void make_mixed(void)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const questions[] = {"Is the lung normal?", "Where is the lesion?", "Which organ is abnormal?",
                                            "Is the heart normal?"};
    static const char *const answers[] = {"yes", "left lung", "no", "the liver", "right"};
    pfm_buffer text = {0};
    for (int row = 0; row < 16; row++) {
        char image[32] = "";
        if (row % 4 != 1)
            (void)snprintf(image, sizeof image, "\"p%d.png\"", row / 4);
        assert_ok(pfm_buffer_append_format(&text, &err,
                                           "{\"images\": [%s], \"question\": \"%s\", \"answer\": \"%s\", \"split\": \"%s\"}\n",
                                           image, questions[row % 4], answers[row * 7 % 5], row < 12 ? "train" : "validate"));
    }
    assert_ok(pfm_file_write(strchr(mixed_set, '=') + 1, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

static void write_recipe(const char *path, const char *language, const char *peft)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    append_model(&text, language, peft);
    assert_ok(pfm_buffer_append_string(
        &text,
        "data: {dataset: table, group: 3}\n"
        "prompt: {instruction: 'Look at the image and answer: {question}'}\n"
        "train: {epochs: 2.4, batch: 5, learning_rate: 1e-2, warmup_steps: 2, weight_decay: 0.05, checkpoint_every: 3}\n",
        &err));
    assert_ok(pfm_file_write(path, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

void make_training(void)
{
    if (recipe_path[0] != '\0')
        return;
    (void)snprintf(recipe_path, sizeof recipe_path, "%s/tiny.yaml", test_scratch_folder());
    (void)snprintf(data_path, sizeof data_path, "%s/table.jsonl", test_scratch_folder());
    (void)snprintf(pairs_set, sizeof pairs_set, "data.path=%s/pairs.jsonl", test_scratch_folder());
    (void)snprintf(mixed_set, sizeof mixed_set, "data.path=%s/mixed.jsonl", test_scratch_folder());
    write_random_lite0(test_path(test_scratch_folder(), "lite0.safetensors"));
    for (int i = 0; i < PICTURES; i++)
        make_picture(i);
    make_table();
    make_pairs();
    make_mixed();
    write_recipe(recipe_path, tiny_path("llama"), usual_peft);
}

static void make_texts(const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const answers[] = {"1. the liver", "2. left lung", "2. right", "1. no"};
    pfm_buffer text = {0};
    assert_ok(pfm_buffer_append_string(&text, "images,question,answer,split\n", &err));
    for (int row = 0; row < TRAINING_ROWS; row++)
        assert_ok(pfm_buffer_append_format(&text, &err, ",\"Which organ is normal? Number %d\",%s,%s\n", row * row,
                                           answers[row * 3 % 4], row < 13 ? "train" : "validate"));
    assert_ok(pfm_file_write(path, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

const char *text_recipe(void)
{
    pfm_error err = PFM_ERROR_INIT;
    static char path[256];
    char texts[256];
    pfm_buffer text = {0};
    if (path[0] != '\0')
        return path;
    (void)snprintf(path, sizeof path, "%s/text.yaml", test_scratch_folder());
    (void)snprintf(texts, sizeof texts, "%s/texts.csv", test_scratch_folder());
    make_texts(texts);
    assert_ok(pfm_buffer_append_format(
        &text, &err,
        "model: {vision: none, language: '%s'}\n"
        "peft: {method: lora, rank: 4, alpha: 8, dropout: 0.3, targets: [q_proj, v_proj, up_proj]}\n"
        "data: {dataset: table, path: '%s'}\n"
        "train: {steps: %d, batch: %d, learning_rate: 1e-2, warmup_steps: 2, weight_decay: 0.05, checkpoint_every: 2}\n",
        tiny_path("llama"), texts, TEXT_STEPS, TRAINING_BATCH));
    assert_ok(pfm_file_write(path, text.data, text.size, &err));
    pfm_buffer_free(&text);
    return path;
}

static void make_captions(const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const captions[] = {"a normal chest", "the liver is large", "left lung, a lesion", "nothing new",
                                           "a heart"};
    pfm_buffer text = {0};
    for (int picture = 0; picture < 5; picture++)
        assert_ok(pfm_buffer_append_format(&text, &err, "{\"image\": \"p%d.png\", \"report\": \"%s\", \"split\": \"train\"}\n",
                                           picture, captions[picture]));
    assert_ok(pfm_file_write(path, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

static void write_staged(const char *path, const char *language, const char *peft)
{
    pfm_error err = PFM_ERROR_INIT;
    static char captions[256];
    pfm_buffer text = {0};
    if (captions[0] == '\0') {
        (void)snprintf(captions, sizeof captions, "%s/captions.jsonl", test_scratch_folder());
        make_captions(captions);
    }
    append_model(&text, language, peft);
    assert_ok(pfm_buffer_append_format(
        &text, &err,
        "data: {dataset: table, path: '%s', group: 3}\n"
        "prompt: {instruction: 'Look at the image and answer: {question}'}\n"
        "train: {epochs: 1.3, batch: 5, learning_rate: 1e-2, warmup_steps: 2, weight_decay: 0.05, checkpoint_every: 3}\n"
        "stages:\n"
        "  - name: captions\n"
        "    trainable: [aligner]\n"
        "    data:\n"
        "      mixture:\n"
        "        - {dataset: table, path: '%s', ratio: 3, instruction: ['[caption] Describe it.', '[caption] What is it?']}\n"
        "        - {dataset: table, ratio: 1}\n"
        "    train: {steps: 5, batch: 4}\n"
        "  - name: questions\n",
        data_path, captions));
    assert_ok(pfm_file_write(path, text.data, text.size, &err));
    pfm_buffer_free(&text);
}

const char *staged_recipe(void)
{
    static char path[256];
    make_training();
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof path, "%s/staged.yaml", test_scratch_folder());
        write_staged(path, tiny_path("llama"), usual_peft);
    }
    return path;
}

void write_training_recipe(const char *path, const char *language, const char *peft)
{
    make_training();
    write_recipe(path, language, peft);
}

void write_staged_recipe(const char *path, const char *language, const char *peft)
{
    make_training();
    write_staged(path, language, peft);
}

pfm_trainer *open_trainer(pfm_context *context, const char *const *sets, int set_count)
{
    make_training();
    return open_trainer_of(recipe_path, context, sets, set_count);
}

pfm_trainer *open_trainer_of(const char *path, pfm_context *context, const char *const *sets, int set_count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_trainer *trainer = NULL;
    assert_ok(pfm_recipe_load(path, sets, set_count, &recipe, &err));
    assert_ok(pfm_session_create(context, recipe, true, &session, &err));
    assert_ok(pfm_trainer_create(session, recipe->data.path != NULL ? NULL : data_path, &trainer, &err));
    assert_ok(pfm_trainer_build(trainer, &err));
    assert_ok(pfm_trainer_prepare(trainer, &err));
    return trainer;
}

/* B starts at zero, and A's gradient with it: give every factor values. */
static void fill_factors(pfm_parameters *parameters)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (p->part != PFM_PART_PEFT || p->initial == PFM_INITIAL_UNIFORM)
            continue;
        tiny_spread((uint32_t)i, (size_t)(p->n * p->k), p->values);
        for (int64_t j = 0; j < p->n * p->k && p->initial != PFM_INITIAL_ZERO; j++)
            p->values[j] = 1 + 0.3f * p->values[j];
    }
    pfm_parameters_repack(parameters);
}

float *training_step_gradients(pfm_trainer *trainer, int64_t step, pfm_step_result *result)
{
    pfm_error err = PFM_ERROR_INIT;
    fill_factors(trainer->session->model->parameters);
    assert_ok(pfm_trainer_gradients(trainer, step, result, &err));
    return tiny_copy_gradients(trainer->session->model->parameters);
}

float *training_gradients(pfm_context *context, const char *const *sets, int set_count, int64_t step, pfm_step_result *result,
                          pfm_trainer **trainer)
{
    *trainer = open_trainer(context, sets, set_count);
    return training_step_gradients(*trainer, step, result);
}

void close_trainer(pfm_trainer *trainer)
{
    pfm_session *session = trainer->session;
    pfm_trainer_free(trainer);
    pfm_session_free(session);
}
