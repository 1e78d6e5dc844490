#include "image/orientation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TAG = 0x0112, BYTE = 1, SHORT = 3, LONG = 4, BLOCK = 64 };

static uint32_t get(const unsigned char *bytes, int count, bool little)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[little ? count - 1 - i : i];
    return value;
}

/* The value of an entry of one number; 0 for another. */
static uint32_t value_of(const unsigned char *entry, bool little)
{
    const uint32_t type = get(entry + 2, 2, little);
    if (get(entry + 4, 4, little) != 1)
        return 0;
    return type == BYTE ? entry[8] : type == SHORT ? get(entry + 8, 2, little) : type == LONG ? get(entry + 8, 4, little) : 0;
}

int pfm_orientation_of_exif(const unsigned char *bytes, size_t size)
{
    if (size >= 6 && memcmp(bytes, "Exif\0", 5) == 0) {
        bytes += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0))
        return 1;
    const bool little = bytes[0] == 'I';
    const size_t at = get(bytes + 4, 4, little);
    if (at > size - 2)
        return 1;
    size_t entries = get(bytes + at, 2, little);
    const unsigned char *entry = bytes + at + 2;
    for (size_t left = size - at - 2; entries > 0 && left >= 12; entries--, entry += 12, left -= 12) {
        if (get(entry, 2, little) != TAG)
            continue;
        const uint32_t value = value_of(entry, little);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Pixel x, y of the upright picture is pixel from_x, from_y of the stored one. */
typedef struct source {
    bool swaps, from_right, from_below; /* the axes; within the stored picture */
} source;

static const source sources[9] = {
    [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true}, [5] = {true, false, false},
    [6] = {true, false, true},  [7] = {true, true, true},  [8] = {true, true, false},
};

/* Both pictures' rows of a block stay in the cache. */
static void turn_block(const pfm_image *in, const source *s, int left, int top, pfm_image *out)
{
    const int right = left + BLOCK < out->width ? left + BLOCK : out->width;
    const int bottom = top + BLOCK < out->height ? top + BLOCK : out->height;
    for (int y = top; y < bottom; y++) {
        uint8_t *to = out->rgb + ((size_t)y * (size_t)out->width + (size_t)left) * 3;
        for (int x = left; x < right; x++, to += 3) {
            const int column = s->swaps ? y : x, row = s->swaps ? x : y;
            const size_t from_x = (size_t)(s->from_right ? in->width - 1 - column : column);
            const size_t from_y = (size_t)(s->from_below ? in->height - 1 - row : row);
            memcpy(to, in->rgb + (from_y * (size_t)in->width + from_x) * 3, 3);
        }
    }
}

pfm_status pfm_orientation_apply(int orientation, pfm_image *image, pfm_error *err)
{
    pfm_image out;
    if (orientation < 2 || orientation > 8)
        return PFM_OK;
    const source s = sources[orientation];
    const int width = image->width, height = image->height;
    pfm_status status = pfm_image_create(s.swaps ? height : width, s.swaps ? width : height, "the upright picture", &out, err);
    if (status != PFM_OK)
        return status;
    for (int y = 0; y < out.height; y += BLOCK)
        for (int x = 0; x < out.width; x += BLOCK)
            turn_block(image, &s, x, y, &out);
    pfm_image_free(image);
    *image = out;
    return PFM_OK;
}

void pfm_direction_name(const double *cosines, char out[4])
{
    static const char positive[] = "LPH", negative[] = "RAF";
    bool named[3] = {false, false, false};
    size_t length = 0;
    for (int turn = 0; turn < 3; turn++) {
        int best = -1;
        for (int i = 0; i < 3; i++)
            if (!named[i] && (best < 0 || fabs(cosines[i]) > fabs(cosines[best])))
                best = i;
        named[best] = true;
        if (fabs(cosines[best]) >= 0.1)
            out[length++] = cosines[best] > 0 ? positive[best] : negative[best];
    }
    out[length] = '\0';
}
