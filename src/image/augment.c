/* Small changes of a picture that leave its meaning: what a second photograph of the same body could look like. Everything is
 * computed by the basic operations of IEEE doubles, so that a variant has the same bytes on every machine. */
#include "image/image.h"

#include "base/random.h"

static const double TURN = 8 * 0.017453292519943295, SCALE = 0.1, MOVE = 0.05, LIGHT = 0.15;

/* What a variant does. The picture's point (x, y), both from its middle, comes from (a x + b y + c, -b x + a y + d). */
typedef struct change {
    double a, b, c, d, brightness, contrast;
} change;

static change draw_change(const pfm_image *image, uint32_t variant)
{
    pfm_random random = pfm_random_start(0x61756766656e74, variant); /* "augment" */
    double draws[6];
    for (int i = 0; i < 6; i++)
        draws[i] = 2 * pfm_random_uniform(&random) - 1;
    const double turn = TURN * draws[0], square = turn * turn, scale = 1 + SCALE * draws[1];
    const double sine = turn * (1 - square / 6 * (1 - square / 20)), cosine = 1 - square / 2 * (1 - square / 12);
    return (change){.a = cosine / scale,
                    .b = sine / scale,
                    .c = MOVE * draws[2] * image->width,
                    .d = MOVE * draws[3] * image->height,
                    .brightness = 1 + LIGHT * draws[4],
                    .contrast = 1 + LIGHT * draws[5]};
}

static double mean_of(const pfm_image *image)
{
    const size_t values = (size_t)image->width * (size_t)image->height * 3;
    uint64_t sum = 0;
    for (size_t i = 0; i < values; i++)
        sum += image->rgb[i];
    return (double)sum / (double)values;
}

static uint8_t to_byte(double x) { return x <= 0 ? 0 : x >= 255 ? 255 : (uint8_t)(x + 0.5); }

/* The whole part of a coordinate and what is left, inside the picture: beyond the edge stands the edge. */
static int split(double x, int size, double *rest)
{
    x = x < 0 ? 0 : x > size - 1 ? size - 1 : x;
    int whole = (int)x;
    whole = whole > size - 2 && size > 1 ? size - 2 : whole;
    *rest = x - whole;
    return whole;
}

/* Bilinear, at a place of the picture. */
static void read_pixel(const pfm_image *image, double x, double y, double out[3])
{
    double right, down;
    const int column = split(x, image->width, &right), row = split(y, image->height, &down);
    const size_t beside = image->width > 1 ? 3 : 0, below = image->height > 1 ? (size_t)image->width * 3 : 0;
    const uint8_t *at = image->rgb + ((size_t)row * (size_t)image->width + (size_t)column) * 3;
    for (size_t c = 0; c < 3; c++) {
        double upper = at[c] + right * (at[beside + c] - at[c]);
        double lower = at[below + c] + right * (at[below + beside + c] - at[below + c]);
        out[c] = upper + down * (lower - upper);
    }
}

pfm_status pfm_image_augment(const pfm_image *in, uint32_t variant, const char *name, pfm_image *out, pfm_error *err)
{
    pfm_status status = pfm_image_create(in->width, in->height, name, out, err);
    if (status != PFM_OK)
        return status;
    const change to = draw_change(in, variant);
    const double middle_x = (in->width - 1) / 2.0, middle_y = (in->height - 1) / 2.0, mean = to.brightness * mean_of(in);
    uint8_t *pixel = out->rgb;
    for (int row = 0; row < in->height; row++)
        for (int column = 0; column < in->width; column++, pixel += 3) {
            const double x = column - middle_x, y = row - middle_y;
            double values[3];
            read_pixel(in, to.a * x + to.b * y + to.c + middle_x, to.a * y - to.b * x + to.d + middle_y, values);
            for (int c = 0; c < 3; c++)
                pixel[c] = to_byte(mean + to.contrast * (to.brightness * values[c] - mean));
        }
    return PFM_OK;
}
