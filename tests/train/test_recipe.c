#include "train/recipe.h"
#include "base/file.h"
#include "test.h"

#include <locale.h>

/* The smallest recipe of COMMANDS.md. */
static const char smallest[] =
    "model: {vision: efficientnet-lite0, image_size: 448, aligner: concat-linear, language: smollm2-135m-instruct}\n"
    "peft: {method: lora, rank: 64, alpha: 128, dropout: 0.05, targets: [q_proj, v_proj]}\n"
    "data: {dataset: slake, language: en, train: train, validate: validate, group: 4}\n"
    "train: {epochs: 3, batch: 16, learning_rate: 3e-4, warmup_steps: 100, weight_decay: 0.05}\n";

static pfm_status parse_with(const char *text, const char *set, pfm_recipe **out, pfm_error *err)
{
    return pfm_recipe_parse(text, strlen(text), "r.yaml", &set, set == NULL ? 0 : 1, out, err);
}

static void test_the_smallest(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    assert_ok(parse_with(smallest, NULL, &recipe, &err));
    assert_string_equal(recipe->model.vision, "efficientnet-lite0");
    assert_string_equal(recipe->model.language, "smollm2-135m-instruct");
    assert_int_equal(recipe->model.image_size, 448);
    assert_string_equal(recipe->model.merge, "2");
    assert_int_equal(recipe->peft.rank, 64);
    assert_true(recipe->peft.alpha == 128 && recipe->peft.dropout == 0.05);
    assert_int_equal(recipe->peft.target_count, 2);
    assert_string_equal(recipe->peft.targets[1], "v_proj");
    assert_string_equal(recipe->data.language, "en");
    assert_null(recipe->data.path);
    assert_true(recipe->train.learning_rate == 3e-4 && recipe->train.epochs == 3 && recipe->train.pack);
    assert_true(recipe->train.minimum_learning_rate == 0.05 * 3e-4);
    assert_true(recipe->train.clip_norm == 1.0);
    assert_int_equal(recipe->prompt.instruction_count, 1);
    assert_string_equal(recipe->prompt.instruction[0],
                        "[vqa] Based on the image, respond to this question with a short answer: {question}");
    assert_int_equal(recipe->eval.max_tokens, 24);
    pfm_recipe_free(recipe);
}

static void test_the_recipes_of_this_repository(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *names[] = {"slake", "vqa-rad", "pathvqa", "phantom", "medexpqa/lora"};
    for (int i = 0; i < 5; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/recipes/%s.yaml", PFM_SOURCE_DIR, names[i]);
        pfm_recipe *recipe = NULL;
        assert_ok(pfm_recipe_load(path, NULL, 0, &recipe, &err));
        pfm_recipe_free(recipe);
    }
}

static pfm_recipe *parse(const char *text, const char *set)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    assert_ok(pfm_recipe_parse(text, strlen(text), "r.yaml", &set, set != NULL, &recipe, &err));
    return recipe;
}

/* What is said of an index is written where one is used; where it lies decides nothing, what it holds does. */
static void test_retrieval(void **state)
{
    (void)state;
    static const char text[] = "data: {dataset: medexpqa, grounding: retrieved, index: a.sqlite, snippet_words: 200}\n"
                               "model: {vision: none}\n";
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {NULL, "data.index=b.sqlite", "data.index_sha256=00", "data.grounding=none"};
    pfm_hash_hex hashes[4];
    for (size_t i = 0; i < 4; i++) {
        pfm_buffer written = {0};
        pfm_recipe *recipe = parse(text, sets[i]), *again = NULL;
        assert_ok(pfm_recipe_write(recipe, &written, &err));
        assert_int_equal(strstr(written.data, "snippet_words: 200") != NULL, i < 3);
        assert_int_equal(strstr(written.data, "index_sha256:") != NULL, i < 3);
        assert_ok(pfm_recipe_parse(written.data, written.size, "w.yaml", NULL, 0, &again, &err));
        pfm_recipe_forget_asides(recipe);
        assert_ok(pfm_recipe_hash(recipe, hashes[i], &err));
        pfm_recipe_free(again);
        pfm_recipe_free(recipe);
        pfm_buffer_free(&written);
    }
    assert_string_equal(hashes[0], hashes[1]);
    assert_string_not_equal(hashes[0], hashes[2]);
    assert_string_not_equal(hashes[0], hashes[3]);
}

/* Whatever can be loaded is written as YAML that loads to the same recipe. */
static void test_written_and_read_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *sets[] = {"prompt.system=Say \"yes\", \\ or:\t# {no}\nzeile \xe2\x80\xa8 \xc2\x85 \xf0\x9f\xa9\xbb",
                          "data.path=null-like",
                          "data.language=true",
                          "peft.targets=[q_proj, 1e3 ,~]",
                          "train.learning_rate=0.1",
                          "train.epochs=0.333333333333333333",
                          "train.minimum_learning_rate=0",
                          "train.epsilon=1e-300",
                          "train.pack=false",
                          "model.vision= - odd"};
    pfm_recipe *first = NULL, *second = NULL;
    assert_ok(pfm_recipe_parse(smallest, strlen(smallest), "r.yaml", sets, 10, &first, &err));
    assert_string_equal(first->peft.targets[2], "~");
    const char *path = test_path(test_scratch_folder(), "recipe.yaml");
    assert_ok(pfm_recipe_save(first, path, &err));
    assert_ok(pfm_recipe_load(path, NULL, 0, &second, &err));
    pfm_buffer difference = {0};
    assert_ok(pfm_recipe_compare(first, second, &difference, &err));
    assert_int_equal(difference.size, 0);
    assert_string_equal(first->prompt.system, second->prompt.system);
    assert_true(first->train.epochs == second->train.epochs && second->train.minimum_learning_rate == 0);
    pfm_hash_hex a, b;
    assert_ok(pfm_recipe_hash(first, a, &err));
    assert_ok(pfm_recipe_hash(second, b, &err));
    assert_string_equal(a, b);
    pfm_recipe_free(second);
    assert_ok(parse_with(smallest, "train.batch=8", &second, &err));
    assert_ok(pfm_recipe_hash(second, b, &err));
    assert_string_not_equal(a, b);
    pfm_recipe_free(first);
    assert_ok(parse_with(smallest, NULL, &first, &err));
    assert_ok(pfm_recipe_compare(first, second, &difference, &err));
    assert_string_equal(difference.data, "train.batch: 16, not 8");
    pfm_buffer_free(&difference);
    pfm_recipe_free(first);
    pfm_recipe_free(second);
}

static void test_a_comma_locale_changes_nothing(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        skip();
    pfm_recipe *recipe = NULL;
    pfm_status status = parse_with(smallest, "train.epochs=0.5", &recipe, &err);
    setlocale(LC_NUMERIC, "C");
    assert_int_equal(status, PFM_OK);
    assert_true(recipe->train.epochs == 0.5);
    pfm_recipe_free(recipe);
}

/* Text, override, what the message must say. All name the place, the key, and what is allowed. */
static const struct {
    const char *text, *set, *part;
    pfm_status code;
} refusals[] = {
    {"data: {dataset: slake}\npeft: {rnak: 8}\n", NULL,
     "r.yaml line 2: there is no key 'peft.rnak'; the nearest is 'peft.rank'", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\n\ntrian:\n  batch: 8\n", NULL, "line 3: there is no key 'trian'; the nearest is 'train'",
     PFM_ERROR_USAGE},
    {"rank: 8\n", NULL, "the nearest is 'peft.rank'", PFM_ERROR_USAGE},
    {"train:\n  epochs: 1\n  rank: 8\n", NULL, "line 3: there is no key 'train.rank'; the nearest is 'peft.rank'",
     PFM_ERROR_USAGE},
    {"train:\n  learningrate: 8\n", NULL, "the nearest is 'train.learning_rate'", PFM_ERROR_USAGE},
    {smallest, "train.bacth=3", "--set: there is no key 'train.bacth'; the nearest is 'train.batch'", PFM_ERROR_USAGE},
    {smallest, "train", "--set 'train' is not key=value", PFM_ERROR_USAGE},
    {smallest, "=1", "is not key=value", PFM_ERROR_USAGE},
    {"peft:\n  rank: 0\n", NULL, "r.yaml line 2: peft.rank cannot be '0'; it is a whole number from 1 to 4096",
     PFM_ERROR_USAGE},
    {smallest, "peft.rank=0", "--set: peft.rank cannot be '0'", PFM_ERROR_USAGE},
    {smallest, "peft.rank=4.5", "a whole number", PFM_ERROR_USAGE},
    {smallest, "peft.rank=99999999999999999999", "peft.rank cannot be", PFM_ERROR_USAGE},
    {smallest, "train.learning_rate=-1e-4", "train.learning_rate cannot be '-1e-4'; it is a number above 0", PFM_ERROR_USAGE},
    {smallest, "train.learning_rate=0", "train.learning_rate cannot be '0'; it is a number above 0 and at most 10",
     PFM_ERROR_USAGE},
    {smallest, "train.learning_rate=nan", "train.learning_rate cannot be 'nan'", PFM_ERROR_USAGE},
    {smallest, "train.learning_rate=0x1", "train.learning_rate cannot be", PFM_ERROR_USAGE},
    {smallest, "train.learning_rate=1e999", "train.learning_rate cannot be", PFM_ERROR_USAGE},
    {smallest, "train.learning_rate=", "train.learning_rate cannot be ''", PFM_ERROR_USAGE},
    {smallest, "train.minimum_learning_rate=1", "train.minimum_learning_rate must not be above", PFM_ERROR_USAGE},
    {smallest, "train.batch=0", "train.batch cannot be '0'", PFM_ERROR_USAGE},
    {smallest, "train.micro_batch=17", "train.micro_batch must not be above train.batch", PFM_ERROR_USAGE},
    {smallest, "train.pack=yes", "train.pack cannot be 'yes'; it is true or false", PFM_ERROR_USAGE},
    {smallest, "peft.method=lara", "peft.method cannot be 'lara'; there are ", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\npeft: {method: bitfit, targets: [q_proj]}\n", NULL,
     "line 2: peft.targets is not of peft.method: ", PFM_ERROR_USAGE},
    {smallest, "peft.method=", "peft.method must not be empty", PFM_ERROR_USAGE},
    {smallest, "peft.targets=[q_proj,q_proj]", "peft.targets names 'q_proj' twice", PFM_ERROR_USAGE},
    {smallest, "peft.targets=q_proj,", "peft.targets must not be empty", PFM_ERROR_USAGE},
    {smallest, "peft.targets=[]", "peft.targets must name at least one", PFM_ERROR_USAGE},
    {smallest, "data.train=", "data.train must not be empty", PFM_ERROR_USAGE},
    {smallest, "data.train=\xff", "data.train must be UTF-8", PFM_ERROR_USAGE},
    {smallest, "model.merge=0", "model.merge is rows x columns", PFM_ERROR_USAGE},
    {smallest, "model.merge=1x", "model.merge is rows x columns", PFM_ERROR_USAGE},
    {smallest, "model.merge=2x2x2", "model.merge is rows x columns", PFM_ERROR_USAGE},
    {smallest, "model.merge=17", "model.merge is rows x columns", PFM_ERROR_USAGE},
    {"model: {image_size: 224,\n merge: x4}\ndata: {dataset: slake}", NULL, "line 2: model.merge is rows x columns",
     PFM_ERROR_USAGE},
    {"peft: {rank: 8}\n", NULL, "r.yaml: data.dataset is missing", PFM_ERROR_USAGE},
    {"", NULL, "data.dataset is missing", PFM_ERROR_USAGE},
    {"train:\n  batch: 8\n  batch: 8\n", NULL, "r.yaml line 3: train.batch is given a second time (the first is on line 2)",
     PFM_ERROR_USAGE},
    {"train:\n  batch: 8\ntrain:\n  epochs: 1\n", NULL, "line 3: the section 'train' is given a second time", PFM_ERROR_USAGE},
    {"train:\n  batch: \"8\"\n", NULL, "train.batch must not stand in quotes", PFM_ERROR_USAGE},
    {"train:\n  batch: [8]\n", NULL, "train.batch must be a single value", PFM_ERROR_USAGE},
    {"train:\n  batch:\n", NULL, "train.batch has no value", PFM_ERROR_USAGE},
    {"train: 8\n", NULL, "'train' is a section", PFM_ERROR_USAGE},
    {"peft:\n  targets: {q_proj: 1}\n", NULL, "line 2: peft.targets must be a list", PFM_ERROR_USAGE},
    {"trainable: peft\n", NULL, "line 1: trainable must be a list", PFM_ERROR_USAGE},
    {"peft:\n  targets: [[q_proj]]\n", NULL, "peft.targets must be a list of names", PFM_ERROR_USAGE},
    {"peft:\n  targets: []\ndata: {dataset: slake}\n", NULL, "line 2: peft.targets must name at least one", PFM_ERROR_USAGE},
    {"? [a]\n: b\n", NULL, "line 1: a key must be a name", PFM_ERROR_USAGE},
    {"data:\n  train: \"a\\0b\"\n", NULL, "data.train must be UTF-8 text without zero bytes", PFM_ERROR_USAGE},
    {"peft: &x\n  peft: *x\n", NULL, "there is no key 'peft.peft'", PFM_ERROR_USAGE},
    {"- a\n", NULL, "line 1: a recipe is sections", PFM_ERROR_FORMAT},
    {"data: {dataset: slake}\n---\ntrain: {batch: 8}\n", NULL, "line 3: a second document", PFM_ERROR_FORMAT},
    {"train:\n  batch: 8\n epochs: 1\n", NULL, "r.yaml line 3: not YAML", PFM_ERROR_FORMAT},
    {"train: {batch: 8\n", NULL, "not YAML", PFM_ERROR_FORMAT},
    {"train: \x01\n", NULL, "r.yaml byte 7: not a YAML text", PFM_ERROR_FORMAT},
    {"train: \xff\xff\n", NULL, "not a YAML text", PFM_ERROR_FORMAT},
    {"train: {steps: 5, epochs: 2}\ndata: {dataset: slake}\n", NULL, "train.steps and train.epochs both say", PFM_ERROR_USAGE},
    {smallest, "prompt.image=<Img></Img>", "prompt.image must hold <image> once", PFM_ERROR_USAGE},
    {smallest, "prompt.image=<image> and <image>", "prompt.image must hold <image> once", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\ntrain:\n  warmup_steps: 5\n  warmup_share: 0.1\n", NULL,
     "line 4: train.warmup_share and train.warmup_steps both say", PFM_ERROR_USAGE},
    {smallest, "train.warmup_learning_rate=1", "train.warmup_learning_rate must not be above", PFM_ERROR_USAGE},
    {smallest, "trainable=[aligner, lora]", "trainable cannot be 'lora'; it is one of aligner|peft", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\npeft: {method: none}\ntrainable: [peft]\n", NULL, "line 3: trainable leaves nothing that trains",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nprompt: {instruction: []}\n", NULL, "prompt.instruction must hold at least one", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nname: x\n", NULL, "line 2: name stands in a stage", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: []\n", NULL, "line 2: stages must be 1 to 64", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: {}\n", NULL, "stages must be a list", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [x]\n", NULL, "stages must hold stages", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{}]\n", NULL, "name of stage 1 is missing", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{name: ../x}]\n", NULL, "line 2: name of a stage is at most 64 letters",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{name: x}, {name: x}]\n", NULL, "name is that of another stage", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages:\n - name: x\n   peft: {rank: 2}\n", NULL,
     "line 4: peft.rank cannot stand in a stage: one model goes through all", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages:\n - name: x\n   stages: [{name: y}]\n", NULL, "stages cannot stand in a stage",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: &s\n - name: x\n   train: {bacth: 2}\n", NULL,
     "line 4: there is no key 'train.bacth'; the nearest is 'train.batch'", PFM_ERROR_USAGE},
    {"stages: [{name: x}]\n", NULL, "data.dataset is missing", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{name: x}]\n", "stages.1.train.batch=2", "there is no key 'stages.1.train.batch'",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{name: x}]\n", "stages=y", "stages is a list", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{name: x}]\n", "stages.0.train.batch=0", "--set: train.batch cannot be '0'",
     PFM_ERROR_USAGE},
    {"data:\n  dataset: slake\n  mixture: [{dataset: slake, ratoi: 2}]\n", NULL,
     "line 3: there is no key 'data.mixture.ratoi'; the nearest is 'data.mixture.ratio'", PFM_ERROR_USAGE},
    {"data: {dataset: slake, mixture: [{ratio: 2}]}\n", NULL, "data.mixture has a member without a dataset", PFM_ERROR_USAGE},
    {"data: {dataset: slake, mixture: [{dataset: nothing}]}\n", NULL, "data.mixture cannot be 'nothing'", PFM_ERROR_USAGE},
    {"data: {dataset: slake, mixture: [{dataset: slake, ratio: 0}]}\n", NULL, "data.mixture.ratio cannot be '0'",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake, mixture: [{dataset: slake, dataset: slake}]}\n", NULL,
     "data.mixture.dataset is given a second time", PFM_ERROR_USAGE},
    {"data: {dataset: slake, mixture: slake}\n", NULL, "data.mixture must be a list", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\ncompare: {learning_rates: [1e-3, 0]}\n", NULL,
     "line 2: compare.learning_rates cannot be '0'; it is a number above 0 and at most 10", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\n", "compare.learning_rates=1e-3,fast", "compare.learning_rates cannot be 'fast'",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake}\ncompare: {learning_rates: 1e-3}\n", NULL, "must be a list", PFM_ERROR_USAGE},
    {"data: {dataset: slake}\nstages: [{name: one, compare: {learning_rates: [1e-3]}}]\n", NULL, "cannot stand in a stage",
     PFM_ERROR_USAGE},
    {"data: {dataset: slake, mixture: [slake]}\n", NULL, "data.mixture must hold data sets", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel:\n  vision: none\n  aligner: linear\n", NULL,
     "line 4: model.aligner says how images are seen, and with model.vision: none nothing is", PFM_ERROR_USAGE},
    {smallest, "model.vision=none", "r.yaml line 1: model.aligner says how images are seen", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\n", "qformer.queries=3",
     "--set: qformer.queries says how images are seen", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\n", "prompt.image=<image>",
     "--set: prompt.image says how images are seen", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\ntrainable: [aligner, peft]\n", NULL,
     "line 3: trainable names the aligner, which there is none of with model.vision: none", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\nstages: [{name: x, trainable: [aligner]}]\n", NULL,
     "line 3: trainable names the aligner", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\nstages: [{name: x, model: {image_size: 64}}]\n", NULL,
     "line 3: model.image_size says how images are seen", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa, grounding: retrieved}\nmodel: {vision: none}\n", NULL,
     "line 1: data.grounding cannot be retrieved without data.index", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\n", "data.grounding=retrieved",
     "--set: data.grounding cannot be retrieved without data.index", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa, index: a.sqlite}\nmodel: {vision: none}\n", NULL,
     "line 1: data.index is for data.grounding: retrieved; leave it out", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa, grounding: full, snippets: 3}\nmodel: {vision: none}\n", NULL,
     "line 1: data.snippets is for data.grounding: retrieved; leave it out", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\nstages: [{name: x, data: {snippet_words: 3}}]\n", NULL,
     "line 3: data.snippet_words is for data.grounding: retrieved", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa, grounding: retrieved, index: a}\nmodel: {vision: none}\n", "data.snippets=0",
     "--set: data.snippets cannot be", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa, grounding: retrieved, index: a}\nmodel: {vision: none}\n", "data.snippets=101",
     "--set: data.snippets cannot be", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa, grounding: retrieved, index: a}\nmodel: {vision: none}\n", "data.snippet_words=-1",
     "--set: data.snippet_words cannot be", PFM_ERROR_USAGE},
    {"data: {dataset: medexpqa}\nmodel: {vision: none}\npeft: {method: none}\n", NULL,
     "trainable leaves nothing that trains; name norms, or peft with a peft.method", PFM_ERROR_USAGE},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_recipe *recipe = NULL;
        assert_error(parse_with(refusals[i].text, refusals[i].set, &recipe, &err), refusals[i].code, refusals[i].part);
        assert_null(recipe);
    }
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    assert_error(pfm_recipe_load("/nowhere/r.yaml", NULL, 0, &recipe, &err), PFM_ERROR_IO, "/nowhere/r.yaml");
}

static void test_overrides_win_and_the_last_of_them(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    const char *sets[] = {"train.batch=8", "train.batch=4", "peft.targets=o_proj", "data.language=", "train.learning_rate=1"};
    assert_ok(pfm_recipe_parse(smallest, strlen(smallest), "r.yaml", sets, 5, &recipe, &err));
    assert_int_equal(recipe->train.batch, 4);
    assert_int_equal(recipe->peft.target_count, 1);
    assert_string_equal(recipe->peft.targets[0], "o_proj");
    assert_null(recipe->data.language);
    assert_true(recipe->train.minimum_learning_rate == 0.05); /* follows the override */
    pfm_recipe_free(recipe);
    pfm_recipe_free(NULL);
}

static const char staged[] =
    "data: {dataset: slake, language: en}\n"
    "train: {epochs: 3, batch: 16, learning_rate: 0.1}\n"
    "stages:\n"
    "  - name: captions\n"
    "    trainable: [aligner]\n"
    "    data:\n"
    "      mixture:\n"
    "        - {dataset: vqa_rad, path: /rad, ratio: 60, instruction: [Say it., '[caption] \"Now\", go']}\n"
    "        - {dataset: slake}\n"
    "    prompt: {instruction: [a, b]}\n"
    "    train: {steps: 1000, learning_rate: 1e-5, minimum_learning_rate: 1e-6, warmup_learning_rate: 1e-7}\n"
    "  - name: questions\n"
    "    train: {epochs: 1}\n";

/* The keys above are the defaults of all stages, each of which is a whole recipe. */
static void test_stages(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    const char *sets[] = {"train.batch=8", "stages.1.train.batch=4", "stages.0.data.mixture.1.ratio=20", "peft.rank=2"};
    assert_ok(pfm_recipe_parse(staged, strlen(staged), "r.yaml", sets, 4, &recipe, &err));
    assert_int_equal(pfm_recipe_count_stages(recipe), 2);
    const pfm_recipe *captions = pfm_recipe_get_stage(recipe, 0), *questions = pfm_recipe_get_stage(recipe, 1);
    assert_string_equal(captions->name, "captions");
    assert_true(captions->train.batch == 8 && questions->train.batch == 4 && questions->peft.rank == 2);
    assert_true(captions->train.steps == 1000 && questions->train.steps == 0 && questions->train.epochs == 1);
    assert_true(captions->train.warmup_learning_rate == 1e-7 && captions->train.minimum_learning_rate == 1e-6);
    assert_true(questions->train.learning_rate == 0.1 && questions->train.minimum_learning_rate == 0.05 * 0.1);
    assert_true(pfm_recipe_trains(captions, "aligner") && !pfm_recipe_trains(captions, "peft") && !captions->adapts);
    assert_true(pfm_recipe_trains(questions, "peft") && questions->adapts);
    assert_int_equal(captions->data.mixture_count, 2);
    const pfm_member *members = captions->data.mixture;
    assert_string_equal(members[0].path, "/rad");
    assert_true(members[0].ratio == 60 && members[1].ratio == 20 && members[1].path == NULL);
    assert_int_equal(members[0].instruction_count, 2);
    assert_string_equal(members[0].instruction[1], "[caption] \"Now\", go");
    assert_int_equal(captions->prompt.instruction_count, 2);
    assert_int_equal(questions->data.mixture_count + members[1].instruction_count, 0);
    pfm_recipe_free(recipe);
    const char *warm[] = {"train.warmup_share=0.03", "stages.1.train.warmup_steps=7"};
    assert_ok(pfm_recipe_parse(staged, strlen(staged), "r.yaml", warm, 2, &recipe, &err)); /* a stage says its own */
    assert_true(recipe->stages[0]->train.warmup_share == 0.03 && recipe->stages[1]->train.warmup_share == 0);
    pfm_recipe_free(recipe);
    assert_ok(parse_with(smallest, NULL, &recipe, &err)); /* without stages a recipe is its own only one */
    assert_true(pfm_recipe_count_stages(recipe) == 1 && pfm_recipe_get_stage(recipe, 0) == recipe && recipe->adapts);
    pfm_recipe_free(recipe);
}

/* What is written loads to the same stages, a copy is the same, and the hash covers every stage but not where data lie. */
static void test_stages_written_and_read_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *first = NULL, *second = NULL, *part = NULL;
    pfm_buffer text = {0}, difference = {0};
    pfm_hash_hex a, b;
    const char *sets[] = {"stages.1.data.language=", "stages.0.train.warmup_share=0.25", "prompt.image=<Img><image></Img> "};
    assert_ok(pfm_recipe_parse(staged, strlen(staged), "r.yaml", sets, 3, &first, &err));
    assert_ok(pfm_recipe_write(first, &text, &err));
    assert_non_null(strstr(text.data, "stages:\n  - name: captions"));
    assert_ok(pfm_recipe_parse(text.data, text.size, "again", NULL, 0, &second, &err));
    assert_ok(pfm_recipe_compare(first, second, &difference, &err));
    assert_int_equal(difference.size, 0);
    assert_ok(pfm_recipe_hash(first, a, &err));
    assert_ok(pfm_recipe_hash(second, b, &err));
    assert_string_equal(a, b);
    pfm_recipe_free(second);
    assert_ok(parse_with(staged, "stages.0.data.mixture.0.ratio=61", &second, &err));
    assert_ok(pfm_recipe_hash(second, b, &err));
    assert_string_not_equal(a, b);
    assert_ok(pfm_recipe_compare(first, second, &difference, &err));
    assert_non_null(strstr(difference.data, "stages.0.data.mixture: [{dataset: vqa_rad, path: /rad,"));
    assert_non_null(strstr(difference.data, "stages.1.data.language: null, not en"));
    pfm_recipe_free(second);
    assert_ok(pfm_recipe_copy(first, SIZE_MAX, &second, &err));
    pfm_recipe_forget_asides(second);
    assert_null(second->stages[0]->data.mixture[0].path);
    assert_string_equal(first->stages[0]->data.mixture[0].path, "/rad");
    assert_ok(pfm_recipe_copy(first, 1, &part, &err));
    assert_int_equal(part->stage_count, 1);
    pfm_buffer_clear(&difference);
    assert_ok(pfm_recipe_compare(part, first, &difference, &err));
    assert_string_equal(difference.data, "stages: 1, not 2");
    pfm_recipe_free(part);
    pfm_recipe_free(first);
    pfm_recipe_free(second);
    pfm_buffer_free(&text);
    pfm_buffer_free(&difference);
}

#define IN_STAGES(text) "data: {dataset: slake}\nstages:\n  - name: one\n" text "\n"

/* Of epochs and steps the one said last, or nearest, holds; in one place only one may stand. */
static void test_the_length_of_a_stage(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *text, *set;
        int steps;
        double epochs;
    } cases[] = {{"train: {steps: 9}\n" IN_STAGES("    train: {epochs: 2}"), NULL, 0, 2},
                 {"train: {epochs: 2}\n" IN_STAGES("    train: {steps: 9}"), NULL, 9, 3},
                 {IN_STAGES("    train: {steps: 9}"), "stages.0.train.epochs=2", 0, 2},
                 {IN_STAGES("    train: {epochs: 2}"), "stages.0.train.steps=9", 9, 3},
                 {"train: {steps: 9}\n" IN_STAGES(""), "train.epochs=2", 0, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_recipe *recipe = NULL;
        assert_ok(parse_with(cases[i].text, cases[i].set, &recipe, &err));
        assert_int_equal(recipe->stages[0]->train.steps, cases[i].steps);
        assert_true(recipe->stages[0]->train.epochs == cases[i].epochs);
        pfm_recipe_free(recipe);
    }
}

/* Runs and comparisons in folders go on while the hash stays: a new key, at its default, does not change it. Where this fails,
 * a key that is not at its default has come, or the text of a value has changed. */
static void test_the_hash_lasts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL, *again = NULL;
    pfm_hash_hex a, b;
    assert_ok(parse_with("data: {dataset: slake, group: 8}\npeft: {rank: 16}\n", NULL, &recipe, &err));
    assert_ok(pfm_recipe_hash(recipe, a, &err));
    assert_string_equal(a, "4ef0d01bdf380fb64482578191de6e642c20118bf1bf78f0f371ddd22852b424");
    assert_ok(parse_with("data: {dataset: slake, group: 8}\npeft: {rank: 16}\n", "model.layers=[]", &again, &err));
    assert_ok(pfm_recipe_hash(again, b, &err));
    assert_string_not_equal(a, b);
    pfm_recipe_free(recipe);
    pfm_recipe_free(again);
}

/* A key that says nothing to the method is refused; where --set takes another method, the recipe's keys of the former go. */
static void test_keys_of_another_method(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_buffer text = {0};
    static const char lora[] = "data: {dataset: slake}\npeft: {rank: 8, alpha: 16, targets: [q_proj, up_proj]}\n",
                      ia3[] = "data: {dataset: slake}\npeft: {method: ia3, rank: 8}\n",
                      usual[] = "data: {dataset: slake}\npeft: {method: ia3, rank: 64}\n";
    assert_error(parse_with(ia3, NULL, &recipe, &err), PFM_ERROR_USAGE,
                 "line 2: peft.rank is not of peft.method: ia3; leave it out");
    assert_ok(parse_with(usual, NULL, &recipe, &err)); /* as a run's recipe of a former version has it */
    assert_ok(pfm_recipe_write(recipe, &text, &err));
    assert_null(strstr(text.data, "rank:"));
    assert_non_null(strstr(text.data, "feedforward:"));
    pfm_buffer_free(&text);
    pfm_recipe_free(recipe);
    assert_ok(parse_with(lora, "peft.method=dora", &recipe, &err));
    assert_true(recipe->left_out == NULL && recipe->peft.rank == 8 && recipe->peft.target_count == 2);
    pfm_recipe_free(recipe);
    assert_ok(parse_with(lora, "peft.method=serial", &recipe, &err));
    assert_string_equal(recipe->left_out, "peft.rank, peft.alpha, peft.targets");
    assert_true(recipe->peft.rank == 64 && recipe->peft.target_count == 0 && recipe->peft.bottleneck == 64);
    pfm_recipe_free(recipe);
    assert_ok(parse_with(lora, "peft.method=ln_tuning", &recipe, &err));
    assert_string_equal(recipe->left_out, "peft.rank, peft.alpha, peft.targets");
    assert_true(recipe->default_targets);
    assert_string_equal(recipe->peft.targets[0], "input_layernorm");
    pfm_recipe_free(recipe);
    static const char none[] = "data: {dataset: slake}\npeft: {method: none, rank: 8, targets: [q_proj]}\n";
    assert_ok(parse_with(none, NULL, &recipe, &err)); /* switched off by a word */
    pfm_recipe_free(recipe);
    const char *const sets[] = {"peft.method=ia3", "peft.rank=8"};
    assert_error(pfm_recipe_parse(lora, sizeof lora - 1, "r.yaml", sets, 2, &recipe, &err), PFM_ERROR_USAGE,
                 "peft.rank is not of peft.method: ia3; leave it out");
}

/* The rates that compare tries decide nothing of what one training computes. */
static void test_rates_to_compare(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *with = NULL, *without = NULL, *again = NULL;
    pfm_buffer text = {0};
    pfm_hash_hex a, b;
    static const char list[] = "data: {dataset: slake}\ncompare: {learning_rates: [3e-4, 0.001]}\n";
    assert_ok(parse_with(list, NULL, &with, &err));
    assert_int_equal(with->compare.learning_rate_count, 2);
    assert_string_equal(with->compare.learning_rates[1], "0.001");
    assert_true(with->train.learning_rate == 3e-4);
    assert_ok(pfm_recipe_write(with, &text, &err));
    assert_ok(pfm_recipe_parse(text.data, text.size, "again", NULL, 0, &again, &err));
    assert_int_equal(again->compare.learning_rate_count, 2);
    assert_ok(parse_with(list, "compare.learning_rates=", &without, &err));
    assert_int_equal(without->compare.learning_rate_count, 0);
    pfm_recipe_forget_asides(with);
    assert_ok(pfm_recipe_hash(with, a, &err));
    assert_ok(pfm_recipe_hash(without, b, &err));
    assert_string_equal(a, b);
    pfm_recipe_free(again);
    assert_ok(parse_with(list, "compare.learning_rates=[1e-2]", &again, &err));
    assert_int_equal(again->compare.learning_rate_count, 1);
    pfm_recipe_free(with);
    pfm_recipe_free(without);
    pfm_recipe_free(again);
    pfm_buffer_free(&text);
}

/* A model that sees nothing trains what peft adds, is given the question as it is, and says nothing of images. */
static void test_a_model_that_sees_nothing(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *first = NULL, *second = NULL;
    pfm_buffer text = {0}, difference = {0};
    static const char blind[] = "data: {dataset: medexpqa}\nmodel: {vision: none}\n",
                      with_stages[] =
                          "data: {dataset: medexpqa}\nmodel: {vision: none}\n"
                          "stages: [{name: a}, {name: b, trainable: [norms], prompt: {instruction: 'Say: {question}'}}]\n";
    assert_ok(parse_with(blind, NULL, &first, &err));
    assert_false(pfm_recipe_sees(first));
    assert_int_equal(first->trainable_count, 1);
    assert_true(pfm_recipe_trains(first, "peft") && first->adapts);
    assert_string_equal(first->prompt.instruction[0], "{question}");
    assert_ok(pfm_recipe_write(first, &text, &err));
    static const char *const absent[] = {
        "aligner:", "image_size:", "  layers:", "class_token:", "merge:", "normalise:", "qformer:", "gated:", "  image:"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if (strstr(text.data, absent[i]) != NULL)
            fail_msg("the recipe says %s: %s", absent[i], text.data);
    }
    assert_non_null(strstr(text.data, "vision: none"));
    assert_ok(pfm_recipe_parse(text.data, text.size, "again", NULL, 0, &second, &err));
    assert_ok(pfm_recipe_compare(first, second, &difference, &err));
    assert_int_equal(difference.size, 0);
    pfm_recipe_free(second);
    pfm_recipe_free(first);
    assert_ok(parse_with(blind, "trainable=[peft, norms]", &first, &err)); /* what is said holds */
    assert_true(first->trainable_count == 2 && first->adapts_norms);
    pfm_recipe_free(first);
    assert_ok(parse_with(with_stages, NULL, &first, &err));
    assert_true(pfm_recipe_trains(first->stages[0], "peft") && pfm_recipe_trains(first->stages[1], "norms"));
    assert_string_equal(first->stages[0]->prompt.instruction[0], "{question}");
    assert_string_equal(first->stages[1]->prompt.instruction[0], "Say: {question}");
    pfm_buffer_clear(&text);
    assert_ok(pfm_recipe_write(first, &text, &err));
    assert_ok(pfm_recipe_parse(text.data, text.size, "again", NULL, 0, &second, &err));
    assert_ok(pfm_recipe_compare(first, second, &difference, &err));
    assert_int_equal(difference.size, 0);
    pfm_recipe_free(first);
    pfm_recipe_free(second);
    pfm_buffer_free(&text);
    pfm_buffer_free(&difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_hash_lasts),
                                       cmocka_unit_test(test_keys_of_another_method),
                                       cmocka_unit_test(test_rates_to_compare),
                                       cmocka_unit_test(test_the_smallest),
                                       cmocka_unit_test(test_the_recipes_of_this_repository),
                                       cmocka_unit_test(test_retrieval),
                                       cmocka_unit_test(test_written_and_read_again),
                                       cmocka_unit_test(test_a_comma_locale_changes_nothing),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_overrides_win_and_the_last_of_them),
                                       cmocka_unit_test(test_stages),
                                       cmocka_unit_test(test_stages_written_and_read_again),
                                       cmocka_unit_test(test_the_length_of_a_stage),
                                       cmocka_unit_test(test_a_model_that_sees_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
