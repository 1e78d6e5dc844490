/* A JPEG 2000 codestream from its tiles. */
#include "image/j2k.h"

#include "image/j2k_header.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the blocks of a tile ---- */

static bool collect_jobs(j2k_tile *tile, j2k_job **out, size_t *count, size_t *most)
{
    size_t capacity = 0;
    for (int c = 0; c < tile->components; c++) {
        if (pfm_allocate((size_t)(tile->x1 - tile->x0) * (size_t)(tile->y1 - tile->y0), sizeof(int32_t), &tile->values[c],
                         NULL) != PFM_OK)
            return false;
        for (int r = 0; r <= tile->levels; r++)
            for (int b = 0; b < tile->resolutions[c][r].count; b++) {
                const j2k_band *band = &tile->resolutions[c][r].bands[b];
                const size_t blocks = (size_t)band->across * (size_t)band->down;
                if (pfm_array_reserve(out, &capacity, *count + blocks, sizeof **out, NULL) != PFM_OK)
                    return false;
                for (size_t i = 0; i < blocks; i++) {
                    if (band->blocks[i].passes == 0)
                        continue;
                    *most = band->blocks[i].size > *most ? band->blocks[i].size : *most;
                    (*out)[(*count)++] = (j2k_job){band, &band->blocks[i], tile->values[c]};
                }
            }
    }
    return true;
}

/* Those who decode: threads, each with what it decodes blocks and lifts lines in. */
typedef struct workers {
    pfm_threads *threads; /* NULL: the caller alone */
    int count;
    j2k_scratch **scratches;
    uint32_t **lines;
} workers;

static void workers_free(workers *w)
{
    for (int i = 0; w->scratches != NULL && i < w->count; i++)
        pfm_j2k_scratch_free(w->scratches[i]);
    for (int i = 0; w->lines != NULL && i < w->count; i++)
        free(w->lines[i]);
    free(w->scratches);
    free(w->lines);
    *w = (workers){0};
}

/* `side`: the longest row and column. */
static bool workers_create(pfm_threads *threads, size_t side, workers *out)
{
    *out = (workers){.threads = threads, .count = threads != NULL ? pfm_threads_count(threads) : 1};
    bool made = pfm_allocate((size_t)out->count, sizeof(j2k_scratch *), &out->scratches, NULL) == PFM_OK &&
                pfm_allocate((size_t)out->count, sizeof(uint32_t *), &out->lines, NULL) == PFM_OK;
    for (int i = 0; made && i < out->count; i++) {
        out->scratches[i] = pfm_j2k_scratch_create();
        made = out->scratches[i] != NULL && pfm_allocate(side * J2K_STRIP, sizeof(uint32_t), &out->lines[i], NULL) == PFM_OK;
    }
    return made;
}

/* All items by the threads, or by the caller where there are few. */
static void run_items(const workers *w, int items, bool few, pfm_threads_body body, void *user)
{
    if (w->threads != NULL && !few)
        pfm_threads_run(w->threads, items, body, user);
    else
        for (int i = 0; i < items; i++)
            body(user, i, 0);
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
    if (made && count > 0)
        qsort(jobs, count, sizeof *jobs, compare_jobs);
    if (made)
        run_items(by, (w.count + 1) / 2, false, do_pair, &w);
    free(jobs);
    return made;
}

/* ---- the transform of a tile (annex F) ---- */

enum { ROWS = 16, SMALL = 1 << 14 }; /* rows that go together; samples that are not worth the threads' waking */

typedef struct lifting {
    const workers *by;
    const j2k_tile *tile;
    const j2k_resolution *resolution;
    int component, number;
    bool reversible;
} lifting;

static int smaller(int a, int b) { return a < b ? a : b; }

static void do_rows(void *user, int item, int thread)
{
    const lifting *l = user;
    const int first = ROWS * item, end = smaller(first + ROWS, l->resolution->y1 - l->resolution->y0);
    pfm_j2k_lift_rows(l->tile, l->component, l->number, l->reversible, first, end, l->by->lines[thread]);
}

static void do_columns(void *user, int item, int thread)
{
    const lifting *l = user;
    const int first = J2K_STRIP * item, end = smaller(first + J2K_STRIP, l->resolution->x1 - l->resolution->x0);
    pfm_j2k_lift_columns(l->tile, l->component, l->number, l->reversible, first, end, l->by->lines[thread]);
}

static void transform(const j2k_tile *tile, const workers *by, int c, bool reversible)
{
    for (int r = 1; r <= tile->levels; r++) {
        const j2k_resolution *resolution = &tile->resolutions[c][r];
        const int width = resolution->x1 - resolution->x0, height = resolution->y1 - resolution->y0;
        if (width <= 0 || height <= 0)
            continue;
        lifting l = {by, tile, resolution, c, r, reversible};
        const bool few = (int64_t)width * height <= SMALL;
        run_items(by, (height - 1) / ROWS + 1, few, do_rows, &l);
        run_items(by, (width - 1) / J2K_STRIP + 1, few, do_columns, &l);
    }
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
    const int least = r->least - r->middle, most = r->most - r->middle;
    return (value < least ? least : value > most ? most : value) + r->middle;
}

static inline int settle_float(float value, const range *r)
{
    const float moved = value + (float)r->middle; /* what is no number becomes the least */
    return !(moved > (float)r->least) ? r->least : moved >= (float)r->most ? r->most : (int)lrintf(moved);
}

static void put_row(const void *from, size_t count, bool reversible, range r, int bytes, size_t step, void *out)
{
    const int32_t *whole = from;
    const float *real = from;
    uint8_t *narrow = out;
    uint16_t *wide = out;
    if (reversible && bytes == 2 && step == 1) /* of which there are most: a vector */
        for (size_t i = 0; i < count; i++)
            wide[i] = (uint16_t)settle_whole(whole[i], &r);
    else
        for (size_t i = 0; i < count; i++) {
            const int value = reversible ? settle_whole(whole[i], &r) : settle_float(real[i], &r);
            if (bytes == 1)
                narrow[i * step] = (uint8_t)value;
            else
                wide[i * step] = (uint16_t)value;
        }
}

typedef struct putting {
    const j2k_header *header;
    const j2k_tile *tile;
    int bytes;
    unsigned char *out;
} putting;

/* Rows of samples from a tile's values. */
static void do_put(void *user, int item, int thread)
{
    (void)thread;
    const putting *p = user;
    const j2k_header *h = p->header;
    const j2k_tile *tile = p->tile;
    const int half = 1 << (h->depth - 1), first = ROWS * item, end = smaller(first + ROWS, tile->y1 - tile->y0);
    const range r = {h->is_signed ? 0 : half, h->is_signed ? -half : 0, h->is_signed ? half - 1 : 2 * half - 1};
    const size_t width = (size_t)(tile->x1 - tile->x0), step = (size_t)h->components, begin = (size_t)first * width;
    uint32_t *of[J2K_MOST_COMPONENTS] = {NULL};
    for (size_t c = 0; c < step; c++)
        of[c] = (uint32_t *)tile->values[c] + begin;
    assert(step == 3 || !h->mixes_colours);
    if (h->mixes_colours && h->reversible)
        unmix_whole((int32_t *)of[0], (int32_t *)of[1], (int32_t *)of[2], width * (size_t)(end - first));
    else if (h->mixes_colours)
        unmix_float((float *)of[0], (float *)of[1], (float *)of[2], width * (size_t)(end - first));
    for (int y = first; y < end; y++) {
        const size_t row = (size_t)(tile->y0 - h->y0 + y) * (size_t)(h->x1 - h->x0) + (size_t)(tile->x0 - h->x0);
        for (size_t c = 0; c < step; c++)
            put_row(of[c] + (size_t)(y - first) * width, width, h->reversible, r, p->bytes, step,
                    p->out + (row * step + c) * (size_t)p->bytes);
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
    pfm_buffer joined = {0};
    const bool made = pfm_j2k_tile_create(h, parts[0].tile, &tile) && join_parts(bytes, parts, count, &joined, &tile) &&
                      pfm_j2k_read_packets(h, &tile) && decode_blocks(&tile, by, h->reversible);
    for (int c = 0; made && c < h->components; c++)
        transform(&tile, by, c, h->reversible);
    putting p = {h, &tile, out_bytes, out};
    if (made)
        run_items(by, (tile.y1 - tile.y0 - 1) / ROWS + 1, (tile.x1 - tile.x0) * (int64_t)(tile.y1 - tile.y0) <= SMALL, do_put,
                  &p);
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
    const size_t side = (size_t)(l->columns > l->rows ? l->columns : l->rows);
    workers by = {0};
    made = made && workers_create(in->threads, side, &by) &&
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
