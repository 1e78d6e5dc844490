#include "models/language/language_known_table.h"

#include <string.h>

pfm_status pfm_language_known(const char *name, pfm_language_config *config, pfm_error *err)
{
    for (size_t i = 0; i < sizeof known_models / sizeof *known_models; i++) {
        if (strcmp(known_models[i].name, name) == 0) {
            *config = known_models[i].config;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_USAGE,
                         "the shapes of the language model '%s' are not known without its files; fetch it or name its path",
                         name);
}
