#include "answer_options.h"
#include "render_scores.h"

#include <stdlib.h>

static pfm_status run(cli_call *call, pfm_error *err)
{
    int64_t limit = 0, max_tokens = 0;
    char *json = NULL;
    cli_settings settings = {0};
    pfm_status status = cli_get_integer(call, "limit", 1, INT32_MAX, &limit, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "max-tokens", 1, 65536, &max_tokens, err);
    if (status == PFM_OK)
        status = cli_list_settings(call, true, &settings, err);
    pfm_eval_options options = {.run = cli_operand(call, 0),
                                .data = cli_get(call, "data"),
                                .split = cli_get(call, "split"),
                                .limit = (int)limit,
                                .probe = cli_get(call, "probe"),
                                .out = cli_get(call, "out"),
                                .max_tokens = (int)max_tokens,
                                .settings = (const char *const *)settings.texts,
                                .setting_count = settings.count,
                                .adapter = cli_get(call, "adapter")};
    if (status == PFM_OK)
        status = pfm_eval(cli_context(call), &options, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, cli_render_scores, err);
    free(json);
    cli_free_settings(&settings);
    return status;
}

static const cli_option options[] = {
    {"data", "PATH", "the data set's folder (default: the recipe's data.path)", NULL},
    {"split", "NAME", "which split to answer (default: the recipe's validation split)", NULL},
    {"limit", "N", "the first N rows only", NULL},
    {"probe", "KIND", "does it look at the image? blank, noise, swap (one of the same kind), swap-any",
     "none|blank|noise|swap|swap-any"},
    {"out", "FILE", "write the predictions there, as JSON lines", NULL},
    {"max-tokens", "N", "the longest answer (default: the recipe's eval.max_tokens)", NULL},
    {"adapter", "DIR", "another adapter (a PEFT folder, or a run with its aligner) in place of the run's; none: the base",
     NULL},
    {"choices", "WHERE",
     "choose each answer, by likelihood, among its row's column choices or the training answers (eval.choices)",
     "none|column|train"},
    CLI_ANSWER_OPTIONS,
    CLI_WEIGHTS_OPTION,
    CLI_MEMORY_OPTION,
    {0},
};

const cli_command cmd_eval = {
    .name = "eval",
    .arguments = "RUN [--data PATH] [--split NAME] [--limit N] [--probe KIND] [--out FILE] [--max-tokens N] [--adapter "
                 "DIR] " CLI_ANSWER_ARGUMENTS " [--weights FORMAT] [--memory SIZE]",
    .summary = "answers a split of a data set and scores the answers",
    .details = "RUN may be a recipe: then the untrained model answers. A probe takes the image away or changes it; a model "
               "that looks at\n"
               "its images scores clearly less then. How answers are made says the recipe under eval, or an option here in its "
               "place\n"
               "(docs/decoding.md); what is drawn depends on --seed and the row's id alone.\n\n"
               "  pefomed eval runs/slake --data FOLDER --split validate --out predictions.jsonl\n"
               "  pefomed eval runs/slake --data FOLDER --probe swap",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
