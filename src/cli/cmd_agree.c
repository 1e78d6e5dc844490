#include "cli.h"

#include <stdlib.h>
#include <string.h>

static void print_number(const json_t *value, int width, FILE *out)
{
    if (json_is_number(value))
        fprintf(out, "%*.3f", width, json_number_value(value));
    else
        fprintf(out, "%*s", width, "-");
}

static void print_interval(const json_t *interval, FILE *out)
{
    if (json_is_array(interval))
        fprintf(out, "  (%.3f to %.3f)", json_number_value(json_array_get(interval, 0)),
                json_number_value(json_array_get(interval, 1)));
}

static long long count(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_raters(const json_t *d, FILE *out)
{
    size_t i = 0;
    json_t *rater = NULL, *times = NULL;
    json_array_foreach(json_object_get(d, "raters"), i, rater)
    {
        const char *name = json_string_value(rater), *level = NULL;
        const json_t *counts = json_object_get(json_object_get(d, "counts"), name);
        fprintf(out, "%-20s %-6s  items %lld, scores %lld", name, json_string_value(json_object_get(counts, "kind")),
                count(counts, "items"), count(counts, "scores"));
        static const char *const others[] = {"missing", "unparsable", "failed"};
        for (size_t o = 0; o < 3; o++) {
            if (count(counts, others[o]) > 0)
                fprintf(out, ", %s %lld", others[o], count(counts, others[o]));
        }
        fprintf(out, "\n%-20s weighted average ", "");
        print_number(json_object_get(json_object_get(d, "wasm"), name), 0, out);
        print_interval(json_object_get(json_object_get(json_object_get(d, "ci95"), "wasm"), name), out);
        fputc('\n', out);
        json_t *row = json_object_get(json_object_get(d, "distributions"), name);
        if (json_object_size(row) > 0)
            fprintf(out, "%-20s scores", "");
        json_object_foreach(row, level, times) fprintf(out, "  %s: %lld", level, (long long)json_integer_value(times));
        if (json_object_size(row) > 0)
            fputc('\n', out);
    }
}

static void print_group(const json_t *group, const char *title, long long n, FILE *out)
{
    static const char *const levels[] = {"nominal", "ordinal", "interval"};
    const json_t *ci = json_object_get(group, "ci95");
    fprintf(out, "\n%s (items with two scores or more: %lld)\n", title, n);
    for (size_t l = 0; l < 3; l++) {
        fprintf(out, "  Krippendorff's alpha, %-10s", levels[l]);
        print_number(json_object_get(json_object_get(group, "krippendorff"), levels[l]), 7, out);
        print_interval(json_object_get(json_object_get(ci, "krippendorff"), levels[l]), out);
        fputc('\n', out);
    }
    fprintf(out, "  %-32s", "Fleiss' kappa");
    print_number(json_object_get(group, "fleiss"), 7, out);
    print_interval(json_object_get(ci, "fleiss"), out);
    fputc('\n', out);
}

static int width_of(const json_t *list, const char *a, const char *b)
{
    size_t i = 0, width = 30;
    json_t *row = NULL;
    json_array_foreach(list, i, row)
    {
        size_t length = json_string_length(json_object_get(row, a)) + json_string_length(json_object_get(row, b)) + 3;
        width = length > width ? length : width;
    }
    return width < 90 ? (int)width : 90;
}

/* A line a pair; the intervals are in the JSON. */
static void print_pairs(const json_t *list, const char *title, const char *a, const char *b, FILE *out)
{
    static const char *const columns[][2] = {
        {"cohen", "kappa"},      {"kappa_linear", "linear"}, {"kappa_quadratic", "quadr."}, {"pearson", "Pearson"},
        {"spearman", "Spearm."}, {"kendall", "Kendall"},     {"mean_abs_diff", "|a-b|"}};
    size_t i = 0;
    json_t *row = NULL;
    if (json_array_size(list) == 0)
        return;
    bool metrics = strcmp(a, "metric") == 0;
    int width = width_of(list, a, b);
    fprintf(out, "\n%-*s %6s", width, title, "n");
    for (size_t c = 0; c < 7; c++) {
        if (!metrics || (c >= 3 && c <= 5))
            fprintf(out, " %8s", columns[c][1]);
    }
    fputs(metrics ? "   95 % interval of Spearman's\n" : "\n", out);
    json_array_foreach(list, i, row)
    {
        char names[256];
        (void)snprintf(names, sizeof names, "%.100s - %.100s", json_string_value(json_object_get(row, a)),
                       json_string_value(json_object_get(row, b)));
        fprintf(out, "%-*s %6lld", width, names, count(row, "n"));
        for (size_t c = 0; c < 7; c++) {
            if (!metrics || (c >= 3 && c <= 5))
                print_number(json_object_get(row, columns[c][0]), 9, out);
        }
        if (metrics)
            print_interval(json_object_get(json_object_get(row, "ci95"), "spearman"), out);
        fputc('\n', out);
    }
}

static void print_consistency(const json_t *consistency, FILE *out)
{
    const char *name = NULL;
    json_t *row = NULL;
    if (json_object_size(consistency) > 0)
        fputs("\nown consistency\n", out);
    json_object_foreach((json_t *)(uintptr_t)consistency, name, row)
    {
        bool repeats = strcmp(json_string_value(json_object_get(row, "of")), "repeats") == 0;
        fprintf(out, "  %-20s %lld %s, all the same %.1f %%", name, count(row, "n"),
                repeats ? "items with repeats" : "duplicates", json_number_value(json_object_get(row, "same")));
        fputs(repeats ? ", mean deviation " : ", mean difference ", out);
        print_number(json_object_get(row, repeats ? "mean_sd" : "mean_abs_diff"), 0, out);
        fputs(repeats ? ", alpha (interval) " : ", quadratic kappa ", out);
        print_number(repeats ? json_object_get(json_object_get(row, "krippendorff"), "interval")
                             : json_object_get(row, "kappa_quadratic"),
                     0, out);
        fputc('\n', out);
    }
}

static void print_systems(const json_t *systems, FILE *out)
{
    size_t i = 0;
    json_t *system = NULL, *value = NULL;
    const char *rater = NULL;
    if (json_array_size(systems) > 0)
        fputs("\nweighted averages by system\n", out);
    json_array_foreach(systems, i, system)
    {
        fprintf(out, "  %-20s %lld texts, mean of people ", json_string_value(json_object_get(system, "system")),
                count(system, "n"));
        print_number(json_object_get(system, "mean"), 0, out);
        print_interval(json_object_get(system, "ci95"), out);
        fputc('\n', out);
        json_object_foreach(json_object_get(system, "wasm"), rater, value)
        {
            fprintf(out, "    %-18s ", rater);
            print_number(value, 0, out);
            fputc('\n', out);
        }
    }
}

static void render(const json_t *d, FILE *out)
{
    fprintf(out, "%lld items\n\n", count(d, "n_items"));
    print_raters(d, out);
    print_systems(json_object_get(d, "systems"), out);
    print_group(d, "agreement between people", count(d, "n_paired"), out);
    if (json_is_object(json_object_get(d, "with_judges")))
        print_group(json_object_get(d, "with_judges"), "people and judges together",
                    count(json_object_get(d, "with_judges"), "n"), out);
    print_pairs(json_object_get(d, "pairs"), "each with each", "a", "b", out);
    print_pairs(json_object_get(d, "against_mean"), "against the mean of people", "rater", "mean", out);
    print_pairs(json_object_get(d, "metrics"), "metrics", "metric", "rater", out);
    print_consistency(json_object_get(d, "consistency"), out);
    fprintf(out, "\n%s\n", json_string_value(json_object_get(d, "signature")));
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    enum { MOST = 256 }; /* as many words as the frame takes */
    const char *files[MOST];
    char *document = NULL;
    pfm_agree_request request = {.files = files,
                                 .file_count = (size_t)cli_operand_count(call),
                                 .scale = 1,
                                 .level = cli_get(call, "level"),
                                 .levels = cli_get(call, "levels"),
                                 .predictions = cli_get(call, "predictions"),
                                 .metrics = cli_get(call, "metrics"),
                                 .key = cli_get(call, "key"),
                                 .system = cli_get(call, "system"),
                                 .out = cli_get(call, "out")};
    for (int i = 0; i < cli_operand_count(call); i++)
        files[i] = cli_operand(call, i);
    pfm_status status = cli_get_number(call, "offset", -1e9, 1e9, &request.offset, err);
    if (status == PFM_OK)
        status = cli_get_number(call, "scale", -1e9, 1e9, &request.scale, err);
    if (status == PFM_OK)
        status = pfm_agree(cli_context(call), &request, &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render, err);
    free(document);
    return status;
}

static const cli_option options[] = {
    {"level", "NAME", "by which agreement is drawn (default: ordinal)", "nominal|ordinal|interval"},
    {"levels", "SCALE", "the scale, as 0..4 or 0,0.5,1: other scores are errors, and kappas count all its steps", NULL},
    {"offset", "X", "a weighted average is scale * mean + X (default 0)", NULL},
    {"scale", "Y", "a weighted average is Y * mean + offset (default 1)", NULL},
    {"predictions", "FILE", "a predictions file whose rows --metrics scores one by one", NULL},
    {"metrics", "A,B,C", "text metrics of those rows, to be compared with people (score --list)", NULL},
    {"key", "FILE", "the key of filled sheets (pefomed sheets)", NULL},
    {"system", "NAME", "of the sheets only this system's texts, under their own ids", NULL},
    {"out", "FOLDER", "also writes figures (SVG and PNG) and agreement.json there", NULL},
    {0},
};

const cli_command cmd_agree = {
    .name = "agree",
    .arguments = "[NAME=]FILE... [--level NAME] [--levels SCALE] [--offset X] [--scale Y] [--predictions FILE --metrics A,B,C] "
                 "[--key FILE] [--system NAME] [--out FOLDER]",
    .summary = "agreement between raters, judges and metrics",
    .details =
        "FILE holds ratings (item, rater, score), verdicts of a judge (id, repeat, score, status), numbers of metrics (id and\n"
        "columns of numbers, or one object {id: number}) or a filled sheet; JSON lines or a table as spreadsheets save it.\n"
        "docs/agreement.md defines every figure.\n\n"
        "  pefomed agree ratings.csv\n"
        "  pefomed agree ratings.csv judge.verdicts.jsonl bleu4=bleu.json --levels 0..4 --out figures\n"
        "  pefomed agree ratings.csv --predictions reports.jsonl --metrics bleu4,rougeL,label_f1_micro\n"
        "  pefomed agree sheets/rater-*.csv --key sheets.key.json --system ours ours.verdicts.jsonl",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
