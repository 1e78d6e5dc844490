/* Any bytes as a Specific Character Set, a line, and a value: converting must give UTF-8 or say why not. */
#include "image/dicom_charset.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const representations[] = {"PN", "LO", "LT"};
    char *text = calloc(size + 1, 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    char *value = strchr(text, '\n');
    for (size_t i = 0; value != NULL && i < sizeof representations / sizeof *representations; i++) {
        pfm_error err = PFM_ERROR_INIT;
        char *out = NULL;
        *value = '\0';
        const bool defined = pfm_charset_is_defined(text);
        const pfm_status status = pfm_charset_convert(text, representations[i], value + 1, &out, &err);
        if (status == PFM_OK ? !defined || !pfm_utf8_valid(out, strlen(out)) : out != NULL || err.message[0] == '\0')
            abort();
        free(out);
    }
    free(text);
    return 0;
}
