/* How servers are asked: the options of every command that asks one. */
#ifndef PFM_CLI_CLIENT_OPTIONS_H
#define PFM_CLI_CLIENT_OPTIONS_H

#include "cli.h"

/* clang-format off */
#define CLI_CLIENT_OPTIONS                                                                                                     \
    {"url", "URL", "an OpenAI-compatible server, as http://localhost:8080/v1; its key, if any, in PEFOMED_API_KEY", NULL},     \
    {"model", "NAME", "the model, by the server's name", NULL},                                                                \
    {"allow-remote", NULL, "the server may be another machine, to which pictures and texts are sent then", NULL},              \
    {"concurrency", "N", "questions at once (default 4)", NULL},                                                               \
    {"retries", "N", "further attempts at one question, after growing pauses (default 4)", NULL},                              \
    {"pause", "S", "seconds before the second attempt; it doubles with each further one (default 1)", NULL},                   \
    {"timeout", "S", "seconds that one attempt may take (default 300)", NULL},                                                 \
    {"per-minute", "N", "the most attempts begun in a minute (default: no limit)", NULL}
/* clang-format on */
#define CLI_CLIENT_ARGUMENTS "[--allow-remote] [--concurrency N] [--retries N] [--pause S] [--timeout S] [--per-minute N]"

/* *out = what the call says of them, and the defaults. */
pfm_status cli_get_client(const cli_call *call, pfm_client_options *out, pfm_error *err) PFM_MUST_CHECK;

#endif
