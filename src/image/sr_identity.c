#include "image/sr_identity.h"

#include "base/file.h"
#include "base/try.h"
#include "image/dicom_set.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 10240 }; /* of an LT; all others are far shorter */

/* The modules Patient, General Study and Patient Study (PS3.3, C.7.1.1, C.7.2.1, C.7.2.2), but for their sequences. */
static const struct {
    uint16_t group, element;
    char vr[3];
} copied[] = {
    {0x0008, 0x0020, "DA"}, /* study: date */
    {0x0008, 0x0030, "TM"}, /* time */
    {0x0008, 0x0050, "SH"}, /* accession number */
    {0x0008, 0x0090, "PN"}, /* referring physician */
    {0x0008, 0x1030, "LO"}, /* description */
    {0x0008, 0x1048, "PN"}, /* physicians of record */
    {0x0008, 0x1060, "PN"}, /* who read it */
    {0x0008, 0x1080, "LO"}, /* admitting diagnoses */
    {0x0010, 0x0010, "PN"}, /* patient: name */
    {0x0010, 0x0020, "LO"}, /* ID */
    {0x0010, 0x0021, "LO"}, /* its issuer */
    {0x0010, 0x0030, "DA"}, /* birth: date */
    {0x0010, 0x0032, "TM"}, /* time */
    {0x0010, 0x0040, "CS"}, /* sex */
    {0x0010, 0x1001, "PN"}, /* other names */
    {0x0010, 0x1010, "AS"}, /* age */
    {0x0010, 0x1020, "DS"}, /* size */
    {0x0010, 0x1030, "DS"}, /* weight */
    {0x0010, 0x2160, "SH"}, /* ethnic group */
    {0x0010, 0x2180, "SH"}, /* occupation */
    {0x0010, 0x21B0, "LT"}, /* history */
    {0x0010, 0x4000, "LT"}, /* comments */
    {0x0020, 0x0010, "SH"}, /* study: ID */
};

/* Classes of one frame, of which a report names none, though a file has several (PS3.4, B.5). */
static bool is_of_one_frame(const char *sop_class)
{
    static const char storage[] = "1.2.840.10008.5.1.4.1.1.";
    static const char *const classes[] = {"1", "1.1", "1.1.1", "1.2",    "1.2.1",  "1.3",    "1.3.1",  "2",
                                          "4", "6.1", "7",     "77.1.1", "77.1.2", "77.1.3", "77.1.4", "128"};
    if (strncmp(sop_class, storage, sizeof storage - 1) != 0)
        return false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(sop_class + sizeof storage - 1, classes[i]) == 0)
            return true;
    }
    return false;
}

static bool is_digits(const char *text, size_t count) { return strspn(text, "0123456789") >= count && strlen(text) >= count; }

/* Takes one character out of a text. */
static void take_out(char *text, char c)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != c)
            *to++ = *from;
    }
    *to = '\0';
}

/* Whether a value is what its representation allows; dates and times of ACR-NEMA are rewritten. What is not is left out: a
 * report must be well formed though its image is not. Names and numbers are kept as they are. */
static bool mend(const char *vr, uint32_t tag, char *value)
{
    if (strcmp(vr, "DA") == 0) {
        take_out(value, '.');
        return strlen(value) == 8 && is_digits(value, 8);
    }
    if (strcmp(vr, "TM") == 0) {
        take_out(value, ':');
        const size_t whole = strspn(value, "0123456789"), rest = strlen(value + whole);
        return (whole == 2 || whole == 4 || whole == 6) && strncmp(value, "24", 2) < 0 &&
               (rest == 0 || (whole == 6 && value[6] == '.' && rest <= 7 && rest >= 2 && is_digits(value + 7, rest - 1)));
    }
    if (tag == DICOM_TAG(0x0010, 0x0040))
        return strlen(value) == 1 && strchr("MFO", value[0]) != NULL;
    if (strcmp(vr, "AS") == 0)
        return strlen(value) == 4 && is_digits(value, 3) && strchr("DWMY", value[3]) != NULL;
    if (strcmp(vr, "DS") == 0) {
        char *end = value;
        (void)strtod(value, &end);
        return strlen(value) <= 16 && strspn(value, "+-.0123456789eE") == strlen(value) && end > value && *end == '\0';
    }
    const bool text = strcmp(vr, "LT") == 0;
    for (char *c = value; *c != '\0'; c++) { /* escapes change the character set */
        const bool kept = (unsigned char)*c >= 32 || *c == 27 || (text && strchr("\t\n\f\r", *c) != NULL);
        *c = (char)(kept && *c != 127 ? *c : ' ');
    }
    return true;
}

/* *out = the element's bytes without padding; NULL where there is none. */
static pfm_status copy_value(const pfm_dicom *file, uint32_t tag, char **out, pfm_error *err)
{
    const pfm_dicom_element *element = pfm_dicom_find(file, tag);
    *out = NULL;
    if (element == NULL || element->undefined)
        return PFM_OK;
    size_t length = element->length;
    if (length > LONGEST)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: (%04X,%04X) has %zu bytes, and at most %d are taken into a report",
                             file->name, tag >> 16, tag & 0xFFFF, length, LONGEST);
    const char *begin = (const char *)element->value;
    for (; length > 0 && (begin[length - 1] == ' ' || begin[length - 1] == '\0');)
        length--;
    for (; length > 0 && *begin == ' '; begin++)
        length--;
    return length == 0 ? PFM_OK : pfm_string_copy_n(begin, strnlen(begin, length), out, err);
}

static pfm_status copy_identity(pfm_sr *sr, const pfm_dicom *file, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const uint32_t tag = DICOM_TAG(copied[i].group, copied[i].element);
        char *value = NULL;
        PFM_TRY(copy_value(file, tag, &value, err));
        if (value == NULL || !mend(copied[i].vr, tag, value)) {
            free(value);
            continue;
        }
        status = pfm_array_reserve(&sr->elements, &sr->element_capacity, sr->element_count + 1, sizeof *sr->elements, err);
        if (status != PFM_OK) {
            free(value);
            goto done;
        }
        pfm_sr_element *element = &sr->elements[sr->element_count++];
        *element = (pfm_sr_element){.group = copied[i].group, .element = copied[i].element, .value = value};
        memcpy(element->vr, copied[i].vr, sizeof element->vr);
        for (const char *c = value; *c != '\0'; c++)
            sr->foreign = sr->foreign || (unsigned char)*c >= 0x80 || *c == 27;
    }
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0008, 0x0005)), sr->character_set, sizeof sr->character_set);
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0008, 0x0201)), sr->timezone, sizeof sr->timezone);
    if (strlen(sr->timezone) != 5 || strchr("+-", sr->timezone[0]) == NULL || !is_digits(sr->timezone + 1, 4))
        sr->timezone[0] = '\0';
done:
    return status;
}

/* Numbers without leading zeros, with points between them (PS3.5, 9.1): DCMTK reads no report that refers to another. */
static bool is_uid(const char *text)
{
    for (;; text++) {
        const size_t digits = strspn(text, "0123456789");
        if (digits == 0 || (digits > 1 && *text == '0'))
            return false;
        text += digits;
        if (*text != '.')
            return *text == '\0';
    }
}

static pfm_status copy_uid(const pfm_dicom *file, uint32_t tag, const char *what, pfm_dicom_uid out, pfm_error *err)
{
    char text[80];
    const pfm_dicom_element *element = pfm_dicom_find(file, tag);
    pfm_dicom_text(element, text, sizeof text);
    if (text[0] == '\0')
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s has no %s (%04X,%04X), so that no structured report can refer to it; leave --sr out",
                             file->name, what, tag >> 16, tag & 0xFFFF);
    if (strlen(text) >= sizeof(pfm_dicom_uid) || !is_uid(text))
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "the %s (%04X,%04X) of %s is no UID, so that no structured report can refer to it; leave --sr out",
                             what, tag >> 16, tag & 0xFFFF, file->name);
    memcpy(out, text, strlen(text) + 1);
    return PFM_OK;
}

/* Whether a later image says the same of the patient as the first. */
static pfm_status check_patient(const pfm_sr *sr, const pfm_dicom *file, pfm_error *err)
{
    static const uint32_t tags[] = {DICOM_TAG(0x0010, 0x0010), DICOM_TAG(0x0010, 0x0020)};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        const char *first = "";
        char *value = NULL;
        for (size_t e = 0; e < sr->element_count; e++) {
            if (DICOM_TAG(sr->elements[e].group, sr->elements[e].element) == tags[i])
                first = sr->elements[e].value;
        }
        pfm_status status = copy_value(file, tags[i], &value, err);
        if (status != PFM_OK)
            return status;
        const bool same = strcmp(first, value != NULL && mend("LO", tags[i], value) ? value : "") == 0; /* as the first was */
        free(value);
        if (!same)
            return pfm_error_set(err, PFM_ERROR_MISMATCH,
                                 "%s is of another patient than the images before it ((%04X,%04X) differs), and a structured "
                                 "report is of one",
                                 file->name, tags[i] >> 16, tags[i] & 0xFFFF);
    }
    return PFM_OK;
}

/* The frame of an image that is not there yet, or another one of one that is. */
static pfm_status refer(pfm_sr *sr, const pfm_sr_reference *image, int frame, bool by_frame, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr_reference *at = NULL;
    for (size_t i = 0; i < sr->reference_count; i++) {
        if (strcmp(sr->references[i].instance, image->instance) == 0)
            at = &sr->references[i];
    }
    if (at == NULL) {
        PFM_TRY(
            pfm_array_reserve(&sr->references, &sr->reference_capacity, sr->reference_count + 1, sizeof *sr->references, err));
        at = &sr->references[sr->reference_count++];
        *at = *image;
    }
    for (size_t i = 0; i < at->frame_count; i++) {
        if (at->frames[i] == frame + 1)
            goto done;
    }
    if (by_frame) {
        PFM_TRY(pfm_array_reserve(&at->frames, &at->frame_capacity, at->frame_count + 1, sizeof *at->frames, err));
        at->frames[at->frame_count++] = frame + 1;
    }
done:
    return status;
}

static pfm_status add_file(pfm_sr *sr, const pfm_dicom *file, int frame, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr_reference image = {0};
    pfm_dicom_uid study;
    PFM_TRY(copy_uid(file, DICOM_TAG(0x0008, 0x0016), "SOP Class UID", image.sop_class, err));
    PFM_TRY(copy_uid(file, DICOM_TAG(0x0008, 0x0018), "SOP Instance UID", image.instance, err));
    PFM_TRY(copy_uid(file, DICOM_TAG(0x0020, 0x000E), "Series Instance UID", image.series, err));
    PFM_TRY(copy_uid(file, DICOM_TAG(0x0020, 0x000D), "Study Instance UID", study, err));
    if (sr->study[0] == '\0') {
        memcpy(sr->study, study, sizeof study);
        PFM_TRY(copy_identity(sr, file, err));
    }
    if (strcmp(sr->study, study) != 0)
        PFM_FAIL(PFM_ERROR_MISMATCH,
                 "%s is of another study than the images before it ((0020,000D) differs), and a structured report is of one; "
                 "report on each study by itself",
                 file->name);
    PFM_TRY(check_patient(sr, file, err));
    double frames = 1;
    bool good = true;
    if (pfm_dicom_numbers(pfm_dicom_find(file, DICOM_TAG(0x0028, 0x0008)), "IS", &frames, 1, &good) == 0 || !good)
        frames = 1;
    PFM_TRY(refer(sr, &image, frame, frames > 1 && !is_of_one_frame(image.sop_class), err));
done:
    return status;
}

pfm_status pfm_sr_add(pfm_sr *sr, const pfm_sr_image *image, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping mapped = {0}, bytes = {.data = image->bytes, .size = image->size};
    pfm_dicom file = {0};
    if (image->bytes == NULL) {
        PFM_TRY(pfm_mapping_open(image->path, &mapped, err));
        bytes = mapped;
    }
    if (!pfm_dicom_begins(bytes.data, bytes.size, bytes.size))
        PFM_FAIL(
            PFM_ERROR_FORMAT,
            "%s is no DICOM file, so that a structured report has no patient and no study to be filed under; leave --sr out",
            image->path);
    PFM_TRY(pfm_dicom_open(bytes.data, bytes.size, image->path, &file, err));
    PFM_TRY(add_file(sr, &file, image->frame, err));
done:
    pfm_dicom_close(&file);
    pfm_mapping_close(&mapped);
    return status;
}
