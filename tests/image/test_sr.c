/* Structured reports: whose images they are of, and which are refused. */
#include "pefomed/sr.h"

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

/* What a name is cleaned of in the first image it is in the others. */
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
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_two),
        cmocka_unit_test(test_in_memory),
        cmocka_unit_test(test_same_with_controls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
