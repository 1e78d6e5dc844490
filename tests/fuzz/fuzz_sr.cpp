/* Structured reports of any words about any image: after a byte of settings come answer, request and indication, each up to a
 * zero byte, and the image's data set. A report must be refused with a reason, or be one that DCMTK's own reader takes, with all
 * of its texts in the character set that it names. */
#include "image/dicom_dcmtk.h"
#include "pefomed/sr.h"

#include <stdlib.h>
#include <string.h>
#include <string>
#include <unistd.h>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmsr/dsrdoc.h>

extern "C" {
#include "image/dicom_charset.h"
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace
{

enum { BASIC = 1, COMPLETE = 2, SPANISH = 4, FRAME = 8 };

/* Where the installation's salt is. */
const char *home()
{
    static char folder[] = "/tmp/fuzz-sr-XXXXXX";
    static const bool made = [] {
        if (mkdtemp(folder) == nullptr)
            abort();
        return atexit([] {
                   (void)remove((std::string(folder) + "/salt").c_str());
                   (void)rmdir(folder);
               }) == 0;
    }();
    return made ? folder : nullptr;
}

/* Texts of the tree are what their character set says. */
void look_at_texts(DSRDocument &document, const char *set)
{
    DSRDocumentTree &tree = document.getTree();
    for (size_t node = tree.gotoRoot(); node != 0; node = tree.iterate()) {
        const DSRContentItem &item = tree.getCurrentContentItem();
        if (item.getValueType() != DSRTypes::VT_Text)
            continue;
        const OFString &text = item.getStringValue();
        char *converted = nullptr;
        if (text.empty() || pfm_charset_convert(set, "LT", text.c_str(), &converted, nullptr) != PFM_OK)
            abort();
        free(converted);
    }
}

void read_back(const unsigned char *bytes, size_t size)
{
    DcmInputBufferStream stream;
    DcmFileFormat file;
    DSRDocument document;
    OFString set;
    stream.setBuffer(bytes, static_cast<offile_off_t>(size));
    stream.setEos();
    file.transferInit();
    if (file.read(stream).bad())
        abort();
    file.transferEnd();
    if (document.read(*file.getDataset()).bad() || !document.isValid())
        abort();
    (void)file.getDataset()->findAndGetOFStringArray(DCM_SpecificCharacterSet, set);
    look_at_texts(document, set.c_str());
}

/* The text up to a zero byte, or to the end; `data` and `size` become what is behind it. */
std::string take(const uint8_t *&data, size_t &size)
{
    const size_t length = strnlen(reinterpret_cast<const char *>(data), size), passed = length < size ? length + 1 : length;
    std::string text(reinterpret_cast<const char *>(data), length);
    data += passed;
    size -= passed;
    return text;
}

void check(const pfm_sr *sr, const pfm_sr_text &text)
{
    pfm_error err = PFM_ERROR_INIT;
    unsigned char *bytes = nullptr;
    size_t size = 0;
    if (pfm_sr_make(sr, &text, "FILE", &bytes, &size, &err) == PFM_OK)
        read_back(bytes, size);
    else if (err.message[0] == '\0')
        abort();
    free(bytes);
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return -1;
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr *sr = nullptr;
    const unsigned settings = *data++;
    size--;
    const std::string answer = take(data, size), request = take(data, size), indication = take(data, size);
    std::string whole(132, '\0');
    whole.replace(128, 4, "DICM");
    whole.append(reinterpret_cast<const char *>(data), size);
    pfm_dcmtk_silence();
    const pfm_sr_image image = {"FILE", (settings & FRAME) != 0 ? 2 : 0, whole.data(), whole.size()};
    if (pfm_sr_open(&image, 1, &sr, &err) == PFM_OK) {
        pfm_sr_text text = {};
        text.kind = (settings & BASIC) != 0 ? "basic" : "enhanced";
        text.complete = (settings & COMPLETE) != 0;
        text.language = (settings & SPANISH) != 0 ? "es" : nullptr;
        text.answer = answer.c_str();
        text.request = request.c_str();
        text.indication = indication.c_str();
        text.home = home();
        text.dated = true;
        check(sr, text);
    } else if (err.message[0] == '\0') {
        abort();
    }
    pfm_sr_free(sr);
    return 0;
}
