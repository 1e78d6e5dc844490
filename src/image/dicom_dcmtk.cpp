#include "image/dicom_dcmtk.h"

#include <new>
#include <stdio.h>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>
#include <dcmtk/oflog/oflog.h>

namespace
{

/* DCMTK would print, and what it prints may be from the file. */
void silence()
{
    static const bool silent = (OFLog::configure(OFLogger::OFF_LOG_LEVEL), true);
    (void)silent;
}

/* One of DCMTK's decoders that counts warnings: after one, pixels are made up. */
template <class Decoder> class Counting : public Decoder
{
  public:
    explicit Counting(const DJCodecParameter &parameters) : Decoder(parameters, OFFalse) {}
    void emitMessage(int level) const override
    {
        if (level < 0)
            warnings++;
    }
    mutable int warnings = 0;
};

template <class Decoder>
pfm_dcmtk_result decode(const unsigned char *bytes, size_t count, void *out, size_t size, char *reason)
{
    const DJCodecParameter parameters(ECC_lossyYCbCr, EDC_never, EUC_never, EPC_colorByPixel);
    Counting<Decoder> decoder(parameters);
    if (decoder.init().bad())
        return PFM_DCMTK_NO_MEMORY;
    const OFCondition result = decoder.decode(const_cast<Uint8 *>(bytes), static_cast<Uint32>(count), static_cast<Uint8 *>(out),
                                              static_cast<Uint32>(size), OFFalse);
    if (result.good() && decoder.warnings == 0)
        return PFM_DCMTK_OK;
    if (result == EJ_Suspension)
        return PFM_DCMTK_CUT;
    if (result == EC_MemoryExhausted)
        return PFM_DCMTK_NO_MEMORY;
    (void)snprintf(reason, 100, "%s", result.good() ? "its data are corrupt" : result.text() != nullptr ? result.text() : "");
    return PFM_DCMTK_DAMAGED;
}

} // namespace

extern "C" pfm_dcmtk_result pfm_dcmtk_decode_jpeg(const unsigned char *bytes, size_t count, int precision, void *out, size_t size,
                                                  char *reason)
{
    try {
        silence();
        if (precision <= 8)
            return decode<DJDecompressIJG8Bit>(bytes, count, out, size, reason);
        if (precision <= 12)
            return decode<DJDecompressIJG12Bit>(bytes, count, out, size, reason);
        return decode<DJDecompressIJG16Bit>(bytes, count, out, size, reason);
    } catch (const std::bad_alloc &) {
        return PFM_DCMTK_NO_MEMORY;
    } catch (...) {
        (void)snprintf(reason, 100, "it cannot be decoded");
        return PFM_DCMTK_DAMAGED;
    }
}
