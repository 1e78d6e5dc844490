#include "golden.h"

const char *golden_path(const char *file) { return test_path(PFM_SOURCE_DIR "/tests/image/golden", file); }

const golden_result *golden_results(int *count)
{
    static golden_result results[512];
    static int used;
    FILE *list = used == 0 ? fopen(golden_path("image_results.txt"), "r") : NULL;
    while (list != NULL && used < 512) {
        golden_result *r = &results[used];
        if (fscanf(list, "%63s %d %d %64s", r->file, &r->width, &r->height, r->hash) != 4)
            break;
        used++;
    }
    if (list != NULL)
        (void)fclose(list);
    if (used == 0)
        fail_msg("%s cannot be read", golden_path("image_results.txt"));
    *count = used;
    return results;
}

void assert_golden(const pfm_image *image, const golden_result *result)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_hash_hex hash;
    assert_int_equal(image->width, result->width);
    assert_int_equal(image->height, result->height);
    assert_ok(pfm_hash_bytes(image->rgb, (size_t)image->width * (size_t)image->height * 3, hash, &err));
    if (strcmp(hash, result->hash) != 0)
        fail_msg("%s at %d x %d differs from Pillow's", result->file, result->width, result->height);
}

static void decode_changed(const char *file, const pfm_buffer *whole)
{
    unsigned char *bytes = malloc(whole->size); /* exactly as long, so that a sanitizer sees a read past the end */
    assert_non_null(bytes);
    memcpy(bytes, whole->data, whole->size);
    for (size_t i = 0; i < whole->size; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_image image;
        unsigned char kept = bytes[i];
        bytes[i] ^= (unsigned char)(1u << i % 8);
        if (pfm_image_decode(bytes, whole->size, file, &image, &err) != PFM_OK && image.rgb != NULL)
            fail_msg("%s: an error left a picture behind", file);
        pfm_image_free(&image);
        bytes[i] = kept;
    }
    free(bytes);
}

/* What a file holds behind its pixels may be missing: then the picture is all there. */
static void decode_cut(const char *file, const pfm_buffer *whole, bool may_end_early)
{
    pfm_image picture = {0};
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_image_decode(whole->data, whole->size, file, &picture, &err));
    for (size_t size = 0; size < whole->size; size++) {
        pfm_image image;
        err = (pfm_error)PFM_ERROR_INIT;
        unsigned char *bytes = malloc(size + (size == 0));
        assert_non_null(bytes);
        memcpy(bytes, whole->data, size);
        pfm_status status = pfm_image_decode(bytes, size, file, &image, &err);
        if (status == PFM_OK && may_end_early) {
            assert_memory_equal(image.rgb, picture.rgb, (size_t)picture.width * (size_t)picture.height * 3);
            pfm_image_free(&image);
        } else if ((status != PFM_ERROR_FORMAT && !(status == PFM_ERROR_UNSUPPORTED && strstr(err.message, "a gzip file"))) ||
                   strstr(err.message, file) == NULL) {
            fail_msg("%s cut to %zu bytes: '%s'", file, size, err.message);
        }
        assert_null(image.rgb);
        free(bytes);
    }
    pfm_image_free(&picture);
}

void assert_refused(const void *bytes, size_t size, const char *name, const char *words)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    assert_error(pfm_image_decode(bytes, size, name, &image, &err), PFM_ERROR_FORMAT, words);
}

void check_damage_of(const char *file, bool may_end_early)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    assert_ok(pfm_file_read(golden_path(file), 0, &whole, &err));
    decode_cut(file, &whole, may_end_early);
    decode_changed(file, &whole);
    pfm_buffer_free(&whole);
}

void check_damage(const char *ending, bool may_end_early)
{
    int count = 0, checked = 0;
    const golden_result *results = golden_results(&count);
    for (int i = 0; i < count; i++) {
        const char *file = results[i].file;
        if ((i > 0 && strcmp(file, results[i - 1].file) == 0) || strcmp(file + strlen(file) - strlen(ending), ending) != 0)
            continue;
        check_damage_of(file, may_end_early);
        checked++;
    }
    assert_true(checked >= 4);
}
