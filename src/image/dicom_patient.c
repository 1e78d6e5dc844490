#include "pefomed/dicom.h"

#include "base/patient.h"
#include "base/try.h"
#include "image/dicom_set.h"

pfm_status pfm_dicom_patient(const void *bytes, size_t size, const char *name, const char *home, char *out, bool *known,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom file = {0};
    pfm_salt salt;
    *known = false;
    out[0] = '\0';
    PFM_TRY(pfm_dicom_open(bytes, size, name, &file, err));
    const pfm_dicom_element *id = pfm_dicom_find(&file, DICOM_TAG(0x0010, 0x0020));
    if (id == NULL || id->undefined)
        goto done;
    PFM_TRY(pfm_salt_load(home, &salt, err));
    PFM_TRY(pfm_patient_hash(&salt, id->value, id->length, out, known, err));
done:
    pfm_dicom_close(&file);
    return status;
}
