/* Structured reports: whose images they are of, and which are refused. */
#include "pefomed/sr.h"

#include "image/dicom_set.h"
#include "image/sr_identity.h"
#include "make_dicom.h"

/* A file that says who and what it is of; NULL: the element is left out. */
typedef struct said {
    const char *sop_class, *instance, *study, *series, *name, *id;
} said;

static const char *write_said(const char *file, said s)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer out = {0};
    const unsigned char preamble[128] = {0};
    const char *path = test_path(test_scratch_folder(), file);
    dicom_bytes(&out, preamble, sizeof preamble);
    dicom_bytes(&out, "DICM", 4);
    dicom_text(&out, 0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1");
    dicom_text(&out, 0x0008, 0x0016, "UI", s.sop_class);
    dicom_text(&out, 0x0008, 0x0018, "UI", s.instance);
    dicom_text(&out, 0x0010, 0x0010, "PN", s.name);
    dicom_text(&out, 0x0010, 0x0020, "LO", s.id);
    dicom_text(&out, 0x0020, 0x000D, "UI", s.study);
    dicom_text(&out, 0x0020, 0x000E, "UI", s.series);
    assert_ok(pfm_file_write(path, out.data, out.size, &err));
    pfm_buffer_free(&out);
    return path;
}

static const said good = {"1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.4", "1.2.5", "A^B", "17"};

static pfm_status open_two(const char *first, const char *second, pfm_sr **out, pfm_error *err)
{
    const pfm_sr_image images[] = {{.path = first}, {.path = second}};
    return pfm_sr_open(images, second != NULL ? 2 : 1, out, err);
}

static void test_missing(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr *sr = NULL;
    said lacks[4] = {good, good, good, good};
    const char *const says[] = {"SOP Class UID", "SOP Instance UID", "Study Instance UID", "Series Instance UID"};
    lacks[0].sop_class = lacks[1].instance = lacks[2].study = lacks[3].series = NULL;
    for (int i = 0; i < 4; i++)
        assert_error(open_two(write_said("lacks.dcm", lacks[i]), NULL, &sr, &err), PFM_ERROR_FORMAT, says[i]);
    lacks[0] = good;
    lacks[0].study = "1.2.x";
    assert_error(open_two(write_said("lacks.dcm", lacks[0]), NULL, &sr, &err), PFM_ERROR_FORMAT, "is no UID");
    static const char *const odd[] = {"1..2", "1.2.", ".1.2", ".", "1.02.3"}; /* no reader of reports takes them */
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        lacks[0] = good;
        lacks[0].sop_class = odd[i];
        assert_error(open_two(write_said("lacks.dcm", lacks[0]), NULL, &sr, &err), PFM_ERROR_FORMAT, "is no UID");
    }
    assert_error(pfm_sr_open(NULL, 0, &sr, &err), PFM_ERROR_USAGE, "name one");
}

static void test_two(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr *sr = NULL;
    const char *first = write_said("first.dcm", good);
    said other = good;
    other.instance = "1.2.9";
    assert_ok(open_two(first, write_said("second.dcm", other), &sr, &err));
    assert_int_equal(sr->reference_count, 2);
    assert_string_equal(sr->references[1].instance, "1.2.9");
    pfm_sr_free(sr);
    other.study = "1.2.44";
    assert_error(open_two(first, write_said("second.dcm", other), &sr, &err), PFM_ERROR_MISMATCH, "another study");
    other.study = good.study;
    other.id = "18";
    assert_error(open_two(first, write_said("second.dcm", other), &sr, &err), PFM_ERROR_MISMATCH, "another patient");
    other.id = good.id;
    other.name = NULL;
    assert_error(open_two(first, write_said("second.dcm", other), &sr, &err), PFM_ERROR_MISMATCH, "(0010,0010)");
}

/* From and into memory it is the same report. */
static void test_in_memory(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr *from_file = NULL, *from_bytes = NULL;
    pfm_buffer image = {0}, written = {0};
    unsigned char *made = NULL;
    size_t size = 0;
    const pfm_sr_text text = {.answer = "FINDINGS: None.", .complete = true, .home = test_scratch_folder(), .dated = true};
    const char *path = write_said("one.dcm", good), *out = test_path(test_scratch_folder(), "out.dcm");
    assert_ok(open_two(path, NULL, &from_file, &err));
    assert_ok(pfm_sr_write(from_file, &text, out, &err));
    assert_ok(pfm_file_read(out, 0, &written, &err));
    assert_ok(pfm_file_read(path, 0, &image, &err));
    assert_ok(pfm_sr_open(&(pfm_sr_image){.path = "it", .bytes = image.data, .size = image.size}, 1, &from_bytes, &err));
    assert_ok(pfm_sr_make(from_bytes, &text, "it", &made, &size, &err));
    assert_int_equal(size, written.size);
    assert_memory_equal(made, written.data, size);
    pfm_sr_free(from_bytes);
    assert_error(pfm_sr_open(&(pfm_sr_image){.path = "it", .bytes = "text", .size = 4}, 1, &from_bytes, &err), PFM_ERROR_FORMAT,
                 "it is no DICOM file");
    pfm_sr_free(from_file);
    pfm_buffer_free(&image);
    pfm_buffer_free(&written);
    free(made);
}

/* out [65] = an element of the report, or of the first item of its Verifying Observer Sequence; "" where it is not there. */
static void read_back(const unsigned char *bytes, size_t size, bool observer, uint32_t tag, char out[65])
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dicom file = {0};
    pfm_dicom_set item;
    pfm_dicom_element element;
    bool found = true;
    assert_ok(pfm_dicom_open(bytes, size, "the report", &file, &err));
    const pfm_dicom_element *at = pfm_dicom_find(&file, observer ? DICOM_TAG(0x0040, 0xA073) : tag);
    if (observer && at != NULL) {
        assert_ok(pfm_dicom_get_item(&file, at, 0, &item, &found, &err));
        assert_true(found);
        assert_ok(pfm_dicom_find_in(&file, &item, tag, &element, &found, &err));
        at = found ? &element : NULL;
    }
    out[0] = '\0';
    if (at != NULL)
        pfm_dicom_text(at, out, 65);
    pfm_dicom_close(&file);
}

static void check_value(const unsigned char *bytes, size_t size, bool observer, uint32_t tag, const char *expected)
{
    char value[65];
    read_back(bytes, size, observer, tag, value);
    assert_string_equal(value, expected);
}

/* PS3.3, C.17.2: a verified report says by whom, of which organization, and when. */
static void test_verified(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr *sr = NULL;
    unsigned char *made = NULL;
    size_t size = 0;
    enum {
        FLAG = DICOM_TAG(0x0040, 0xA493),
        FINAL = DICOM_TAG(0x0040, 0xA496),
        NAME = DICOM_TAG(0x0040, 0xA075),
        ORGANIZATION = DICOM_TAG(0x0040, 0xA027),
        WHEN = DICOM_TAG(0x0040, 0xA030)
    };
    pfm_sr_text text = {.answer = "FINDINGS: None.", .complete = true, .home = test_scratch_folder(), .dated = true};
    assert_ok(open_two(write_said("one.dcm", good), NULL, &sr, &err));
    assert_ok(pfm_sr_make(sr, &text, "it", &made, &size, &err));
    check_value(made, size, false, FLAG, "UNVERIFIED");
    check_value(made, size, false, FINAL, "PRELIMINARY");
    check_value(made, size, true, NAME, "");
    free(made);

    text.observer = "M\xc3\xbcller^Eva";
    text.organization = "Klinik 1";
    text.verified = 1732717845; /* 2024-11-27 14:30:45 UTC */
    for (int enhanced = 0; enhanced < 2; enhanced++) {
        text.kind = enhanced ? "enhanced" : "basic";
        assert_ok(pfm_sr_make(sr, &text, "it", &made, &size, &err));
        check_value(made, size, false, FLAG, "VERIFIED");
        check_value(made, size, false, FINAL, "FINAL");
        check_value(made, size, false, DICOM_TAG(0x0008, 0x0005), "ISO_IR 192"); /* which the name needs */
        check_value(made, size, true, NAME, "M\xc3\xbcller^Eva");
        check_value(made, size, true, ORGANIZATION, "Klinik 1");
        check_value(made, size, true, WHEN, "20241127143045");
        free(made);
    }
    text.complete = false;
    assert_error(pfm_sr_make(sr, &text, "it", &made, &size, &err), PFM_ERROR_USAGE, "not complete cannot be verified");
    text.complete = true;
    text.observer = NULL;
    assert_error(pfm_sr_make(sr, &text, "it", &made, &size, &err), PFM_ERROR_USAGE, "give both or neither");
    pfm_sr_free(sr);
}

static void test_observers(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char long_name[67] = "";
    memset(long_name, 'a', 65);
    const char *const good_names[] = {"Curie^Marie", "Curie", "Curie^Marie^^Dr.^MD",
                                      "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e", long_name + 1};
    const char *const bad_names[] = {"",          " ",    "^",           "A\\B",    "A\nB", "A\x7f",
                                     "\xc2\x85Z", "\xff", "A^B^C^D^E^F", "A=B=C=D", "A==C", long_name};
    for (size_t i = 0; i < sizeof good_names / sizeof *good_names; i++)
        assert_ok(pfm_sr_check_observer(good_names[i], "Ward 2", &err));
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        assert_error(pfm_sr_check_observer(bad_names[i], "Ward 2", &err), PFM_ERROR_USAGE, "observer must be a person's name");
    const char *const bad_places[] = {"", "A\\B", "A\r\nB", "\xff", long_name};
    for (size_t i = 0; i < sizeof bad_places / sizeof *bad_places; i++)
        assert_error(pfm_sr_check_observer("A^B", bad_places[i], &err), PFM_ERROR_USAGE, "organization must be");
    assert_error(pfm_sr_check_observer("A^B", NULL, &err), PFM_ERROR_USAGE, "give both or neither");
    assert_error(pfm_sr_check_observer(NULL, "A", &err), PFM_ERROR_USAGE, "give both or neither");
}

/* What a name is cleaned of in the first image it is in the others. */
static void test_same_with_controls(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr *sr = NULL;
    said odd = good;
    odd.name = "A\x07^B";
    const char *first = write_said("first.dcm", odd);
    odd.instance = "1.2.9";
    assert_ok(open_two(first, write_said("second.dcm", odd), &sr, &err));
    pfm_sr_free(sr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),  cmocka_unit_test(test_two),       cmocka_unit_test(test_in_memory),
        cmocka_unit_test(test_verified), cmocka_unit_test(test_observers), cmocka_unit_test(test_same_with_controls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
