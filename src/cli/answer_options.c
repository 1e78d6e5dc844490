#include "answer_options.h"

#include <stdlib.h>
#include <string.h>

static const cli_option answer_options[] = {CLI_ANSWER_OPTIONS, {0}};
static const char choices_option[] = "choices";

static pfm_status add(cli_settings *out, const char *option, const char *value, pfm_error *err)
{
    const size_t length = strlen(option), size = length + strlen(value) + 2;
    char **grown = reallocarray(out->texts, out->count + 1, sizeof *grown);
    out->texts = grown != NULL ? grown : out->texts;
    char *text = grown != NULL ? malloc(size) : NULL;
    if (text == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read --%s", option);
    (void)snprintf(text, size, "%s=%s", option, value);
    for (size_t i = 0; i < length; i++)
        text[i] = text[i] == '-' ? '_' : text[i];
    out->texts[out->count++] = text;
    return PFM_OK;
}

pfm_status cli_list_settings(const cli_call *call, bool choices, cli_settings *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (cli_settings){0};
    if (choices && cli_has(call, choices_option))
        status = add(out, choices_option, cli_get(call, choices_option), err);
    for (const cli_option *option = answer_options; option->name != NULL; option++) {
        int count = 0;
        const char *const *values = cli_get_all(call, option->name, &count);
        const bool last_alone = strcmp(option->name, "stop") != 0; /* of an option that is said twice the last counts */
        for (int i = last_alone && count > 0 ? count - 1 : 0; status == PFM_OK && i < count; i++)
            status = add(out, option->name, values[i], err);
    }
    return status;
}

void cli_free_settings(cli_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        free(settings->texts[i]);
    free(settings->texts);
    *settings = (cli_settings){0};
}
