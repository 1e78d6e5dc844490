#include "image/dicom_syntax.h"

#include <stddef.h>
#include <string.h>

#define UID(rest) "1.2.840.10008.1.2" rest

static const pfm_dicom_syntax syntaxes[] = {
    {UID(".1"), "Explicit VR Little Endian", true},
    {UID(""), "Implicit VR Little Endian", true},
    {UID(".1.98"), "Encapsulated Uncompressed Explicit VR Little Endian", true},
    {UID(".1.99"), "Deflated Explicit VR Little Endian", true},
    {UID(".2"), "Explicit VR Big Endian", true},
    {"1.2.840.113619.5.2", "Implicit VR Little Endian with big-endian pixels (General Electric)", true},
    {UID(".4.50"), "JPEG Baseline (Process 1)", true},
    {UID(".4.51"), "JPEG Extended (Process 2 and 4)", true},
    {UID(".4.53"), "JPEG Spectral Selection (Process 6 and 8)", true},
    {UID(".4.55"), "JPEG Full Progression (Process 10 and 12)", true},
    {UID(".4.57"), "JPEG Lossless (Process 14)", true},
    {UID(".4.70"), "JPEG Lossless (Process 14, Selection Value 1)", true},
    {UID(".4.80"), "JPEG-LS Lossless", true},
    {UID(".4.81"), "JPEG-LS Near-Lossless", true},
    {UID(".4.90"), "JPEG 2000 Lossless", true},
    {UID(".4.91"), "JPEG 2000", true},
    {UID(".4.92"), "JPEG 2000 Multi-component Lossless", true},
    {UID(".4.93"), "JPEG 2000 Multi-component", true},
    {UID(".4.94"), "JPIP Referenced", false},
    {UID(".4.95"), "JPIP Referenced Deflate", false},
    {UID(".4.100"), "MPEG-2 video", false},
    {UID(".4.101"), "MPEG-2 video", false},
    {UID(".4.102"), "MPEG-4 (H.264) video", false},
    {UID(".4.103"), "MPEG-4 (H.264) video", false},
    {UID(".4.104"), "MPEG-4 (H.264) video", false},
    {UID(".4.105"), "MPEG-4 (H.264) video", false},
    {UID(".4.106"), "MPEG-4 (H.264) video", false},
    {UID(".4.107"), "HEVC (H.265) video", false},
    {UID(".4.108"), "HEVC (H.265) video", false},
    {UID(".4.110"), "JPEG XL Lossless", false},
    {UID(".4.111"), "JPEG XL of JPEG", false},
    {UID(".4.112"), "JPEG XL", false},
    {UID(".4.201"), "High-Throughput JPEG 2000 Lossless", true},
    {UID(".4.202"), "High-Throughput JPEG 2000 with RPCL Lossless", true},
    {UID(".4.203"), "High-Throughput JPEG 2000", true},
    {UID(".5"), "RLE Lossless", true},
    {UID(".8.1"), "Deflated Image Frame", false},
};

const pfm_dicom_syntax *pfm_dicom_find_syntax(const char *uid)
{
    for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes; i++) {
        if (strcmp(syntaxes[i].uid, uid) == 0)
            return &syntaxes[i];
    }
    return NULL;
}

int pfm_dicom_list_syntaxes(const char **uids, int most)
{
    int count = 0;
    for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes && count < most; i++) {
        if (syntaxes[i].read)
            uids[count++] = syntaxes[i].uid;
    }
    return count;
}
