/* Stored values of every file in the data folder, against pydicom with its plug-ins (golden/dicom/data.json, one line a file).
 */
#include "image/dicom_grey.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/random.h"
#include "base/try.h"
#include "dicom_errors_table.h"
#include "golden.h"

enum { GRID = 8 };

/* A file and its last frame, which may be the file's own bytes. */
typedef struct opened {
    pfm_mapping bytes;
    pfm_dicom file;
    pfm_dicom_layout layout;
    pfm_dicom_frame frame;
} opened;

static pfm_status read_last(const char *path, opened *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (opened){0};
    PFM_TRY(pfm_mapping_open(path, &out->bytes, err));
    PFM_TRY(pfm_dicom_open(out->bytes.data, out->bytes.size, path, &out->file, err));
    PFM_TRY(pfm_dicom_read_layout(&out->file, &out->layout, err));
    PFM_TRY(pfm_dicom_read_frame(&out->file, &out->layout, out->layout.frames - 1, &out->frame, err));
done:
    return status;
}

static void close_opened(opened *o)
{
    pfm_dicom_frame_free(&o->frame);
    pfm_dicom_close(&o->file);
    pfm_mapping_close(&o->bytes);
}

static int whole(const json_t *entry, const char *key, size_t i)
{
    return (int)json_integer_value(json_array_get(json_object_get(entry, key), i));
}

static void check_hash(const json_t *entry, const char *name, const pfm_dicom_frame *frame)
{
    static const char *const types[] = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_hash_hex hash;
    const size_t count = (size_t)frame->width * (size_t)frame->height * (size_t)frame->samples;
    assert_string_equal(types[frame->kind], json_string_value(json_object_get(entry, "dtype")));
    assert_ok(pfm_hash_bytes(frame->data, count * pfm_dicom_kind_bytes(frame->kind), hash, &err));
    if (strcmp(hash, json_string_value(json_object_get(entry, "sha256"))) != 0)
        fail_msg("%s: its values are not pydicom's", name);
}

/* Some of a lossy frame's values, within one. */
static void check_grid(const json_t *entry, const char *name, const pfm_dicom_frame *frame)
{
    size_t next = 0;
    for (int y = 0; y < GRID; y++)
        for (int x = 0; x < GRID; x++)
            for (int s = 0; s < frame->samples; s++, next++) {
                const size_t row = (size_t)(y * (frame->height - 1) / (GRID - 1)),
                             column = (size_t)(x * (frame->width - 1) / (GRID - 1));
                const double value =
                    pfm_dicom_sample(frame, (row * (size_t)frame->width + column) * (size_t)frame->samples + (size_t)s);
                const double wanted = (double)whole(entry, "grid", next);
                if (value > wanted + 1 || value < wanted - 1)
                    fail_msg("%s: %g instead of %g at %zu, %zu", name, value, wanted, column, row);
            }
    assert_int_equal(json_array_size(json_object_get(entry, "grid")), next);
}

static void check_unread(const char *name, pfm_status status, const pfm_error *err)
{
    for (size_t i = 0; i < sizeof dicom_errors / sizeof *dicom_errors; i++) {
        if (strcmp(dicom_errors[i].file, name) != 0)
            continue;
        const char *part = dicom_errors[i].part;
        if (part == NULL ? status != PFM_OK : status == PFM_OK || strstr(err->message, part) == NULL)
            fail_msg("%s: '%s', not '%s'", name, err->message, part == NULL ? "read" : part);
        return;
    }
    fail_msg("%s is not in dicom_errors_table.h: %s", name, err->message);
}

static void test_every_file(void **state)
{
    (void)state;
    skip_without_data();
    pfm_error err = PFM_ERROR_INIT;
    json_t *entries = NULL;
    const json_t *entry;
    size_t i, read = 0, unread = 0;
    assert_ok(pfm_json_load(golden_path("dicom/data.json"), &entries, &err));
    json_array_foreach(entries, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "file"));
        opened o;
        err = (pfm_error)PFM_ERROR_INIT;
        pfm_status status = read_last(test_path(test_path(test_data_folder(), "dicom"), name), &o, &err);
        if (json_is_false(json_object_get(entry, "reads"))) {
            check_unread(name, status, &err);
            unread++;
        } else if (status != PFM_OK) {
            fail_msg("%s: %s", name, err.message);
        } else {
            assert_int_equal(o.frame.height, whole(entry, "shape", 0));
            assert_int_equal(o.frame.width, whole(entry, "shape", 1));
            assert_int_equal(o.layout.frames, json_integer_value(json_object_get(entry, "frames")));
            if (json_object_get(entry, "sha256") != NULL)
                check_hash(entry, name, &o.frame);
            else
                check_grid(entry, name, &o.frame);
            read++;
        }
        close_opened(&o);
    }
    print_message("%zu files as pydicom reads them, %zu that it cannot read\n", read, unread);
    assert_int_equal(read, 89);
    assert_int_equal(unread, 37);
    json_decref(entries);
}

/* One slice in fifteen transfer syntaxes: the lossless ones have the values of the uncompressed one. */
static void test_one_slice(void **state)
{
    (void)state;
    skip_without_data();
    static const char *const lossless[] = {"BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2",
                                           "DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99",
                                           "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90",
                                           "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
                                           "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70",
                                           "JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57",
                                           "LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1",
                                           "LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2",
                                           "RLELosslessTransferSyntax_1.2.840.10008.1.2.5"};
    pfm_error err = PFM_ERROR_INIT;
    opened plain, other;
    char path[4096];
    const char *folder = test_path(test_data_folder(), "dicom/codecs");
    assert_ok(read_last(test_path(folder, "CTImage.dcm"), &plain, &err));
    for (size_t i = 0; i < sizeof lossless / sizeof *lossless; i++) {
        (void)snprintf(path, sizeof path, "%s/CTImage.dcm_%s.dcm", folder, lossless[i]);
        assert_ok(read_last(path, &other, &err));
        assert_memory_equal(other.frame.data, plain.frame.data, 512 * 512 * 2);
        /* What stands in the file as a frame has it is not copied. */
        const bool as_it_is = strstr(lossless[i], "LittleEndian") != NULL;
        assert_int_equal(other.frame.owned == NULL, as_it_is);
        close_opened(&other);
    }
    close_opened(&plain);
}

/* Grey of frames of every length that ends otherwise, of each kind that a table is made for. */
static void test_grey(void **state)
{
    (void)state;
    enum { MOST = 40 };
    pfm_random random = pfm_random_start(1, 0);
    for (int i = 0; i < 2000; i++) {
        const pfm_dicom_kind kind = (pfm_dicom_kind)(i % 4);
        const bool one_byte = kind <= DICOM_S8, is_close = pfm_random_below(&random, 2) == 0;
        uint16_t values[MOST];
        const uint32_t base = (uint32_t)pfm_random_below(&random, 65536);
        pfm_dicom_frame frame = {
            .width = 1 + i / 4 % MOST, .height = 1, .samples = 1, .bits = 16, .kind = kind, .data = values};
        for (int x = 0; x < MOST; x++) /* near each other, so that there is a table, or anywhere */
            values[x] = (uint16_t)(base + (uint32_t)pfm_random_below(&random, is_close ? 5 : 65536));
        const pfm_dicom_grey grey = {.slope = 1,
                                     .intercept = 2,
                                     .inverted = i % 3 == 0,
                                     .window = {.center = one_byte ? 10 : 1000, .width = one_byte ? 100 : 50000}};
        pfm_error err = PFM_ERROR_INIT;
        pfm_image image;
        assert_ok(pfm_dicom_make_grey("FILE", &frame, &grey, &image, &err));
        for (size_t x = 0; x < (size_t)frame.width; x++) {
            const double share = pfm_window_apply(&grey.window, pfm_dicom_sample(&frame, x) + 2);
            const int wanted = (int)((grey.inverted ? 1 - share : share) * 255 + 0.5);
            for (size_t c = 0; c < 3; c++)
                assert_int_equal(image.rgb[3 * x + c], wanted);
        }
        pfm_image_free(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_file), cmocka_unit_test(test_one_slice),
                                       cmocka_unit_test(test_grey)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
