#include "eval/label_file.h"

#include "base/file.h"
#include "base/try.h"
#include "eval/labels.h"

#include <stdlib.h>
#include <string.h>

static pfm_status write_row(pfm_labeller *labeller, const pfm_answer_set *set, size_t i, pfm_atomic_file *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_labels reference, prediction;
    json_t *wanted = NULL, *given = NULL, *line = NULL;
    char *text = NULL;
    PFM_TRY(pfm_labels_of_row(labeller, set, &set->rows[i], &reference, &prediction, err));
    PFM_TRY(pfm_labels_write(&reference, &wanted, err));
    PFM_TRY(pfm_labels_write(&prediction, &given, err));
    line = json_pack("{s:s,s:s,s:O,s:O}", "id", set->ids.texts[i], "labeller", PFM_LABELLER_NAME, "reference", wanted,
                     "prediction", given);
    PFM_TRY(pfm_json_print(line, &text, err));
    PFM_TRY(pfm_atomic_file_write(out, text, strlen(text), err));
    PFM_TRY(pfm_atomic_file_write(out, "\n", 1, err));
done:
    free(text);
    json_decref(line);
    json_decref(wanted);
    json_decref(given);
    return status;
}

pfm_status pfm_label_file_write(const pfm_answer_set *set, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_labeller *labeller = NULL;
    pfm_atomic_file out = {0};
    PFM_TRY(pfm_labeller_create(&labeller, err));
    PFM_TRY(pfm_atomic_file_begin(path, &out, err));
    for (size_t i = 0; i < set->count; i++)
        PFM_TRY(write_row(labeller, set, i, &out, err));
    PFM_TRY(pfm_atomic_file_commit(&out, err));
done:
    pfm_labeller_free(labeller);
    pfm_atomic_file_abort(&out);
    return status;
}
