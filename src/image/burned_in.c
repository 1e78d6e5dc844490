/* Rows of text in a picture's pixels, as scanners and annotators burn them in.
 *
 * A letter is a connected group of pixels that are all on the same side of the middle between the darkest and the lightest
 * pixel around them, where those two lie far apart; it is a few pixels high and not much wider than high. Letters of similar
 * height that stand on one line close to each other are a row, and a row whose rectangle is mostly of one grey is text: anatomy
 * has high contrast and small parts too, but neither in rows nor on an even ground. */
#include "image/image.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_SIDE = 2048, /* larger pictures are looked at made smaller by a whole number */
    WINDOW = 16,         /* pixels around one, both ways, among which it is light or dark; a power of two */
    CONTRAST = 64,       /* grey levels between the darkest and the lightest there, less is no text */
    LEAST_HEIGHT = 5,    /* of a letter */
    MOST_HEIGHT = 96,
    LEAST_LETTERS = 4,   /* in a row */
    GROUND_NEAR = 10,    /* grey levels that count as one grey */
    GROUND_PERCENT = 50, /* of a row's rectangle that is of one grey */
    BESIDE = 2,          /* pixels around the letters that belong to that rectangle */
};

typedef struct plane {
    int width, height;
    uint8_t *grey, *low, *high; /* [height][width]; the darkest and lightest of WINDOW x WINDOW pixels */
} plane;

typedef struct part {
    int parent; /* itself: a root, which alone holds the rest */
    int x0, y0, x1, y1;
    int area;
    uint8_t side;
} part; /* a connected group of pixels */

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
    memcpy(out->low, out->grey, size);
    memcpy(out->high, out->grey, size);
done:
    return status;
}

static void take_extremes(uint8_t *low, uint8_t *high, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        low[i] = low[i + from] < low[i] ? low[i + from] : low[i];
        high[i] = high[i + from] > high[i] ? high[i + from] : high[i];
    }
}

/* low and high of a pixel become those of the WINDOW x WINDOW ones that begin with it, by doubling. */
static void spread(plane *p)
{
    const size_t width = (size_t)p->width, height = (size_t)p->height;
    for (size_t step = 1; step < WINDOW; step *= 2) {
        for (size_t y = 0; y < height && step < width; y++)
            take_extremes(p->low + y * width, p->high + y * width, step, width - step);
        if (step < height)
            take_extremes(p->low, p->high, step * width, (height - step) * width);
    }
}

/* 1: light, 2: dark, 0: neither, for nothing around it stands out. */
static void find_sides(const plane *p, int y, uint8_t *sides)
{
    const size_t width = (size_t)p->width, own = (size_t)y * width;
    const size_t around = (size_t)(y > WINDOW / 2 ? y - WINDOW / 2 : 0) * width;
    for (size_t x = 0; x < width; x++) {
        const size_t at = around + (x > WINDOW / 2 ? x - WINDOW / 2 : 0);
        const int low = p->low[at], high = p->high[at];
        const uint8_t side = 2 * p->grey[own + x] > low + high ? 1 : 2;
        sides[x] = high - low < CONTRAST ? 0 : side;
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
    into->x0 = from->x0 < into->x0 ? from->x0 : into->x0;
    into->x1 = from->x1 > into->x1 ? from->x1 : into->x1;
    into->y0 = from->y0 < into->y0 ? from->y0 : into->y0;
    into->y1 = from->y1 > into->y1 ? from->y1 : into->y1;
}

/* The runs of one line, each a part of its own so far. */
static pfm_status list_runs(const uint8_t *sides, int width, int y, parts *all, run *runs, int *count, pfm_error *err)
{
    *count = 0;
    for (int x = 0, begin = 0; x < width; begin = x) {
        while (x < width && sides[x] == sides[begin])
            x++;
        if (sides[begin] == 0)
            continue;
        pfm_status status = pfm_array_reserve(&all->items, &all->capacity, all->count + 1, sizeof *all->items, err);
        if (status != PFM_OK)
            return status;
        const int own = (int)all->count++;
        all->items[own] = (part){own, begin, y, x - 1, y, x - begin, sides[begin]};
        runs[(*count)++] = (run){begin, x - 1, own, sides[begin]};
    }
    return PFM_OK;
}

/* Joins runs of one side that touch, corners included. */
static void join_lines(part *items, const run *above, int above_count, const run *below, int below_count)
{
    for (int a = 0, b = 0; a < above_count && b < below_count;) {
        if (above[a].side == below[b].side && above[a].x0 <= below[b].x1 + 1 && below[b].x0 <= above[a].x1 + 1)
            join(items, above[a].part, below[b].part);
        if (above[a].x1 < below[b].x1)
            a++;
        else
            b++;
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
        PFM_TRY(list_runs(sides, p->width, y, out, lines[own], &counts[own], err));
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

static bool may_be_letter(const part *p)
{
    const int height = height_of(p), width = width_of(p);
    return height >= LEAST_HEIGHT && height <= MOST_HEIGHT && 2 * width <= 5 * height && 8 * p->area >= width * height;
}

static int compare_feet(const void *a, const void *b)
{
    const part *x = a, *y = b;
    return x->y1 != y->y1 ? (x->y1 < y->y1 ? -1 : 1) : (x->x0 > y->x0) - (x->x0 < y->x0);
}

/* Leaves of the parts the letters, sorted by the line that they stand on. */
static void keep_letters(parts *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].parent == (int)i && may_be_letter(&all->items[i]))
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

/* Whether most of a row's rectangle is of one grey. */
static bool lies_on_even_ground(const plane *p, const part *row)
{
    const int x0 = row->x0 > BESIDE ? row->x0 - BESIDE : 0, x1 = row->x1 + BESIDE < p->width ? row->x1 + BESIDE : p->width - 1;
    const int y0 = row->y0 > BESIDE ? row->y0 - BESIDE : 0,
              y1 = row->y1 + BESIDE < p->height ? row->y1 + BESIDE : p->height - 1;
    int histogram[256] = {0}, sum = 0, most = 0;
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++)
            histogram[p->grey[(size_t)y * (size_t)p->width + (size_t)x]]++;
    for (int i = 0; i < 256; i++) {
        sum += histogram[i] - (i > 2 * GROUND_NEAR ? histogram[i - 2 * GROUND_NEAR - 1] : 0);
        most = sum > most ? sum : most;
    }
    return 100 * (int64_t)most >= GROUND_PERCENT * (int64_t)(x1 - x0 + 1) * (y1 - y0 + 1);
}

/* Follows the letters from one that none comes before. Marks of a scale are all narrow, which letters of a word are not. */
static bool is_text(const plane *p, const parts *letters, const int *next, int first)
{
    part row = letters->items[first];
    int count = 0, wide = 0;
    for (int i = first; i >= 0; i = next[i]) {
        const part *own = &letters->items[i];
        count++;
        wide += 5 * width_of(own) >= 2 * height_of(own);
        row.x0 = own->x0 < row.x0 ? own->x0 : row.x0;
        row.x1 = own->x1 > row.x1 ? own->x1 : row.x1;
        row.y0 = own->y0 < row.y0 ? own->y0 : row.y0;
        row.y1 = own->y1 > row.y1 ? own->y1 : row.y1;
    }
    return count >= LEAST_LETTERS && 2 * wide >= count && lies_on_even_ground(p, &row);
}

static pfm_status count_rows(const plane *p, const parts *letters, int *rows, pfm_error *err)
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
    for (int i = 0; i < (int)letters->count; i++)
        *rows += !follows[i] && is_text(p, letters, next, i);
done:
    free(next);
    free(follows);
    return status;
}

pfm_status pfm_image_find_text(const pfm_image *image, int *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    plane p = {0};
    parts all = {0};
    *rows = 0;
    PFM_TRY(make_plane(image, &p, err));
    spread(&p);
    PFM_TRY(find_parts(&p, &all, err));
    keep_letters(&all);
    PFM_TRY(count_rows(&p, &all, rows, err));
done:
    free(p.grey);
    free(p.low);
    free(p.high);
    free(all.items);
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
