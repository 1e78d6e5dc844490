/* An aligner's weights from a file that another program wrote. */
#include "models/aligner/aligner.h"

#include "base/memory.h"
#include "base/try.h"
#include "formats/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "aligner.";
enum { LONGEST_NAME = 192 };

bool pfm_aligner_owns(const pfm_parameter *parameter) { return strncmp(parameter->name, prefix, sizeof prefix - 1) == 0; }

const char *pfm_aligner_name_of(const pfm_parameter *parameter) { return parameter->name + sizeof prefix - 1; }

static pfm_status find_naming(const pfm_aligner *aligner, const pfm_weights *weights, const pfm_aligner_naming **out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer markers = {0};
    for (const pfm_aligner_naming *naming = aligner->namings; naming->marker != NULL; naming++) {
        if (pfm_weights_find(weights, naming->marker) != NULL) {
            *out = naming;
            goto done;
        }
        PFM_TRY(pfm_buffer_append_format(&markers, err, "%s%s", naming == aligner->namings ? "" : ", ", naming->marker));
    }
    PFM_FAIL(PFM_ERROR_MISMATCH, "%s holds no weights of the aligner %s; it would have one of the tensors %s",
             pfm_weights_path(weights), aligner->name, markers.data);
done:
    pfm_buffer_free(&markers);
    return status;
}

const char *const pfm_aligner_llava_parts[] = {"language_model.*",
                                               "vision_tower.*",
                                               "image_newline",
                                               "lm_head.*",
                                               "model.language_model.*",
                                               "model.vision_tower.*",
                                               "model.image_newline",
                                               "model.layers.*",
                                               "model.embed_tokens.*",
                                               "model.norm.*",
                                               NULL};
const char *const pfm_aligner_lavis_parts[] = {"llama_model.*", "visual_encoder.*", "ln_vision.*",
                                               "Qformer.*",     "query_tokens",     NULL};

static void rename_tensor(const pfm_aligner_naming *naming, const char *ours, char out[LONGEST_NAME])
{
    char before[LONGEST_NAME];
    (void)snprintf(out, LONGEST_NAME, "%s", ours);
    for (int i = 0; i < PFM_ALIGNER_RENAMES && naming->renames[i].ours != NULL; i++) {
        const char *part = naming->renames[i].ours;
        (void)snprintf(before, sizeof before, "%s", out);
        char *at = strstr(before, part);
        if (at != NULL)
            (void)snprintf(out, LONGEST_NAME, "%.*s%s%s", (int)(at - before), before, naming->renames[i].theirs,
                           at + strlen(part));
    }
}

/* What a parameter is in the file. A matrix may have a first dimension of 1, as query tokens do. */
static pfm_weight_expected expect(const pfm_weights *weights, const char *name, const pfm_parameter *p)
{
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (p->k > 1 && weight != NULL && weight->rank == 3)
        return (pfm_weight_expected){.name = name, .rank = 3, .shape = {1, p->n, p->k}};
    return (pfm_weight_expected){.name = name, .rank = p->k == 1 ? 1 : 2, .shape = {p->n, p->k}};
}

static pfm_status set_from(const pfm_weights *weights, const char *name, pfm_parameters *parameters, int id, pfm_error *err)
{
    const pfm_weight *weight = pfm_weights_find(weights, name);
    float *values = NULL;
    pfm_status status = pfm_allocate(pfm_weight_values(weight), sizeof *values, &values, err);
    if (status == PFM_OK)
        status = pfm_weight_expand(weight, values, err);
    if (status == PFM_OK)
        pfm_parameters_set(parameters, id, values);
    free(values);
    return status;
}

pfm_status pfm_aligner_load(const pfm_aligner *aligner, const char *path, bool trained_follow, pfm_parameters *parameters,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    pfm_weight_expected *expected = NULL;
    const pfm_aligner_naming *naming = NULL;
    char(*names)[LONGEST_NAME] = NULL;
    int *ids = NULL;
    size_t count = 0, most = (size_t)pfm_parameters_count(parameters);
    PFM_TRY(pfm_allocate(most, sizeof *expected, &expected, err));
    PFM_TRY(pfm_allocate(most, sizeof *names, &names, err));
    PFM_TRY(pfm_allocate(most, sizeof *ids, &ids, err));
    PFM_TRY(pfm_weights_open(path, &weights, err));
    PFM_TRY(find_naming(aligner, weights, &naming, err));
    for (int i = 0; i < (int)most; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!pfm_aligner_owns(p) || p->initial != PFM_INITIAL_LOADED)
            continue;
        rename_tensor(naming, pfm_aligner_name_of(p), names[count]);
        expected[count] = expect(weights, names[count], p);
        ids[count++] = i;
    }
    PFM_TRY(pfm_weights_expect(weights, expected, count, naming->ignored, err));
    for (size_t i = 0; i < count; i++) {
        if (!trained_follow || pfm_parameters_get(parameters, ids[i])->part == PFM_PART_BASE)
            PFM_TRY(set_from(weights, names[i], parameters, ids[i], err));
    }
done:
    pfm_weights_close(weights);
    free(expected);
    free(names);
    free(ids);
    return status;
}
