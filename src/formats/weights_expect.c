#include "base/memory.h"
#include "base/try.h"
#include "formats/weights.h"

#include "base/map.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN = 4 }; /* of each kind of fault */

/* One kind of fault: how many there are, and the text that lists the first of them. */
typedef struct fault_list {
    const char *title;
    size_t count;
    pfm_buffer text;
} fault_list;

static void format_shape(int rank, const int64_t *shape, char out[256])
{
    size_t used = 1;
    memcpy(out, "[", 2);
    for (int i = 0; i < rank; i++) {
        char number[32] = "?";
        if (shape[i] >= 0)
            (void)snprintf(number, sizeof number, "%lld", (long long)shape[i]);
        used += (size_t)snprintf(out + used, 256 - used, "%s%s", i > 0 ? "," : "", number);
    }
    (void)snprintf(out + used, 256 - used, "]");
}

static pfm_status add_fault(fault_list *list, const char *name, const char *detail, pfm_error *err)
{
    list->count++;
    if (list->count > SHOWN)
        return PFM_OK;
    return pfm_buffer_append_format(&list->text, err, "%s%.120s%s", list->count > 1 ? ", " : "", name, detail);
}

static bool fits(const pfm_weight *weight, const pfm_weight_expected *expected)
{
    bool same = weight->rank == expected->rank;
    for (int i = 0; same && i < weight->rank; i++)
        same = expected->shape[i] < 0 || expected->shape[i] == weight->shape[i];
    return same;
}

static pfm_status check_expected(const pfm_weights *weights, const pfm_weight_expected *expected, fault_list *missing,
                                 fault_list *misshapen, pfm_error *err)
{
    char wanted[256], found[256], detail[600];
    const pfm_weight *weight = pfm_weights_find(weights, expected->name);
    format_shape(expected->rank, expected->shape, wanted);
    if (weight == NULL) {
        (void)snprintf(detail, sizeof detail, " %s", wanted);
        return expected->optional ? PFM_OK : add_fault(missing, expected->name, detail, err);
    }
    if (fits(weight, expected))
        return PFM_OK;
    format_shape(weight->rank, weight->shape, found);
    (void)snprintf(detail, sizeof detail, " is %s, not %s", found, wanted);
    return add_fault(misshapen, expected->name, detail, err);
}

static bool is_ignored(const char *name, const char *const *ignored)
{
    for (; ignored != NULL && *ignored != NULL; ignored++) {
        if (fnmatch(*ignored, name, 0) == 0)
            return true;
    }
    return false;
}

static pfm_status describe(const fault_list *list, pfm_buffer *out, pfm_error *err)
{
    if (list->count == 0)
        return PFM_OK;
    pfm_status status = pfm_buffer_append_format(out, err, "%s%zu %s: %s", out->size > 0 ? "; " : "", list->count, list->title,
                                                 list->text.data);
    if (status == PFM_OK && list->count > SHOWN)
        status = pfm_buffer_append_string(out, ", ...", err);
    return status;
}

pfm_status pfm_weights_expect(const pfm_weights *weights, const pfm_weight_expected *expected, size_t count,
                              const char *const *ignored, pfm_error *err)
{
    pfm_status status = PFM_OK;
    fault_list missing = {.title = "missing"}, misshapen = {.title = "misshapen"}, extra = {.title = "not expected"};
    pfm_map wanted = {0};
    pfm_buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        PFM_TRY(pfm_map_set(&wanted, expected[i].name, strlen(expected[i].name), 0, err));
        PFM_TRY(check_expected(weights, &expected[i], &missing, &misshapen, err));
    }
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const char *name = pfm_weights_at(weights, i)->name;
        if (!pfm_map_get(&wanted, name, strlen(name), NULL) && !is_ignored(name, ignored))
            PFM_TRY(add_fault(&extra, name, "", err));
    }
    if (missing.count + misshapen.count + extra.count == 0)
        goto done;
    PFM_TRY(describe(&missing, &text, err));
    PFM_TRY(describe(&misshapen, &text, err));
    PFM_TRY(describe(&extra, &text, err));
    PFM_FAIL(PFM_ERROR_MISMATCH, "%.300s does not hold this model's tensors: %s", pfm_weights_path(weights), text.data);
done:
    pfm_map_free(&wanted);
    pfm_buffer_free(&missing.text);
    pfm_buffer_free(&misshapen.text);
    pfm_buffer_free(&extra.text);
    pfm_buffer_free(&text);
    return status;
}
