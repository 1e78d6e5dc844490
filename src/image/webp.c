/* WebP by libwebp: lossy, lossless, with alpha (which is dropped), and the first picture of an animation. */
#include "base/try.h"
#include "image/kinds.h"
#include "image/orientation.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

/* libwebp takes up to four bytes a pixel beside the picture itself. */
#define MOST_PIXELS (1u << 25)

static bool recognize(const unsigned char *bytes, size_t size)
{
    return size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static int orientation(const unsigned char *bytes, size_t size)
{
    const WebPData data = {bytes, size};
    WebPDemuxer *demuxer = WebPDemux(&data);
    WebPChunkIterator chunk;
    int found = 0;
    if (demuxer != NULL && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        found = pfm_orientation_of_exif(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (found == 0 && demuxer != NULL && WebPDemuxGetChunk(demuxer, "XMP ", 1, &chunk)) {
        found = pfm_orientation_of_xmp(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
    return found > 0 ? found : 1;
}

/* Decodes the first picture to where it lies on the canvas, which is black elsewhere. */
static pfm_status decode_first(const WebPIterator *first, const char *name, pfm_image *out, pfm_error *err)
{
    WebPDecoderConfig config;
    const bool inside = first->x_offset >= 0 && first->y_offset >= 0 && first->width <= out->width - first->x_offset &&
                        first->height <= out->height - first->y_offset;
    if (!inside || !WebPInitDecoderConfig(&config))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a damaged WebP: its picture lies outside of its canvas", name);
    const size_t stride = (size_t)out->width * 3;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.rgba = out->rgb + (size_t)first->y_offset * stride + (size_t)first->x_offset * 3;
    config.output.u.RGBA.size = stride * (size_t)(first->height - 1) + (size_t)first->width * 3;
    const VP8StatusCode code = WebPDecode(first->fragment.bytes, first->fragment.size, &config);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "not enough memory to read %s", name);
    if (code != VP8_STATUS_OK)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a damaged or truncated WebP; copy it again", name);
    return PFM_OK;
}

static pfm_status decode(const unsigned char *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const WebPData data = {bytes, size};
    WebPIterator first = {0};
    WebPDemuxer *demuxer = WebPDemux(&data);
    if (demuxer == NULL || !WebPDemuxGetFrame(demuxer, 1, &first))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a damaged or truncated WebP; copy it again", name);
    const uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH), height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
    if (width > PFM_IMAGE_MAX_SIDE || height > PFM_IMAGE_MAX_SIDE || (uint64_t)width * height > MOST_PIXELS)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is %u x %u pixels; of a WebP at most %u in all are read", name, width, height,
                 MOST_PIXELS);
    PFM_TRY(pfm_image_create((int)width, (int)height, name, out, err));
    PFM_TRY(decode_first(&first, name, out, err));
done:
    WebPDemuxReleaseIterator(&first);
    WebPDemuxDelete(demuxer);
    return status;
}

const pfm_image_kind pfm_image_kind_webp = {
    .name = "WebP", .recognize = recognize, .decode = decode, .orientation = orientation};
