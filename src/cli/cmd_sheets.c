#include "cli.h"

#include <stdlib.h>

static void render(const json_t *d, FILE *out)
{
    size_t i = 0;
    json_t *system = NULL;
    fprintf(out, "%lld texts of %zu system%s, each for %lld of %lld raters\n",
            (long long)json_integer_value(json_object_get(d, "texts")), json_array_size(json_object_get(d, "systems")),
            json_array_size(json_object_get(d, "systems")) == 1 ? "" : "s",
            (long long)json_integer_value(json_object_get(d, "per_text")),
            (long long)json_integer_value(json_object_get(d, "raters")));
    json_array_foreach(json_object_get(d, "systems"), i, system) fprintf(
        out, "  %-24s %lld texts of %s\n", json_string_value(json_object_get(system, "name")),
        (long long)json_integer_value(json_object_get(system, "n")), json_string_value(json_object_get(system, "file")));
    fprintf(out, "sheets: %s/rater-1.csv (and .jsonl) to rater-%lld, of %lld to %lld rows, %lld duplicates among all\n",
            json_string_value(json_object_get(d, "out")), (long long)json_integer_value(json_object_get(d, "raters")),
            (long long)json_integer_value(json_array_get(json_object_get(d, "rows_per_sheet"), 0)),
            (long long)json_integer_value(json_array_get(json_object_get(d, "rows_per_sheet"), 1)),
            (long long)json_integer_value(json_object_get(d, "duplicates")));
    fprintf(out, "score: whole numbers from %lld to %lld\n",
            (long long)json_integer_value(json_array_get(json_object_get(d, "scale"), 0)),
            (long long)json_integer_value(json_array_get(json_object_get(d, "scale"), 1)));
    fprintf(out, "key: %s (keep it from the raters)\n", json_string_value(json_object_get(d, "key")));
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    enum { MOST = 256 }; /* as many words as the frame takes */
    const char *files[MOST];
    char *document = NULL;
    int64_t raters = 0, per_text = 0;
    double duplicates = 0;
    for (int i = 0; i < cli_operand_count(call); i++)
        files[i] = cli_operand(call, i);
    if (!cli_has(call, "raters") || !cli_has(call, "out"))
        return pfm_error_set(err, PFM_ERROR_USAGE, "say for how many people, and where: --raters N --out FOLDER");
    pfm_status status = cli_get_integer(call, "raters", 1, 100, &raters, err);
    per_text = raters;
    if (status == PFM_OK)
        status = cli_get_integer(call, "per-text", 1, raters, &per_text, err);
    if (status == PFM_OK)
        status = cli_get_number(call, "duplicates", 0, 50, &duplicates, err);
    const pfm_sheets_request request = {.files = files,
                                        .file_count = (size_t)cli_operand_count(call),
                                        .raters = (int)raters,
                                        .per_text = (int)per_text,
                                        .duplicates = duplicates,
                                        .rubric = cli_get(call, "rubric") == NULL ? "likert-report" : cli_get(call, "rubric"),
                                        .out = cli_get(call, "out"),
                                        .key = cli_get(call, "key")};
    if (status == PFM_OK)
        status = pfm_sheets(cli_context(call), &request, &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render, err);
    free(document);
    return status;
}

static const cli_option options[] = {
    {"raters", "N", "how many people score, 1 to 100", NULL},
    {"out", "FOLDER", "where the sheets go: rater-1.csv, rater-1.jsonl, ...", NULL},
    {"per-text", "N", "how many of them score each text (default: all)", NULL},
    {"duplicates", "PERCENT", "so many of a rater's texts are shown once more, unmarked (0 to 50, default 0)", NULL},
    {"rubric", "NAME",
     "what is scored: likert-report (0 to 4, default), correct (0 or 1), or the path of a file (docs/judge.md)", NULL},
    {"key", "FILE", "the key that opens the blinding (default: FOLDER.key.json)", NULL},
    {0},
};

const cli_command cmd_sheets = {
    .name = "sheets",
    .arguments =
        "[NAME=]PREDICTIONS... --raters N --out FOLDER [--per-text N] [--duplicates PERCENT] [--rubric NAME] [--key FILE]",
    .summary = "writes blinded sheets on which people score predictions",
    .details =
        "Each predictions file is a system, whose name no sheet shows. Every text gets the same number of raters, every rater\n"
        "as many texts of each system, in an order of their own. Filled sheets go to agree, with the key.\n"
        "docs/agreement.md says more.\n\n"
        "  pefomed sheets ours.jsonl theirs.jsonl --raters 3 --duplicates 10 --out sheets\n"
        "  pefomed agree sheets/rater-*.csv --key sheets.key.json",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
