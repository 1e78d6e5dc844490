#include "peft/peft_set.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

struct pfm_peft_set {
    pfm_peft **members;
    size_t count, capacity;
    pfm_hook hook;
};

static pfm_touch touches_one(const pfm_peft *member, const pfm_model_place *place)
{
    const pfm_hook *hook = pfm_peft_hook(member);
    return hook == NULL ? PFM_TOUCH_NOTHING : hook->touches(hook->user, place);
}

/* What adds may do so to a value that is replaced as well, but not the other way round. */
static pfm_touch touches(void *user, const pfm_model_place *place)
{
    const pfm_peft_set *set = user;
    pfm_touch touch = PFM_TOUCH_NOTHING;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_touch one = touches_one(set->members[i], place);
        touch = one > touch ? one : touch;
    }
    return touch;
}

static pfm_status apply(void *user, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_set *set = user;
    const pfm_value bare = *output;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_hook *hook = pfm_peft_hook(set->members[i]);
        pfm_value made = bare;
        if (touches_one(set->members[i], place) == PFM_TOUCH_NOTHING)
            continue;
        PFM_TRY(hook->apply(hook->user, builder, place, &made, err));
        if (made != bare)
            PFM_TRY(pfm_build_choose(builder, *output, made, builder->adapters, (int32_t)i, output, err));
    }
done:
    return status;
}

pfm_status pfm_peft_set_create(pfm_peft_set **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status == PFM_OK)
        (*out)->hook = (pfm_hook){.user = *out, .touches = touches, .apply = apply};
    return status;
}

void pfm_peft_set_free(pfm_peft_set *set)
{
    if (set == NULL)
        return;
    free(set->members);
    free(set);
}

pfm_status pfm_peft_set_add(pfm_peft_set *set, pfm_peft *member, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(member);
    const pfm_peft_options *options = pfm_peft_get_options(member);
    const bool biases = options->bias != NULL && strcmp(options->bias, "none") != 0;
    if ((method != NULL && method->trains != NULL) || options->module_to_save_count > 0 || biases)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "the adapter %s changes the base's own %s, which are there once; it cannot stand beside others", name,
                 options->module_to_save_count > 0 ? "modules (modules_to_save)"
                 : biases                          ? "biases (bias)"
                                                   : "parameters");
    PFM_TRY(pfm_array_reserve(&set->members, &set->capacity, set->count + 1, sizeof(pfm_peft *), err));
    set->members[set->count++] = member;
done:
    return status;
}

const pfm_hook *pfm_peft_set_hook(const pfm_peft_set *set) { return &set->hook; }
