/* How scores look to a person: what score and eval print. */
#include "render_scores.h"

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

static void print_p(const json_t *figure, FILE *out)
{
    const json_t *p = json_object_get(figure, "p");
    if (json_is_number(p))
        fprintf(out, "  p %.4f", json_number_value(p));
    fputc('\n', out);
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
        print_p(figure, out);
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
    const json_t *chance = json_object_get(document, "chance");
    const long long images = (long long)json_integer_value(json_object_get(document, "n_images"));
    fprintf(out, "%lld questions (%lld closed, %lld open) ", (long long)json_integer_value(json_object_get(document, "n")),
            (long long)json_integer_value(json_object_get(document, "n_closed")),
            (long long)json_integer_value(json_object_get(document, "n_open")));
    if (images > 0)
        fprintf(out, "about %lld images\n", images);
    else
        fputs("without images\n", out);
    print_figures(document, out);
    if (json_is_number(chance))
        fprintf(out, "%-12s %7.2f\n", "chance", json_number_value(chance));
    print_difference(json_object_get(document, "difference"), out);
    print_by(json_object_get(document, "by"), out);
    print_calibration(json_object_get(document, "calibration"), out);
    fprintf(out, "\n%s\n", json_string_value(json_object_get(document, "signature")));
}

static void print_small_interval(const json_t *interval, FILE *out)
{
    if (json_is_array(interval))
        fprintf(out, "  %.4f to %.4f", json_number_value(json_array_get(interval, 0)),
                json_number_value(json_array_get(interval, 1)));
}

static void print_metric_differences(const json_t *difference, FILE *out)
{
    const char *name = NULL;
    json_t *figure = NULL;
    if (difference == NULL)
        return;
    fputs("\ndifference to the other system\n", out);
    json_object_foreach(json_object_get(difference, "metrics"), name, figure)
    {
        fprintf(out, "%-12s ", name);
        if (json_is_number(json_object_get(figure, "mean")))
            fprintf(out, "%9.4f", json_number_value(json_object_get(figure, "mean")));
        print_small_interval(json_object_get(figure, "ci95"), out);
        print_p(figure, out);
    }
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
        print_small_interval(interval, out);
        fputc('\n', out);
    }
    print_metric_differences(json_object_get(document, "difference"), out);
    fprintf(out, "\n%s\n", json_string_value(json_object_get(document, "signature")));
}

void cli_render_scores(const json_t *document, FILE *out)
{
    if (json_object_get(document, "metrics") != NULL)
        render_metrics(document, out);
    else
        render_profile(document, out);
}
