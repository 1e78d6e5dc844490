/* A JPEG 2000 codestream from its tiles. */
#include "image/j2k.h"

#include "image/j2k_header.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tile's picture: a plane a component, of int32_t, or float. */
typedef struct planes {
    void *of[J2K_MOST_COMPONENTS];
} planes;

/* ---- the blocks of a tile ---- */

static bool collect_jobs(j2k_tile *tile, j2k_job **out, size_t *count, size_t *most)
{
    size_t capacity = 0;
    for (int c = 0; c < tile->components; c++)
        for (int r = 0; r <= tile->levels; r++)
            for (int b = 0; b < tile->resolutions[c][r].count; b++) {
                j2k_band *band = &tile->resolutions[c][r].bands[b];
                const size_t blocks = (size_t)band->across * (size_t)band->down;
                if (blocks == 0)
                    continue;
                if (pfm_allocate((size_t)(band->x1 - band->x0) * (size_t)(band->y1 - band->y0), sizeof(int32_t), &band->values,
                                 NULL) != PFM_OK ||
                    pfm_array_reserve(out, &capacity, *count + blocks, sizeof **out, NULL) != PFM_OK)
                    return false;
                for (size_t i = 0; i < blocks; i++) {
                    if (band->blocks[i].passes == 0)
                        continue;
                    *most = band->blocks[i].size > *most ? band->blocks[i].size : *most;
                    (*out)[(*count)++] = (j2k_job){band, &band->blocks[i]};
                }
            }
    return true;
}

/* Those who decode blocks: threads, each with a scratch. */
typedef struct workers {
    pfm_threads *threads; /* NULL: the caller alone */
    int count;
    j2k_scratch **scratches;
} workers;

static void workers_free(workers *w)
{
    for (int i = 0; w->scratches != NULL && i < w->count; i++)
        pfm_j2k_scratch_free(w->scratches[i]);
    free(w->scratches);
    *w = (workers){0};
}

static bool workers_create(pfm_threads *threads, workers *out)
{
    *out = (workers){.threads = threads, .count = threads != NULL ? pfm_threads_count(threads) : 1};
    bool made = pfm_allocate((size_t)out->count, sizeof(j2k_scratch *), &out->scratches, NULL) == PFM_OK;
    for (int i = 0; made && i < out->count; i++) {
        out->scratches[i] = pfm_j2k_scratch_create();
        made = out->scratches[i] != NULL;
    }
    return made;
}

typedef struct work {
    const workers *by;
    const j2k_tile *tile;
    const j2k_job *jobs;
    int count;
    bool reversible;
} work;

/* The longest first, so that no thread waits for one at the end, and those beside each other alike. */
static int compare_jobs(const void *a, const void *b)
{
    const j2k_block *x = ((const j2k_job *)a)->block, *y = ((const j2k_job *)b)->block;
    return (x->size < y->size) - (x->size > y->size);
}

static void do_pair(void *user, int item, int thread)
{
    const work *w = user;
    const int first = 2 * item, count = w->count - first < 2 ? w->count - first : 2;
    pfm_j2k_decode_pair(w->by->scratches[thread], w->tile, w->jobs + first, count, w->reversible);
}

static bool decode_blocks(j2k_tile *tile, const workers *by, bool reversible)
{
    j2k_job *jobs = NULL;
    size_t count = 0, most = 0;
    bool made = collect_jobs(tile, &jobs, &count, &most) && count <= INT_MAX;
    for (int i = 0; made && i < by->count; i++)
        made = pfm_j2k_scratch_reserve(by->scratches[i], most);
    work w = {by, tile, jobs, (int)count, reversible};
    const int pairs = (w.count + 1) / 2;
    if (made && count > 0)
        qsort(jobs, count, sizeof *jobs, compare_jobs);
    if (made && by->threads != NULL)
        pfm_threads_run(by->threads, pairs, do_pair, &w);
    for (int i = 0; made && by->threads == NULL && i < pairs; i++)
        do_pair(&w, i, 0);
    free(jobs);
    return made;
}

/* ---- colours and levels (annex G) ---- */

static void unmix_whole(int32_t *y, int32_t *u, int32_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t green = (uint32_t)y[i] - (uint32_t)((int32_t)((uint32_t)u[i] + (uint32_t)v[i]) >> 2);
        const uint32_t red = (uint32_t)v[i] + green, blue = (uint32_t)u[i] + green;
        y[i] = (int32_t)red;
        u[i] = (int32_t)green;
        v[i] = (int32_t)blue;
    }
}

static void unmix_float(float *y, float *b, float *r, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float red = y[i] + 1.402F * r[i], green = y[i] - 0.344136F * b[i] - 0.714136F * r[i], blue = y[i] + 1.772F * b[i];
        y[i] = red;
        b[i] = green;
        r[i] = blue;
    }
}

/* What a row of samples becomes: shifted by `middle` and held between the two. */
typedef struct range {
    int middle, least, most;
} range;

static inline int settle_whole(int32_t value, const range *r)
{
    const int64_t moved = (int64_t)value + r->middle;
    return (int)(moved < r->least ? r->least : moved > r->most ? r->most : moved);
}

static inline int settle_float(float value, const range *r)
{
    const float moved = value + (float)r->middle; /* what is no number becomes the least */
    return !(moved > (float)r->least) ? r->least : moved >= (float)r->most ? r->most : (int)lrintf(moved);
}

static void put_row(const void *from, size_t count, bool reversible, const range *r, int bytes, size_t step, unsigned char *out)
{
    for (size_t i = 0; i < count; i++) {
        const int value = reversible ? settle_whole(((const int32_t *)from)[i], r) : settle_float(((const float *)from)[i], r);
        if (bytes == 1)
            out[i * step] = (unsigned char)value;
        else
            ((uint16_t *)(void *)out)[i * step] = (uint16_t)value;
    }
}

static void put_tile(const j2k_header *h, const j2k_tile *tile, const planes *p, int bytes, unsigned char *out)
{
    const int half = 1 << (h->depth - 1);
    const range r = {h->is_signed ? 0 : half, h->is_signed ? -half : 0, h->is_signed ? half - 1 : 2 * half - 1};
    const size_t width = (size_t)(tile->x1 - tile->x0), step = (size_t)h->components;
    /* A tile has samples, and so all planes have. */
    assert(p->of[0] != NULL && (h->components == 1 || (p->of[1] != NULL && p->of[2] != NULL)));
    assert(h->components == 3 || !h->mixes_colours);
    if (h->mixes_colours && h->reversible)
        unmix_whole(p->of[0], p->of[1], p->of[2], width * (size_t)(tile->y1 - tile->y0));
    else if (h->mixes_colours)
        unmix_float(p->of[0], p->of[1], p->of[2], width * (size_t)(tile->y1 - tile->y0));
    for (int y = tile->y0; y < tile->y1; y++) {
        const size_t row = (size_t)(y - h->y0) * (size_t)(h->x1 - h->x0) + (size_t)(tile->x0 - h->x0);
        for (size_t c = 0; c < step; c++)
            put_row((const uint32_t *)p->of[c] + (size_t)(y - tile->y0) * width, width, h->reversible, &r, bytes, step,
                    out + (row * step + c) * (size_t)bytes);
    }
}

/* ---- tiles ---- */

/* The bytes of a tile's parts as one run: where they are, or in `joined`. */
static bool join_parts(const unsigned char *bytes, const j2k_part *parts, size_t count, pfm_buffer *joined, j2k_tile *tile)
{
    tile->bytes = bytes + parts[0].at;
    tile->size = parts[0].size;
    if (count == 1)
        return true;
    for (size_t i = 0; i < count; i++)
        if (pfm_buffer_append(joined, bytes + parts[i].at, parts[i].size, NULL) != PFM_OK)
            return false;
    tile->bytes = (const unsigned char *)joined->data;
    tile->size = joined->size;
    return joined->data != NULL;
}

static bool decode_tile(const j2k_header *h, const unsigned char *bytes, const j2k_part *parts, size_t count, const workers *by,
                        int out_bytes, void *out)
{
    j2k_tile tile = {0};
    planes p = {{NULL}};
    pfm_buffer joined = {0};
    bool made = pfm_j2k_tile_create(h, parts[0].tile, &tile) && join_parts(bytes, parts, count, &joined, &tile) &&
                pfm_j2k_read_packets(h, &tile) && decode_blocks(&tile, by, h->reversible);
    for (int c = 0; made && c < h->components; c++)
        made = pfm_j2k_transform(&tile, c, h->reversible, &p.of[c]);
    if (made)
        put_tile(h, &tile, &p, out_bytes, out);
    for (int c = 0; c < J2K_MOST_COMPONENTS; c++)
        free(p.of[c]);
    pfm_buffer_free(&joined);
    pfm_j2k_tile_free(&tile);
    return made;
}

static int tiles_of(const j2k_header *h)
{
    const int64_t across = ((int64_t)h->x1 - h->tile_x0 + h->tile_width - 1) / h->tile_width,
                  down = ((int64_t)h->y1 - h->tile_y0 + h->tile_height - 1) / h->tile_height;
    return across * down <= 65535 ? (int)(across * down) : 0;
}

bool pfm_j2k_decode(const pfm_dicom_stream *in, const unsigned char *bytes, size_t size, pfm_dicom_decoded *out)
{
    const pfm_dicom_layout *l = in->layout;
    j2k_header h;
    j2k_part *parts = NULL;
    size_t end = 0, count = 0;
    bool made = size >= 4 && pfm_j2k_read_header(bytes, size, &h, &end) && h.components == l->samples &&
                h.x1 - h.x0 == l->columns && h.y1 - h.y0 == l->rows && tiles_of(&h) > 0 &&
                pfm_j2k_find_parts(bytes, size, end, tiles_of(&h), &parts, &count);
    const int wide = made && h.depth > 8 ? 2 : 1;
    workers by = {0};
    made = made && workers_create(in->threads, &by) &&
           pfm_allocate(pfm_dicom_count_samples(l), (size_t)wide, &out->data, NULL) == PFM_OK;
    for (size_t i = 0; made && i < count;) {
        size_t behind = i + 1;
        while (behind < count && parts[behind].tile == parts[i].tile)
            behind++;
        made = decode_tile(&h, bytes, parts + i, behind - i, &by, wide, out->data);
        i = behind;
    }
    workers_free(&by);
    free(parts);
    if (!made) {
        free(out->data);
        out->data = NULL;
        return false;
    }
    out->bytes = wide;
    out->precision = h.depth;
    out->is_signed = h.is_signed;
    return true;
}
