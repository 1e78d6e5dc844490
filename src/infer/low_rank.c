#include "infer/low_rank.h"

#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEPS = 60 };

/* A matrix by columns: column j begins at data + j * rows. */
typedef struct matrix {
    double *data;
    int64_t rows, columns;
} matrix;

static double *column(const matrix *m, int64_t j) { return m->data + j * m->rows; }

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static pfm_status create(int64_t rows, int64_t columns, matrix *out, pfm_error *err)
{
    *out = (matrix){.rows = rows, .columns = columns};
    return pfm_allocate((size_t)(rows * columns), sizeof *out->data, &out->data, err);
}

/* q's columns become orthonormal, r [columns, columns] what they were made of: Gram-Schmidt, each column twice. One that is
 * made of those before it becomes zero. */
static void orthogonalise(matrix *q, matrix *r)
{
    for (int64_t j = 0; j < q->columns; j++) {
        double *v = column(q, j);
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t i = 0; i < j; i++) {
                const double *u = column(q, i), share = dot(u, v, q->rows);
                column(r, j)[i] += share;
                for (int64_t t = 0; t < q->rows; t++)
                    v[t] -= share * u[t];
            }
        }
        const double length = sqrt(dot(v, v, q->rows));
        column(r, j)[j] = length;
        for (int64_t t = 0; t < q->rows; t++)
            v[t] = length > 0 ? v[t] / length : 0;
    }
}

static void rotate(double *a, double *b, int64_t count, double cosine, double sine)
{
    for (int64_t i = 0; i < count; i++) {
        const double x = a[i], y = b[i];
        a[i] = cosine * x - sine * y;
        b[i] = sine * x + cosine * y;
    }
}

/* Rotates pairs of u's columns, and v's with them, until u's stand upright on each other: u = (its former self) v. */
static void diagonalise(matrix *u, matrix *v)
{
    bool moved = true;
    for (int sweep = 0; sweep < SWEEPS && moved; sweep++) {
        moved = false;
        for (int64_t i = 0; i < u->columns; i++) {
            for (int64_t j = i + 1; j < u->columns; j++) {
                double *a = column(u, i), *b = column(u, j);
                const double aa = dot(a, a, u->rows), bb = dot(b, b, u->rows), ab = dot(a, b, u->rows);
                if (fabs(ab) <= 1e-15 * sqrt(aa * bb) || ab == 0)
                    continue;
                moved = true;
                const double zeta = (bb - aa) / (2 * ab), t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + sqrt(1 + zeta * zeta)),
                             cosine = 1 / sqrt(1 + t * t), sine = cosine * t;
                rotate(a, b, u->rows, cosine, sine);
                rotate(column(v, i), column(v, j), v->rows, cosine, sine);
            }
        }
    }
}

/* m [r,r] = rb ra^T, both upper triangular. */
static void multiply_triangles(const matrix *rb, const matrix *ra, matrix *m)
{
    for (int64_t j = 0; j < m->columns; j++)
        for (int64_t i = 0; i < m->rows; i++) {
            double sum = 0;
            for (int64_t p = i > j ? i : j; p < m->rows; p++)
                sum += column(rb, p)[i] * column(ra, p)[j];
            column(m, j)[i] = sum;
        }
}

/* to f32 (strides of rows and columns) = q times a column of small numbers. */
static void write_column(const matrix *q, const double *small, float *to, int64_t stride)
{
    for (int64_t t = 0; t < q->rows; t++) {
        double sum = 0;
        for (int64_t p = 0; p < q->columns; p++)
            sum += column(q, p)[t] * small[p];
        to[t * stride] = (float)sum;
    }
}

/* The number of the longest column that is not taken, or -1. */
static int64_t take_longest(const double *squares, bool *taken, int64_t count)
{
    int64_t best = -1;
    for (int64_t j = 0; j < count; j++) {
        if (!taken[j] && (best < 0 || squares[j] > squares[best]))
            best = j;
    }
    if (best >= 0)
        taken[best] = true;
    return best;
}

typedef struct work {
    matrix qb, qa, rb, ra, u, v;
    double *squares;
    bool *taken;
} work;

static void release(work *w)
{
    matrix *const all[] = {&w->qb, &w->qa, &w->rb, &w->ra, &w->u, &w->v};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->data);
    free(w->squares);
    free(w->taken);
}

static pfm_status prepare(work *w, const float *b, const float *a, int64_t n, int64_t k, int64_t r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    matrix *const squares[] = {&w->rb, &w->ra, &w->u, &w->v};
    PFM_TRY(create(n, r, &w->qb, err));
    PFM_TRY(create(k, r, &w->qa, err));
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++)
        PFM_TRY(create(r, r, squares[i], err));
    PFM_TRY(pfm_allocate((size_t)r, sizeof *w->squares, &w->squares, err));
    PFM_TRY(pfm_allocate((size_t)r, sizeof *w->taken, &w->taken, err));
    for (int64_t j = 0; j < r; j++) {
        for (int64_t t = 0; t < n; t++)
            column(&w->qb, j)[t] = b[t * r + j];
        for (int64_t t = 0; t < k; t++)
            column(&w->qa, j)[t] = a[j * k + t];
        column(&w->v, j)[j] = 1;
    }
done:
    return status;
}

pfm_status pfm_low_rank_truncate(const float *b, const float *a, int64_t n, int64_t k, int64_t r, int64_t rank, float *b_out,
                                 float *a_out, double *kept, double *lost, pfm_error *err)
{
    pfm_status status = PFM_OK;
    work w = {0};
    double sums[2] = {0, 0};
    PFM_TRY(prepare(&w, b, a, n, k, r, err));
    orthogonalise(&w.qb, &w.rb);
    orthogonalise(&w.qa, &w.ra);
    multiply_triangles(&w.rb, &w.ra, &w.u);
    diagonalise(&w.u, &w.v);
    for (int64_t j = 0; j < r; j++)
        w.squares[j] = dot(column(&w.u, j), column(&w.u, j), r);
    memset(b_out, 0, (size_t)(n * rank) * sizeof *b_out);
    memset(a_out, 0, (size_t)(rank * k) * sizeof *a_out);
    for (int64_t i = 0; i < r; i++) {
        const int64_t j = take_longest(w.squares, w.taken, r);
        sums[i >= rank] += w.squares[j];
        if (i >= rank || w.squares[j] == 0)
            continue;
        write_column(&w.qb, column(&w.u, j), b_out + i, rank);
        write_column(&w.qa, column(&w.v, j), a_out + i * k, 1);
    }
    if (kept != NULL)
        *kept = sums[0];
    if (lost != NULL)
        *lost = sums[1];
done:
    release(&w);
    return status;
}
