#include "image/dicom_dcmtk.h"

#include <new>
#include <stdio.h>

#include <stdlib.h>
#include <string>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>
#include <dcmtk/dcmsr/codes/dcm.h>
#include <dcmtk/dcmsr/dsrdoc.h>
#include <dcmtk/oflog/oflog.h>

namespace
{

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

/* ---- structured reports ---- */

/* Forwards what DCMTK refuses; its words are not shown, they may be from the file. */
struct Refused {
    const char *why;
};

void must(const OFCondition &condition, const char *why)
{
    if (condition == EC_MemoryExhausted)
        throw std::bad_alloc();
    if (condition.bad())
        throw Refused{why};
}

void must(size_t added, const char *why) { must(added != 0 ? EC_Normal : EC_IllegalCall, why); }

const char content[] = "its content cannot be put together";

DSRCodedEntryValue coded(const pfm_sr_code &code) { return DSRCodedEntryValue(code.value, code.scheme, code.meaning); }

/* Adds a content item below the current one, or after it, and makes it the current one. */
DSRContentItem &add(DSRDocumentTree &tree, DSRTypes::E_RelationshipType relation, DSRTypes::E_ValueType type,
                    const DSRCodedEntryValue &name, DSRTypes::E_AddMode mode)
{
    must(tree.addContentItem(relation, type, mode), content);
    DSRContentItem &item = tree.getCurrentContentItem();
    must(item.setConceptName(name), content);
    return item;
}

/* TID 1204, and TID 1002 and 1004 of a device; the root is current before and after. */
void add_context(DSRDocumentTree &tree, const pfm_dcmtk_sr &report)
{
    DSRTypes::E_AddMode mode = DSRTypes::AM_belowCurrent;
    if (report.language != nullptr) {
        must(add(tree, DSRTypes::RT_hasConceptMod, DSRTypes::VT_Code, CODE_DCM_LanguageOfContentItemAndDescendants, mode)
                 .setCodeValue(DSRCodedEntryValue(report.language, "RFC5646", report.language_name)),
             content);
        mode = DSRTypes::AM_afterCurrent;
    }
    must(add(tree, DSRTypes::RT_hasObsContext, DSRTypes::VT_Code, CODE_DCM_ObserverType, mode)
             .setCodeValue(DSRCodedEntryValue("121007", "DCM", "Device")),
         content);
    mode = DSRTypes::AM_afterCurrent;
    must(add(tree, DSRTypes::RT_hasObsContext, DSRTypes::VT_UIDRef, CODE_DCM_DeviceObserverUID, mode)
             .setStringValue(report.device),
         content);
    for (const auto &name : {CODE_DCM_DeviceObserverName, CODE_DCM_DeviceObserverManufacturer, CODE_DCM_DeviceObserverModelName})
        must(add(tree, DSRTypes::RT_hasObsContext, DSRTypes::VT_Text, name, mode).setStringValue("pefomed"), content);
    const std::string by = std::string("ritten by a program, pefomed ") + report.version;
    const std::string note = report.observer != nullptr
                                 ? "First w" + by + ", then read and verified by its verifying observer. Not for clinical use."
                                 : "W" + by + ", and verified by nobody. Not for clinical use.";
    must(add(tree, DSRTypes::RT_contains, DSRTypes::VT_Text, CODE_DCM_Comment, mode).setStringValue(note.c_str()), content);
}

/* What the current text was inferred from, below it: the images; what the standard's list of image classes lacks as a composite
 * object. */
void add_images(DSRDocumentTree &tree, const pfm_sr &source)
{
    DSRTypes::E_AddMode mode = DSRTypes::AM_belowCurrent;
    for (size_t i = 0; i < source.reference_count; i++) {
        const pfm_sr_reference &image = source.references[i];
        DSRImageReferenceValue value;
        const bool is_image = value.setReference(image.sop_class, image.instance).good();
        must(tree.addContentItem(DSRTypes::RT_inferredFrom, is_image ? DSRTypes::VT_Image : DSRTypes::VT_Composite, mode),
             content);
        for (size_t f = 0; f < image.frame_count; f++)
            value.getFrameList().addItem(image.frames[f]);
        DSRContentItem &item = tree.getCurrentContentItem();
        must(is_image ? item.setImageReference(value)
                      : item.setCompositeReference(DSRCompositeReferenceValue(image.sop_class, image.instance, OFFalse), OFFalse),
             content);
        mode = DSRTypes::AM_afterCurrent;
    }
    tree.goUp();
}

/* A container with its text; the root's last child is current before and after. */
void add_section(DSRDocumentTree &tree, const pfm_sr_section &section, const pfm_sr &source)
{
    (void)add(tree, DSRTypes::RT_contains, DSRTypes::VT_Container, coded(section.heading), DSRTypes::AM_afterCurrent);
    must(add(tree, DSRTypes::RT_contains, DSRTypes::VT_Text, coded(section.item), DSRTypes::AM_belowCurrent)
             .setStringValue(section.text, OFFalse),
         content);
    if (section.seen)
        add_images(tree, source);
    tree.goUp();
}

void put(DcmItem &item, const DcmTagKey &tag, const char *value)
{
    must(item.putAndInsertString(tag, value), "its attributes cannot be put together");
}

/* Whose it is, as the images say. */
void add_identity(DcmItem &dataset, const pfm_dcmtk_sr &report)
{
    const pfm_sr &source = *report.source;
    for (size_t i = 0; i < source.element_count; i++) /* in place of empty ones */
        put(dataset, DcmTagKey(report.elements[i].group, report.elements[i].element), report.elements[i].value);
    if (source.timezone[0] != '\0')
        put(dataset, DCM_TimezoneOffsetFromUTC, source.timezone);
    if (report.set[0] != '\0')
        put(dataset, DCM_SpecificCharacterSet, report.set);
    else
        (void)dataset.findAndDeleteElement(DCM_SpecificCharacterSet);
}

void add_document(DcmItem &dataset, const pfm_dcmtk_sr &report)
{
    const pfm_sr &source = *report.source;
    DSRDocument document(report.enhanced ? DSRTypes::DT_EnhancedSR : DSRTypes::DT_BasicTextSR);
    DSRDocumentTree &tree = document.getTree();
    must(document.createNewSeriesInStudy(source.study), "its study's UID is none");
    (void)add(tree, DSRTypes::RT_isRoot, DSRTypes::VT_Container, DSRCodedEntryValue("18748-4", "LN", "Diagnostic Imaging Report"),
              DSRTypes::AM_afterCurrent);
    must(tree.getCurrentContentItem().setTemplateIdentification("2000", "DCMR"), content);
    add_context(tree, report);
    for (size_t i = 0; i < report.section_count; i++)
        add_section(tree, report.sections[i], source);
    for (size_t i = 0; i < source.reference_count; i++)
        must(document.getCurrentRequestedProcedureEvidence().addItem(source.study, source.references[i].series,
                                                                     source.references[i].sop_class,
                                                                     source.references[i].instance, OFFalse),
             "its images cannot be referred to");
    must(document.setManufacturer("pefomed"), content);
    must(document.setManufacturerModelName("pefomed"), content);
    must(document.setSoftwareVersions(report.version), content);
    must(document.setSeriesDescription("Report by a program, not for clinical use"), content);
    must(document.setPreliminaryFlag(report.observer != nullptr ? DSRTypes::PF_Final : DSRTypes::PF_Preliminary), content);
    if (report.complete)
        must(document.completeDocument(), content);
    if (report.observer != nullptr) /* checked before, and in a character set that DCMTK does not know of yet */
        must(document.verifyDocument(report.observer, report.organization, report.verified, OFFalse), content);
    must(document.write(dataset), content);
}

/* What DCMTK makes up itself, with its own clock and counter. */
void add_own(DcmItem &dataset, const pfm_dcmtk_sr &report)
{
    put(dataset, DCM_SeriesInstanceUID, report.series);
    put(dataset, DCM_SOPInstanceUID, report.instance);
    for (const auto &tag : {DCM_InstanceCreationDate, DCM_SeriesDate, DCM_ContentDate})
        put(dataset, tag, report.date);
    for (const auto &tag : {DCM_InstanceCreationTime, DCM_SeriesTime, DCM_ContentTime})
        put(dataset, tag, report.time);
    (void)dataset.findAndDeleteElement(DCM_InstanceCreatorUID);
}

void write_file(DcmFileFormat &file, unsigned char **bytes, size_t *size)
{
    const E_TransferSyntax syntax = EXS_LittleEndianExplicit;
    must(file.validateMetaInfo(syntax), "its header cannot be put together");
    const size_t most = file.calcElementLength(syntax, EET_ExplicitLength) + 1024;
    *bytes = static_cast<unsigned char *>(malloc(most));
    if (*bytes == nullptr)
        throw std::bad_alloc();
    DcmOutputBufferStream stream(*bytes, static_cast<offile_off_t>(most));
    file.transferInit();
    must(file.write(stream, syntax, EET_ExplicitLength, nullptr), "its bytes cannot be written");
    file.transferEnd();
    void *begin = nullptr;
    offile_off_t length = 0;
    stream.flushBuffer(begin, length);
    *size = static_cast<size_t>(length);
}

} // namespace

extern "C" void pfm_dcmtk_silence(void)
{
    static const bool silent = (OFLog::configure(OFLogger::OFF_LOG_LEVEL), true);
    (void)silent;
}

extern "C" pfm_dcmtk_result pfm_dcmtk_make_sr(const pfm_dcmtk_sr *report, unsigned char **bytes, size_t *size, char *reason)
{
    pfm_dcmtk_result result = PFM_DCMTK_DAMAGED;
    *bytes = nullptr;
    try {
        pfm_dcmtk_silence();
        if (!dcmDataDict.isDictionaryLoaded())
            throw Refused{"DCMTK finds no data dictionary; install its libraries whole, or mend DCMDICTPATH"};
        DcmFileFormat file;
        add_document(*file.getDataset(), *report);
        add_identity(*file.getDataset(), *report);
        add_own(*file.getDataset(), *report);
        write_file(file, bytes, size);
        return PFM_DCMTK_OK;
    } catch (const Refused &refused) {
        (void)snprintf(reason, 100, "%s", refused.why);
    } catch (const std::bad_alloc &) {
        result = PFM_DCMTK_NO_MEMORY;
    } catch (...) {
        (void)snprintf(reason, 100, "it cannot be put together");
    }
    free(*bytes);
    *bytes = nullptr;
    return result;
}

extern "C" pfm_dcmtk_result pfm_dcmtk_decode_jpeg(const unsigned char *bytes, size_t count, int precision, void *out, size_t size,
                                                  char *reason)
{
    try {
        pfm_dcmtk_silence();
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
