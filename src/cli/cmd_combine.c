#include "cli.h"

#include <stdlib.h>
#include <string.h>

static void render(const json_t *document, FILE *out)
{
    const json_t *error = json_object_get(document, "relative_error");
    fprintf(out, "wrote        %s\n", json_string_value(json_object_get(document, "output")));
    fprintf(out,
            "rank         %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT " layers, %" JSON_INTEGER_FORMAT " parameters\n",
            json_integer_value(json_object_get(document, "rank")), json_integer_value(json_object_get(document, "layers")),
            json_integer_value(json_object_get(document, "parameters")));
    if (json_is_number(error))
        fprintf(out, "lost         %.2f%% of the size of the sum\n", 100 * json_number_value(error));
}

/* "1,-0.5": one number an adapter. */
static pfm_status parse_factors(const char *text, double *factors, int count, pfm_error *err)
{
    const char *next = text;
    for (int i = 0; i < count; i++) {
        char *end = NULL;
        factors[i] = text == NULL ? 1 : strtod(next, &end);
        const char wanted = i + 1 < count ? ',' : '\0';
        const bool number = text == NULL || (end != next && strspn(next, "+-.0123456789eE") == (size_t)(end - next));
        if (!number || (text != NULL && *end != wanted) || !(factors[i] >= -1e6 && factors[i] <= 1e6))
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "--factors cannot be '%.60s'; it is one number for each of the %d adapters, as in 1,-0.5",
                                 text, count);
        next = text == NULL ? NULL : end + 1;
    }
    return PFM_OK;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    enum { MOST = 64 };
    char *json = NULL;
    int64_t rank = 0;
    const int count = cli_operand_count(call) - 1;
    const char *adapters[MOST], *by = cli_get(call, "by");
    double factors[MOST];
    if (count > MOST)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%d adapters are more than %d", count, MOST);
    for (int i = 0; i < count; i++)
        adapters[i] = cli_operand(call, i + 1);
    pfm_status status = parse_factors(cli_get(call, "factors"), factors, count, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "rank", 1, 4096, &rank, err);
    const pfm_combine_options options = {.out = cli_operand(call, 0),
                                         .adapters = adapters,
                                         .factors = factors,
                                         .count = (size_t)count,
                                         .by = by != NULL ? by
                                               : rank > 0 ? "svd"
                                                          : "cat",
                                         .rank = (int)rank};
    if (status == PFM_OK)
        status = pfm_combine_adapters(cli_context(call), &options, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, render, err);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"factors", "LIST", "what each adapter is multiplied by, such as 1,-0.5 (default: 1 each)", NULL},
    {"by", "HOW", "cat: exact, ranks add up (default); svd: the nearest of a rank; linear: sums of factors, PEFT's rough way",
     "cat|svd|linear"},
    {"rank", "N", "of the result, by svd (default: the largest of the adapters')", NULL},
    {0},
};

const cli_command cmd_combine = {
    .name = "combine",
    .arguments = "OUT ADAPTER... [--factors LIST] [--by HOW] [--rank N]",
    .summary = "adds LoRA adapters with weights, subtracts them, or makes one of a smaller rank",
    .details =
        "An ADAPTER is a folder in Hugging Face PEFT's format, or a run. OUT becomes such a folder, which eval and ask take\n"
        "with --adapter, and PEFT loads; with an aligner where all adapters have the same one. The results are those of\n"
        "PEFT's add_weighted_adapter; neither the base nor its weights are needed.\n\n"
        "  pefomed combine both runs/ct runs/mri --factors 0.5,0.5\n"
        "  pefomed combine without runs/all runs/noise --factors 1,-1 --rank 16",
    .options = options,
    .min_operands = 2,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
