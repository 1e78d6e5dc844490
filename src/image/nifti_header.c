#include "image/nifti_header.h"

#include "base/try.h"
#include "image/orientation.h"
#include "image/values.h"

#include <math.h>
#include <string.h>

#include <nifti2_io.h>

/* More bytes of extensions than this before the values are a mistake or an attack. */
#define MOST_OFFSET (1 << 26)

static int32_t first_number(const unsigned char *bytes)
{
    int32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static int32_t swap(int32_t value) { return (int32_t)__builtin_bswap32((uint32_t)value); }

/* 1 or 2; 0 for what is no NIfTI. */
static int version_of(const unsigned char *bytes, size_t size)
{
    const int32_t own = size >= 348 ? first_number(bytes) : 0, other = swap(own);
    if ((own == 348 || other == 348) && bytes[344] == 'n' && (bytes[345] == '+' || bytes[345] == 'i') && bytes[346] == '1')
        return 1;
    if ((own == 540 || other == 540) && bytes[4] == 'n' && (bytes[5] == '+' || bytes[5] == 'i') && bytes[6] == '2')
        return 2;
    return 0;
}

bool pfm_nifti_begins(const unsigned char *bytes, size_t size) { return version_of(bytes, size) != 0; }

int pfm_nifti_header_bytes(const unsigned char *bytes)
{
    return first_number(bytes) == 540 || swap(first_number(bytes)) == 540 ? 540 : 348;
}

/* Every version's header as one of the second, in this machine's byte order. */
static pfm_status widen(const unsigned char *bytes, size_t size, const char *name, nifti_2_header *out, bool *swapped,
                        pfm_error *err)
{
    const int version = version_of(bytes, size);
    if (version == 0 || (version == 2 && size < sizeof *out))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is cut short within its NIfTI header; copy it again", name);
    *swapped = first_number(bytes) != (version == 1 ? 348 : 540);
    if (version == 2) {
        memcpy(out, bytes, sizeof *out);
        if (*swapped)
            nifti_swap_as_nifti2(out);
        return PFM_OK;
    }
    nifti_1_header h;
    memcpy(&h, bytes, sizeof h);
    if (*swapped)
        nifti_swap_as_nifti1(&h);
    *out = (nifti_2_header){.datatype = h.datatype,
                            .scl_slope = h.scl_slope,
                            .scl_inter = h.scl_inter,
                            .cal_min = h.cal_min,
                            .cal_max = h.cal_max,
                            .qform_code = h.qform_code,
                            .sform_code = h.sform_code,
                            .quatern_b = h.quatern_b,
                            .quatern_c = h.quatern_c,
                            .quatern_d = h.quatern_d};
    memcpy(out->magic, h.magic, sizeof h.magic);
    out->vox_offset = h.vox_offset >= 0 && h.vox_offset <= (float)MOST_OFFSET ? (int64_t)h.vox_offset : -1;
    for (int i = 0; i < 8; i++) {
        out->dim[i] = h.dim[i];
        out->pixdim[i] = h.pixdim[i];
    }
    for (int i = 0; i < 4; i++) {
        out->srow_x[i] = h.srow_x[i];
        out->srow_y[i] = h.srow_y[i];
        out->srow_z[i] = h.srow_z[i];
    }
    return PFM_OK;
}

static pfm_status read_type(const nifti_2_header *h, const char *name, pfm_nifti *out, pfm_error *err)
{
    static const struct {
        int code, samples, bytes;
        pfm_dicom_kind kind;
    } types[] = {
        {DT_UINT8, 1, 1, DICOM_U8},    {DT_INT8, 1, 1, DICOM_S8},     {DT_UINT16, 1, 2, DICOM_U16},
        {DT_INT16, 1, 2, DICOM_S16},   {DT_UINT32, 1, 4, DICOM_U32},  {DT_INT32, 1, 4, DICOM_S32},
        {DT_FLOAT32, 1, 4, DICOM_F32}, {DT_FLOAT64, 1, 8, DICOM_F64}, {DT_INT64, 1, 8, DICOM_F64},
        {DT_UINT64, 1, 8, DICOM_F64},  {DT_RGB24, 3, 1, DICOM_U8},    {DT_RGBA32, 4, 1, DICOM_U8},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].code != h->datatype)
            continue;
        out->samples = types[i].samples;
        out->sample_bytes = types[i].bytes;
        out->kind = types[i].kind;
        out->unsigned_wide = h->datatype == DT_UINT64;
        out->wide_integers = out->unsigned_wide || h->datatype == DT_INT64;
        return PFM_OK;
    }
    return pfm_error_set(
        err, PFM_ERROR_UNSUPPORTED,
        "%s is a NIfTI file of data type %d; whole numbers of 8 to 64 bits, floats of 32 and 64, RGB24 and RGBA32 "
        "are read: convert it",
        name, h->datatype);
}

static pfm_status read_sizes(const nifti_2_header *h, const char *name, pfm_nifti *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t frames = 1;
    if (h->dim[0] < 2 || h->dim[0] > 7)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a NIfTI file of %lld dimensions, which holds no slices", name, (long long)h->dim[0]);
    for (int64_t i = 1; i <= h->dim[0]; i++) {
        if (h->dim[i] < 1 || h->dim[i] > INT32_MAX)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: its NIfTI header says %lld along axis %lld; the file is damaged", name,
                     (long long)h->dim[i], (long long)i);
        if (i < 3)
            continue;
        frames *= h->dim[i];
        if (frames > INT32_MAX)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: its NIfTI header says more than %d slices; the file is damaged", name, INT32_MAX);
    }
    PFM_TRY(pfm_values_check_size(name, (long long)h->dim[1], (long long)h->dim[2], out->samples, out->sample_bytes, err));
    out->width = (int)h->dim[1];
    out->height = (int)h->dim[2];
    out->frames = frames;
done:
    return status;
}

/* Where an axis of the file points (NIFTI_L2R, ...) against where it points in a picture: to the left side of the patient, to
 * the back, to the feet. */
static bool runs_against(int code) { return code == NIFTI_L2R || code == NIFTI_P2A || code == NIFTI_I2S; }

static char letter_of(int code) { return code <= NIFTI_R2L ? 'L' : code <= NIFTI_A2P ? 'P' : 'I'; }

/* To which sides an axis of the file goes once it runs to the left, the back or the feet. */
static void name_axis(const nifti_dmat44 *m, int axis, bool against, char out[4])
{
    const double *const x = m->m[0], *const y = m->m[1], *const z = m->m[2]; /* towards right, front and head */
    const double length = sqrt(x[axis] * x[axis] + y[axis] * y[axis] + z[axis] * z[axis]) * (against ? -1 : 1);
    const double cosines[3] = {-x[axis] / length, -y[axis] / length, z[axis] / length};
    if (length != 0)
        pfm_direction_name(cosines, out);
}

/* A slice as a radiologist expects it: of the axes left-right, front-back and head-feet the first that it has runs to the
 * right, the other down. */
static void read_axes(const nifti_2_header *h, pfm_nifti *out)
{
    static const int orientations[2][2][2] = {{{1, 4}, {2, 3}}, {{5, 6}, {8, 7}}}; /* [swapped][from right][from below] */
    nifti_dmat44 m = {{{0}}};
    int code[3] = {0};
    out->orientation = 1;
    if (h->sform_code > 0) {
        for (int i = 0; i < 4; i++) {
            m.m[0][i] = h->srow_x[i];
            m.m[1][i] = h->srow_y[i];
            m.m[2][i] = h->srow_z[i];
        }
    } else if (h->qform_code > 0) {
        m = nifti_quatern_to_dmat44(h->quatern_b, h->quatern_c, h->quatern_d, 0, 0, 0, h->pixdim[1], h->pixdim[2], h->pixdim[3],
                                    h->pixdim[0]);
    }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            if (!isfinite(m.m[i][j]) || fabs(m.m[i][j]) > 1e9)
                return;
    nifti_dmat44_to_orientation(m, &code[0], &code[1], &code[2]);
    if (code[0] < NIFTI_L2R || code[0] > NIFTI_S2I || code[1] < NIFTI_L2R || code[1] > NIFTI_S2I)
        return;
    const bool swaps = code[0] > code[1];
    out->orientation = orientations[swaps][runs_against(code[0])][runs_against(code[1])];
    out->axes[0] = letter_of(code[swaps]);
    out->axes[1] = letter_of(code[!swaps]);
    name_axis(&m, swaps, runs_against(code[swaps]), out->rows_toward);
    name_axis(&m, !swaps, runs_against(code[!swaps]), out->columns_toward);
}

static void read_scale(const nifti_2_header *h, pfm_nifti *out)
{
    const bool scaled = isfinite(h->scl_slope) && h->scl_slope != 0 && isfinite(h->scl_inter);
    out->slope = scaled ? h->scl_slope : 1;
    out->intercept = scaled ? h->scl_inter : 0;
    if (isfinite(h->cal_min) && isfinite(h->cal_max) && h->cal_max > h->cal_min && isfinite(h->cal_max - h->cal_min)) {
        out->low = h->cal_min;
        out->high = h->cal_max;
    }
}

pfm_status pfm_nifti_read_header(const unsigned char *bytes, size_t size, const char *name, pfm_nifti *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    nifti_2_header h;
    *out = (pfm_nifti){0};
    PFM_TRY(widen(bytes, size, name, &h, &out->swapped, err));
    if (h.magic[1] == 'i')
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s is the header of a NIfTI pair, whose values lie in another file (.img); join them in "
                 "one .nii file",
                 name);
    if (h.vox_offset < 0 || h.vox_offset > MOST_OFFSET)
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "%s: its NIfTI header says that the values begin where none are (vox_offset); the file is "
                 "damaged",
                 name);
    out->data_at = (uint64_t)h.vox_offset;
    const uint64_t least = (uint64_t)pfm_nifti_header_bytes(bytes);
    if (out->data_at < least)
        out->data_at = least + 4; /* 0 stands for "right behind", which is behind the four bytes about extensions */
    PFM_TRY(read_type(&h, name, out, err));
    PFM_TRY(read_sizes(&h, name, out, err));
    read_scale(&h, out);
    read_axes(&h, out);
done:
    return status;
}
