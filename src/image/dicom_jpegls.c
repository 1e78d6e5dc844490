/* JPEG-LS (ISO 14495-1): what is usual and sound by our own decoder, all else by CharLS. A stream does not say whether samples
 * are signed: the file does. */
#include "base/try.h"
#include "image/dicom_codec.h"
#include "image/jpegls.h"

#include <stdlib.h>

#include <charls/charls.h>

static pfm_status refuse(const pfm_dicom_stream *in, charls_jpegls_errc code, pfm_error *err)
{
    if (code == CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not decode a frame of %s", in->name);
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a frame in JPEG-LS is damaged or cut short: %s; copy it again", in->name,
                         charls_get_error_message(code));
}

/* *decoder = one that has read the header, which fits what the file says. It reads a copy with an end behind it: CharLS 2.4
 * never comes back from a stream that stops without any marker. */
static pfm_status open_stream(const pfm_dicom_stream *in, pfm_buffer *copy, charls_jpegls_decoder **decoder,
                              charls_frame_info *info, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_buffer_append(copy, in->bytes, in->size, err));
    PFM_TRY(pfm_buffer_append(copy, "\xFF\xD9", 2, err));
    *decoder = charls_jpegls_decoder_create();
    if (*decoder == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not decode a frame of %s", in->name);
    charls_jpegls_errc code = charls_jpegls_decoder_set_source_buffer(*decoder, copy->data, copy->size);
    if (code == CHARLS_JPEGLS_ERRC_SUCCESS)
        code = charls_jpegls_decoder_read_header(*decoder);
    if (code == CHARLS_JPEGLS_ERRC_SUCCESS)
        code = charls_jpegls_decoder_get_frame_info(*decoder, info);
    if (code != CHARLS_JPEGLS_ERRC_SUCCESS)
        PFM_TRY(refuse(in, code, err));
    PFM_TRY(pfm_dicom_check_stream(in, "JPEG-LS", info->width, info->height, (uint64_t)info->component_count, err));
done:
    return status;
}

static pfm_status decode_by_charls(const pfm_dicom_stream *in, pfm_dicom_decoded *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    charls_jpegls_decoder *decoder = NULL;
    pfm_buffer copy = {0};
    charls_frame_info info = {0};
    charls_interleave_mode mode = CHARLS_INTERLEAVE_MODE_NONE;
    PFM_TRY(open_stream(in, &copy, &decoder, &info, err));
    const int bytes = info.bits_per_sample > 8 ? 2 : 1;
    const size_t size = pfm_dicom_count_samples(in->layout) * (size_t)bytes;
    PFM_TRY(pfm_allocate(size, 1, &out->data, err));
    charls_jpegls_errc code = charls_jpegls_decoder_get_interleave_mode(decoder, &mode);
    if (code == CHARLS_JPEGLS_ERRC_SUCCESS)
        code = charls_jpegls_decoder_decode_to_buffer(decoder, out->data, size, 0);
    if (code != CHARLS_JPEGLS_ERRC_SUCCESS)
        PFM_TRY(refuse(in, code, err));
    out->bytes = bytes;
    out->precision = info.bits_per_sample;
    out->planar = mode == CHARLS_INTERLEAVE_MODE_NONE && in->layout->samples > 1;
done:
    charls_jpegls_decoder_destroy(decoder);
    pfm_buffer_free(&copy);
    return status;
}

pfm_status pfm_dicom_decode_jpegls(const pfm_dicom_stream *in, pfm_dicom_decoded *out, pfm_error *err)
{
    return pfm_jpegls_decode(in, out) ? PFM_OK : decode_by_charls(in, out, err);
}
