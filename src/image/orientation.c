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
        return 0;
    const bool little = bytes[0] == 'I';
    const size_t at = get(bytes + 4, 4, little);
    if (at > size - 2)
        return 0;
    size_t entries = get(bytes + at, 2, little);
    const unsigned char *entry = bytes + at + 2;
    for (size_t left = size - at - 2; entries > 0 && left >= 12; entries--, entry += 12, left -= 12) {
        if (get(entry, 2, little) != TAG)
            continue;
        const uint32_t value = value_of(entry, little);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

int pfm_orientation_of_xmp(const unsigned char *bytes, size_t size)
{
    static const char name[] = "tiff:Orientation";
    const unsigned char *at = bytes, *end = bytes + size;
    while ((at = memmem(at, (size_t)(end - at), name, sizeof name - 1)) != NULL) {
        at += sizeof name - 1;
        const size_t left = (size_t)(end - at);
        const bool attribute = left > 2 && at[0] == '=' && (at[1] == '"' || at[1] == '\''), element = left > 1 && at[0] == '>';
        const unsigned char value = attribute ? at[2] : element ? at[1] : 0;
        if (value >= '0' && value <= '9')
            return value >= '1' && value <= '8' ? value - '0' : 1;
    }
    return 0;
}

pfm_orientation pfm_orientation_of(int orientation, int width, int height)
{
    static const pfm_orientation kinds[9] = {
        [2] = {.from_right = true},
        [3] = {.from_right = true, .from_below = true},
        [4] = {.from_below = true},
        [5] = {.swaps = true},
        [6] = {.swaps = true, .from_below = true},
        [7] = {.swaps = true, .from_right = true, .from_below = true},
        [8] = {.swaps = true, .from_right = true},
    };
    pfm_orientation out = kinds[orientation >= 2 && orientation <= 8 ? orientation : 0];
    out.width = width;
    out.height = height;
    return out;
}

/* Pixels that lie `step` bytes from each other, side by side. `four`: behind each of them is another byte, so that one can be
 * copied with the next pixel's first, which is then written over. */
static void copy_pixels(uint8_t *to, const uint8_t *from, ptrdiff_t step, int count, bool four)
{
    for (; four && count > 1; count--, to += 3, from += step)
        memcpy(to, from, 4);
    for (; count > 0; count--, to += 3, from += step)
        memcpy(to, from, 3);
}

/* Columns left to right of rows, all of which lie in the cache: along the rows of the upright picture. */
static void place_block(const pfm_orientation *o, const uint8_t *rows, size_t stride, int first, int count, int left, int right,
                        pfm_image *out)
{
    const int top = o->from_below ? o->height - first - count : first, edge = o->from_right ? o->width - right : left;
    const ptrdiff_t along = o->from_right ? -3 : 3, down = o->from_below ? -(ptrdiff_t)stride : (ptrdiff_t)stride;
    const uint8_t *corner =
        rows + (o->from_below ? (size_t)(count - 1) * stride : 0) + 3 * (size_t)(o->from_right ? right - 1 : left);
    const int x0 = o->swaps ? top : edge, y0 = o->swaps ? edge : top;
    const int across = o->swaps ? count : right - left, lines = o->swaps ? right - left : count;
    const ptrdiff_t step = o->swaps ? down : along, next = o->swaps ? along : down;
    for (int y = 0; y < lines; y++) {
        uint8_t *to = out->rgb + ((size_t)(y0 + y) * (size_t)out->width + (size_t)x0) * 3;
        const uint8_t *from = corner + y * next;
        const int column = o->from_right ? right - 1 - y : left + y; /* where the axes are swapped: of all of the line */
        if (step == 3)
            memcpy(to, from, (size_t)across * 3);
        else
            copy_pixels(to, from, step, across, o->swaps && column + 1 < o->width);
    }
}

void pfm_orientation_place(const pfm_orientation *o, const uint8_t *rows, size_t stride, int first, int count, pfm_image *out)
{
    for (int y = 0; y < count; y += BLOCK) {
        const int lines = count - y < BLOCK ? count - y : BLOCK;
        for (int x = 0; x < o->width; x += BLOCK)
            place_block(o, rows + (size_t)y * stride, stride, first + y, lines, x, o->width - x < BLOCK ? o->width : x + BLOCK,
                        out);
    }
}

pfm_status pfm_orientation_apply(int orientation, pfm_image *image, pfm_error *err)
{
    pfm_image out;
    if (orientation < 2 || orientation > 8)
        return PFM_OK;
    const int width = image->width, height = image->height;
    const pfm_orientation o = pfm_orientation_of(orientation, width, height);
    pfm_status status = pfm_image_create(o.swaps ? height : width, o.swaps ? width : height, "the upright picture", &out, err);
    if (status != PFM_OK)
        return status;
    pfm_orientation_place(&o, image->rgb, (size_t)width * 3, 0, height, &out);
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
