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

static void decode_cut(const char *file, const pfm_buffer *whole)
{
    for (size_t size = 0; size < whole->size; size++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_image image;
        unsigned char *bytes = malloc(size + (size == 0));
        assert_non_null(bytes);
        memcpy(bytes, whole->data, size);
        if (pfm_image_decode(bytes, size, file, &image, &err) != PFM_ERROR_FORMAT || strstr(err.message, file) == NULL)
            fail_msg("%s cut to %zu bytes: '%s'", file, size, err.message);
        assert_null(image.rgb);
        free(bytes);
    }
}

void check_damage(const char *ending)
{
    pfm_error err = PFM_ERROR_INIT;
    int count = 0, checked = 0;
    const golden_result *results = golden_results(&count);
    for (int i = 0; i < count; i++) {
        const char *file = results[i].file;
        if ((i > 0 && strcmp(file, results[i - 1].file) == 0) || strcmp(file + strlen(file) - strlen(ending), ending) != 0)
            continue;
        pfm_buffer whole = {0};
        assert_ok(pfm_file_read(golden_path(file), 0, &whole, &err));
        decode_cut(file, &whole);
        decode_changed(file, &whole);
        pfm_buffer_free(&whole);
        checked++;
    }
    assert_true(checked > 10);
}
