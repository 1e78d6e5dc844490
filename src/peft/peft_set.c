#include "peft/peft_set.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

typedef struct member {
    pfm_peft *peft;
    pfm_value made; /* what it made at its first place in the graph at hand, see pfm_builder */
} member;

struct pfm_peft_set {
    member *members;
    size_t count, capacity;
    pfm_hook hook;
};

static pfm_touch touches_one(const pfm_peft *peft, const pfm_model_place *place)
{
    const pfm_hook *hook = pfm_peft_hook(peft);
    return hook == NULL ? PFM_TOUCH_NOTHING : hook->touches(hook->user, place);
}

/* Where one replaces, the builder is told so; the others join. */
static pfm_touch touches(void *user, const pfm_model_place *place)
{
    const pfm_peft_set *set = user;
    pfm_touch touch = PFM_TOUCH_NOTHING;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_touch one = touches_one(set->members[i].peft, place);
        touch = one > touch ? one : touch;
    }
    return touch;
}

/* A builder starts with nothing made; each member finds what it made itself. */
static pfm_status apply_one(pfm_builder *builder, member *m, bool starts, const pfm_model_place *place, pfm_value *output,
                            pfm_error *err)
{
    const pfm_hook *hook = pfm_peft_hook(m->peft);
    const pfm_value others = builder->made;
    builder->made = starts ? PFM_NO_VALUE : m->made;
    pfm_status status = hook->apply(hook->user, builder, place, output, err);
    m->made = builder->made;
    builder->made = m->made != PFM_NO_VALUE ? m->made : others;
    return status;
}

static pfm_status apply(void *user, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_set *set = user;
    const pfm_value bare = *output;
    const bool starts = builder->made == PFM_NO_VALUE;
    for (size_t i = 0; i < set->count; i++) {
        pfm_value made = bare;
        const pfm_touch touch = touches_one(set->members[i].peft, place);
        if (touch == PFM_TOUCH_NOTHING || (place->only != PFM_TOUCH_NOTHING && place->only != touch))
            continue;
        PFM_TRY(apply_one(builder, &set->members[i], starts, place, &made, err));
        if (made != bare)
            PFM_TRY(pfm_build_choose(builder, *output, made, builder->adapters, (int32_t)i, output, err));
    }
done:
    return status;
}

static pfm_status join(void *user, pfm_builder *builder, const pfm_model_place *layer, const pfm_model_place *sublayer,
                       pfm_value added, pfm_value replaced, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_set *set = user;
    pfm_value out = added;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_peft *one = set->members[i].peft;
        if (touches_one(one, layer) == PFM_TOUCH_REPLACES ||
            (sublayer != NULL && touches_one(one, sublayer) == PFM_TOUCH_REPLACES))
            PFM_TRY(pfm_build_choose(builder, out, replaced, builder->adapters, (int32_t)i, &out, err));
    }
    *y = out;
done:
    return status;
}

pfm_status pfm_peft_set_create(pfm_peft_set **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status == PFM_OK)
        (*out)->hook = (pfm_hook){.user = *out, .touches = touches, .apply = apply, .join = join};
    return status;
}

void pfm_peft_set_free(pfm_peft_set *set)
{
    if (set == NULL)
        return;
    free(set->members);
    free(set);
}

pfm_status pfm_peft_set_add(pfm_peft_set *set, pfm_peft *peft, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    const bool biases = options->bias != NULL && strcmp(options->bias, "none") != 0;
    if ((method != NULL && method->trains != NULL) || options->module_to_save_count > 0 || biases)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "the adapter %s changes the base's own %s, which are there once; it cannot stand beside others", name,
                 options->module_to_save_count > 0 ? "modules (modules_to_save)"
                 : biases                          ? "biases (bias)"
                                                   : "parameters");
    PFM_TRY(pfm_array_reserve(&set->members, &set->capacity, set->count + 1, sizeof *set->members, err));
    set->members[set->count++] = (member){.peft = peft, .made = PFM_NO_VALUE};
done:
    return status;
}

const pfm_hook *pfm_peft_set_hook(const pfm_peft_set *set) { return &set->hook; }
