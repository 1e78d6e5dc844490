/* What `ask` and `report` share: a question, or a report to be written, about pictures. */
#ifndef PFM_CLI_ASKING_H
#define PFM_CLI_ASKING_H

#include "answer_options.h"

/* clang-format off */
/* --record and what belongs to it; cli_choose_record reads them. */
#define CLI_RECORD_OPTIONS                                                                                                     \
    {"record", "FILE", "append each answer, with all that it was made from, to this record (docs/records.md)", NULL},          \
    {"record-texts", "HOW", "prompts and answers in the record: as text (default), or as salted hashes", "text|hash"}
#define CLI_RECORD_ARGUMENTS "[--record FILE [--record-texts HOW]]"

#define CLI_ASK_OPTIONS                                                                                                        \
    {"series", "N|UID", "which series of a folder that holds several", NULL},                                                  \
    {"slices", "WHICH", "slices of a series: 8 (evenly spaced), 3,10,20, 40-60/5, all (default: the recipe's, or all)", NULL}, \
    {"context", "COLUMN=VALUE", "what chooses the experts of a run with peft.router: context, as modality=CT", NULL},          \
    {"max-tokens", "N", "the longest answer (default: the recipe's eval.max_tokens)", NULL},                                   \
    CLI_ANSWER_OPTIONS,                                                                                                        \
    {"sequences", "N", "of beam search: with --json list the N best (at most --beams)", NULL},                                 \
    {"adapter", "[NAME=]DIR", "another adapter in place of the run's, or several that all answer; none: the base", NULL},      \
    {"sr", "FILE", "also write the answer as a DICOM structured report on the images, which are DICOM files", NULL},          \
    {"sr-kind", "KIND", "of the structured report: basic (default) or enhanced", "basic|enhanced"},                            \
    {"sr-language", "CODE", "of its text, as en or pt-BR (default: en where the text is ASCII, else not told)", NULL},         \
    CLI_RECORD_OPTIONS,                                                                                                        \
    CLI_WEIGHTS_OPTION,                                                                                                        \
    CLI_MEMORY_OPTION
/* clang-format on */
#define CLI_ASK_ARGUMENTS                                                                                                      \
    "[--series N|UID] [--slices WHICH] [--max-tokens N] " CLI_ANSWER_ARGUMENTS                                                 \
    " [--adapter [NAME=]DIR]... [--context COLUMN=VALUE] [--sr FILE] [--sr-kind KIND] [--sr-language CODE]"                    \
    " " CLI_RECORD_ARGUMENTS " [--weights FORMAT] [--memory SIZE]"

/* Asks operand 0, a run, about the pictures that are its operands 1 .. image_count, as the call's options say, and prints the
 * answer. `options` says what is asked. */
pfm_status cli_ask(cli_call *call, const pfm_ask_options *options, int image_count, pfm_error *err) PFM_MUST_CHECK;

/* What CLI_RECORD_OPTIONS say. */
pfm_record_options cli_choose_record(const cli_call *call);

enum { CLI_MOST_ADAPTERS = 64, CLI_ADAPTER_NAME = 100 };

/* What --adapter named: each borrows its name from here and its folder from the call. */
typedef struct cli_adapters {
    pfm_named_adapter adapters[CLI_MOST_ADAPTERS]; /* [count] */
    char names[CLI_MOST_ADAPTERS][CLI_ADAPTER_NAME];
    size_t count;
} cli_adapters;
/* Reads every --adapter NAME=DIR, or DIR. USAGE: there are too many. */
pfm_status cli_list_adapters(const cli_call *call, cli_adapters *out, pfm_error *err) PFM_MUST_CHECK;

#endif
