#include "cli.h"

#include <stdlib.h>

static void render(const json_t *document, FILE *out)
{
    const char *folder = json_string_value(json_object_get(document, "folder")), *name;
    const json_t *split;
    if (json_is_true(json_object_get(document, "written")))
        fprintf(out, "%s: %lld images\n", folder, (long long)json_integer_value(json_object_get(document, "images")));
    else
        fprintf(out, "%s holds this phantom already; nothing was written\n", folder);
    json_object_foreach((json_t *)(uintptr_t)json_object_get(document, "splits"), name, split) fprintf(
        out, "  %-8s  %5lld images, %6lld questions\n", name, (long long)json_integer_value(json_object_get(split, "images")),
        (long long)json_integer_value(json_object_get(split, "questions")));
}

/* Writes the synthetic data set. */
static pfm_status run(cli_call *call, pfm_error *err)
{
    int64_t images = PFM_PHANTOM_DEFAULT_IMAGES;
    char *document = NULL;
    pfm_status status = cli_get_integer(call, "images", PFM_PHANTOM_MIN_IMAGES, PFM_PHANTOM_MAX_IMAGES, &images, err);
    if (status == PFM_OK)
        status = pfm_phantom_write(cli_context(call), cli_operand(call, 0), (int)images, pfm_context_seed(cli_context(call)),
                                   &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render, err);
    free(document);
    return status;
}

static const cli_option options[] = {
    {"images", "N", "how many images, 10 or more (default 900); 70% are for training, 15% each to validate and test", NULL},
    {0},
};

const cli_command cmd_phantom = {
    .name = "phantom",
    .arguments = "OUT [--images N] [--seed S]",
    .summary = "writes a synthetic data set with known answers",
    .details =
        "Draws cross-sections and X-rays of a body with organs and lesions, and asks about modality, region, organs, and the\n"
        "lesions' number, side, size and color, in SLAKE's format. Who does not look can only guess. Pictures are shown as\n"
        "radiologists see them: the patient's right side, which questions and answers mean by right, is at the left.\n"
        "The same number and seed give the same bytes.\n\n"
        "pefomed phantom data/phantom\n"
        "pefomed train recipes/phantom.yaml --data data/phantom --out runs/phantom",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
