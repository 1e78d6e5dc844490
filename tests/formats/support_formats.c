#include "support_formats.h"

#include "test.h"

const char *formats_data(const char *name) { return test_path(PFM_SOURCE_DIR "/tests/formats/golden", name); }

static void expand_all(const pfm_weights *weights)
{
    pfm_error err = PFM_ERROR_INIT;
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        float *values = malloc(pfm_weight_values(weight) * sizeof *values + 1);
        assert_non_null(values);
        assert_ok(pfm_weight_expand(weight, values, &err));
        free(values);
    }
}

pfm_status formats_try(const void *bytes, size_t size, pfm_error *err)
{
    pfm_weights *weights = NULL;
    unsigned char *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    pfm_status status = pfm_weights_open_bytes(copy, size, "FILE", &weights, err);
    if (status == PFM_OK)
        expand_all(weights);
    pfm_weights_close(weights);
    free(copy);
    return status;
}

void formats_check_prefixes(const char *path, size_t step, size_t spare)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    assert_ok(pfm_file_read(path, 0, &file, &err));
    for (size_t size = 0; size + spare < file.size; size += step) {
        pfm_status status = formats_try(file.data, size, &err);
        if (status != PFM_ERROR_FORMAT && status != PFM_ERROR_UNSUPPORTED)
            fail_msg("the first %zu bytes of %s: %s", size, path, pfm_status_name(status));
        assert_true(err.message[0] != '\0');
        err = (pfm_error)PFM_ERROR_INIT;
    }
    assert_ok(formats_try(file.data, file.size, &err));
    pfm_buffer_free(&file);
}

void formats_check_flips(const char *path, size_t step)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    assert_ok(pfm_file_read(path, 0, &file, &err));
    for (size_t i = 0; i < file.size; i += step) {
        for (size_t m = 0; m < sizeof masks; m++) {
            file.data[i] = (char)(file.data[i] ^ masks[m]);
            pfm_status status = formats_try(file.data, file.size, &err);
            assert_true(status == PFM_OK || err.message[0] != '\0');
            err = (pfm_error)PFM_ERROR_INIT;
            file.data[i] = (char)(file.data[i] ^ masks[m]);
        }
    }
    pfm_buffer_free(&file);
}

void put_bytes(pfm_buffer *buffer, const void *bytes, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_buffer_append(buffer, bytes, count, &err));
}

void put_u32(pfm_buffer *buffer, uint32_t value) { put_bytes(buffer, &value, sizeof value); }

void put_u64(pfm_buffer *buffer, uint64_t value) { put_bytes(buffer, &value, sizeof value); }

void put_text(pfm_buffer *buffer, const char *text)
{
    put_u64(buffer, strlen(text));
    put_bytes(buffer, text, strlen(text));
}
