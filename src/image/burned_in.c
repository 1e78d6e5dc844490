/* Rows of text in a picture's pixels, as scanners and annotators burn them in.
 *
 * A letter is a connected group of pixels that are all on the same side of the middle between the darkest and the lightest
 * pixel around them, where those two lie far apart; it is a few pixels high and not much wider than high. Letters of similar
 * height and grey that stand on one line close to each other are a row; a row of enough letters with no crowd of such groups
 * around it is text. Anatomy has high contrast and small parts too, but they stand in rows only by chance. */
#include "image/image.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_SIDE = 2048, /* larger pictures are looked at made smaller by a whole number */
    WINDOW = 16,         /* pixels around one, both ways, among which it is light or dark; a power of two */
    CONTRAST = 64,       /* grey levels between the darkest and the lightest there; less is no text */
    LEAST_HEIGHT = 4,    /* of a letter */
    LARGE_HEIGHT = 10,   /* of one in the picture halved, where wide strokes and what is behind them fit into WINDOW */
    MOST_HEIGHT = 96,
    LEAST_LETTERS = 4, /* in a row */
    SURE_HEIGHT = 6,   /* of the tallest of no more than that */
    CORES_NEAR = 48,   /* grey levels between the lightest and the darkest letter of a row */
};

enum { NEITHER, LIGHT, DARK }; /* than what is around a pixel */

typedef struct plane {
    int width, height;
    uint8_t *grey, *low, *high; /* [height][width]; the darkest and lightest of WINDOW x WINDOW pixels */
} plane;

typedef struct part {
    int parent; /* itself: a root, which alone holds the rest */
    int x0, y0, x1, y1;
    int area;
    uint8_t side, core; /* the lightest grey in it where it is light, the darkest where it is dark */
} part;                 /* a connected group of pixels */

typedef struct run {
    int x0, x1, part;
    uint8_t side;
} run;

typedef struct parts {
    part *items;
    size_t count, capacity;
} parts;

/* *out = the picture in grey, no side longer than LONGEST_SIDE but for rounding. */
static pfm_status make_plane(const pfm_image *image, plane *out, pfm_error *err)
{
    const int longest = image->width > image->height ? image->width : image->height;
    const int by = (longest + LONGEST_SIDE - 1) / LONGEST_SIDE;
    pfm_status status = PFM_OK;
    out->width = image->width / by > 0 ? image->width / by : 1;
    out->height = image->height / by > 0 ? image->height / by : 1;
    const int wide = image->width < by ? image->width : by, high = image->height < by ? image->height : by;
    const size_t size = (size_t)out->width * (size_t)out->height;
    PFM_TRY(pfm_allocate(size, 1, &out->grey, err));
    PFM_TRY(pfm_allocate(size, 1, &out->low, err));
    PFM_TRY(pfm_allocate(size, 1, &out->high, err));
    for (int y = 0; y < out->height; y++) {
        for (int x = 0; x < out->width; x++) {
            unsigned sum = 0;
            for (int i = 0; i < high; i++) {
                const uint8_t *rgb = image->rgb + 3 * ((size_t)(y * by + i) * (size_t)image->width + (size_t)x * (size_t)by);
                for (int k = 0; k < wide; k++, rgb += 3)
                    sum += rgb[0] + 2u * rgb[1] + rgb[2];
            }
            out->grey[(size_t)y * (size_t)out->width + (size_t)x] = (uint8_t)(sum / (4u * (unsigned)(wide * high)));
        }
    }
done:
    return status;
}

static void halve(plane *p)
{
    const size_t from = (size_t)p->width, width = from / 2, height = (size_t)p->height / 2;
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            const uint8_t *four = p->grey + 2 * y * from + 2 * x; /* never behind what is written */
            p->grey[y * width + x] = (uint8_t)((four[0] + four[1] + four[from] + four[from + 1]) / 4);
        }
    }
    p->width = (int)width;
    p->height = (int)height;
}

/* Of `count` bytes what is ahead by `from`, where that is lower or higher. Blocks of a fixed length become vector code. */
static void take_extremes(uint8_t *low, uint8_t *high, size_t from, size_t count)
{
    enum { BLOCK = 64 };
    uint8_t ahead[BLOCK];
    size_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK) {
        memcpy(ahead, low + i + from, BLOCK);
        for (int k = 0; k < BLOCK; k++)
            low[i + (size_t)k] = ahead[k] < low[i + (size_t)k] ? ahead[k] : low[i + (size_t)k];
        memcpy(ahead, high + i + from, BLOCK);
        for (int k = 0; k < BLOCK; k++)
            high[i + (size_t)k] = ahead[k] > high[i + (size_t)k] ? ahead[k] : high[i + (size_t)k];
    }
    for (; i < count; i++) {
        low[i] = low[i + from] < low[i] ? low[i + from] : low[i];
        high[i] = high[i + from] > high[i] ? high[i + from] : high[i];
    }
}

/* low and high of a pixel become those of the WINDOW x WINDOW ones that begin with it, by doubling. */
static void spread(plane *p)
{
    const size_t width = (size_t)p->width, height = (size_t)p->height;
    memcpy(p->low, p->grey, width * height);
    memcpy(p->high, p->grey, width * height);
    for (size_t step = 1; step < WINDOW; step *= 2) {
        for (size_t y = 0; y < height && step < width; y++)
            take_extremes(p->low + y * width, p->high + y * width, step, width - step);
        if (step < height)
            take_extremes(p->low, p->high, step * width, (height - step) * width);
    }
}

/* The side of each pixel of a line; NEITHER where nothing around it stands out. */
static void find_sides(const plane *p, int y, uint8_t *sides)
{
    const size_t width = (size_t)p->width, own = (size_t)y * width;
    const size_t around = (size_t)(y > WINDOW / 2 ? y - WINDOW / 2 : 0) * width;
    for (size_t x = 0; x < width; x++) {
        const size_t at = around + (x > WINDOW / 2 ? x - WINDOW / 2 : 0);
        const int low = p->low[at], high = p->high[at];
        const uint8_t side = 2 * p->grey[own + x] > low + high ? LIGHT : DARK;
        sides[x] = high - low < CONTRAST ? NEITHER : side;
    }
}

static int find_root(part *items, int i)
{
    while (items[i].parent != i)
        i = items[i].parent = items[items[i].parent].parent;
    return i;
}

static void join(part *items, int a, int b)
{
    a = find_root(items, a);
    b = find_root(items, b);
    if (a == b)
        return;
    part *into = &items[a < b ? a : b], *from = &items[a < b ? b : a];
    from->parent = a < b ? a : b;
    into->area += from->area;
    if (into->side == LIGHT ? from->core > into->core : from->core < into->core)
        into->core = from->core;
    into->x0 = from->x0 < into->x0 ? from->x0 : into->x0;
    into->x1 = from->x1 > into->x1 ? from->x1 : into->x1;
    into->y0 = from->y0 < into->y0 ? from->y0 : into->y0;
    into->y1 = from->y1 > into->y1 ? from->y1 : into->y1;
}

/* The runs of one line, each a part of its own so far. */
static pfm_status list_runs(const plane *p, const uint8_t *sides, int y, parts *all, run *runs, int *count, pfm_error *err)
{
    const uint8_t *grey = p->grey + (size_t)y * (size_t)p->width;
    const int width = p->width;
    *count = 0;
    for (int x = 0, begin = 0; x < width; begin = x) {
        uint8_t core = grey[begin];
        for (; x < width && sides[x] == sides[begin]; x++)
            if (sides[begin] == LIGHT ? grey[x] > core : grey[x] < core)
                core = grey[x];
        if (sides[begin] == NEITHER)
            continue;
        pfm_status status = pfm_array_reserve(&all->items, &all->capacity, all->count + 1, sizeof *all->items, err);
        if (status != PFM_OK)
            return status;
        const int own = (int)all->count++;
        all->items[own] = (part){own, begin, y, x - 1, y, x - begin, sides[begin], core};
        runs[(*count)++] = (run){begin, x - 1, own, sides[begin]};
    }
    return PFM_OK;
}

/* Joins runs of one side that touch, corners included. */
static void join_lines(part *items, const run *above, int above_count, const run *below, int below_count)
{
    for (int a = 0, first = 0; a < above_count; a++) {
        while (first < below_count && below[first].x1 + 1 < above[a].x0)
            first++;
        for (int b = first; b < below_count && below[b].x0 <= above[a].x1 + 1; b++)
            if (above[a].side == below[b].side)
                join(items, above[a].part, below[b].part);
    }
}

static pfm_status find_parts(const plane *p, parts *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint8_t *sides = NULL;
    run *lines[2] = {NULL, NULL};
    int counts[2] = {0, 0};
    PFM_TRY(pfm_allocate((size_t)p->width, 1, &sides, err));
    for (int i = 0; i < 2; i++)
        PFM_TRY(pfm_allocate((size_t)p->width, sizeof *lines[i], &lines[i], err));
    for (int y = 0; y < p->height; y++) {
        const int own = y % 2, above = 1 - own;
        find_sides(p, y, sides);
        PFM_TRY(list_runs(p, sides, y, out, lines[own], &counts[own], err));
        join_lines(out->items, lines[above], counts[above], lines[own], counts[own]);
    }
done:
    free(sides);
    free(lines[0]);
    free(lines[1]);
    return status;
}

static int height_of(const part *letter) { return letter->y1 - letter->y0 + 1; }
static int width_of(const part *letter) { return letter->x1 - letter->x0 + 1; }

static bool may_be_letter(const part *p, int least_height)
{
    const int height = height_of(p), width = width_of(p);
    return height >= least_height && height <= MOST_HEIGHT && 2 * width <= 5 * height && 8 * p->area >= width * height;
}

static int compare_feet(const void *a, const void *b)
{
    const part *x = a, *y = b;
    return x->y1 != y->y1 ? (x->y1 < y->y1 ? -1 : 1) : (x->x0 > y->x0) - (x->x0 < y->x0);
}

/* Leaves of the parts the letters, sorted by the line that they stand on. */
static void keep_letters(parts *all, int least_height)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].parent == (int)i && may_be_letter(&all->items[i], least_height))
            all->items[kept++] = all->items[i]; /* parents mean nothing from here on */
    all->count = kept;
    if (kept > 1)
        qsort(all->items, kept, sizeof *all->items, compare_feet);
}

/* The letter that follows `own` on its line, -1: none. */
static int find_next(const parts *letters, int own)
{
    const part *a = &letters->items[own];
    const int slack = 1 + height_of(a) / 6;
    int best = -1, begin = own;
    while (begin > 0 && letters->items[begin - 1].y1 >= a->y1 - slack)
        begin--;
    for (int i = begin; i < (int)letters->count && letters->items[i].y1 <= a->y1 + slack; i++) {
        const part *b = &letters->items[i];
        const int taller = height_of(a) > height_of(b) ? height_of(a) : height_of(b);
        const int smaller = height_of(a) > height_of(b) ? height_of(b) : height_of(a);
        if (b->side != a->side || b->x0 <= a->x0 || b->x1 <= a->x1 || 10 * taller > 17 * smaller + 10)
            continue;
        const int gap = b->x0 - a->x1 - 1;
        if (gap < -1 || 5 * gap > 6 * taller)
            continue;
        if (best < 0 || b->x0 < letters->items[best].x0)
            best = i;
    }
    return best;
}

/* What the letters of a row have in common. */
typedef struct row {
    int count, wide; /* letters, and those that are not narrow */
    int x0, y0, x1, y1;
    int width, height;     /* sums */
    int tallest, smallest; /* heights */
    int lowest, highest;   /* feet */
    int lightest, darkest; /* cores */
} row;

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }

/* Follows the letters from one that none comes before. */
static row measure_row(const parts *letters, const int *next, int first)
{
    const part *begin = &letters->items[first];
    row out = {0, 0, begin->x0, begin->y0, begin->x1, begin->y1, 0, 0, 0, MOST_HEIGHT, begin->y1, begin->y1, 0, 255};
    for (int i = first; i >= 0; i = next[i]) {
        const part *own = &letters->items[i];
        const int height = height_of(own), width = width_of(own);
        out.count++;
        out.wide += 5 * width >= 2 * height;
        out.x1 = most(out.x1, own->x1);
        out.y0 = least(out.y0, own->y0);
        out.y1 = most(out.y1, own->y1);
        out.width += width;
        out.height += height;
        out.tallest = most(out.tallest, height);
        out.smallest = least(out.smallest, height);
        out.lowest = most(out.lowest, own->y1);
        out.highest = least(out.highest, own->y1);
        out.lightest = most(out.lightest, own->core);
        out.darkest = least(out.darkest, own->core);
    }
    return out;
}

/* Whether around a row, as far as a letter is high, there are not many more parts that could be letters: where there are, as
 * cells under a microscope, some stand on a line by chance. A line of text above and one below are no more than that. */
static bool stands_alone(const parts *letters, const row *r, int first)
{
    const int x0 = r->x0 - r->tallest, x1 = r->x1 + r->tallest, y0 = r->y0 - r->tallest, y1 = r->y1 + r->tallest;
    int inside = 0, begin = first;
    while (begin > 0 && letters->items[begin - 1].y1 >= y0)
        begin--;
    for (int i = begin; i < (int)letters->count && letters->items[i].y1 < y1 + MOST_HEIGHT && 2 * inside <= 5 * r->count; i++) {
        const part *own = &letters->items[i];
        inside += own->y1 >= y0 && own->y0 <= y1 && own->x1 >= x0 && own->x0 <= x1;
    }
    return 2 * inside <= 5 * r->count;
}

/* Marks of a scale are all narrow, which letters of a word are not. Four parts stand on a line by chance now and then, five
 * hardly ever. */
static bool is_text(const parts *letters, const row *r, int first)
{
    if (r->count < LEAST_LETTERS || 5 * r->wide < 2 * r->count || r->width > r->height || r->lightest - r->darkest > CORES_NEAR)
        return false;
    if (r->count == LEAST_LETTERS && (r->tallest < SURE_HEIGHT || 2 * r->tallest > 3 * r->smallest ||
                                      r->lowest - r->highest > 1 + r->smallest / 8 || 10 * r->width > 9 * r->height))
        return false;
    return stands_alone(letters, r, first);
}

static pfm_status count_rows(const parts *letters, int *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int *next = NULL;
    bool *follows = NULL;
    PFM_TRY(pfm_allocate(letters->count, sizeof *next, &next, err));
    PFM_TRY(pfm_allocate(letters->count, sizeof *follows, &follows, err));
    for (int i = 0; i < (int)letters->count; i++) {
        next[i] = find_next(letters, i);
        if (next[i] >= 0 && follows[next[i]])
            next[i] = -1; /* each follows one */
        else if (next[i] >= 0)
            follows[next[i]] = true;
    }
    for (int i = 0; i < (int)letters->count; i++) {
        const row own = follows[i] ? (row){0} : measure_row(letters, next, i);
        *rows += is_text(letters, &own, i);
    }
done:
    free(next);
    free(follows);
    return status;
}

/* *rows = how many there are of letters at least so high. */
static pfm_status count_at(plane *p, int least_height, int *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    parts all = {0};
    spread(p);
    PFM_TRY(find_parts(p, &all, err));
    keep_letters(&all, least_height);
    PFM_TRY(count_rows(&all, rows, err));
done:
    free(all.items);
    return status;
}

pfm_status pfm_image_find_text(const pfm_image *image, int *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    plane p = {0};
    *rows = 0;
    PFM_TRY(make_plane(image, &p, err));
    PFM_TRY(count_at(&p, LEAST_HEIGHT, rows, err));
    if (*rows == 0 && p.width > 1 && p.height > 1) {
        halve(&p);
        PFM_TRY(count_at(&p, LARGE_HEIGHT, rows, err));
    }
done:
    free(p.grey);
    free(p.low);
    free(p.high);
    return status;
}

pfm_status pfm_image_look_for_text(const pfm_image *image, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = pfm_image_find_text(image, &applied->text_rows, err);
    applied->looked_for_text = status == PFM_OK;
    return status;
}

bool pfm_image_has_text(const pfm_image_applied *applied)
{
    return applied->burned_in == PFM_BURNED_IN_YES || (applied->looked_for_text && applied->text_rows > 0);
}
