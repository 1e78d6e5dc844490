#include "eval/compare_labels.h"

#include <math.h>

enum { RINGS = 40, DIRECTIONS = 16 };
static const double point_size = 6, gap = 4, ring_step = 9;

bool pfm_boxes_overlap(const pfm_box *a, const pfm_box *b)
{
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

static bool is_inside(const pfm_box *box, const pfm_box *area)
{
    return box->left >= area->left && box->right <= area->right && box->top >= area->top && box->bottom <= area->bottom;
}

/* The box whose edge or corner is nearest to the point in a direction, `distance` away from it. */
static pfm_box box_at(const pfm_label *label, double angle, double distance)
{
    double dx = cos(angle), dy = sin(angle);
    double x = label->x + dx * (distance + label->width / 2), y = label->y + dy * (distance + label->height / 2);
    return (pfm_box){x - label->width / 2, y - label->height / 2, x + label->width / 2, y + label->height / 2};
}

static double distance_to(const pfm_label *label, const pfm_box *box)
{
    double dx = fmax(fmax(box->left - label->x, label->x - box->right), 0);
    double dy = fmax(fmax(box->top - label->y, label->y - box->bottom), 0);
    return hypot(dx, dy);
}

/* What speaks against a box for label number `placed`, so many rings away: above all what it covers (points, bars, labels that
 * have their place), then other points that are nearer to it than its own, then the way. */
static double measure_harm(const pfm_label *labels, size_t count, size_t placed, const pfm_box *box, int ring)
{
    int covered = 0, nearer = 0;
    double own = distance_to(&labels[placed], box);
    for (size_t i = 0; i < count; i++) {
        const pfm_label *l = &labels[i];
        const pfm_box point = {l->x - point_size, l->y - point_size, l->x + point_size, l->y + point_size};
        const pfm_box bar = {l->x - gap, fmin(l->low, l->high), l->x + gap, fmax(l->low, l->high)};
        covered += pfm_boxes_overlap(box, &point) + pfm_boxes_overlap(box, &bar);
        covered += i < placed && pfm_boxes_overlap(box, &l->box);
        nearer += i != placed && distance_to(l, box) < own;
    }
    return 1000 * covered + nearer + 0.5 * ring;
}

static void place(pfm_label *labels, size_t count, size_t index, const pfm_box *area)
{
    /* Beside the point first, then above and below, then askew: sixteenths of a turn, clockwise from the right. */
    static const int order[DIRECTIONS] = {0, 8, 1, 15, 7, 9, 14, 2, 10, 6, 12, 4, 13, 3, 11, 5};
    pfm_label *label = &labels[index];
    double least = INFINITY;
    for (int ring = 0; ring < RINGS; ring++) {
        for (int d = 0; d < DIRECTIONS; d++) {
            double angle = 2 * acos(-1) * order[d] / DIRECTIONS;
            pfm_box box = box_at(label, angle, point_size + gap + ring * ring_step);
            double harm = is_inside(&box, area) ? measure_harm(labels, count, index, &box, ring) : 1e9 + ring;
            if (harm >= least)
                continue;
            least = harm;
            label->box = box;
            label->far_away = ring > 0;
        }
    }
}

void pfm_labels_place(pfm_label *labels, size_t count, const pfm_box *area)
{
    for (size_t i = 0; i < count; i++)
        place(labels, count, i, area);
}
