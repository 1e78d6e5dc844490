#include "base/memory.h"
#include "base/try.h"
#include "data/phantom.h"
#include "data/phantom_shapes_table.h"

#include <math.h>
#include <stdlib.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* the same bytes everywhere; gcc's -std=c17 fuses nothing */
#endif

enum { SIDE = PFM_PHANTOM_SIDE, PIXELS = SIDE * SIDE };

/* A picture in the making; arrays are [SIDE][SIDE]. The body lies at (x0, y0), turned, stretched by wide and high, and bent by
 * at most BEND. */
typedef struct canvas {
    pfm_random random;
    double unit; /* pixels in a unit of length */
    double x0, y0, cosine, sine, wide, high;
    double *u, *v;   /* where each pixel lies in the body */
    double *grey;    /* 0..255 */
    double *field;   /* scratch for noise, -1..1 */
    double softness; /* of edges, in units */
} canvas;

#define BEND .04

static double between(pfm_random *random, double low, double high) { return low + (high - low) * pfm_random_uniform(random); }

static double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

/* Where a row or column lies between the lines of a grid of `cells` cells: behind line `cell`, at an eased share of the way. */
static double ease(int position, int cells, int *cell)
{
    *cell = position * cells / SIDE;
    double f = (double)(position * cells) / SIDE - *cell;
    return f * f * (3 - 2 * f);
}

/* field = smooth noise in -1..1 whose features are SIDE / cells pixels wide: random values on a grid, eased between. */
static pfm_status make_noise(canvas *c, int cells, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *grid = NULL, share[SIDE];
    int stride = cells + 2, cell[SIDE];
    PFM_TRY(pfm_allocate((size_t)stride * (size_t)stride, sizeof *grid, &grid, err));
    for (int i = 0; i < stride * stride; i++)
        grid[i] = between(&c->random, -1, 1);
    for (int x = 0; x < SIDE; x++)
        share[x] = ease(x, cells, &cell[x]);
    for (int y = 0; y < SIDE; y++) {
        const double *above = grid + (size_t)cell[y] * (size_t)stride, *below = above + stride;
        for (int x = 0; x < SIDE; x++) {
            const double *a = above + cell[x], *b = below + cell[x];
            double up = a[0] + (a[1] - a[0]) * share[x], down = b[0] + (b[1] - b[0]) * share[x];
            c->field[y * SIDE + x] = up + (down - up) * share[y];
        }
    }
done:
    free(grid);
    return status;
}

/* Chooses position, size, turn and proportions of the body, and bends everything a little. */
static pfm_status place_body(canvas *c, const pfm_phantom_scene *scene, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_random *r = &c->random;
    double half = SIDE / 2.0, down = scene->region == PFM_PHANTOM_ABDOMEN ? .05 : 0;
    c->unit = .44 * SIDE * between(r, .95, 1.04);
    c->wide = between(r, .97, 1.03);
    c->high = between(r, .97, 1.03);
    c->x0 = half + between(r, -.04, .04) * SIDE;
    c->y0 = half + between(r, -.035, .035) * SIDE + down * c->unit;
    double t = between(r, -.035, .035);
    c->cosine = (1 - t * t) / (1 + t * t);
    c->sine = 2 * t / (1 + t * t);
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double dx = (x + .5 - c->x0) / c->unit, dy = (y + .5 - c->y0) / c->unit;
            c->u[y * SIDE + x] = (c->cosine * dx + c->sine * dy) / c->wide;
            c->v[y * SIDE + x] = (c->cosine * dy - c->sine * dx) / c->high;
        }
    }
    PFM_TRY(make_noise(c, 5, err));
    for (int i = 0; i < PIXELS; i++)
        c->u[i] += BEND * c->field[i];
    PFM_TRY(make_noise(c, 5, err));
    for (int i = 0; i < PIXELS; i++)
        c->v[i] += BEND * c->field[i];
done:
    return status;
}

/* The pixels outside which a shape covers nothing: columns left..right-1, rows top..bottom-1. */
typedef struct box {
    int left, right, top, bottom;
} box;

static box bound(const canvas *c, const shape *s)
{
    double reach = (s->ru > s->rv ? s->ru : s->rv) * (1 + s->spikes) + s->ring + 2 * c->softness + 2 * BEND;
    double x = c->x0 + c->unit * (c->cosine * c->wide * s->u - c->sine * c->high * s->v);
    double y = c->y0 + c->unit * (c->sine * c->wide * s->u + c->cosine * c->high * s->v);
    double half = 1.05 * reach * c->unit;
    return (box){.left = (int)clamp(x - half, 0, SIDE),
                 .right = (int)clamp(x + half + 1, 0, SIDE),
                 .top = (int)clamp(y - half, 0, SIDE),
                 .bottom = (int)clamp(y + half + 1, 0, SIDE)};
}

/* How much of pixel i a shape covers, 0..1. The distance to the outline is that of its first-order approximation. */
static double coverage(const canvas *c, const shape *s, double cosine, double sine, int i)
{
    double du = c->u[i] - s->u, dv = c->v[i] - s->v;
    double a = (cosine * du + sine * dv) / s->ru, b = (cosine * dv - sine * du) / s->rv;
    double q = a * a + b * b;
    double narrow = s->ru < s->rv ? s->ru : s->rv;
    if (s->spikes > 0) {
        double twice = (a * a - b * b) / (q + 1e-9), four = 2 * twice * twice - 1; /* cosines of multiples of the angle */
        double longer = 1 + s->spikes * (2 * four * four - 1);
        q /= longer * longer;
    }
    if (q > 4 || (q - 1) * narrow > 2 * (c->softness + s->ring)) /* far outside */
        return 0;
    if ((1 - q) * narrow > c->softness && s->ring == 0) /* deep inside */
        return 1;
    double slope = 2 * sqrt(a * a / (s->ru * s->ru) + b * b / (s->rv * s->rv)) + 1e-9;
    double inside = (1 - q) / slope;
    if (s->ring > 0)
        inside = s->ring / 2 - fabs(inside);
    return clamp(inside / c->softness + .5, 0, 1);
}

static bool is_present(const pfm_phantom_scene *scene, presence when)
{
    switch (when) {
    case ALWAYS: return true;
    case IF_CT: return scene->look == PFM_PHANTOM_CT;
    case IF_SPLEEN: return scene->spleen;
    case IF_RIGHT_KIDNEY: return scene->right_kidney;
    case IF_LEFT_KIDNEY: return scene->left_kidney;
    }
    return false;
}

/* Moves the grey values under a shape to `value`, or by it. */
static void paint(canvas *c, const shape *s, double value, bool adds)
{
    double cosine = (1 - s->turn * s->turn) / (1 + s->turn * s->turn), sine = 2 * s->turn / (1 + s->turn * s->turn);
    box b = bound(c, s);
    for (int y = b.top; y < b.bottom; y++) {
        for (int i = y * SIDE + b.left; i < y * SIDE + b.right; i++) {
            double alpha = coverage(c, s, cosine, sine, i);
            if (alpha > 0)
                c->grey[i] += alpha * (adds ? value : value - c->grey[i]);
        }
    }
}

/* Each shape a little smaller, larger and elsewhere than the table says. */
static shape vary(canvas *c, const shape *s)
{
    shape varied = *s;
    bool organ = s->ru < .6 && s->ru > .05;
    varied.ru *= organ ? between(&c->random, .93, 1.06) : 1;
    varied.rv *= organ ? between(&c->random, .93, 1.06) : 1;
    varied.u += organ ? between(&c->random, -.015, .015) : 0;
    varied.v += organ ? between(&c->random, -.015, .015) : 0;
    return varied;
}

static void draw_body(canvas *c, const pfm_phantom_scene *scene)
{
    static const struct {
        const shape *shapes;
        size_t count;
    } lists[] = {
        [PFM_PHANTOM_ABDOMEN] = {abdomen_shapes, sizeof abdomen_shapes / sizeof *abdomen_shapes},
        [PFM_PHANTOM_CHEST] = {chest_shapes, sizeof chest_shapes / sizeof *chest_shapes},
        [PFM_PHANTOM_HEAD] = {head_shapes, sizeof head_shapes / sizeof *head_shapes},
        [PFM_PHANTOM_REGIONS] = {frontal_shapes, sizeof frontal_shapes / sizeof *frontal_shapes},
    };
    bool projected = scene->look == PFM_PHANTOM_XRAY;
    size_t list = projected ? PFM_PHANTOM_REGIONS : scene->region;
    for (int i = 0; i < PIXELS; i++)
        c->grey[i] = projected ? 20 : 2;
    for (size_t i = 0; i < lists[list].count; i++) {
        shape s = vary(c, &lists[list].shapes[i]);
        if (is_present(scene, s.when))
            paint(c, &s, projected ? s.value : tissue_values[scene->look][s.value], projected);
    }
}

/* Tissue is never even: mottling, and in magnetic resonance an uneven sensitivity over the picture. */
static pfm_status shade(canvas *c, const pfm_phantom_scene *scene, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double gain = between(&c->random, .9, 1.1), offset = between(&c->random, -5, 5);
    bool resonance = scene->look == PFM_PHANTOM_T1 || scene->look == PFM_PHANTOM_T2;
    PFM_TRY(make_noise(c, 48, err));
    for (int i = 0; i < PIXELS; i++)
        c->grey[i] *= gain * (1 + .05 * c->field[i]);
    PFM_TRY(make_noise(c, 2, err));
    for (int i = 0; i < PIXELS; i++)
        c->grey[i] = c->grey[i] * (1 + (resonance ? .22 : .03) * c->field[i]) + offset;
done:
    return status;
}

/* A white mass with spikes, or a black, round cavity, each with a rim of the opposite brightness so that it shows on every
 * ground. Its size is a share of the picture's width. */
static void draw_lesion(canvas *c, const pfm_phantom_scene *scene, pfm_phantom_quadrant quadrant)
{
    const double *place = lesion_places[scene->region][quadrant];
    pfm_random *r = &c->random;
    double width = scene->large ? between(r, .215, .235) : between(r, .12, .135);
    double radius = width * SIDE / 2 / c->unit, stretch = between(r, .95, 1.05);
    double inner = radius - .018 * SIDE / c->unit;
    shape s = {.u = place[0] + between(r, -.03, .03),
               .v = place[1] + between(r, -.02, .02),
               .turn = between(r, -.3, .3),
               .spikes = scene->bright ? .16 : 0};
    for (int part = 0; part < 2; part++) {
        double value = scene->bright == (part == 1) ? 250 : 4;
        s.ru = (part == 0 ? radius : inner) * stretch;
        s.rv = (part == 0 ? radius : inner) / stretch;
        paint(c, &s, value, false);
    }
}

static void fill(canvas *c, int left, int top, int width, int height, double value)
{
    for (int y = top; y < top + height; y++) {
        for (int x = left; x < left + width; x++)
            c->grey[y * SIDE + x] = value;
    }
}

/* What a viewer puts around a picture: an R at the patient's right, a ruler below it, a wedge of grey values at the bottom. */
static void annotate(canvas *c)
{
    enum {
        CELL = 8,
        LEFT = 12,
        TOP = 28,
        RULER_TOP = 120,
        RULER_BOTTOM = 456,
        TICKS = 12,
        WEDGE_LEFT = 128,
        WEDGE_TOP = 488,
        STEP = 16
    };
    static const char letter[7][6] = {"####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"};
    for (int row = 0; row < 7; row++) {
        for (int column = 0; column < 5; column++) {
            if (letter[row][column] == '#')
                fill(c, LEFT + column * CELL, TOP + row * CELL, CELL, CELL, 255);
        }
    }
    fill(c, LEFT, RULER_TOP, 4, RULER_BOTTOM - RULER_TOP, 255);
    for (int tick = 0; tick <= TICKS; tick++)
        fill(c, LEFT, RULER_TOP + tick * (RULER_BOTTOM - RULER_TOP) / TICKS - 2, tick % 4 == 0 ? 20 : 12, 4, 255);
    for (int step = 0; step < STEP; step++)
        fill(c, WEDGE_LEFT + step * STEP, WEDGE_TOP, STEP, STEP, step * 17);
}

static void finish(canvas *c, pfm_phantom_look look, uint8_t *grey)
{
    double noise = look == PFM_PHANTOM_XRAY ? 4 : 7;
    for (int i = 0; i < PIXELS; i++) {
        uint32_t bits = pfm_random_u32(&c->random);
        double grain = ((double)(bits & 0xFFFF) + (double)(bits >> 16)) / 65535 - 1; /* triangular, -1..1 */
        grey[i] = (uint8_t)(clamp(c->grey[i] + noise * grain, 0, 255) + .5);
    }
}

pfm_status pfm_phantom_draw(const pfm_phantom_scene *scene, uint64_t seed, uint64_t stream, uint8_t *grey, pfm_error *err)
{
    static const double softness[] = {
        [PFM_PHANTOM_CT] = .015, [PFM_PHANTOM_T1] = .03, [PFM_PHANTOM_T2] = .03, [PFM_PHANTOM_XRAY] = .05};
    pfm_status status = PFM_OK;
    double *planes = NULL;
    PFM_TRY(pfm_allocate(4 * (size_t)PIXELS, sizeof *planes, &planes, err));
    canvas c = {.random = pfm_random_start(seed, stream),
                .u = planes,
                .v = planes + PIXELS,
                .grey = planes + 2 * (size_t)PIXELS,
                .field = planes + 3 * (size_t)PIXELS,
                .softness = softness[scene->look]};
    PFM_TRY(place_body(&c, scene, err));
    draw_body(&c, scene);
    PFM_TRY(shade(&c, scene, err));
    c.softness = softness[PFM_PHANTOM_CT];
    for (int i = 0; i < scene->lesions; i++)
        draw_lesion(&c, scene, scene->quadrant[i]);
    annotate(&c);
    finish(&c, scene->look, grey);
done:
    free(planes);
    return status;
}

const char *pfm_phantom_organ(pfm_phantom_region region, pfm_phantom_quadrant quadrant)
{
    return lesion_organs[region][quadrant];
}
