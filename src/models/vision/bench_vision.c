/* pefomed bench vision: a vision transformer at work on weights without a meaning, so that nothing has to be fetched. */
#include "kernels/bench.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/try.h"
#include "models/vision/vit_families.h"

#include <stdio.h>
#include <stdlib.h>

enum { IMAGE_SIZE = 448, BLOCKS = 8, RUNS = 3 };

typedef struct bench_vision {
    pfm_vit *vit;
    float *pixels, *features;
} bench_vision;

/* A row of the whole and, where the options ask for it, one for each operator. */
static pfm_status add_rows(pfm_bench *bench, const bench_vision *b, const char *shape, double seconds,
                           const pfm_bench_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = 0;
    const pfm_profile *profile = pfm_executor_profile(pfm_vit_get_executor(b->vit), &count);
    pfm_bench_row row = {.name = "picture, ViT-g/14",
                         .shape = shape,
                         .type = pfm_context_precision(bench->context) == PFM_PRECISION_F32 ? PFM_ACT_F32 : PFM_ACT_BF16,
                         .threads = pfm_context_threads(bench->context),
                         .seconds = seconds};
    for (size_t i = 0; i < count; i++)
        row.flops += profile[i].calls > 0 ? profile[i].operations / RUNS : 0;
    PFM_TRY(pfm_bench_add(bench, &row, err));
    for (size_t i = 0; options->profile && i < count; i++) {
        char name[64];
        if (profile[i].calls == 0)
            continue;
        (void)snprintf(name, sizeof name, "  %s", profile[i].op);
        row.name = name;
        row.flops = profile[i].operations / RUNS;
        row.seconds = profile[i].seconds / RUNS;
        PFM_TRY(pfm_bench_add(bench, &row, err));
    }
done:
    return status;
}

static pfm_status measure(pfm_bench *bench, bench_vision *b, const pfm_bench_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision_config config = {0};
    pfm_vision_shape shape;
    char text[64];
    const pfm_vision_layers layers = {.count = 1, .layer = {BLOCKS}};
    if (!pfm_vit_known("eva-clip-g-14", &config))
        PFM_FAIL(PFM_ERROR_USAGE, "the shapes of ViT-g/14 are not known");
    PFM_TRY(pfm_vit_shape(&config.of.vit, IMAGE_SIZE, &layers, &shape, NULL, err));
    PFM_TRY(pfm_vit_create(bench->context, &config.of.vit, NULL, IMAGE_SIZE, &layers, false, &b->vit, err));
    PFM_TRY(pfm_bench_numbers(PFM_ACT_F32, (size_t)3 * IMAGE_SIZE * IMAGE_SIZE, &b->pixels, err));
    PFM_TRY(pfm_allocate(pfm_vision_shape_values(&shape), sizeof *b->features, &b->features, err));
    PFM_TRY(pfm_vit_encode(b->vit, PFM_VISION_ALL_THREADS, b->pixels, &b->features, err));
    pfm_executor_profile_reset(pfm_vit_get_executor(b->vit));
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        double begun = pfm_process_clock();
        PFM_TRY(pfm_vit_encode(b->vit, PFM_VISION_ALL_THREADS, b->pixels, &b->features, err));
        double seconds = pfm_process_clock() - begun;
        best = run == 0 || seconds < best ? seconds : best;
    }
    (void)snprintf(text, sizeof text, "%d px, %d of 39 blocks", IMAGE_SIZE, BLOCKS);
    PFM_TRY(add_rows(bench, b, text, best, options, err));
done:
    return status;
}

pfm_status pfm_bench_vision(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    pfm_bench bench;
    bench_vision b = {0};
    pfm_status status = pfm_bench_begin(context, "vision", &bench, err);
    if (status == PFM_OK)
        status = measure(&bench, &b, options, err);
    pfm_vit_free(b.vit);
    free(b.pixels);
    free(b.features);
    return pfm_bench_end(&bench, status, json_out, err);
}
