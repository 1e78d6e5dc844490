#include "client_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- for people ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long count_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* A figure, or - where it is undefined. */
static const char *figure(const json_t *object, const char *key, int digits, char out[32])
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        (void)snprintf(out, 32, "%.*f", digits, json_number_value(value));
    else
        (void)snprintf(out, 32, "-");
    return out;
}

/* "  (low to high)", or nothing where it is undefined. */
static const char *interval(const json_t *document, const char *key, int digits, char out[64])
{
    const json_t *ends = json_object_get(json_object_get(document, "ci95"), key);
    out[0] = '\0';
    if (json_array_size(ends) == 2)
        (void)snprintf(out, 64, "  (%.*f to %.*f)", digits, json_number_value(json_array_get(ends, 0)), digits,
                       json_number_value(json_array_get(ends, 1)));
    return out;
}

static void render_list(const json_t *document, FILE *out)
{
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach(json_object_get(document, "rubrics"), i, entry)
    {
        const json_t *scale = json_object_get(entry, "scale");
        fprintf(out, "%-14s %lld to %lld, %s is better\n  %s\n", text_of(entry, "name"),
                (long long)json_integer_value(json_array_get(scale, 0)),
                (long long)json_integer_value(json_array_get(scale, 1)), text_of(entry, "better"),
                text_of(entry, "definition"));
    }
}

static void render_scores(const json_t *document, FILE *out)
{
    const char *score = NULL;
    json_t *count = NULL;
    const double ok = (double)count_of(document, "ok");
    fprintf(out, "\nscore  verdicts\n");
    json_object_foreach(json_object_get(document, "distribution"), score, count)
    {
        const double share = ok > 0 ? 100 * json_number_value(count) / ok : 0;
        fprintf(out, "%5s  %8lld  %5.1f %%\n", score, (long long)json_integer_value(count), share);
    }
}

static void render_repeats(const json_t *document, FILE *out)
{
    size_t i = 0;
    json_t *entry = NULL;
    char a[32], b[32], c[64], d[64];
    const json_t *repeats = json_object_get(document, "repeats"), *same = json_object_get(document, "consistency");
    if (json_array_size(repeats) < 2)
        return;
    fprintf(out, "\nrepeat      ok      mean  mean_all\n");
    json_array_foreach(repeats, i, entry)
        fprintf(out, "%6lld  %6lld  %8s  %8s\n", count_of(entry, "repeat"), count_of(entry, "ok"), figure(entry, "mean", 4, a),
                figure(entry, "mean_all", 4, b));
    fprintf(out, "standard deviation of the repeats' means: %s\n", figure(document, "sd_of_repeats", 4, a));
    fprintf(out, "consistency: of %lld pairs of verdicts on the same item %s %%%s are equal, mean absolute difference %s%s\n",
            count_of(same, "pairs"), figure(same, "exact_agreement", 1, a), interval(document, "exact_agreement", 1, c),
            figure(same, "mean_abs_diff", 4, b), interval(document, "mean_abs_diff", 4, d));
}

static void render_length(const json_t *document, FILE *out)
{
    size_t i = 0;
    json_t *group = NULL;
    char a[32], b[32], c[64];
    const json_t *length = json_object_get(document, "length");
    fprintf(out, "\nlength: Spearman's correlation of an item's score with the characters of its prediction %s%s, %lld items\n",
            figure(length, "spearman", 3, a), interval(document, "length", 3, c), count_of(length, "n"));
    json_array_foreach(json_object_get(length, "by_exact_match"), i, group) if (count_of(group, "n") > 0)
        fprintf(out, "  of the %lld that %s their reference word for word: %s, mean score %s\n", count_of(group, "n"),
                json_is_true(json_object_get(group, "exact")) ? "equal" : "do not equal", figure(group, "spearman", 3, a),
                figure(group, "mean", 4, b));
}

static void render_errors(const json_t *document, FILE *out)
{
    static const char *const types[] = {"A", "B", "C", "D", "E", "F", "total"}, *const sides[] = {"significant",
                                                                                                  "insignificant"};
    char a[32];
    const json_t *errors = json_object_get(document, "errors");
    if (errors == NULL)
        return;
    fprintf(out, "\nerrors a report        A       B       C       D       E       F   total  none\n");
    for (size_t s = 0; s < 2; s++) {
        const json_t *side = json_object_get(errors, sides[s]);
        fprintf(out, "%-14s", sides[s]);
        for (size_t k = 0; k < sizeof types / sizeof *types; k++)
            fprintf(out, "  %6s", figure(side, types[k], 3, a));
        fprintf(out, "  %s %% of %lld\n", figure(side, "none", 1, a), count_of(side, "n"));
    }
}

static void render(const json_t *document, FILE *out)
{
    char a[32], b[32], c[64];
    const long long n = count_of(document, "n"), ok = count_of(document, "ok");
    fprintf(out, "%s by %s: %lld verdicts on %lld items, %lld ok, %lld unparsable, %lld failed\n\n",
            text_of(document, "rubric"), text_of(document, "model"), n, count_of(document, "items"), ok,
            count_of(document, "unparsable"), count_of(document, "failed"));
    fprintf(out, "mean      %8s%s, standard deviation %s, of the %lld ok\n", figure(document, "mean", 4, a),
            interval(document, "mean", 4, c), figure(document, "sd", 4, b), ok);
    fprintf(out, "mean_all  %8s%s, of all, the other %lld as %lld\n", figure(document, "mean_all", 4, a),
            interval(document, "mean_all", 4, c), n - ok, count_of(document, "missing_counts_as"));
    render_scores(document, out);
    render_errors(document, out);
    render_repeats(document, out);
    render_length(document, out);
    fprintf(out, "\n%s\n%s\n%s\n", text_of(document, "verdicts"), text_of(document, "log"), text_of(document, "signature"));
}

/* ---- the call ---- */

static pfm_status judge(cli_call *call, char **json, pfm_error *err)
{
    int64_t repeats = 1, tokens = 1024;
    pfm_judge_options options = {.file = cli_operand(call, 0),
                                 .rubric = cli_get(call, "rubric"),
                                 .out = cli_get(call, "out"),
                                 .temperature = NAN,
                                 .constrain = cli_get(call, "constrain"),
                                 .strict = cli_has(call, "strict"),
                                 .replay = cli_has(call, "replay"),
                                 .dataset = cli_get(call, "dataset"),
                                 .accept_identifiers = cli_get(call, "accept-identifiers"),
                                 .declaration = cli_get(call, "declare")};
    pfm_status status = cli_get_client(call, &options.client, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "repeat", 1, 1000, &repeats, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "max-tokens", 0, 65536, &tokens, err);
    if (status == PFM_OK)
        status = cli_get_number(call, "temperature", 0, 100, &options.temperature, err);
    options.repeats = (int)repeats;
    options.max_tokens = (int)tokens;
    return status == PFM_OK ? pfm_judge(cli_context(call), &options, json, err) : status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *json = NULL;
    const bool list = cli_has(call, "list");
    pfm_status status = list ? pfm_judge_list(&json, err) : judge(call, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, list ? render_list : render, err);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"rubric", "NAME", "by what is judged: correct, likert-report, chexprompt, or the path of a file (docs/judge.md)", NULL},
    {"out", "VERDICTS", "the file of verdicts (default: FILE with .verdicts.jsonl in place of its ending)", NULL},
    {"repeat", "N", "judge each item N times (default 1)", NULL},
    {"temperature", "T", "how freely the judge draws its words (default: as its server is set)", NULL},
    {"max-tokens", "N", "of a reply, 0: no limit of ours (default 1024)", NULL},
    {"constrain", "TYPE", "have the server hold replies to a JSON schema, sent as json_schema or json_object (docs/judge.md)",
     "json_schema|json_object"},
    {"strict", NULL, "fail, with all written, where a verdict failed or cannot be read", NULL},
    {"replay", NULL, "take everything from the log, and open no connection", NULL},
    {"dataset", "NAME", "what the rows are of (default: as they, or the recipe beside FILE, say)", NULL},
    {"accept-identifiers", "KINDS",
     "what looks like name,date,record,number,email,uid,age,column was read, and is none; or all", NULL},
    {"declare", "FILE", "a text of yours that says why data under terms may go to another machine; the log keeps it", NULL},
    {"list", NULL, "names the rubrics that are part of the program", NULL},
    CLI_CLIENT_OPTIONS,
    {0},
};

const cli_command cmd_judge = {
    .name = "judge",
    .arguments =
        "FILE --rubric NAME --url URL --model NAME [--out VERDICTS] [--repeat N] [--strict] [--replay] [--temperature T] "
        "[--max-tokens N] [--constrain TYPE] [--dataset NAME] [--accept-identifiers KINDS] [--declare "
        "FILE] " CLI_CLIENT_ARGUMENTS " | --list",
    .summary = "asks a language model to judge a predictions file",
    .details = "Every verdict is a line of VERDICTS, written as it arrives, and every call one of VERDICTS' log "
               "(.calls.jsonl). Stopped or\n"
               "killed, the same command asks only for what is missing or failed; --replay makes the same table from the log, "
               "without a\n"
               "network. A server that is not this machine needs --allow-remote, and nothing that looks like an identifier of "
               "a patient.\n\n"
               "  pefomed judge reports.jsonl --rubric likert-report --url http://localhost:8080/v1 --model NAME --repeat 10\n"
               "  pefomed judge answers.jsonl --rubric correct --url http://localhost:8080/v1 --model NAME --concurrency 32\n"
               "  pefomed judge reports.jsonl --rubric ./mine.yaml --url http://localhost:8080/v1 --model NAME --replay",
    .options = options,
    .min_operands = 0,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
