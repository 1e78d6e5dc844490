/* The main header of a JPEG 2000 codestream and where its tiles' bytes are (ITU-T T.800, annex A). Whatever is not usual is
 * left to OpenJPEG. */
#include "image/j2k_header.h"

#include <stdlib.h>

enum {
    SOC = 0xFF4F,
    SIZ = 0xFF51,
    COD = 0xFF52,
    QCD = 0xFF5C,
    TLM = 0xFF55,
    PLM = 0xFF57,
    PLT = 0xFF58,
    COM = 0xFF64,
    SOT = 0xFF90,
    SOD = 0xFF93,
    EOC = 0xFFD9,
    MOST_PLACE = 1 << 30
};

static unsigned read16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }
static uint32_t read32(const unsigned char *at) { return (uint32_t)read16(at) << 16 | read16(at + 2); }

/* SIZ (A.5.1): `at` is behind the marker's length. */
static bool read_sizes(const unsigned char *at, size_t size, j2k_header *h)
{
    if (h->components != 0 || size < 36)
        return false;
    for (int i = 0; i < 8; i++)
        if (read32(at + 2 + 4 * i) > MOST_PLACE)
            return false;
    int *const to[] = {&h->x1, &h->y1, &h->x0, &h->y0, &h->tile_width, &h->tile_height, &h->tile_x0, &h->tile_y0};
    for (int i = 0; i < 8; i++)
        *to[i] = (int)read32(at + 2 + 4 * i);
    h->components = (int)read16(at + 34);
    if ((read16(at) & 0x4000) != 0 || (h->components != 1 && h->components != 3) || size != 36 + 3 * (size_t)h->components ||
        h->tile_width < 1 || h->tile_height < 1 || h->x1 <= h->x0 || h->y1 <= h->y0 || h->tile_x0 > h->x0 ||
        h->tile_y0 > h->y0 || h->tile_x0 + h->tile_width <= h->x0 || h->tile_y0 + h->tile_height <= h->y0)
        return false;
    const unsigned char *first = at + 36;
    for (int c = 0; c < h->components; c++)
        if (first[3 * c] != first[0] || first[3 * c + 1] != 1 || first[3 * c + 2] != 1)
            return false;
    h->depth = (first[0] & 127) + 1;
    h->is_signed = first[0] > 127;
    return h->depth <= 16;
}

/* COD (A.6.1), of default precincts, without markers in between, and blocks without options. */
static bool read_coding(const unsigned char *at, size_t size, j2k_header *h)
{
    if (h->layers != 0 || size != 10 || at[0] != 0 || at[4] > 1 || at[8] != 0 || at[9] > 1)
        return false;
    h->progression = at[1];
    h->layers = (int)read16(at + 2);
    h->mixes_colours = at[4] == 1;
    h->levels = at[5];
    h->block_width = at[6] + 2;
    h->block_height = at[7] + 2;
    h->reversible = at[9] == 1;
    return h->progression <= 4 && h->layers >= 1 && h->levels <= J2K_MOST_LEVELS && h->block_width <= 10 &&
           h->block_height <= 10 && h->block_width + h->block_height <= 12;
}

/* QCD (A.6.4). */
static bool read_quantisation(const unsigned char *at, size_t size, j2k_header *h)
{
    if (h->steps != 0 || size < 2)
        return false;
    const int style = at[0] & 31;
    h->whole_steps = style == 0;
    h->derived = style == 1;
    h->guard = at[0] >> 5;
    const size_t width = style == 0 ? 1 : 2, count = (size - 1) / width;
    if (style > 2 || (size - 1) % width != 0 || (style == 1 && count != 1))
        return false;
    h->steps = (int)(count < J2K_MOST_BANDS ? count : J2K_MOST_BANDS);
    for (int i = 0; i < h->steps; i++)
        h->step[i] = style == 0 ? (unsigned)at[1 + i] >> 3 << 11 : read16(at + 1 + 2 * i);
    return true;
}

/* The markers together. */
static bool fits(const j2k_header *h)
{
    return h->components != 0 && h->layers != 0 && h->steps != 0 && h->whole_steps == h->reversible &&
           (h->derived || h->steps >= 3 * h->levels + 1) && (!h->mixes_colours || h->components == 3);
}

bool pfm_j2k_read_header(const unsigned char *bytes, size_t size, j2k_header *out, size_t *end)
{
    *out = (j2k_header){0};
    if (size < 2 || read16(bytes) != SOC)
        return false;
    for (size_t at = 2; size - at >= 4;) {
        const unsigned marker = read16(bytes + at);
        const size_t length = read16(bytes + at + 2);
        if (marker == SOT) {
            *end = at;
            return fits(out);
        }
        if (length < 2 || length > size - at - 2)
            return false;
        const unsigned char *value = bytes + at + 4;
        const bool sound = marker == SIZ   ? read_sizes(value, length - 2, out)
                           : marker == COD ? read_coding(value, length - 2, out)
                           : marker == QCD ? read_quantisation(value, length - 2, out)
                                           : marker == COM || marker == TLM || marker == PLM;
        if (!sound)
            return false;
        at += 2 + length;
    }
    return false;
}

/* The header of a tile's part (A.4.2): *begin = where behind it its bytes are. Its tile's own coding is not usual. */
static bool read_part(const unsigned char *bytes, size_t size, size_t at, size_t end, size_t *begin)
{
    for (at += 12; size - at >= 4 && end - at >= 2;) {
        const unsigned marker = read16(bytes + at);
        const size_t length = read16(bytes + at + 2);
        if (marker == SOD) {
            *begin = at + 2;
            return true;
        }
        if ((marker != PLT && marker != COM) || length < 2 || length > size - at - 2 || 2 + length > end - at)
            return false;
        at += 2 + length;
    }
    return false;
}

/* Where the next part comes in: of tile `tile` (-1: none yet) there were `index`, of `total` (0: not said). */
typedef struct sequence {
    int tile, index, total;
} sequence;

/* Parts and tiles come in order, and a tile has as many as it says. */
static bool comes_next(sequence *s, int tile, int index, int total)
{
    if (tile != s->tile) {
        if (tile != s->tile + 1 || (s->total != 0 && s->index != s->total))
            return false;
        *s = (sequence){.tile = tile};
    }
    if (index != s->index || (s->total != 0 && total != 0 && total != s->total) || (total != 0 && index >= total))
        return false;
    s->index++;
    s->total = total != 0 ? total : s->total;
    return true;
}

bool pfm_j2k_find_parts(const unsigned char *bytes, size_t size, size_t at, int tiles, j2k_part **out, size_t *count)
{
    size_t capacity = 0;
    sequence s = {.tile = -1};
    *out = NULL;
    *count = 0;
    while (size - at >= 12 && read16(bytes + at) == SOT) {
        const int number = (int)read16(bytes + at + 4);
        const size_t length = read32(bytes + at + 6);
        if (read16(bytes + at + 2) != 10 || length < 14 || length > size - at || number >= tiles ||
            !comes_next(&s, number, bytes[at + 10], bytes[at + 11]) ||
            pfm_array_reserve(out, &capacity, *count + 1, sizeof **out, NULL) != PFM_OK)
            return false;
        size_t begin = 0;
        if (!read_part(bytes, size, at, at + length, &begin))
            return false;
        (*out)[(*count)++] = (j2k_part){.tile = number, .at = begin, .size = at + length - begin};
        at += length;
    }
    return s.tile == tiles - 1 && (s.total == 0 || s.index == s.total) && size - at >= 2 && read16(bytes + at) == EOC;
}
