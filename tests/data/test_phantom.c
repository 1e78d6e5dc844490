#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/phantom.h"
#include "pefomed/image.h"
#include "pefomed/phantom.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

enum { SIDE = PFM_PHANTOM_SIDE };

static pfm_context *make_context(int threads)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    assert_ok(pfm_context_create(&(pfm_context_options){.threads = threads}, &context, &err));
    return context;
}

/* One hash over every file below a folder, names and bytes. */
static void hash_tree(const char *folder, pfm_hash *hash)
{
    pfm_error err = PFM_ERROR_INIT;
    char **names = NULL;
    size_t count = 0;
    assert_ok(pfm_folder_list(folder, &names, &count, &err));
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        assert_ok(pfm_path_join(folder, names[i], &path, &err));
        pfm_hash_update(hash, names[i], strlen(names[i]) + 1);
        if (pfm_path_is_folder(path)) {
            hash_tree(path, hash);
        } else {
            pfm_buffer bytes = {0};
            assert_ok(pfm_file_read(path, 0, &bytes, &err));
            pfm_hash_update(hash, bytes.data, bytes.size);
            pfm_buffer_free(&bytes);
        }
        free(path);
        free(names[i]);
    }
    free(names);
}

static void write_and_hash(const char *folder, int images, uint64_t seed, int threads, pfm_hash_hex out)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context(threads);
    pfm_hash *hash = NULL;
    char *document = NULL;
    assert_ok(pfm_phantom_write(context, folder, images, seed, &document, &err));
    assert_non_null(strstr(document, "\"written\":true"));
    assert_ok(pfm_hash_create(&hash, &err));
    hash_tree(folder, hash);
    pfm_hash_finish(hash, out);
    pfm_hash_free(hash);
    free(document);
    pfm_context_free(context);
}

static void test_the_seed_decides_every_byte(void **state)
{
    (void)state;
    pfm_hash_hex one, same, other;
    write_and_hash(test_path(test_scratch_folder(), "one"), 12, 7, 1, one);
    write_and_hash(test_path(test_scratch_folder(), "same"), 12, 7, 3, same);
    write_and_hash(test_path(test_scratch_folder(), "other"), 12, 8, 1, other);
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
}

/* One picture of each look: the same on every machine and compiler. Whoever changes them on purpose changes GENERATION too. */
static void test_known_pictures(void **state)
{
    (void)state;
    static const struct {
        pfm_phantom_scene scene;
        const char *hash;
    } known[] = {
        {{.region = PFM_PHANTOM_ABDOMEN,
          .look = PFM_PHANTOM_CT,
          .lesions = 2,
          .quadrant = {0, 1},
          .bright = true,
          .spleen = true},
         "960e6ef211ef52eba4c0bc6ee16a383cf59ea471467dd4113b0ab98d14ab6f80"},
        {{.region = PFM_PHANTOM_HEAD, .look = PFM_PHANTOM_T1, .lesions = 1, .quadrant = {3}, .large = true},
         "db72845372508b87b4b0d2b70b0ac9d15b9c810ca6e186efcd07bcacb926f441"},
        {{.region = PFM_PHANTOM_ABDOMEN, .look = PFM_PHANTOM_T2, .right_kidney = true, .left_kidney = true},
         "6530bc844bea2df3064ae4dcbb8ab44251ea2a3b0ad866c50cdf983f790c3e08"},
        {{.region = PFM_PHANTOM_CHEST, .look = PFM_PHANTOM_XRAY, .lesions = 3, .quadrant = {2, 0, 1}},
         "e2c210a866be80dca6e592624e6eaff21c5ea283f1651a74eebbee69a56b4312"},
    };
    static uint8_t grey[SIDE * SIDE];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_hash_hex hash;
        assert_ok(pfm_phantom_draw(&known[i].scene, 42, i, grey, &err));
        assert_ok(pfm_hash_bytes(grey, sizeof grey, hash, &err));
        assert_string_equal(hash, known[i].hash);
    }
}

/* Where and how large the lesion is, found by drawing the same scene without it. */
static void find_lesion(const pfm_phantom_scene *scene, uint64_t stream, double *x, double *y, double *width, double *grey)
{
    static uint8_t with[SIDE * SIDE], without[SIDE * SIDE];
    pfm_error err = PFM_ERROR_INIT;
    pfm_phantom_scene healthy = *scene;
    healthy.lesions = 0;
    assert_ok(pfm_phantom_draw(scene, 5, stream, with, &err));
    assert_ok(pfm_phantom_draw(&healthy, 5, stream, without, &err));
    double count = 0, sx = 0, sy = 0, left = SIDE, right = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        if (abs(with[i] - without[i]) < 40)
            continue;
        count++;
        sx += i % SIDE;
        sy += i / SIDE;
        left = i % SIDE < left ? i % SIDE : left;
        right = i % SIDE > right ? i % SIDE : right;
    }
    assert_true(count > 500);
    *x = sx / count / SIDE;
    *y = sy / count / SIDE;
    *width = (right - left + 1) / SIDE;
    *grey = with[(int)(sy / count) * SIDE + (int)(sx / count)];
}

/* A lesion is where the scene says, as large, as bright. */
static void test_lesions_are_what_is_said(void **state)
{
    (void)state;
    const pfm_phantom_look looks[] = {PFM_PHANTOM_CT, PFM_PHANTOM_XRAY, PFM_PHANTOM_T1};
    const pfm_phantom_region regions[] = {PFM_PHANTOM_ABDOMEN, PFM_PHANTOM_CHEST, PFM_PHANTOM_HEAD};
    for (unsigned i = 0; i < 24; i++) {
        pfm_phantom_scene scene = {.region = regions[i % 3],
                                   .look = looks[i % 3],
                                   .lesions = 1,
                                   .spleen = true,
                                   .quadrant = {(pfm_phantom_quadrant)(i / 3 % 4)},
                                   .bright = i % 2 == 0,
                                   .large = i < 12};
        double x, y, width, grey;
        find_lesion(&scene, i, &x, &y, &width, &grey);
        assert_true((x > .5) == ((scene.quadrant[0] & 1) != 0)); /* the patient's left is at the picture's right */
        assert_true((y > .5) == ((scene.quadrant[0] & 2) != 0));
        assert_true(x < .42 || x > .58);
        assert_true(y < .46 || y > .54);
        assert_true(scene.large ? width > .19 : width < .165);
        assert_true(scene.bright ? grey > 235 : grey < 20);
    }
}

static int count_answer(const json_t *rows, const char *question, const char *answer)
{
    int count = 0;
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        count += strcmp(json_string_value(json_object_get(row, "question")), question) == 0 &&
                 (answer == NULL || strcmp(json_string_value(json_object_get(row, "answer")), answer) == 0);
    }
    return count;
}

/* Asks about many scenes: the rows, and how many each image has at least and at most. */
static json_t *ask_about(size_t count, int *fewest, int *most)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_phantom_scene *scenes = calloc(count, sizeof *scenes);
    pfm_phantom_asker *asker = NULL;
    json_t *rows = json_array();
    int id = 0;
    assert_non_null(scenes);
    assert_ok(pfm_phantom_scenes(3, 0, scenes, count, &err));
    assert_ok(pfm_phantom_asker_create(3, 1, &asker, &err));
    *fewest = 1000;
    *most = 0;
    for (size_t i = 0; i < count; i++) {
        int before = id;
        assert_ok(pfm_phantom_ask(asker, &scenes[i], (int)i, "x", &id, rows, &err));
        *fewest = id - before < *fewest ? id - before : *fewest;
        *most = id - before > *most ? id - before : *most;
    }
    assert_int_equal(id, json_array_size(rows));
    pfm_phantom_asker_free(asker);
    free(scenes);
    return rows;
}

/* Who always gives the most common answer to a question scores hardly above chance. */
static void test_guessing_does_not_pay(void **state)
{
    (void)state;
    int fewest = 0, most = 0;
    json_t *rows = ask_about(400, &fewest, &most);
    double hits[2] = {0}, asked[2] = {0};
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        const char *question = json_string_value(json_object_get(row, "question"));
        bool open = strcmp(json_string_value(json_object_get(row, "answer_type")), "OPEN") == 0;
        int own = count_answer(rows, question, json_string_value(json_object_get(row, "answer")));
        asked[open] += 1;
        hits[open] += (double)own / count_answer(rows, question, NULL); /* a guesser in proportion */
    }
    assert_true(fewest >= 8 && most <= 12);
    assert_true(hits[0] / asked[0] < .53);
    assert_true(hits[1] / asked[1] < .40);
    const char *numbers[] = {"0", "1", "2", "3"};
    for (int i = 0; i < 4; i++)
        assert_true(count_answer(rows, "How many abnormalities are there in this image?", numbers[i]) > 50);
    json_decref(rows);
}

/* The files that a reader needs, with the keys of SLAKE's rows, no image in two splits, every picture readable. */
static void test_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *keys[] = {"img_id",   "img_name",    "question",  "answer",       "q_lang", "location",
                          "modality", "answer_type", "base_type", "content_type", "triple", "qid"};
    const char *splits[] = {"train.json", "validate.json", "test.json"};
    char *folder = strdup(test_path(test_scratch_folder(), "one"));
    int seen[13] = {0}, id = 0;
    for (int s = 0; s < 3; s++) {
        json_t *rows = NULL;
        assert_ok(pfm_json_load(test_path(folder, splits[s]), &rows, &err));
        assert_true(json_array_size(rows) > 0);
        size_t index;
        const json_t *row;
        json_array_foreach(rows, index, row)
        {
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                assert_non_null(json_object_get(row, keys[k]));
            assert_int_equal(json_integer_value(json_object_get(row, "qid")), id++);
            int image = (int)json_integer_value(json_object_get(row, "img_id"));
            assert_true(image >= 1 && image <= 12);
            assert_true(seen[image] == 0 || seen[image] == s + 1);
            seen[image] = s + 1;
            pfm_image picture;
            char *images = strdup(test_path(folder, "imgs"));
            assert_ok(pfm_image_load(test_path(images, json_string_value(json_object_get(row, "img_name"))), &picture, &err));
            assert_int_equal(picture.width, SIDE);
            pfm_image_free(&picture);
            free(images);
        }
        json_decref(rows);
    }
    free(folder);
}

static void test_a_folder_in_use(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context(2);
    char *folder = strdup(test_path(test_scratch_folder(), "one")), *document = NULL;
    assert_ok(pfm_phantom_write(context, folder, 12, 7, &document, &err)); /* the same again: nothing is written */
    assert_non_null(strstr(document, "\"written\":false"));
    free(document);
    assert_error(pfm_phantom_write(context, folder, 12, 8, &document, &err), PFM_ERROR_USAGE,
                 "another phantom (12 images, seed 7)");
    assert_error(pfm_phantom_write(context, folder, 13, 7, &document, &err), PFM_ERROR_USAGE, "another phantom");
    assert_int_equal(unlink(test_path(folder, "imgs/xmlab3/source.jpg")), 0);
    assert_ok(pfm_phantom_write(context, folder, 12, 7, &document, &err)); /* what is missing comes back */
    assert_non_null(strstr(document, "\"written\":true"));
    free(document);
    assert_true(pfm_path_exists(test_path(folder, "imgs/xmlab3/source.jpg")));
    free(folder);
    pfm_context_free(context);
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context(1);
    char *document = NULL, *folder = strdup(test_path(test_scratch_folder(), "mine"));
    assert_error(pfm_phantom_write(context, folder, 0, 1, &document, &err), PFM_ERROR_USAGE, "0 images");
    assert_error(pfm_phantom_write(context, folder, 9, 1, &document, &err), PFM_ERROR_USAGE, "9 images");
    assert_error(pfm_phantom_write(context, "/proc/phantom", 10, 1, &document, &err), PFM_ERROR_IO, "/proc/phantom");
    assert_ok(pfm_folder_create(folder, &err));
    assert_ok(pfm_file_write(test_path(folder, "thesis.tex"), "x", 1, &err));
    assert_error(pfm_phantom_write(context, folder, 10, 1, &document, &err), PFM_ERROR_USAGE, "thesis.tex");
    assert_error(pfm_phantom_write(context, test_path(folder, "thesis.tex"), 10, 1, &document, &err), PFM_ERROR_IO,
                 "thesis.tex");
    assert_null(document);
    free(folder);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_seed_decides_every_byte),
                                       cmocka_unit_test(test_known_pictures),
                                       cmocka_unit_test(test_lesions_are_what_is_said),
                                       cmocka_unit_test(test_guessing_does_not_pay),
                                       cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_a_folder_in_use),
                                       cmocka_unit_test(test_what_cannot_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
