#include "asking.h"

#include <stdlib.h>
#include <string.h>

static void write_piece(void *user, const char *text, size_t length)
{
    (void)user;
    (void)fwrite(text, 1, length, stdout);
    (void)fflush(stdout);
}

/* The answer has been written as it came; the line is ended. */
static void render(const json_t *document, FILE *out)
{
    (void)document;
    fputc('\n', out);
}

/* "NAME=DIR", or DIR, whose last part is the name. */
static void name_adapter(const char *text, char name[CLI_ADAPTER_NAME], pfm_named_adapter *out)
{
    const char *equals = strchr(text, '='), *slash = strrchr(text, '/');
    const bool named = equals != NULL && equals > text && (slash == NULL || strchr(text, '/') > equals);
    const char *begin = named || slash == NULL || slash[1] == '\0' ? text : slash + 1;
    (void)snprintf(name, CLI_ADAPTER_NAME, "%.*s", named ? (int)(equals - text) : CLI_ADAPTER_NAME - 1, begin);
    *out = (pfm_named_adapter){.name = name, .folder = named ? equals + 1 : text};
}

pfm_status cli_list_adapters(const cli_call *call, cli_adapters *out, pfm_error *err)
{
    int count = 0;
    const char *const *given = cli_get_all(call, "adapter", &count);
    if (count > CLI_MOST_ADAPTERS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%d adapters are more than %d", count, CLI_MOST_ADAPTERS);
    for (int i = 0; i < count; i++)
        name_adapter(given[i], out->names[i], &out->adapters[i]);
    out->count = (size_t)count;
    return PFM_OK;
}

pfm_record_options cli_choose_record(const cli_call *call)
{
    return (pfm_record_options){.path = cli_get(call, "record"), .texts = cli_get(call, "record-texts")};
}

static pfm_status ask_adapters(cli_call *call, pfm_ask_options *options, char **json, pfm_error *err)
{
    cli_adapters list;
    pfm_status status = cli_list_adapters(call, &list, err);
    if (status != PFM_OK)
        return status;
    options->adapters = list.adapters;
    options->adapter_count = list.count;
    return pfm_ask(cli_context(call), options, json, err);
}

/* --sr and what belongs to it. SOURCE_DATE_EPOCH is the time of what has to come out the same twice
 * (reproducible-builds.org). */
static pfm_status choose_sr(const cli_call *call, pfm_ask_options *options, pfm_error *err)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    options->sr = cli_get(call, "sr");
    options->sr_kind = cli_get(call, "sr-kind");
    options->sr_language = cli_get(call, "sr-language");
    if (options->sr == NULL && (options->sr_kind != NULL || options->sr_language != NULL))
        return pfm_error_set(err, PFM_ERROR_USAGE, "--%s is of a structured report; name its file with --sr",
                             options->sr_kind != NULL ? "sr-kind" : "sr-language");
    if (options->sr == NULL || epoch == NULL || epoch[0] == '\0')
        return PFM_OK;
    if (strlen(epoch) > 11 || strspn(epoch, "0123456789") != strlen(epoch))
        return pfm_error_set(err, PFM_ERROR_USAGE, "SOURCE_DATE_EPOCH is a number of seconds since 1970, and not '%.40s'",
                             epoch);
    options->sr_dated = true;
    options->sr_time = strtoll(epoch, NULL, 10);
    return PFM_OK;
}

pfm_status cli_ask(cli_call *call, const pfm_ask_options *options, int image_count, pfm_error *err)
{
    int64_t max_tokens = 0, sequences = 0;
    char *json = NULL;
    cli_settings settings = {0};
    pfm_ask_options all = *options;
    const char **images = calloc((size_t)image_count + 1, sizeof *images); /* one too many, so that there is always something */
    pfm_status status = cli_get_integer(call, "max-tokens", 1, 65536, &max_tokens, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "sequences", 1, 64, &sequences, err);
    if (status == PFM_OK)
        status = cli_list_settings(call, false, &settings, err);
    if (status == PFM_OK)
        status = choose_sr(call, &all, err);
    if (images == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the images");
    for (int i = 0; images != NULL && i < image_count; i++)
        images[i] = cli_operand(call, i + 1);
    all.run = cli_operand(call, 0);
    all.images = images;
    all.image_count = (size_t)image_count;
    all.series = cli_get(call, "series");
    all.slices = cli_get(call, "slices");
    all.context = cli_get(call, "context");
    all.record = cli_choose_record(call);
    all.max_tokens = (int)max_tokens;
    all.returned = (int)sequences;
    all.settings = (const char *const *)settings.texts;
    all.setting_count = settings.count;
    all.write = cli_wants_json(call) ? NULL : write_piece;
    if (status == PFM_OK)
        status = ask_adapters(call, &all, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, render, err);
    free(json);
    free(images);
    cli_free_settings(&settings);
    return status;
}
