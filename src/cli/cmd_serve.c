#include "asking.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_TOKEN = 512 };

static void tell_address(void *user, const char *address)
{
    (void)user;
    fprintf(stdout, "%s\n", address);
    (void)fflush(stdout);
}

/* The first line of a file. */
static pfm_status read_token(const char *path, char out[LONGEST_TOKEN], pfm_error *err)
{
    FILE *file = fopen(path, "r");
    const bool read = file != NULL && fgets(out, LONGEST_TOKEN, file) != NULL;
    if (file != NULL)
        (void)fclose(file);
    if (!read)
        return pfm_error_set(err, PFM_ERROR_IO, "%s: cannot read a token from it; write one on its first line", path);
    out[strcspn(out, "\r\n")] = '\0';
    return PFM_OK;
}

/* --token, --token-file, PEFOMED_TOKEN: the first that is given. A token that nobody could guess is long. */
static pfm_status choose_token(const cli_call *call, char held[LONGEST_TOKEN], const char **out, pfm_error *err)
{
    enum { SHORTEST = 8 };
    const char *file = cli_get(call, "token-file");
    *out = cli_get(call, "token");
    if (*out != NULL && file != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--token and --token-file both give a token; keep one of them");
    if (file != NULL) {
        const pfm_status status = read_token(file, held, err);
        if (status != PFM_OK)
            return status;
        *out = held;
    }
    if (*out == NULL)
        *out = getenv("PEFOMED_TOKEN");
    for (const char *c = *out; c != NULL && *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return pfm_error_set(err, PFM_ERROR_USAGE, "a token is of visible ASCII characters without spaces");
    if (*out != NULL && strlen(*out) < SHORTEST)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "a token of %zu characters could be guessed; give one of %d or more (openssl rand -hex 24 makes one)", strlen(*out),
            SHORTEST);
    return PFM_OK;
}

static pfm_status read_limits(const cli_call *call, pfm_serve_limits *out, pfm_error *err)
{
    int64_t body = 64, images = 16, tokens = 1024, waiting = 64, connections = 256, seconds = 300;
    const struct {
        const char *name;
        int64_t high, *value;
    } limits[] = {
        {"max-body", 2048, &body},
        {"max-images", 256, &images},
        {"max-tokens", 65536, &tokens},
        {"max-waiting", 4096, &waiting},
        {"max-connections", 4096, &connections},
        {"max-seconds", 86400, &seconds},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const pfm_status status = cli_get_integer(call, limits[i].name, 1, limits[i].high, limits[i].value, err);
        if (status != PFM_OK)
            return status;
    }
    *out = (pfm_serve_limits){.body = (size_t)body << 20,
                              .images = (int)images,
                              .tokens = (int)tokens,
                              .waiting = (int)waiting,
                              .connections = (int)connections,
                              .seconds = (double)seconds};
    return PFM_OK;
}

/* *used = whether a DICOM service is wanted. */
static pfm_status read_pacs(const cli_call *call, pfm_pacs_options *out, bool *used, pfm_error *err)
{
    static const char *const others[] = {"dicom-host",
                                         "aet",
                                         "rules",
                                         "dicom-allow",
                                         "dicom-return",
                                         "dicom-allow-remote",
                                         "dicom-max-object",
                                         "dicom-tls-certificate",
                                         "dicom-tls-key",
                                         "dicom-tls-trust",
                                         "dicom-max-inbox",
                                         "dicom-max-studies",
                                         "dicom-idle"};
    int64_t port = 0, object = 0, inbox = 0, studies = 0, idle = 0;
    int callers = 0;
    pfm_status status = cli_get_integer(call, "dicom-port", 0, 65535, &port, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "dicom-max-object", 1, 16384, &object, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "dicom-max-inbox", 1, 1 << 30, &inbox, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "dicom-max-studies", 1, 1000000, &studies, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "dicom-idle", 1, 3600, &idle, err);
    *used = cli_get(call, "dicom-port") != NULL;
    for (size_t i = 0; status == PFM_OK && !*used && i < sizeof others / sizeof *others; i++)
        if (cli_get(call, others[i]) != NULL)
            return pfm_error_set(err, PFM_ERROR_USAGE, "--%s is of the DICOM service, which there is with --dicom-port",
                                 others[i]);
    *out = (pfm_pacs_options){.host = cli_get(call, "dicom-host"),
                              .port = (int)port,
                              .title = cli_get(call, "aet"),
                              .rules = cli_get(call, "rules"),
                              .callers = cli_get_all(call, "dicom-allow", &callers),
                              .back = cli_get(call, "dicom-return"),
                              .allow_remote = cli_get(call, "dicom-allow-remote") != NULL,
                              .certificate = cli_get(call, "dicom-tls-certificate"),
                              .key = cli_get(call, "dicom-tls-key"),
                              .trust = cli_get(call, "dicom-tls-trust"),
                              .object_mib = (int)object,
                              .inbox_mib = (int)inbox,
                              .studies = (int)studies,
                              .seconds = (int)idle};
    out->caller_count = (size_t)callers;
    if (status == PFM_OK && ((out->certificate == NULL) != (out->key == NULL) || (out->trust != NULL && out->key == NULL)))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "--dicom-tls-certificate and --dicom-tls-key belong together, and --dicom-tls-trust to them");
    return status;
}

/* What an option names each time that it is given. */
static pfm_status list_folders(const cli_call *call, const char *option, const char **out, int most, size_t *count,
                               pfm_error *err)
{
    int given = 0;
    const char *const *values = cli_get_all(call, option, &given);
    if (given > most)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--%s is given %d times; %d are the most", option, given, most);
    for (int i = 0; i < given; i++)
        out[i] = values[i];
    *count = (size_t)given;
    return PFM_OK;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    pfm_serve_options options = {.run = cli_operand(call, 0),
                                 .host = cli_get(call, "host"),
                                 .certificate = cli_get(call, "tls-certificate"),
                                 .key = cli_get(call, "tls-key"),
                                 .state = cli_get(call, "state"),
                                 .listening = tell_address};
    enum { MOST_FOLDERS = 64 };
    const char *runs[MOST_FOLDERS], *predictions[MOST_FOLDERS], *images[MOST_FOLDERS];
    int64_t port = 8080, cache = 0, keep = 512;
    cli_adapters adapters = {0};
    char token[LONGEST_TOKEN] = "";
    pfm_pacs_options pacs;
    bool receives = false;
    pfm_status status = cli_get_integer(call, "port", 0, 65535, &port, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "cache", 1, INT64_MAX >> 20, &cache, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "keep", 1, INT64_MAX >> 20, &keep, err);
    if (status == PFM_OK && (options.certificate == NULL) != (options.key == NULL))
        status = pfm_error_set(err, PFM_ERROR_USAGE, "--tls-certificate and --tls-key belong together; give both or neither");
    if (status == PFM_OK)
        status = choose_token(call, token, &options.token, err);
    if (status == PFM_OK)
        status = read_limits(call, &options.limits, err);
    if (status == PFM_OK)
        status = cli_list_adapters(call, &adapters, err);
    options.record = cli_choose_record(call);
    if (status == PFM_OK)
        status = read_pacs(call, &pacs, &receives, err);
    options.pacs = receives ? &pacs : NULL;
    if (status == PFM_OK)
        status = list_folders(call, "runs", runs, MOST_FOLDERS, &options.run_folder_count, err);
    if (status == PFM_OK)
        status = list_folders(call, "predictions", predictions, MOST_FOLDERS, &options.prediction_folder_count, err);
    if (status == PFM_OK)
        status = list_folders(call, "images", images, MOST_FOLDERS, &options.image_folder_count, err);
    options.run_folders = runs;
    options.prediction_folders = predictions;
    options.image_folders = images;
    options.port = (int)port;
    options.memory = (uint64_t)cache << 20;
    options.keep = (uint64_t)keep << 20;
    options.adapters = adapters.adapters;
    options.adapter_count = adapters.count;
    return status == PFM_OK ? pfm_serve(cli_context(call), &options, err) : status;
}

static const cli_option options[] = {
    {"host", "H", "the address to listen on (default 127.0.0.1; any other wants a token)", NULL},
    {"port", "P", "the port (default 8080; 0: one that is free)", NULL},
    {"token", "T", "what those who ask must show, as Authorization: Bearer T", NULL},
    {"token-file", "FILE", "the same from a file's first line; PEFOMED_TOKEN in the environment does as well", NULL},
    {"tls-certificate", "FILE", "a PEM file: HTTPS with this certificate", NULL},
    {"tls-key", "FILE", "its key, a PEM file", NULL},
    {"adapter", "NAME=DIR", "serve this adapter too, a model of its own (a PEFT folder, or a run with its aligner)", NULL},
    {"cache", "MIB", "memory that answers under way and images seen before may hold (default: an eighth of the machine's)",
     NULL},
    {"state", "FILE", "what is kept across runs, as reports (default PEFOMED_HOME/serve/state.sqlite)", NULL},
    {"runs", "FOLDER", "whose runs the page shows and compares; may be repeated (default: the folder that RUN lies in)", NULL},
    {"predictions", "FOLDER",
     "whose files of predictions the page looks through, and ratings may be made of; may be repeated (default: the runs' "
     "folders)",
     NULL},
    {"images", "FOLDER", "where the images lie that predictions name; may be repeated (default: none are shown)", NULL},
    {"keep", "MIB", "memory that images opened on the page may hold, for an hour at most (default 512)", NULL},
    {"max-body", "MIB", "the largest request (default 64)", NULL},
    {"max-images", "N", "the most images of a request (default 16)", NULL},
    {"max-tokens", "N", "the longest answer (default 1024)", NULL},
    {"max-waiting", "N", "the most requests that wait or are answered (default 64)", NULL},
    {"max-connections", "N", "the most connections that are open (default 256)", NULL},
    {"max-seconds", "N", "the longest that a request may take (default 300)", NULL},
    CLI_RECORD_OPTIONS,
    {"dicom-port", "P", "receive DICOM images here (0: a port that is free) and return structured reports; docs/pacs.md", NULL},
    {"rules", "FILE", "what becomes of a study: by modality, body part and words, questions or a report", NULL},
    {"aet", "NAME", "the application entity title (default PEFOMED)", NULL},
    {"dicom-host", "H", "the address to receive on, of IPv4 or IPv6 (default 127.0.0.1; any other wants --dicom-allow)", NULL},
    {"dicom-allow", "AET@HOST[:PORT]", "who alone may send, and the port that takes what is returned", NULL},
    {"dicom-return", "AET@HOST:PORT", "where results go that neither rule nor sender has a place for", NULL},
    {"dicom-allow-remote", NULL, "results may go to other machines that rules name", NULL},
    {"dicom-tls-certificate", "FILE", "a PEM file: the DICOM service speaks TLS, with this certificate", NULL},
    {"dicom-tls-key", "FILE", "its key, a PEM file", NULL},
    {"dicom-tls-trust", "FILE", "who signs the certificates that callers must show then, a PEM file (default: they need none)",
     NULL},
    {"dicom-max-object", "MIB", "the largest object (default 2048)", NULL},
    {"dicom-max-inbox", "MIB", "what objects that wait may have; more are refused for now (default 8192)", NULL},
    {"dicom-max-studies", "N", "the most studies that wait; more are refused for now (default 1000)", NULL},
    {"dicom-idle", "SECONDS", "a connection without a message for so long is ended (default 30)", NULL},
    CLI_WEIGHTS_OPTION,
    {0},
};

const cli_command cmd_serve = {
    .name = "serve",
    .arguments = "RUN [--host H] [--port P] [--token T | --token-file FILE] [--tls-certificate FILE --tls-key FILE] "
                 "[--adapter NAME=DIR]... [--cache MIB] [--state FILE] [--runs FOLDER]... [--predictions FOLDER]... [--images "
                 "FOLDER]... "
                 "[--keep MIB] [--max-body MIB] [--max-images N] "
                 "[--max-tokens N] [--max-waiting N] "
                 "[--max-connections N] [--max-seconds N] " CLI_RECORD_ARGUMENTS
                 " [--weights FORMAT] [--dicom-port P --rules FILE [--aet NAME] [--dicom-host H] "
                 "[--dicom-allow AET@HOST[:PORT]]... [--dicom-return AET@HOST:PORT] [--dicom-allow-remote] "
                 "[--dicom-tls-certificate FILE --dicom-tls-key FILE [--dicom-tls-trust FILE]] "
                 "[--dicom-max-object MIB] [--dicom-max-inbox MIB] [--dicom-max-studies N] [--dicom-idle SECONDS]]",
    .summary = "serves a run to people and programs",
    .details = "The first line on stdout is the address. Programs speak to it as to OpenAI's interface "
               "(/v1/chat/completions, /v1/models);\n"
               "the run's own model is called as its folder, the base as its recipe calls it. SIGTERM finishes what runs. "
               "docs/serve.md says all.\n\n"
               "  pefomed serve runs/slake\n"
               "  pefomed serve runs/ct --adapter mri=runs/mri --weights q8_0\n"
               "  pefomed serve runs/slake --host 0.0.0.0 --token-file token --tls-certificate cert.pem --tls-key key.pem\n"
               "  pefomed serve runs/slake --dicom-port 11112 --rules rules.yaml --dicom-return ARCHIVE@127.0.0.1:4242",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
