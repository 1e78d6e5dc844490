/* The store of frozen features: what is kept is what is computed, bit for bit; damaged, foreign and missing files, quotas,
 * refusing folders, interruption, threads and processes side by side. The network is EfficientNet-Lite0 with random weights at
 * 32 pixels, in plain C where nothing else is asked for. */
#include "test.h"

#include "base/dtype.h"
#include "base/file.h"
#include "models/vision/feature_file.h"
#include "models/vision/feature_store.h"
#include "models/random_lite0.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 32, VALUES = 1280, PICTURES = 3, PATHS = 4 };

typedef struct fixture {
    pfm_context *context;
    pfm_vision *vision;
    int warnings, reports;
    volatile int interrupt;
} fixture;

static char weights_path[4096];
static pfm_image_file files[PATHS]; /* the last one has the first one's content */

static void count_warning(void *user, pfm_log_level level, const char *message)
{
    (void)message;
    ((fixture *)user)->warnings += level == PFM_LOG_WARNING ? 1 : 0;
}

static void count_report(void *user, const pfm_progress *progress)
{
    assert_string_equal(progress->task, "features");
    assert_true(progress->done >= 1 && progress->done <= progress->total);
    ((fixture *)user)->reports++;
}

static void open_fixture(fixture *f, const char *home, int threads)
{
    pfm_error err = PFM_ERROR_INIT;
    *f = (fixture){0};
    const char *level = getenv("PEFOMED_CPU") != NULL ? NULL : "ref";
    pfm_context_options options = {.threads = threads,
                                   .cpu_level = level,
                                   .home = home,
                                   .log = count_warning,
                                   .progress = count_report,
                                   .user = f,
                                   .interrupt = &f->interrupt};
    assert_ok(pfm_context_create(&options, &f->context, &err));
    const pfm_vision_options encoder = {.kind = "efficientnet-lite0", .path = weights_path, .image_size = SIZE};
    assert_ok(pfm_vision_load(f->context, &encoder, &f->vision, &err));
}

static void close_fixture(fixture *f)
{
    pfm_vision_free(f->vision);
    pfm_context_free(f->context);
}

static void write_picture(const char *path, int seed)
{
    pfm_error err = PFM_ERROR_INIT;
    static uint8_t rgb[40 * 50 * 3];
    pfm_image image = {.width = 40, .height = 50, .rgb = rgb};
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)((i * (size_t)(7 + seed) + i * i / 91 * (size_t)seed) % 256);
    assert_ok(pfm_image_write_png(&image, path, &err));
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(weights_path, sizeof weights_path, "%s/weights.safetensors", test_scratch_folder());
    write_random_lite0(weights_path);
    for (int i = 0; i < PATHS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "picture%d.png", i);
        files[i].path = strdup(test_path(test_scratch_folder(), name));
        write_picture(files[i].path, i % PICTURES);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < PATHS; i++)
        free((void *)(uintptr_t)files[i].path);
    return 0;
}

static void check_counts(const pfm_feature_store *store, size_t found, size_t kept)
{
    size_t pictures, found_now, kept_now;
    pfm_feature_store_get_counts(store, &pictures, &found_now, &kept_now);
    assert_int_equal(pictures, PICTURES);
    assert_int_equal(found_now, found);
    assert_int_equal(kept_now, kept);
}

/* The four pictures' features, computed afresh in memory. */
static float *fresh(fixture *f)
{
    pfm_error err = PFM_ERROR_INIT;
    float *out = calloc(PATHS * VALUES, sizeof *out);
    assert_non_null(out);
    for (int i = 0; i < PATHS; i++) {
        pfm_image image = {0};
        assert_ok(pfm_image_load(files[i].path, &image, &err));
        assert_ok(pfm_features_of_image(f->vision, &image, out + (ptrdiff_t)i * VALUES, &err));
        pfm_image_free(&image);
    }
    return out;
}

static void check_reads(pfm_feature_store *store, const float *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    float out[VALUES];
    uint16_t halves[VALUES];
    for (size_t i = 0; i < PATHS; i++) {
        memset(out, 0xff, sizeof out);
        assert_ok(pfm_feature_store_read(store, i, out, &err));
        assert_memory_equal(out, wanted + i * VALUES, sizeof out);
        assert_ok(pfm_feature_store_read_f16(store, i, halves, &err));
        for (size_t v = 0; v < VALUES; v++)
            assert_true(pfm_f16_to_f32(halves[v]) == out[v]);
    }
    assert_error(pfm_feature_store_read(store, PATHS, out, &err), PFM_ERROR_USAGE, "no picture 4");
}

static pfm_feature_store *make_store(fixture *f, uint64_t quota)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_feature_store *store = NULL;
    assert_ok(pfm_feature_store_create(f->vision, files, PATHS, quota, &store, &err));
    assert_int_equal(pfm_feature_store_count(store), PATHS);
    return store;
}

static void kept_is_what_is_computed(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, test_path(test_scratch_folder(), "home1"), 2);
    float *wanted = fresh(&f);
    assert_memory_not_equal(wanted, wanted + VALUES, VALUES * sizeof *wanted);
    assert_memory_equal(wanted, wanted + PICTURES * VALUES, VALUES * sizeof *wanted);
    pfm_feature_store *store = make_store(&f, PFM_FEATURE_QUOTA);
    check_counts(store, 0, PICTURES);
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    int reports = f.reports;
    store = make_store(&f, PFM_FEATURE_QUOTA);
    check_counts(store, PICTURES, PICTURES);
    assert_int_equal(f.reports, reports); /* nothing was left to do */
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    assert_int_equal(f.warnings, 0);
    free(wanted);
    close_fixture(&f);
}

static void rounded_to_half(void **state)
{
    (void)state;
    fixture f;
    pfm_error err = PFM_ERROR_INIT;
    open_fixture(&f, test_path(test_scratch_folder(), "home1"), 1);
    float *wanted = fresh(&f), *pixels = malloc(3 * SIZE * SIZE * sizeof *pixels),
          *features = malloc(VALUES * sizeof *features);
    assert_true(pixels != NULL && features != NULL);
    pfm_image image = {0};
    assert_ok(pfm_image_load(files[0].path, &image, &err));
    assert_ok(pfm_vision_preprocess(f.vision, &image, pixels, &err));
    assert_ok(pfm_vision_encode(f.vision, pixels, 1, features, &err));
    int nonzero = 0;
    for (size_t v = 0; v < VALUES; v++) {
        assert_true(pfm_f16_to_f32(pfm_f16_from_f32(features[v])) == wanted[v]);
        nonzero += wanted[v] != 0 ? 1 : 0;
    }
    assert_true(nonzero > VALUES / 10);
    pfm_image_free(&image);
    free(wanted);
    free(pixels);
    free(features);
    close_fixture(&f);
}

/* The names of the kept files; free each and the array. */
static char **kept_files(const char *home, size_t *count)
{
    pfm_error err = PFM_ERROR_INIT;
    char **names = NULL;
    const char *folder = test_path(home, "features");
    assert_ok(pfm_folder_list(folder, &names, count, &err));
    for (size_t i = 0; i < *count; i++) {
        char *full = NULL;
        assert_ok(pfm_path_join(folder, names[i], &full, &err));
        free(names[i]);
        names[i] = full;
    }
    return names;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void damage(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void damaged_files_are_computed_again(void **state)
{
    (void)state;
    fixture f;
    size_t count;
    const char *home = test_path(test_scratch_folder(), "home2");
    open_fixture(&f, home, 1);
    float *wanted = fresh(&f);
    pfm_feature_store *store = make_store(&f, PFM_FEATURE_QUOTA);
    char **names = kept_files(home, &count);
    assert_int_equal(count, PICTURES);
    static const off_t places[] = {0, 9, 16, 24, 40, 100, 128, 128 + 2 * VALUES - 1};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) { /* behind the store's back: reading mends */
        damage(names[p % PICTURES], places[p]);
        check_reads(store, wanted);
        pfm_feature_store *again = make_store(&f, PFM_FEATURE_QUOTA);
        check_counts(again, PICTURES, PICTURES);
        pfm_feature_store_free(again);
    }
    assert_int_equal(truncate(names[0], 128 + 2 * VALUES - 1), 0);
    assert_int_equal(truncate(names[1], 0), 0);
    assert_int_equal(unlink(names[2]), 0);
    check_reads(store, wanted);
    assert_int_equal(truncate(names[0], 128 + 2 * VALUES + 1), 0);
    assert_int_equal(rename(names[1], names[2]), 0); /* another picture's features under this name */
    pfm_feature_store_free(store);
    store = make_store(&f, PFM_FEATURE_QUOTA);
    check_counts(store, 0, PICTURES);
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    free_names(names, count);
    free(wanted);
    close_fixture(&f);
}

static void quotas_and_refusing_folders(void **state)
{
    (void)state;
    fixture f;
    pfm_error err = PFM_ERROR_INIT;
    const char *home = test_path(test_scratch_folder(), "home3");
    open_fixture(&f, home, 2);
    float *wanted = fresh(&f);
    pfm_vision_shape shape = pfm_vision_get_shape(f.vision);
    pfm_feature_store *store = make_store(&f, 0);
    check_counts(store, 0, 0);
    assert_int_equal(f.reports, 0); /* nothing can be kept, so nothing was computed yet */
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    assert_int_equal(f.warnings, 0);
    store = make_store(&f, 2 * pfm_feature_file_bytes(&shape) + 5);
    check_counts(store, 0, 2);
    assert_int_equal(f.warnings, 1);
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    close_fixture(&f);

    const char *file = test_path(test_scratch_folder(), "a-file");
    assert_ok(pfm_file_write(file, "x", 1, &err));
    open_fixture(&f, file, 1); /* a home that cannot be a folder */
    store = make_store(&f, PFM_FEATURE_QUOTA);
    check_counts(store, 0, 0);
    assert_int_equal(f.warnings, 1);
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    free(wanted);
    close_fixture(&f);
}

static void left_files_are_removed(void **state)
{
    (void)state;
    fixture f;
    pfm_error err = PFM_ERROR_INIT;
    const char *home = test_path(test_scratch_folder(), "home4");
    const char *folder = test_path(home, "features"), *old = test_path(folder, "x.f16.tmp.1.2"),
               *young = test_path(folder, "y.f16.tmp.1.2");
    const struct timeval past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_ok(pfm_folder_create(folder, &err));
    assert_ok(pfm_file_write(old, "x", 1, &err));
    assert_ok(pfm_file_write(young, "x", 1, &err));
    assert_int_equal(utimes(old, past), 0);
    open_fixture(&f, home, 1);
    pfm_feature_store_free(make_store(&f, PFM_FEATURE_QUOTA));
    assert_false(pfm_path_exists(old));
    assert_true(pfm_path_exists(young)); /* another process may be writing it */
    close_fixture(&f);
}

static void pictures_that_cannot_be_read(void **state)
{
    (void)state;
    fixture f;
    pfm_error err = PFM_ERROR_INIT;
    pfm_feature_store *store = NULL;
    float out[VALUES];
    open_fixture(&f, test_path(test_scratch_folder(), "home5"), 2);
    const char *text = test_path(test_scratch_folder(), "text.png"), *gone = test_path(test_scratch_folder(), "gone.png");
    const char *changing = test_path(test_scratch_folder(), "changing.png");
    assert_ok(pfm_file_write(text, "no picture", 10, &err));
    const pfm_image_file with_text[] = {files[0], {.path = text}}, with_gone[] = {{.path = gone}, files[0]},
                         with_change[] = {{.path = changing}};
    assert_error(pfm_feature_store_create(f.vision, with_text, 2, PFM_FEATURE_QUOTA, &store, &err), PFM_ERROR_FORMAT,
                 "text.png");
    assert_error(pfm_feature_store_create(f.vision, with_gone, 2, PFM_FEATURE_QUOTA, &store, &err), PFM_ERROR_IO, "gone.png");
    write_picture(changing, 9);
    assert_ok(pfm_feature_store_create(f.vision, with_change, 1, 0, &store, &err));
    assert_ok(pfm_feature_store_read(store, 0, out, &err));
    write_picture(changing, 10);
    assert_error(pfm_feature_store_read(store, 0, out, &err), PFM_ERROR_MISMATCH, "changing.png has changed");
    pfm_feature_store_free(store);
    assert_ok(pfm_feature_store_create(f.vision, NULL, 0, PFM_FEATURE_QUOTA, &store, &err));
    pfm_feature_store_free(store);
    close_fixture(&f);
}

static void write_copy(const char *from, const char *to)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer bytes = {0};
    assert_ok(pfm_file_read(from, 0, &bytes, &err));
    assert_ok(pfm_file_write(to, bytes.data, bytes.size, &err));
    pfm_buffer_free(&bytes);
}

/* What is told of the first of a file of values and a finished picture, to be NULL of the second. */
static char *tell(pfm_feature_store *store)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *json = NULL;
    assert_ok(pfm_feature_store_tell(store, 1, &json, &err));
    assert_null(json);
    assert_ok(pfm_feature_store_tell(store, 0, &json, &err));
    assert_non_null(json);
    return strdup(json);
}

/* What was applied to values is kept with the features, told without the file, and found again where it is not kept. */
static void what_was_applied_is_told(void **state)
{
    (void)state;
    fixture f;
    pfm_error err = PFM_ERROR_INIT;
    pfm_feature_store *store = NULL;
    const char *home = test_path(test_scratch_folder(), "home9"), *golden = "tests/image/golden/dicom/linear.dcm";
    const char *scan = test_path(test_scratch_folder(), "scan.dcm");
    const pfm_image_file two[] = {{.path = scan}, files[0]};
    write_copy(golden, scan);
    open_fixture(&f, home, 2);
    assert_ok(pfm_feature_store_create(f.vision, two, 2, PFM_FEATURE_QUOTA, &store, &err));
    const pfm_vision_shape shape = pfm_feature_store_get_shape(store);
    assert_int_equal(unlink(scan), 0); /* nothing is decoded twice */
    char *told = tell(store), *path = NULL;
    assert_non_null(strstr(told, "\"function\":\"LINEAR\""));
    assert_ok(pfm_string_format(&path, &err, "%s/features/%s.f16", home, pfm_feature_store_key(store, 0)));
    pfm_feature_store_free(store);

    enum { FROM_THE_FILE, FROM_BEFORE, DAMAGED, NOT_KEPT, WAYS };
    for (int way = FROM_THE_FILE; way < WAYS; way++) {
        uint16_t values[VALUES];
        write_copy(golden, scan);
        if (way == FROM_BEFORE) {
            pfm_hash_hex key;
            memcpy(key, strrchr(path, '/') + 1, sizeof key - 1);
            key[sizeof key - 1] = '\0';
            assert_true(pfm_feature_file_read(path, key, &shape, values));
            assert_ok(pfm_feature_file_write(path, key, &shape, values, NULL, PFM_FEATURE_TEXT_NONE, &err));
        } else if (way == DAMAGED) {
            damage(path, 128 + 2 * VALUES + 3);
        } else if (way == NOT_KEPT) {
            assert_int_equal(unlink(path), 0);
        }
        assert_ok(pfm_feature_store_create(f.vision, two, 2, way == NOT_KEPT ? 0 : PFM_FEATURE_QUOTA, &store, &err));
        if (way == NOT_KEPT) /* as it is used */
            assert_ok(pfm_feature_store_read_f16(store, 0, values, &err));
        if (way == FROM_THE_FILE || way == NOT_KEPT)
            assert_int_equal(unlink(scan), 0);
        char *now = tell(store);
        assert_string_equal(now, told);
        free(now);
        pfm_feature_store_free(store);
        if (way == FROM_BEFORE) { /* as this version keeps it */
            assert_int_equal(unlink(path), 0);
            assert_ok(pfm_feature_store_create(f.vision, two, 2, PFM_FEATURE_QUOTA, &store, &err));
            pfm_feature_store_free(store);
        }
    }
    free(told);
    free(path);
    close_fixture(&f);
}

static void interruption(void **state)
{
    (void)state;
    fixture f;
    pfm_error err = PFM_ERROR_INIT;
    pfm_feature_store *store = NULL;
    open_fixture(&f, test_path(test_scratch_folder(), "home6"), 1);
    f.interrupt = 1;
    assert_error(pfm_feature_store_create(f.vision, files, PATHS, PFM_FEATURE_QUOTA, &store, &err), PFM_ERROR_INTERRUPTED,
                 "kept");
    f.interrupt = 0;
    store = make_store(&f, PFM_FEATURE_QUOTA);
    check_counts(store, 0, PICTURES);
    pfm_feature_store_free(store);
    close_fixture(&f);
}

typedef struct reading {
    pfm_feature_store *store;
    const float *wanted;
    int wrong[16];
} reading;

static void read_item(void *user, int item, int thread)
{
    (void)thread;
    reading *r = user;
    float out[VALUES];
    size_t index = (size_t)item % PATHS;
    bool right = pfm_feature_store_read(r->store, index, out, NULL) == PFM_OK &&
                 memcmp(out, r->wanted + index * VALUES, sizeof out) == 0;
    r->wrong[item] = right ? 0 : 1;
}

static void threads_side_by_side(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, test_path(test_scratch_folder(), "home7"), 3);
    float *wanted = fresh(&f);
    for (int kept = 0; kept < 2; kept++) {
        reading r = {.store = make_store(&f, kept == 1 ? PFM_FEATURE_QUOTA : 0), .wanted = wanted};
        memset(r.wrong, 0xff, sizeof r.wrong);
        pfm_threads_run(f.context->threads, 16, read_item, &r);
        for (int i = 0; i < 16; i++)
            assert_int_equal(r.wrong[i], 0);
        pfm_feature_store_free(r.store);
    }
    free(wanted);
    close_fixture(&f);
}

static void processes_side_by_side(void **state)
{
    (void)state;
    fixture f;
    const char *home = test_path(test_scratch_folder(), "home8");
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0)
            continue;
        open_fixture(&f, home, 1); /* a failed assertion ends the child with another status than 0 */
        pfm_feature_store_free(make_store(&f, PFM_FEATURE_QUOTA));
        close_fixture(&f);
        _exit(0);
    }
    for (int i = 0; i < 3; i++) {
        int result = -1;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_int_equal(result, 0);
    }
    size_t count;
    free_names(kept_files(home, &count), PICTURES);
    assert_int_equal(count, PICTURES);
    open_fixture(&f, home, 1);
    float *wanted = fresh(&f);
    pfm_feature_store *store = make_store(&f, PFM_FEATURE_QUOTA);
    check_counts(store, PICTURES, PICTURES);
    check_reads(store, wanted);
    pfm_feature_store_free(store);
    free(wanted);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_is_what_is_computed),
        cmocka_unit_test(rounded_to_half),
        cmocka_unit_test(damaged_files_are_computed_again),
        cmocka_unit_test(quotas_and_refusing_folders),
        cmocka_unit_test(left_files_are_removed),
        cmocka_unit_test(pictures_that_cannot_be_read),
        cmocka_unit_test(what_was_applied_is_told),
        cmocka_unit_test(interruption),
        cmocka_unit_test(threads_side_by_side),
        cmocka_unit_test(processes_side_by_side),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
