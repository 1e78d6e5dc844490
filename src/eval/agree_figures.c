#include "eval/agree_figures.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>

pfm_status pfm_agree_draw(const pfm_ratings *ratings, const json_t *result, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_path_join(folder, "agreement.json", &path, err));
    PFM_TRY(pfm_figure_distributions(result, folder, err));
    PFM_TRY(pfm_figure_matrix(result, folder, err));
    PFM_TRY(pfm_figure_against(result, folder, err));
    PFM_TRY(pfm_figure_scatters(ratings, result, folder, err));
    PFM_TRY(pfm_json_save(path, result, err));
done:
    free(path);
    return status;
}
