#include "eval/shown.h"

#include "base/try.h"

pfm_status pfm_shown_tell(pfm_feature_store *features, const size_t *replacement, const pfm_row *row, json_t *prediction,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    bool any = false;
    for (size_t k = 0; features != NULL && k < row->image_count; k++) {
        const size_t index = (size_t)row->images[k].index;
        const char *text = NULL;
        PFM_TRY(pfm_feature_store_tell(features, replacement != NULL ? replacement[index] : index, &text, err));
        any = any || text != NULL;
        list = pfm_json_add(list, text != NULL ? json_loads(text, 0, NULL) : json_null());
    }
    if (any)
        PFM_TRY(pfm_json_take(prediction, "shown", json_incref(list), err));
done:
    json_decref(list);
    return status;
}
