#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"profile", "NAME", "a named set of scores", "vqa"},
    {"metrics", "A,B,C", "text metrics, of answers or of reports", NULL},
    {"list", NULL, "names profiles and metrics and defines each", NULL},
    {"against", "FILE", "another system's predictions of the same questions; repeat for its other seeds", NULL},
    {"rows", "FILE", "rows that bring columns the predictions lack (answer_type, modality, ...), matched by id or qid", NULL},
    {"training", "FILE", "training rows, for the prior that never looks at the image", NULL},
    {"where", "COLUMN=VALUE", "only training rows with this value; may be repeated", NULL},
    {"dataset", "NAME", "written into the result", NULL},
    {"split", "NAME", "written into the result", NULL},
    {"probe", "NAME", "written into the result", NULL},
    {0},
};

static void print_number(const json_t *value, FILE *out)
{
    if (json_is_number(value))
        fprintf(out, "%7.2f", json_number_value(value));
    else
        fprintf(out, "%7s", "-");
}

static void print_interval(const json_t *interval, FILE *out)
{
    if (json_is_array(interval))
        fprintf(out, "  %7.2f to %.2f", json_number_value(json_array_get(interval, 0)),
                json_number_value(json_array_get(interval, 1)));
}

static void print_figures(const json_t *document, FILE *out)
{
    static const char *const names[] = {"overall", "closed", "open", "recall_open"};
    const json_t *intervals = json_object_get(document, "ci95"), *prior = json_object_get(document, "prior");
    const json_t *sd = json_object_get(document, "sd");
    fprintf(out, "%-12s %7s  %-18s%s%s\n", "", "score", "95 % interval", sd == NULL ? "" : " sd of runs",
            json_is_object(prior) ? "  prior" : "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fprintf(out, "%-12s ", names[i]);
        print_number(json_object_get(document, names[i]), out);
        print_interval(json_object_get(intervals, names[i]), out);
        if (sd != NULL) {
            fputs("   ", out);
            print_number(json_object_get(sd, names[i]), out);
        }
        if (json_object_get(prior, names[i]) != NULL) {
            fputs("  ", out);
            print_number(json_object_get(prior, names[i]), out);
        }
        fputc('\n', out);
    }
}

static void print_by(const json_t *by, FILE *out)
{
    const char *column = NULL, *value = NULL;
    json_t *values = NULL, *figures = NULL;
    json_object_foreach((json_t *)(uintptr_t)by, column, values)
    {
        fprintf(out, "\nby %s\n", column);
        json_object_foreach(values, value, figures)
        {
            fprintf(out, "  %-24s ", value);
            print_number(json_object_get(figures, "overall"), out);
            fprintf(out, "  of %lld\n", (long long)json_integer_value(json_object_get(figures, "n")));
        }
    }
}

static void print_difference(const json_t *difference, FILE *out)
{
    const char *name = NULL;
    json_t *figure = NULL;
    if (difference == NULL)
        return;
    fputs("\ndifference to the other system, percentage points\n", out);
    json_object_foreach((json_t *)(uintptr_t)difference, name, figure)
    {
        if (!json_is_object(figure))
            continue;
        fprintf(out, "  %-12s ", name);
        print_number(json_object_get(figure, "mean"), out);
        print_interval(json_object_get(figure, "ci95"), out);
        fputc('\n', out);
    }
}

static void print_calibration(const json_t *calibration, FILE *out)
{
    size_t i = 0;
    json_t *step = NULL;
    if (!json_is_object(calibration))
        return;
    fprintf(out, "\nexpected calibration error %.2f; accuracy of the surest answers\n",
            json_number_value(json_object_get(calibration, "ece")));
    json_array_foreach(json_object_get(calibration, "coverage"), i, step)
    {
        fprintf(out, "  %3lld %% ", (long long)json_integer_value(json_object_get(step, "coverage")));
        print_number(json_object_get(step, "accuracy"), out);
        fputc('\n', out);
    }
}

static void render_profile(const json_t *document, FILE *out)
{
    fprintf(out, "%lld questions (%lld closed, %lld open) about %lld images\n",
            (long long)json_integer_value(json_object_get(document, "n")),
            (long long)json_integer_value(json_object_get(document, "n_closed")),
            (long long)json_integer_value(json_object_get(document, "n_open")),
            (long long)json_integer_value(json_object_get(document, "n_images")));
    print_figures(document, out);
    print_difference(json_object_get(document, "difference"), out);
    print_by(json_object_get(document, "by"), out);
    print_calibration(json_object_get(document, "calibration"), out);
    fprintf(out, "\n%s\n", json_string_value(json_object_get(document, "signature")));
}

static void render_metrics(const json_t *document, FILE *out)
{
    const char *name = NULL;
    json_t *value = NULL;
    fprintf(out, "%lld predictions\n", (long long)json_integer_value(json_object_get(document, "n")));
    json_object_foreach(json_object_get(document, "metrics"), name, value)
    {
        const json_t *interval = json_object_get(json_object_get(document, "ci95"), name);
        fprintf(out, "%-12s ", name);
        if (json_is_number(value))
            fprintf(out, "%9.4f", json_number_value(value));
        if (json_is_array(interval))
            fprintf(out, "  %.4f to %.4f", json_number_value(json_array_get(interval, 0)),
                    json_number_value(json_array_get(interval, 1)));
        fputc('\n', out);
    }
    fprintf(out, "\n%s\n", json_string_value(json_object_get(document, "signature")));
}

static void render_score(const json_t *document, FILE *out)
{
    if (json_object_get(document, "metrics") != NULL)
        render_metrics(document, out);
    else
        render_profile(document, out);
}

static void render_list(const json_t *document, FILE *out)
{
    static const char *const kinds[] = {"profiles", "metrics"};
    for (size_t k = 0; k < 2; k++) {
        size_t i = 0;
        json_t *entry = NULL;
        fprintf(out, "%s%s\n", k == 0 ? "" : "\n", kinds[k]);
        json_array_foreach(json_object_get(document, kinds[k]), i, entry)
            fprintf(out, "  %-12s %s\n", json_string_value(json_object_get(entry, "name")),
                    json_string_value(json_object_get(entry, "definition")));
    }
}

static const char *const *copy_values(const cli_call *call, const char *option, const char **into, int *count)
{
    const char *const *values = cli_get_all(call, option, count);
    for (int i = 0; i < *count; i++)
        into[i] = values[i];
    return into;
}

static pfm_status score(cli_call *call, char **document, pfm_error *err)
{
    enum { MOST = 256 }; /* as many words as the frame takes */
    const char *files[MOST], *against[MOST], *conditions[MOST];
    int against_count = 0, condition_count = 0, file_count = cli_operand_count(call);
    for (int i = 0; i < file_count; i++)
        files[i] = cli_operand(call, i);
    pfm_score_request request = {.files = files,
                                 .file_count = (size_t)file_count,
                                 .profile = cli_get(call, "profile"),
                                 .metrics = cli_get(call, "metrics"),
                                 .rows = cli_get(call, "rows"),
                                 .training = cli_get(call, "training"),
                                 .dataset = cli_get(call, "dataset"),
                                 .split = cli_get(call, "split"),
                                 .probe = cli_get(call, "probe")};
    request.against = copy_values(call, "against", against, &against_count);
    request.conditions = copy_values(call, "where", conditions, &condition_count);
    request.against_count = (size_t)against_count;
    request.condition_count = (size_t)condition_count;
    return pfm_score(cli_context(call), &request, document, err);
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *document = NULL;
    bool list = cli_has(call, "list");
    pfm_status status = list ? pfm_score_list(&document, err) : score(call, &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, list ? render_list : render_score, err);
    free(document);
    return status;
}

const cli_command cmd_score = {
    .name = "score",
    .arguments = "FILE... (--profile NAME | --metrics A,B,C) [--against FILE]... | --list",
    .summary = "scores a predictions file",
    .details =
        "Several FILEs are runs of one system with different seeds: their mean is scored, and their spread shown.\n"
        "--against adds the difference to another system's predictions of the same questions, with an interval over images.\n\n"
        "  pefomed score predictions.jsonl --profile vqa\n"
        "  pefomed score seed1.jsonl seed2.jsonl seed3.jsonl --profile vqa --against other.jsonl\n"
        "  pefomed score predictions.jsonl --profile vqa --training slake/train.json --where q_lang=en\n"
        "  pefomed score reports.jsonl --metrics exact,f1_token",
    .options = options,
    .min_operands = 0,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
