#include "eval/text_edit.h"

#include "base/try.h"
#include "eval/vqa_text.h"

#include <string.h>

pfm_status pfm_text_replace(pfm_buffer *text, pfm_buffer *scratch, const char *what, const char *with, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (text->size == 0 || strstr(text->data, what) == NULL)
        return PFM_OK;
    pfm_buffer_clear(scratch);
    const char *rest = text->data;
    for (const char *found = NULL; (found = strstr(rest, what)) != NULL; rest = found + strlen(what)) {
        PFM_TRY(pfm_buffer_append(scratch, rest, (size_t)(found - rest), err));
        PFM_TRY(pfm_buffer_append_string(scratch, with, err));
    }
    PFM_TRY(pfm_buffer_append_string(scratch, rest, err));
    pfm_buffer kept = *text;
    *text = *scratch;
    *scratch = kept;
done:
    return status;
}

size_t pfm_text_trimmed(const char *text, size_t length)
{
    size_t end = 0;
    for (size_t i = 0; i < length;) {
        size_t space = pfm_space_length(text + i);
        i += space > 0 ? space : 1;
        if (space == 0)
            end = i;
    }
    return end;
}
