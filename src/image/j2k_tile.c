/* A tile of JPEG 2000: its resolutions, bands and blocks (ITU-T T.800, annex B). */
#include "image/j2k_parts.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { PRECINCT = 15 }; /* its side as a power of two, where none is given */

static bool create_tree(j2k_tree *tree, int width, int height)
{
    size_t nodes = 0;
    tree->levels = 0;
    for (;;) {
        tree->width[tree->levels] = width;
        tree->height[tree->levels++] = height;
        nodes += (size_t)width * (size_t)height;
        if (width <= 1 && height <= 1)
            break;
        width = (width + 1) / 2;
        height = (height + 1) / 2;
    }
    if (pfm_allocate(nodes, sizeof *tree->nodes, &tree->nodes, NULL) != PFM_OK)
        return false;
    for (size_t i = 0; i < nodes; i++)
        tree->nodes[i].value = INT_MAX;
    return true;
}

static int larger(int a, int b) { return a > b ? a : b; }
static int smaller(int a, int b) { return a < b ? a : b; }

/* The blocks of a band, which are cut where multiples of their sides are. */
static bool create_blocks(const j2k_header *h, int resolution, j2k_band *band)
{
    const int most = resolution == 0 ? PRECINCT : PRECINCT - 1;
    const int wide = smaller(h->block_width, most), high = smaller(h->block_height, most);
    const int first_x = band->x0 >> wide, first_y = band->y0 >> high;
    band->across = j2k_ceil_shift(band->x1, wide) - first_x;
    band->down = j2k_ceil_shift(band->y1, high) - first_y;
    if (band->x1 <= band->x0 || band->y1 <= band->y0)
        band->across = band->down = 0;
    const size_t count = (size_t)band->across * (size_t)band->down;
    if (count == 0)
        return true;
    if (pfm_allocate(count, sizeof *band->blocks, &band->blocks, NULL) != PFM_OK ||
        !create_tree(&band->included, band->across, band->down) || !create_tree(&band->empty_planes, band->across, band->down))
        return false;
    for (int j = 0; j < band->down; j++)
        for (int i = 0; i < band->across; i++) {
            const int x0 = larger((first_x + i) << wide, band->x0), x1 = smaller((first_x + i + 1) << wide, band->x1),
                      y0 = larger((first_y + j) << high, band->y0), y1 = smaller((first_y + j + 1) << high, band->y1);
            band->blocks[j * band->across + i] = (j2k_block){
                .x = x0 - band->x0, .y = y0 - band->y0, .width = x1 - x0, .height = y1 - y0, .first = -1, .last = -1};
        }
    return true;
}

/* Equation B-15. */
static int band_place(int value, int level, bool high)
{
    const int64_t shifted = (int64_t)value - (high ? INT64_C(1) << (level - 1) : 0);
    return (int)((shifted + (INT64_C(1) << level) - 1) >> level);
}

/* Planes and step (E.1, E.2). */
static bool quantise(const j2k_header *h, int resolution, int level, j2k_band *band)
{
    const int number = resolution == 0 ? 0 : 3 * (resolution - 1) + band->kind;
    const unsigned step = h->step[h->derived ? 0 : number];
    int exponent = (int)(step >> 11);
    if (h->derived)
        exponent += level - h->levels;
    const int gain = band->kind == 0 ? 0 : band->kind == 3 ? 2 : 1;
    band->planes = h->guard + exponent - 1;
    band->step = (float)ldexp(1 + (double)(step & 2047) / 2048, h->depth + gain - exponent);
    return exponent >= 0 && band->planes >= 0 && band->planes <= J2K_MOST_PLANES;
}

static bool create_resolution(const j2k_header *h, const j2k_tile *tile, int number, j2k_resolution *r)
{
    const int up = h->levels - number, level = number == 0 ? h->levels : up + 1;
    r->x0 = j2k_ceil_shift(tile->x0, up);
    r->y0 = j2k_ceil_shift(tile->y0, up);
    r->x1 = j2k_ceil_shift(tile->x1, up);
    r->y1 = j2k_ceil_shift(tile->y1, up);
    if (r->x1 > r->x0 && r->y1 > r->y0 &&
        (r->x0 >> PRECINCT != (r->x1 - 1) >> PRECINCT || r->y0 >> PRECINCT != (r->y1 - 1) >> PRECINCT))
        return false;
    r->count = number == 0 ? 1 : 3;
    for (int b = 0; b < r->count; b++) {
        j2k_band *band = &r->bands[b];
        band->kind = number == 0 ? 0 : b + 1;
        band->x0 = band_place(tile->x0, level, (band->kind & 1) != 0);
        band->x1 = band_place(tile->x1, level, (band->kind & 1) != 0);
        band->y0 = band_place(tile->y0, level, (band->kind & 2) != 0);
        band->y1 = band_place(tile->y1, level, (band->kind & 2) != 0);
        if (!quantise(h, number, level, band) || !create_blocks(h, number, band))
            return false;
        /* Low bands come first in both directions. */
        const j2k_band *hl = &r->bands[0];
        if ((band->kind & 1) != 0)
            band->at += (size_t)(r->x1 - r->x0 - (band->x1 - band->x0));
        if ((band->kind & 2) != 0)
            band->at += (size_t)(hl->y1 - hl->y0) * (size_t)(tile->x1 - tile->x0);
    }
    return true;
}

bool pfm_j2k_tile_create(const j2k_header *header, int number, j2k_tile *out)
{
    const j2k_header *h = header;
    const int across = (int)(((int64_t)h->x1 - h->tile_x0 + h->tile_width - 1) / h->tile_width);
    const int64_t x = h->tile_x0 + (int64_t)(number % across) * h->tile_width,
                  y = h->tile_y0 + (int64_t)(number / across) * h->tile_height;
    *out = (j2k_tile){.levels = h->levels, .components = h->components};
    out->x0 = larger((int)x, h->x0);
    out->y0 = larger((int)y, h->y0);
    out->x1 = x + h->tile_width < h->x1 ? (int)x + h->tile_width : h->x1;
    out->y1 = y + h->tile_height < h->y1 ? (int)y + h->tile_height : h->y1;
    if (out->x1 <= out->x0 || out->y1 <= out->y0)
        return false;
    for (int c = 0; c < h->components; c++)
        for (int r = 0; r <= h->levels; r++)
            if (!create_resolution(h, out, r, &out->resolutions[c][r]))
                return false;
    return true;
}

void pfm_j2k_tile_free(j2k_tile *tile)
{
    for (int c = 0; c < tile->components; c++)
        for (int r = 0; r <= tile->levels; r++)
            for (int b = 0; b < tile->resolutions[c][r].count; b++) {
                j2k_band *band = &tile->resolutions[c][r].bands[b];
                free(band->blocks);
                free(band->included.nodes);
                free(band->empty_planes.nodes);
            }
    for (int c = 0; c < tile->components; c++)
        free(tile->values[c]);
    free(tile->chunks);
    *tile = (j2k_tile){0};
}
