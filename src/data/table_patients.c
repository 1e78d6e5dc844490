/* Whose images a table's rows show, where the table does not say it and the files do: their Patient ID, as a hash. Nothing
 * shows it; rows are compared by it. */
#include "data/format.h"

#include "base/file.h"
#include "base/map.h"
#include "base/try.h"
#include "pefomed/dicom.h"

#include <stdlib.h>
#include <string.h>

/* Looks at one file; *found: it is DICOM, whether or not it names a patient. */
static pfm_status look(const char *path, char **out, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0};
    pfm_hash_hex hash = "";
    *found = false;
    if (pfm_path_is_folder(path) || pfm_mapping_open(path, &file, NULL) != PFM_OK)
        return PFM_OK; /* a missing file is found missing elsewhere */
    if (pfm_dicom_is(file.data, file.size, file.size)) {
        *found = true;
        if (pfm_dicom_patient(file.data, file.size, path, hash, NULL) != PFM_OK)
            hash[0] = '\0'; /* a damaged one is found where it is decoded */
    }
    if (hash[0] != '\0')
        PFM_TRY(pfm_string_format(out, err, "sha256:%s", hash));
done:
    pfm_mapping_close(&file);
    return status;
}

/* Of a folder the first DICOM file: a series is of one patient. */
static pfm_status look_in_folder(const char *folder, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL, *path = NULL;
    size_t count = 0;
    bool found = false;
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count && !found; i++) {
        free(path);
        path = NULL;
        if (names[i][0] == '.')
            continue;
        PFM_TRY(pfm_path_join(folder, names[i], &path, err));
        PFM_TRY(look(path, out, &found, err));
    }
done:
    free(path);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

/* *out = the patient's hash, or NULL. */
static pfm_status find_patient(const char *path, char **out, pfm_error *err)
{
    bool found = false;
    return pfm_path_is_folder(path) ? look_in_folder(path, out, err) : look(path, out, &found, err);
}

pfm_status pfm_rows_find_patients(pfm_rows *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0}; /* leads from a path to a row that knows the patient, or to -1; borrows the paths */
    for (size_t i = 0; i < rows->count; i++) {
        pfm_row *row = &rows->items[i];
        for (size_t k = 0; k < row->image_count && row->patient == NULL; k++) {
            const char *path = row->images[k].path;
            int64_t known = -1;
            if (pfm_map_get(&seen, path, strlen(path), &known)) {
                if (known >= 0)
                    PFM_TRY(pfm_string_copy(rows->items[known].patient, &row->patient, err));
                continue;
            }
            PFM_TRY(find_patient(path, &row->patient, err));
            PFM_TRY(pfm_map_set(&seen, path, strlen(path), row->patient != NULL ? (int64_t)i : -1, err));
        }
    }
done:
    pfm_map_free(&seen);
    return status;
}
