/* How answers are made: the options of every command that answers. Each is the recipe's key of the same name under eval, which
 * says what it may be. */
#ifndef PFM_CLI_ANSWER_OPTIONS_H
#define PFM_CLI_ANSWER_OPTIONS_H

#include "cli.h"

/* clang-format off */
#define CLI_ANSWER_OPTIONS                                                                                                     \
    {"min-tokens", "N", "the answer may end after N tokens (eval.min_tokens)", NULL},                                          \
    {"temperature", "T", "0: the likeliest token (default); above: one is drawn (eval.temperature)", NULL},                    \
    {"draws", "N", "draw N answers and take the one most like the others (eval.draws)", NULL},                                 \
    {"top-k", "N", "drawn among the N likeliest tokens (eval.top_k)", NULL},                                                   \
    {"top-p", "P", "drawn among the fewest that have this probability together (eval.top_p)", NULL},                           \
    {"min-p", "P", "drawn among those with this share of the likeliest one's probability (eval.min_p)", NULL},                 \
    {"repetition-penalty", "X", "above 1: tokens that were there come less (eval.repetition_penalty)", NULL},                  \
    {"no-repeat-ngram", "N", "no run of N tokens comes twice (eval.no_repeat_ngram)", NULL},                                   \
    {"beams", "N", "beam search with N beams (eval.beams)", NULL},                                                             \
    {"length-penalty", "X", "of beam search: above 0 longer answers gain (eval.length_penalty)", NULL},                        \
    {"early-stopping", "WHEN", "of beam search: when it ends (eval.early_stopping)", "false|true|never"},                      \
    {"stop", "TEXT", "ends the answer before this text; may be said again (eval.stop)", NULL},                                 \
    {"choice-score", "BY", "an answer is chosen by the log-likelihood: all of it, or over its length (eval.choice_score)",     \
     "total|mean|sequence"}
/* clang-format on */
#define CLI_ANSWER_ARGUMENTS "[--temperature T] [--beams N] [--stop TEXT]..."

/* Those that a call gave as the library takes them, "top_k=5". */
typedef struct cli_settings {
    char **texts; /* [count] */
    size_t count;
} cli_settings;
/* choices: with --choices, which in other commands names answers and is no setting. */
pfm_status cli_list_settings(const cli_call *call, bool choices, cli_settings *out, pfm_error *err) PFM_MUST_CHECK;
void cli_free_settings(cli_settings *settings);

#endif
