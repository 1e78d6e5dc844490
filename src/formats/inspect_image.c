#include "base/try.h"
#include "formats/inspect_internal.h"

#include <ctype.h>
#include <string.h>

static bool is_png(const pfm_inspect_target *target) { return memcmp(target->head, "\x89PNG\r\n\x1a\n", 8) == 0; }

static bool is_jpeg(const pfm_inspect_target *target) { return memcmp(target->head, "\xff\xd8\xff", 3) == 0; }

static const char *kind_of(const pfm_inspect_target *target) { return pfm_image_kind_of(target->head, target->head_size); }

/* DICOM has an inspector of its own. */
static bool probe(const pfm_inspect_target *target)
{
    const char *kind = target->is_folder ? NULL : kind_of(target);
    return kind != NULL && strcmp(kind, "DICOM") != 0;
}

/* The colour type and depth of a PNG's header chunk (ISO 15948, 11.2.2). */
static void read_png(const pfm_inspect_target *target, int *channels, int *bits)
{
    static const int of_type[7] = {1, 0, 3, 1, 2, 0, 4};
    *bits = target->head[24];
    *channels = target->head[25] < 7 ? of_type[target->head[25]] : 0;
}

/* The precision and number of components in a JPEG's frame header (ISO 10918-1, B.2.2). */
static void read_jpeg(const unsigned char *data, size_t size, int *channels, int *bits)
{
    for (size_t at = 2; at + 10 <= size && data[at] == 0xff;) {
        unsigned marker = data[at + 1];
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            *bits = data[at + 4];
            *channels = data[at + 9];
            return;
        }
        at += marker == 0xff ? 1 : 2 + ((size_t)data[at + 2] << 8 | data[at + 3]);
    }
}

pfm_status pfm_inspect_burned_in(const pfm_image *image, json_t *out, pfm_error *err)
{
    int rows = 0;
    pfm_status status = pfm_image_find_text(image, &rows, err);
    if (status == PFM_OK)
        status = pfm_json_take(out, "text_like", json_boolean(rows > 0), err);
    if (status == PFM_OK)
        status = pfm_json_take(out, "text_rows", json_integer(rows), err);
    return status;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping mapping = {0};
    pfm_image image = {0};
    pfm_image_applied applied;
    int channels = 0, bits = 0;
    char format[16] = "";
    for (size_t i = 0; i + 1 < sizeof format && kind_of(target)[i] != '\0'; i++)
        format[i] = (char)tolower((unsigned char)kind_of(target)[i]);
    PFM_TRY(pfm_mapping_open(target->path, &mapping, err));
    if (is_png(target))
        read_png(target, &channels, &bits);
    else if (is_jpeg(target))
        read_jpeg(mapping.data, mapping.size, &channels, &bits);
    PFM_TRY(pfm_image_load_shown(target->path, NULL, &image, &applied, err)); /* so that a damaged one says so */
    PFM_TRY(pfm_json_take(out, "format", json_string(format), err));
    PFM_TRY(pfm_json_take(out, "width", json_integer(image.width), err));
    PFM_TRY(pfm_json_take(out, "height", json_integer(image.height), err));
    if (channels > 0) {
        PFM_TRY(pfm_json_take(out, "channels", json_integer(channels), err));
        PFM_TRY(pfm_json_take(out, "bits", json_integer(bits), err));
    }
    if (applied.frames > 1)
        PFM_TRY(pfm_json_take(out, "frames", json_integer(applied.frames), err));
    if (applied.orientation > 1)
        PFM_TRY(pfm_json_take(out, "orientation", json_integer(applied.orientation), err));
    if (applied.axes[0] != '\0')
        PFM_TRY(pfm_json_take(out, "axes", json_string(applied.axes), err));
    if (applied.rows_toward[0] != '\0' && applied.columns_toward[0] != '\0') {
        PFM_TRY(pfm_json_take(out, "rows_toward", json_string(applied.rows_toward), err));
        PFM_TRY(pfm_json_take(out, "columns_toward", json_string(applied.columns_toward), err));
    }
    PFM_TRY(pfm_inspect_burned_in(&image, out, err));
done:
    pfm_image_free(&image);
    pfm_mapping_close(&mapping);
    return status;
}

const pfm_inspector pfm_inspector_image = {.kind = "image", .probe = probe, .describe = describe};
