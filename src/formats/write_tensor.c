#include "formats/write_tensor.h"

#include "base/try.h"

pfm_status pfm_write_tensor(pfm_atomic_file *file, const pfm_weight *tensor, pfm_weight_fill fill, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_block block = {0};
    if (tensor->data != NULL || tensor->bytes == 0)
        return pfm_atomic_file_write(file, tensor->data, tensor->bytes, err);
    if (fill == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "cannot write %s: tensor %.100s has no data", file->path, tensor->name);
    PFM_TRY(pfm_block_create(tensor->bytes, &block, err));
    PFM_TRY(fill(user, tensor, block.data, err));
    PFM_TRY(pfm_atomic_file_write(file, block.data, tensor->bytes, err));
done:
    pfm_block_free(&block);
    return status;
}
