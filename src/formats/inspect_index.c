/* An index of a corpus. */
#include "base/try.h"
#include "formats/inspect_internal.h"
#include "pefomed/corpus.h"

#include <stdlib.h>

/* Any SQLite database: what it is not, describing it says. */
static bool probe(const pfm_inspect_target *target)
{
    static const char magic[] = "SQLite format 3";
    return target->head_size >= sizeof magic && memcmp(target->head, magic, sizeof magic) == 0;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *text = NULL;
    json_t *facts = NULL;
    PFM_TRY(pfm_index_describe(target->path, &text, err));
    facts = json_loads(text, 0, NULL);
    if (facts == NULL || json_object_update(out, facts) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe %s", target->path);
done:
    json_decref(facts);
    free(text);
    return status;
}

const pfm_inspector pfm_inspector_index = {.kind = "index", .probe = probe, .describe = describe};
