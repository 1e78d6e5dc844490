#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *summary;
    pfm_bench_function run;
} benches[] = {
#define ENTRY(name, summary) {#name, summary, pfm_bench_##name},
    PFM_BENCH_LIST(ENTRY)};
enum { BENCHES = sizeof benches / sizeof benches[0] };

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "-";
}
static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static void print_time(double seconds, FILE *out)
{
    if (seconds < 1e-3)
        fprintf(out, "%9.2f us", seconds * 1e6);
    else if (seconds < 1)
        fprintf(out, "%9.3f ms", seconds * 1e3);
    else
        fprintf(out, "%9.3f s ", seconds);
}

static void print_bench(const json_t *bench, FILE *out)
{
    const json_t *peak = json_object_get(bench, "peak"), *row;
    size_t i;
    fprintf(out, "%s: %s, level %s, %d threads; a thread's peak %.0f GFLOP/s f32, %.0f bf16, %.0f int8; reading %.1f GB/s\n",
            text(bench, "bench"), text(bench, "cpu"), text(bench, "level"), (int)number(bench, "threads"), number(peak, "f32"),
            number(peak, "bf16"), number(peak, "int8"), number(bench, "read"));
    fprintf(out, "  %-26s %-22s %-5s %-7s %7s %12s %16s %9s\n", "what", "shape", "type", "by", "threads", "time", "rate",
            "of peak");
    json_array_foreach(json_object_get(bench, "rows"), i, row)
    {
        fprintf(out, "  %-26s %-22s %-5s %-7s %7d ", text(row, "name"), text(row, "shape"), text(row, "type"), text(row, "by"),
                (int)number(row, "threads"));
        print_time(number(row, "seconds"), out);
        fprintf(out, " %9.1f %-6s", number(row, "rate"), strcmp(text(row, "unit"), "byte") == 0 ? "GB/s" : "GFLOP/s");
        if (json_is_number(json_object_get(row, "share")))
            fprintf(out, " %7.1f%%", number(row, "share"));
        fputc('\n', out);
    }
}

static void print_benches(const json_t *document, FILE *out)
{
    const json_t *bench;
    size_t i;
    json_array_foreach(document, i, bench)
    {
        if (i > 0)
            fputc('\n', out);
        print_bench(bench, out);
    }
}

static pfm_status measure(cli_call *call, int index, json_t *all, pfm_error *err)
{
    char *json = NULL;
    int64_t layers = 0;
    pfm_status status = cli_get_integer(call, "layers", 1, 32, &layers, err);
    if (status != PFM_OK)
        return status;
    const pfm_bench_options options = {.profile = cli_has(call, "profile"),
                                       .layers = (int)layers,
                                       .only = cli_get(call, "only"),
                                       .trace = cli_get(call, "trace")};
    status = benches[index].run(cli_context(call), &options, &json, err);
    if (status == PFM_OK && json_array_append_new(all, json_loads(json, 0, NULL)) != 0)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not keep the figures");
    free(json);
    return status;
}

#define WORD(name, summary) " " #name
static pfm_status run(cli_call *call, pfm_error *err)
{
    const char *wanted = cli_operand(call, 0);
    pfm_status status = PFM_OK;
    bool found = false;
    json_t *all = json_array();
    for (int i = 0; i < BENCHES && status == PFM_OK; i++)
        if (wanted == NULL || strcmp(wanted, benches[i].name) == 0) {
            found = true;
            status = measure(call, i, all, err);
        }
    if (!found)
        status = pfm_error_set(err, PFM_ERROR_USAGE, "there is no measurement '%s'; there are" PFM_BENCH_LIST(WORD), wanted);
    if (status == PFM_OK)
        status = cli_print(call, all, print_benches, err);
    json_decref(all);
    return status;
}

static const cli_option options[] = {
    {"layers", "N", "step, base: of how many layers (default all 30 of step's model, 1 of base's 32)", NULL},
    {"only", "TEXT", "base: only the rows whose names hold this, such as q4_0", NULL},
    {"profile", NULL, "step, vision: list its operators too", NULL},
    {"trace", "FILE", "step: write a step's operators there, for chrome://tracing or Perfetto", NULL},
    CLI_WEIGHTS_OPTION,
    {0},
};

#define LINE(name, summary) "  " #name ": " summary "\n"
const cli_command cmd_bench = {
    .name = "bench",
    .arguments = "[NAME] [--layers N] [--only TEXT] [--profile] [--trace FILE] [--weights FORMAT]",
    .summary = "measures speed and the share of this machine's peak",
    .details = "NAME is one of these; without it all are measured:\n" PFM_BENCH_LIST(
        LINE) "Other work on the machine makes the figures worse: measure when it is idle, and compare figures of one run.",
    .options = options,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
