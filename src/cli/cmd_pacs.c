#include "cli.h"

#include <stdlib.h>
#include <string.h>

static double number(const json_t *document, const char *key) { return json_number_value(json_object_get(document, key)); }

static void render_pull(const json_t *document, FILE *out)
{
    const json_t *series = json_object_get(document, "series"), *one = NULL;
    size_t i = 0;
    json_array_foreach(series, i, one)
    {
        fprintf(out, "%s/%s  %-4s %.0f objects, %.1f MB\n", json_string_value(json_object_get(document, "out")),
                json_string_value(json_object_get(one, "folder")), json_string_value(json_object_get(one, "modality")),
                number(one, "objects"), number(one, "bytes") / 1e6);
    }
    fprintf(out, "%zu series, %.0f objects, %.1f MB\n", json_array_size(series), number(document, "objects"),
            number(document, "bytes") / 1e6);
}

static void render_push(const json_t *document, FILE *out)
{
    fprintf(out, "%.0f objects are at %s\n", number(document, "objects"), json_string_value(json_object_get(document, "url")));
}

static pfm_status pull(cli_call *call, char **json, pfm_error *err)
{
    int64_t limit = 100, object = 2048;
    int count = 0;
    pfm_pacs_pull_options options = {.url = cli_get(call, "url"),
                                     .query = cli_get_all(call, "query", &count),
                                     .out = cli_get(call, "out"),
                                     .allow_remote = cli_get(call, "allow-remote") != NULL,
                                     .credentials = cli_get(call, "credentials")};
    pfm_status status = cli_get_integer(call, "limit", 1, 100000, &limit, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "max-object", 1, 16384, &object, err);
    if (status != PFM_OK)
        return status;
    if (cli_operand_count(call) > 1)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "pull takes no files; --query says what is fetched, as in --query Modality=CT");
    if (options.out == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "where do the series go? say --out FOLDER");
    options.query_count = (size_t)count;
    options.limit = (int)limit;
    options.object_mib = (int)object;
    return pfm_pacs_pull(cli_context(call), &options, json, err);
}

static pfm_status push(cli_call *call, char **json, pfm_error *err)
{
    static const char *const others[] = {"query", "out", "limit", "max-object"};
    const size_t count = (size_t)cli_operand_count(call) - 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cli_get(call, others[i]) != NULL)
            return pfm_error_set(err, PFM_ERROR_USAGE, "--%s is of pull; push takes files and --url", others[i]);
    if (count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "name DICOM files, or a folder of some, that are to be stored: push --url URL FILE...");
    const char **files = calloc(count, sizeof *files);
    if (files == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read the command");
    for (size_t i = 0; i < count; i++)
        files[i] = cli_operand(call, (int)i + 1);
    const pfm_pacs_push_options options = {.url = cli_get(call, "url"),
                                           .files = files,
                                           .file_count = count,
                                           .allow_remote = cli_get(call, "allow-remote") != NULL,
                                           .credentials = cli_get(call, "credentials")};
    const pfm_status status = pfm_pacs_push(cli_context(call), &options, json, err);
    free(files);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *json = NULL;
    const char *action = cli_operand(call, 0);
    const bool pulls = strcmp(action, "pull") == 0;
    pfm_status status = PFM_OK;
    if (!pulls && strcmp(action, "push") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "pacs either pulls or pushes, and does not '%.40s'", action);
    if (cli_get(call, "url") == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "which server? say --url URL, as in --url http://localhost:8042/dicom-web");
    status = pulls ? pull(call, &json, err) : push(call, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, pulls ? render_pull : render_push, err);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"url", "URL", "the DICOMweb server, as http://localhost:8042/dicom-web", NULL},
    {"query", "KEY=VALUE", "pull: series with this attribute, as Modality=CT or 00100020=123; several must all hold", NULL},
    {"out", "FOLDER", "pull: where series-001, series-002, ... go", NULL},
    {"limit", "N", "pull: the most series (default 100)", NULL},
    {"max-object", "MIB", "pull: the largest object (default 2048)", NULL},
    {"credentials", "FILE", "USER:PASSWORD, or Bearer and a token, on its first line; else PEFOMED_DICOMWEB_CREDENTIALS", NULL},
    {"allow-remote", NULL, "the server may be another machine", NULL},
    {0},
};

const cli_command cmd_pacs = {
    .name = "pacs",
    .arguments = "pull --url URL --out FOLDER [--query KEY=VALUE]... | push --url URL FILE...",
    .summary = "fetches images from an archive, or stores them there (DICOMweb)",
    .details =
        "pull finds series (QIDO-RS) and fetches each into a folder of its own (WADO-RS), which `ask`, `report` and `data` "
        "read;\n"
        "push stores DICOM files (STOW-RS), structured reports too. What receives images is `serve --dicom-port`; "
        "docs/pacs.md.\n\n"
        "  pefomed pacs pull --url http://localhost:8042/dicom-web --query Modality=CT --out scans\n"
        "  pefomed pacs push --url http://localhost:8042/dicom-web report.dcm",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
