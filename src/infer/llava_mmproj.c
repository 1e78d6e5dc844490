/* llama.cpp's mmproj: the vision encoder and the aligner of a LLaVA in a GGUF of their own. */
#include "infer/llava.h"

#include "base/try.h"
#include "formats/gguf.h"

#include <string.h>

pfm_status pfm_llava_mmproj_path(const char *language, char **out, pfm_error *err)
{
    static const char end[] = ".gguf";
    size_t length = strlen(language);
    if (length > strlen(end) && strcmp(language + length - strlen(end), end) == 0)
        length -= strlen(end);
    return pfm_string_format(out, err, "%.*s-mmproj.gguf", (int)length, language);
}

static pfm_status set_sizes(const pfm_llava *llava, pfm_gguf_writer *writer, pfm_error *err)
{
    const pfm_clip *c = llava->clip;
    const struct {
        const char *key;
        int64_t value;
    } sizes[] = {{"clip.vision.image_size", c->image_size},
                 {"clip.vision.patch_size", c->patch},
                 {"clip.vision.embedding_length", c->width},
                 {"clip.vision.feed_forward_length", c->mlp},
                 {"clip.vision.projection_dim", llava->session->model->language.hidden},
                 {"clip.vision.block_count", c->layers},
                 {"clip.vision.attention.head_count", c->heads}};
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < sizeof sizes / sizeof *sizes; i++)
        status = pfm_gguf_set_u32(writer, sizes[i].key, (uint32_t)sizes[i].value, err);
    return status;
}

/* llama.cpp divides bytes by 255 and knows no other scale: what differs goes into mean and deviation. */
static pfm_status set_colours(const pfm_clip *clip, pfm_gguf_writer *writer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float mean[3], deviation[3];
    for (int i = 0; i < 3; i++) {
        mean[i] = (float)((double)clip->mean[i] / (255 * clip->scale));
        deviation[i] = (float)((double)clip->deviation[i] / (255 * clip->scale));
    }
    PFM_TRY(pfm_gguf_set_f32s(writer, "clip.vision.image_mean", mean, 3, err));
    PFM_TRY(pfm_gguf_set_f32s(writer, "clip.vision.image_std", deviation, 3, err));
done:
    return status;
}

/* Neither switch: quick_gelu. llama.cpp's gelu is the one by tanh. */
static pfm_status set_activation(const pfm_clip *clip, pfm_gguf_writer *writer, pfm_error *err)
{
    const char *name = clip->activation;
    if (strcmp(name, "relu") == 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "llama.cpp's CLIP has no activation %s; export --merge --to safetensors, for transformers", name);
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_gguf_set_bool(writer, "clip.use_gelu", strncmp(name, "gelu", 4) == 0, err));
    PFM_TRY(pfm_gguf_set_bool(writer, "clip.use_silu", strcmp(name, "silu") == 0, err));
done:
    return status;
}

static pfm_status set_keys(const pfm_llava *llava, pfm_gguf_writer *writer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int32_t layer = llava->clip->layer;
    PFM_TRY(pfm_gguf_set_text(writer, "general.architecture", "clip", err));
    PFM_TRY(pfm_gguf_set_text(writer, "general.type", "mmproj", err));
    PFM_TRY(pfm_gguf_set_u32(writer, "general.file_type", 0, err)); /* all F32 */
    PFM_TRY(pfm_gguf_set_bool(writer, "clip.has_vision_encoder", true, err));
    PFM_TRY(pfm_gguf_set_bool(writer, "clip.has_llava_projector", true, err));
    PFM_TRY(pfm_gguf_set_text(writer, "clip.projector_type", "mlp", err));
    PFM_TRY(set_sizes(llava, writer, err));
    PFM_TRY(pfm_gguf_set_f32(writer, "clip.vision.attention.layer_norm_epsilon", (float)llava->clip->epsilon, err));
    PFM_TRY(pfm_gguf_set_i32s(writer, "clip.vision.feature_layer", &layer, 1, err));
    PFM_TRY(set_colours(llava->clip, writer, err));
    PFM_TRY(set_activation(llava->clip, writer, err));
done:
    return status;
}

static pfm_status fill(void *user, const pfm_weight *tensor, void *out, pfm_error *err)
{
    bool found;
    return pfm_llava_fill(user, tensor, out, &found, err);
}

pfm_status pfm_llava_write_mmproj(const pfm_llava *llava, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_gguf_writer *writer = NULL;
    if (llava->clip->mlp == llava->clip->width)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "the vision encoder's MLP is as wide as its tokens (%d), and llama.cpp would take its two matrices for each "
                 "other; export --merge --to safetensors, for transformers",
                 llava->clip->mlp);
    PFM_TRY(pfm_gguf_writer_create(&writer, err));
    PFM_TRY(set_keys(llava, writer, err));
    for (size_t i = 0; i < llava->count; i++)
        PFM_TRY(pfm_gguf_add_tensor(writer, &llava->tensors[i], err));
    PFM_TRY(pfm_gguf_write(writer, path, fill, (void *)(uintptr_t)llava, err));
done:
    pfm_gguf_writer_free(writer);
    return status;
}
