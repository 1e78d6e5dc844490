/* Pictures of small DICOM files of every kind against pydicom's apply_modality_lut, apply_voi_lut and apply_color_lut, and what
 * a hostile file comes to. */
#include "base/file.h"
#include "base/json.h"
#include "golden.h"
#include "pefomed/dicom.h"

#include <dirent.h>
#include <time.h>

static int nibble(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static void check_picture(const json_t *entry, const pfm_image *image, const char *what)
{
    const char *hex = json_string_value(json_object_get(entry, "picture"));
    const bool grey = json_is_true(json_object_get(entry, "grey"));
    const int most = json_is_true(json_object_get(entry, "near")) ? 1 : 0;
    const size_t samples = strlen(hex) / 2;
    assert_int_equal(image->height, json_integer_value(json_object_get(entry, "rows")));
    assert_int_equal(image->width, json_integer_value(json_object_get(entry, "columns")));
    assert_int_equal(samples, (size_t)image->width * (size_t)image->height * (grey ? 1 : 3));
    for (size_t i = 0; i < samples * (grey ? 3 : 1); i++) {
        const size_t at = grey ? i / 3 : i;
        const int wanted = 16 * nibble(hex[2 * at]) + nibble(hex[2 * at + 1]);
        if (abs(image->rgb[i] - wanted) > most)
            fail_msg("%s: byte %zu is %d, and pydicom's %d", what, i, image->rgb[i], wanted);
    }
}

/* Every window and frame of every golden file. */
static void test_pictures(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *entries = NULL;
    const json_t *entry;
    size_t i;
    char name[100];
    assert_ok(pfm_json_load(golden_path("dicom/pictures.json"), &entries, &err));
    json_array_foreach(entries, i, entry)
    {
        const char *window = json_string_value(json_object_get(entry, "window"));
        const bool chosen = window != NULL && strcmp(window, "colour") != 0;
        pfm_image image;
        pfm_image_applied applied;
        const pfm_image_options options = {.frame = (int)json_integer_value(json_object_get(entry, "frame")),
                                           .window = chosen ? window : NULL};
        (void)snprintf(name, sizeof name, "dicom/%s", json_string_value(json_object_get(entry, "file")));
        assert_ok(pfm_image_convert(golden_path(name), &options, &image, &applied, &err));
        check_picture(entry, &image, name);
        assert_string_equal(applied.kind, "DICOM");
        if (window == NULL)
            assert_string_equal(applied.window, "stored");
        else if (chosen)
            assert_string_equal(applied.window, window);
        pfm_image_free(&image);
    }
    assert_true(json_array_size(entries) >= 50);
    json_decref(entries);
}

static pfm_status show(const char *name, const char *window, int frame, pfm_image_applied *applied, uint8_t *first,
                       pfm_error *err)
{
    pfm_image image;
    const pfm_image_options options = {.frame = frame, .window = window};
    pfm_status status = pfm_image_convert(golden_path(name), &options, &image, applied, err);
    if (status == PFM_OK)
        *first = image.rgb[0];
    pfm_image_free(&image);
    return status;
}

static void test_the_choice_of_a_window(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image_applied a;
    uint8_t first;
    assert_ok(show("dicom/linear.dcm", NULL, 0, &a, &first, &err));
    assert_string_equal(a.window, "file:0");
    assert_true(a.center == 40 && a.width == 400 && a.slope == 1 && a.intercept == -1024 && a.frames == 1);
    assert_ok(show("dicom/linear.dcm", "lung", 0, &a, &first, &err));
    assert_string_equal(a.window, "lung");
    assert_true(a.center == -600 && a.width == 1500);
    assert_ok(show("dicom/voi_lut.dcm", NULL, 0, &a, &first, &err));
    assert_string_equal(a.window, "lut:0");
    assert_string_equal(a.function, "LUT");
    assert_ok(show("dicom/enhanced.dcm", NULL, 2, &a, &first, &err));
    assert_true(a.center == 2000 && a.width == 2002 && a.slope == 2 && a.intercept == -1000 && a.frames == 3 && a.frame == 2);
    assert_ok(show("dicom/enhanced.dcm", "bone", 0, &a, &first, &err)); /* its values are HU, whatever its modality */
    assert_error(show("dicom/sigmoid.dcm", "lung", 0, &a, &first, &err), PFM_ERROR_USAGE, "Hounsfield units");
    assert_error(show("dicom/linear.dcm", "file:2", 0, &a, &first, &err), PFM_ERROR_USAGE, "has 2 windows (they count from 0)");
    assert_error(show("dicom/linear.dcm", "lut:0", 0, &a, &first, &err), PFM_ERROR_USAGE, "no VOI LUT of number 0");
    assert_error(show("dicom/rgb.dcm", "40,400", 0, &a, &first, &err), PFM_ERROR_USAGE, "colour picture (RGB)");
    assert_error(show("dicom/enhanced.dcm", NULL, 3, &a, &first, &err), PFM_ERROR_USAGE, "numbers 0 to 2; there is no frame 3");
    assert_error(show("dicom/rgb.dcm", NULL, 1, &a, &first, &err), PFM_ERROR_USAGE, "there is no frame 1");
}

/* A recipe's window is for what holds values, and passes over the rest. */
static void test_a_window_for_all_kinds(void **state)
{
    (void)state;
    static const char *const finished[] = {"dicom/rgb.dcm", "grey.jpg", "grey8.png"};
    pfm_error err = PFM_ERROR_INIT;
    for (int i = 0; i < 3; i++) {
        pfm_image image;
        pfm_image_applied applied;
        assert_ok(pfm_image_load_shown(golden_path(finished[i]), "40,400", &image, &applied, &err));
        assert_false(applied.has_values);
        pfm_image_free(&image);
    }
    assert_ok(pfm_image_check_window("40,400,sigmoid", &err));
    assert_ok(pfm_image_check_window(NULL, &err));
    assert_error(pfm_image_check_window("lungs", &err), PFM_ERROR_USAGE, "cannot be 'lungs'");
    assert_error(pfm_image_check_window("40,0.5", &err), PFM_ERROR_USAGE, "at least 1");
    assert_error(pfm_image_check_window("40,400,cubic", &err), PFM_ERROR_USAGE, "cannot be '40,400,cubic'");
}

/* The file without preamble and meta header is the same picture; without them and explicit too. */
static void test_headless(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image one, two;
    assert_ok(pfm_image_load(golden_path("dicom/implicit.dcm"), &one, &err));
    assert_ok(pfm_image_load(golden_path("dicom/headless.dcm"), &two, &err));
    assert_memory_equal(one.rgb, two.rgb, (size_t)one.width * (size_t)one.height * 3);
    pfm_image_free(&one);
    pfm_image_free(&two);
}

/* Of this process's work, whatever else the machine does. */
static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Each golden file cut at many lengths and with many single bytes changed: never a crash, an error that names the file and
 * nothing of the patient, and no picture left behind. */
static void check_damaged(const char *name, const pfm_buffer *whole)
{
    for (size_t i = 0; i < 2 * whole->size; i += 3) {
        const size_t size = i < whole->size ? i : whole->size;
        unsigned char *bytes = malloc(size + (size == 0));
        char *text = NULL;
        pfm_error err = PFM_ERROR_INIT;
        pfm_image image;
        assert_non_null(bytes);
        memcpy(bytes, whole->data, size);
        if (i >= whole->size)
            bytes[i - whole->size] ^= (unsigned char)(1u << i % 8);
        if (pfm_image_decode(bytes, size, name, &image, &err) != PFM_OK &&
            (image.rgb != NULL || strstr(err.message, name) == NULL || strstr(err.message, "MARKED") != NULL))
            fail_msg("%s, change %zu: '%s'", name, i, err.message);
        pfm_image_free(&image);
        err = (pfm_error)PFM_ERROR_INIT;
        if (pfm_dicom_describe(bytes, size, name, false, &text, &err) == PFM_OK && strstr(text, "MARKED") != NULL)
            fail_msg("%s, change %zu: %s", name, i, text);
        free(text);
        free(bytes);
    }
}

static void test_damaged_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    DIR *folder = opendir(golden_path("dicom"));
    int checked = 0;
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[300];
        pfm_buffer whole = {0};
        if (strstr(entry->d_name, ".dcm") == NULL)
            continue;
        (void)snprintf(name, sizeof name, "dicom/%s", entry->d_name);
        assert_ok(pfm_file_read(golden_path(name), 0, &whole, &err));
        check_damaged(name, &whole);
        pfm_buffer_free(&whole);
        checked++;
    }
    closedir(folder);
    assert_true(checked > 40);
}

static void put(pfm_buffer *out, const char *bytes, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_buffer_append(out, bytes, count, &err));
}

/* A file that begins as DICOM does, for explicit little endian. */
static void put_header(pfm_buffer *out)
{
    static const char zeros[128];
    put(out, zeros, 128);
    put(out, "DICM", 4);
    put(out,
        "\2\0\x10\0UI\x14\0"
        "1.2.840.10008.1.2.1\0",
        28);
    put(out, "\x08\0\x60\0CS\2\0CT", 10);
}

static void expect(const pfm_buffer *file, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    const double begun = seconds();
    if (pfm_image_decode(file->data, file->size, "scan.dcm", &image, &err) == PFM_OK || strstr(err.message, part) == NULL)
        fail_msg("'%s' instead of '%s'", err.message, part);
    assert_null(image.rgb);
    assert_true(seconds() - begun < 5); /* one on a machine with nothing else to do */
}

/* Sequences in sequences without end, and one that goes on as long as the file. */
static void test_sequences(void **state)
{
    (void)state;
    pfm_buffer file = {0};
    put_header(&file);
    const size_t begin = file.size;
    for (int i = 0; i < 1000000; i++) {
        put(&file, "\x40\0\x30\xA7SQ\0\0\xFF\xFF\xFF\xFF", 12);
        put(&file, "\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF", 8);
    }
    expect(&file, "sequences more than 64 deep");
    file.size = begin;
    put(&file, "\x40\0\x30\xA7SQ\0\0\xFF\xFF\xFF\xFF", 12);
    for (int i = 0; i < 11000000; i++)
        put(&file, "\xFE\xFF\0\xE0\0\0\0\0", 8);
    expect(&file, "more than 10000000 elements");
    file.size = begin;
    for (int i = 0; i < 200000; i++)
        put(&file, "\x09\0\x10\0LO\0\0", 8);
    expect(&file, "more than 100000 elements");
    pfm_buffer_free(&file);
}

/* Sizes that no frame has, and a frame that claims more than it could hold. */
static void test_sizes(void **state)
{
    (void)state;
    pfm_buffer file = {0};
    put_header(&file);
    put(&file, "\x28\0\2\0US\2\0\1\0", 10);
    put(&file, "\x28\0\x10\0US\2\0\xFF\xFF", 10);
    put(&file, "\x28\0\x11\0US\2\0\xFF\xFF", 10);
    put(&file, "\x28\0\0\1US\2\0\x10\0", 10);
    put(&file, "\xE0\x7F\x10\0OW\0\0\2\0\0\0\1\1", 14);
    expect(&file, "its frames are 65535 x 65535 pixels of 1 samples; at most 33554432");
    memcpy(file.data + file.size - 14 - 30 + 8, "\0\x10", 2); /* rows 4096 */
    memcpy(file.data + file.size - 14 - 20 + 8, "\0\x10", 2);
    expect(&file, "frame 0 of 4096 x 4096 pixels ends at byte 33554432 of its pixel data, of which there are 2");
    pfm_buffer_free(&file);
}

static void test_what_is_told(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    char *text = NULL;
    assert_ok(pfm_file_read(golden_path("dicom/linear.dcm"), 0, &whole, &err));
    assert_ok(pfm_dicom_describe(whole.data, whole.size, "a.dcm", false, &text, &err));
    assert_null(strstr(text, "MARKED"));
    assert_null(strstr(text, "19010203"));
    assert_non_null(strstr(text, "\"patient_name\":\"(hidden)\""));
    assert_non_null(strstr(text, "\"windows\":[{\"center\":40,\"width\":400},{\"center\":400,\"width\":1}]"));
    free(text);
    assert_ok(pfm_dicom_describe(whole.data, whole.size, "a.dcm", true, &text, &err));
    assert_non_null(strstr(text, "MARKED^NAME"));
    free(text);
    assert_error(pfm_dicom_describe("hello", 5, "a.dcm", true, &text, &err), PFM_ERROR_FORMAT, "a.dcm is no DICOM file");
    pfm_buffer_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_the_choice_of_a_window),
        cmocka_unit_test(test_a_window_for_all_kinds),
        cmocka_unit_test(test_headless),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
