#include "golden.h"

enum { DARK = 20, LIGHT = 235, HIGH = 7, STEP = 6 };

/* 5 x 7 pixels, a line a byte, the leftmost in bit 4. */
static const struct {
    char letter;
    uint8_t lines[HIGH];
} letters[] = {
    {'A', {0x0E, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}}, {'D', {0x1E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1E}},
    {'E', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F}}, {'J', {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0C}},
    {'N', {0x11, 0x19, 0x15, 0x15, 0x13, 0x11, 0x11}}, {'O', {0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}},
    {'1', {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E}}, {'6', {0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E}},
    {'9', {0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C}}, {'|', {0x04, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
};

static pfm_image make(int width, int height, uint8_t ground)
{
    pfm_image image;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_image_create(width, height, "made", &image, &err));
    memset(image.rgb, ground, 3 * (size_t)width * (size_t)height);
    return image;
}

static void fill(pfm_image *image, int x, int y, int width, int height, uint8_t ink)
{
    for (int i = y; i < y + height; i++)
        if (i >= 0 && i < image->height && x >= 0 && x + width <= image->width)
            memset(image->rgb + 3 * ((size_t)i * (size_t)image->width + (size_t)x), ink, 3 * (size_t)width);
}

static void write_letter(pfm_image *image, int x, int y, int scale, char letter, uint8_t ink)
{
    for (size_t k = 0; k < sizeof letters / sizeof *letters; k++)
        for (int i = 0; letters[k].letter == letter && i < HIGH; i++)
            for (int j = 0; j < 5; j++)
                if (letters[k].lines[i] >> (4 - j) & 1)
                    fill(image, x + j * scale, y + i * scale, scale, scale, ink);
}

static void write_text(pfm_image *image, int x, int y, int scale, const char *text, uint8_t ink)
{
    for (; *text != '\0'; text++, x += STEP * scale)
        write_letter(image, x, y, scale, *text, ink);
}

static int count(const pfm_image *image)
{
    pfm_error err = PFM_ERROR_INIT;
    int rows = -1;
    assert_ok(pfm_image_find_text(image, &rows, &err));
    return rows;
}

static int count_and_free(pfm_image image)
{
    const int rows = count(&image);
    pfm_image_free(&image);
    return rows;
}

static uint32_t draw(uint32_t *state) { return (*state = *state * 1664525u + 1013904223u) >> 8; }

static void rows_of_letters_are_text(void **state)
{
    (void)state;
    static const int scales[] = {1, 2, 3, 6, 12};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        for (int corner = 0; corner < 4; corner++) {
            const int scale = scales[s], width = 12 * STEP * scale, edge = 700;
            const int x = corner % 2 == 0 ? 3 : edge - 3 - width, y = corner < 2 ? 3 : edge - 3 - HIGH * scale;
            pfm_image image = make(edge > width + 6 ? edge : width + 6, edge, corner % 2 == 0 ? DARK : LIGHT);
            write_text(&image, x > 3 ? x : 3, y, scale, "DOE JANE 961", corner % 2 == 0 ? LIGHT : DARK);
            const int rows = count(&image);
            assert_in_range(rows, 1, 3); /* a blank may be too wide to read on */
            pfm_image_free(&image);
        }
    }
}

static void each_line_is_a_row(void **state)
{
    (void)state;
    pfm_image image = make(300, 200, DARK);
    write_text(&image, 10, 10, 2, "DOEJANE", LIGHT);
    assert_int_equal(count(&image), 1);
    write_text(&image, 10, 30, 2, "1961", LIGHT);
    assert_int_equal(count(&image), 2);
    write_text(&image, 10, 170, 1, "AEON", LIGHT);
    assert_int_equal(count(&image), 3);
    fill(&image, 150, 100, 150, 100, 200); /* on other ground, and dark on it */
    write_text(&image, 180, 150, 2, "JANEDOE", DARK);
    assert_int_equal(count(&image), 4);
    fill(&image, 150, 0, 150, 60, 140); /* all of it light */
    write_text(&image, 180, 20, 2, "JANEDOE", 240);
    assert_int_equal(count_and_free(image), 5);
}

static void the_ground_may_change_and_the_ink_be_coloured(void **state)
{
    (void)state;
    pfm_image image = make(400, 100, 0);
    for (int x = 0; x < 400; x++)
        fill(&image, x, 0, 1, 100, (uint8_t)(x / 3));
    assert_int_equal(count(&image), 0);
    write_text(&image, 20, 40, 2, "DOEJANE1961", LIGHT);
    assert_int_equal(count(&image), 1);
    for (size_t i = 2; i < (size_t)3 * 400 * 100; i += 3)
        image.rgb[i] = 0; /* yellow */
    assert_int_equal(count_and_free(image), 1);
}

static void what_is_no_text(void **state)
{
    (void)state;
    uint32_t seed = 1;
    assert_int_equal(count_and_free(make(256, 256, DARK)), 0);
    pfm_image image = make(256, 256, DARK);
    write_text(&image, 10, 10, 2, "DOE", LIGHT); /* a side's mark is shorter than a word */
    assert_int_equal(count_and_free(image), 0);
    image = make(256, 256, DARK);
    write_text(&image, 10, 10, 2, "||||||||||||", LIGHT); /* a scale */
    assert_int_equal(count_and_free(image), 0);
    image = make(256, 256, DARK);
    write_text(&image, 10, 10, 2, "DOEJANE", DARK + 40); /* too faint */
    assert_int_equal(count_and_free(image), 0);
    image = make(256, 256, DARK);
    for (int i = 0; i < 7; i++)
        write_letter(&image, 10 + 12 * i, 10 + 9 * i, 2, 'E', LIGHT); /* on no line */
    assert_int_equal(count_and_free(image), 0);
    image = make(256, 256, LIGHT);
    for (int i = 0; i < 400; i++) /* cells */
        fill(&image, (int)(draw(&seed) % 250), (int)(draw(&seed) % 250), 6, 6, DARK);
    assert_int_equal(count_and_free(image), 0);
    image = make(256, 256, LIGHT);
    for (int i = 0; i < 32 * 32; i++) /* a crowd in rows, as the spots of an array */
        fill(&image, i % 32 * 8, i / 32 * 8, 6, 6, DARK);
    assert_in_range(count_and_free(image), 0, 2); /* at its edges a row has others on one side only, as text may */
    image = make(256, 256, DARK);
    for (size_t i = 0; i < (size_t)3 * 256 * 256; i++)
        image.rgb[i] = (uint8_t)draw(&seed);
    assert_int_equal(count_and_free(image), 0);
}

static void large_letters_and_pictures_are_looked_at_smaller(void **state)
{
    (void)state;
    pfm_image image = make(1000, 200, LIGHT);
    write_text(&image, 10, 40, 16, "DOEJANE", DARK);
    assert_int_equal(count_and_free(image), 1);
    image = make(8000, 300, DARK);
    write_text(&image, 10, 40, 30, "DOEJANE", LIGHT); /* letters too high to be some as it is, and halved */
    assert_int_equal(count_and_free(image), 1);
    assert_int_equal(count_and_free(make(500000, 1, DARK)), 0);
    assert_int_equal(count_and_free(make(1, 500000, LIGHT)), 0);
}

/* Noise of every small shape, for what reads past an edge. */
static void any_shape_will_do(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int i = 0; i < 400; i++) {
        pfm_image image = make(1 + (int)(draw(&seed) % 40), 1 + (int)(draw(&seed) % 40), 0);
        for (size_t k = 0; k < (size_t)3 * (size_t)image.width * (size_t)image.height; k++)
            image.rgb[k] = draw(&seed) % 3 == 0 ? LIGHT : DARK;
        (void)count(&image);
        pfm_image_free(&image);
    }
}

/* A golden file with a Burned In Annotation of `value`, of four bytes, before its pixels; what is said of it. */
static pfm_burned_in said(const char *value, char **json)
{
    static const uint8_t pixels[] = {0xE0, 0x7F, 0x10, 0x00}, element[] = {0x28, 0x00, 0x01, 0x03, 'C', 'S', 4, 0};
    pfm_buffer file = {0};
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    pfm_image_applied applied;
    uint8_t changed[8192];
    size_t at = 0;
    assert_ok(pfm_file_read(golden_path("dicom/plain8.dcm"), 0, &file, &err));
    assert_true(file.size + 12 < sizeof changed);
    while (at < file.size && memcmp(file.data + at, pixels, sizeof pixels) != 0)
        at++;
    memcpy(changed, file.data, at);
    memcpy(changed + at, element, sizeof element);
    memcpy(changed + at + sizeof element, value, 4);
    memcpy(changed + at + 12, file.data + at, file.size - at);
    const pfm_image_file first = {.path = "changed.dcm"};
    assert_ok(pfm_image_decode_file(changed, file.size + 12, &first, NULL, &image, &applied, &err));
    assert_int_equal(pfm_image_has_text(&applied), applied.burned_in == PFM_BURNED_IN_YES);
    assert_ok(pfm_image_applied_json(&applied, json, &err));
    assert_null(strstr(*json, "text_like")); /* nobody looked */
    pfm_image_free(&image);
    pfm_buffer_free(&file);
    return applied.burned_in;
}

static void dicom_says_it(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        pfm_burned_in wanted;
        const char *json;
    } cases[] = {{"YES ", PFM_BURNED_IN_YES, "\"burned_in\":\"yes\""},
                 {"NO  ", PFM_BURNED_IN_NO, "\"burned_in\":\"no\""},
                 {"YESS", PFM_BURNED_IN_NOT_SAID, NULL},
                 {"    ", PFM_BURNED_IN_NOT_SAID, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *json = NULL;
        assert_int_equal(said(cases[i].value, &json), cases[i].wanted);
        if (cases[i].json != NULL)
            assert_non_null(strstr(json, cases[i].json));
        else
            assert_null(strstr(json, "burned_in"));
        free(json);
    }
}

static void looking_is_noted(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image_applied applied = {.frames = 1, .orientation = 1, .pixel_aspect = 1};
    char *json = NULL;
    pfm_image image = make(200, 60, DARK);
    assert_ok(pfm_image_look_for_text(&image, &applied, &err));
    assert_true(applied.looked_for_text);
    assert_false(pfm_image_has_text(&applied));
    write_text(&image, 10, 10, 2, "DOEJANE", LIGHT);
    assert_ok(pfm_image_look_for_text(&image, &applied, &err));
    assert_true(pfm_image_has_text(&applied));
    applied.burned_in = PFM_BURNED_IN_NO; /* what is seen counts, whatever the file says */
    assert_true(pfm_image_has_text(&applied));
    assert_ok(pfm_image_applied_json(&applied, &json, &err));
    assert_non_null(strstr(json, "\"text_like\":true"));
    assert_non_null(strstr(json, "\"text_rows\":1"));
    free(json);
    pfm_image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_letters_are_text),
        cmocka_unit_test(each_line_is_a_row),
        cmocka_unit_test(the_ground_may_change_and_the_ink_be_coloured),
        cmocka_unit_test(what_is_no_text),
        cmocka_unit_test(large_letters_and_pictures_are_looked_at_smaller),
        cmocka_unit_test(any_shape_will_do),
        cmocka_unit_test(dicom_says_it),
        cmocka_unit_test(looking_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
