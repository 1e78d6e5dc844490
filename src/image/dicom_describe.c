#include "pefomed/dicom.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/try.h"
#include "image/dicom_grey.h"
#include "image/dicom_syntax.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is told of a file as it stands there. */
typedef struct told {
    const char *key;
    uint32_t tag;
    const char *vr; /* of numbers; "CS": a code */
    uint32_t macro; /* the functional group that may say it for the first frame; 0: none */
} told;

#define MEASURES DICOM_TAG(0x0028, 0x9110)
#define PLACE DICOM_TAG(0x0020, 0x9113)
#define ORIENTATION DICOM_TAG(0x0020, 0x9116)
#define VALUES DICOM_TAG(0x0028, 0x9145)
#define VOI DICOM_TAG(0x0028, 0x9132)
#define ANATOMY DICOM_TAG(0x0020, 0x9071)

static const told everything[] = {
    {"modality", DICOM_TAG(0x0008, 0x0060), "CS", 0},
    {"rows", DICOM_TAG(0x0028, 0x0010), "US", 0},
    {"columns", DICOM_TAG(0x0028, 0x0011), "US", 0},
    {"frames", DICOM_TAG(0x0028, 0x0008), "IS", 0},
    {"samples", DICOM_TAG(0x0028, 0x0002), "US", 0},
    {"photometric", DICOM_TAG(0x0028, 0x0004), "CS", 0},
    {"planar", DICOM_TAG(0x0028, 0x0006), "US", 0},
    {"bits_allocated", DICOM_TAG(0x0028, 0x0100), "US", 0},
    {"bits_stored", DICOM_TAG(0x0028, 0x0101), "US", 0},
    {"high_bit", DICOM_TAG(0x0028, 0x0102), "US", 0},
    {"signed", DICOM_TAG(0x0028, 0x0103), "US", 0},
    {"pixel_padding", DICOM_TAG(0x0028, 0x0120), "SS", 0},
    {"rescale_slope", DICOM_TAG(0x0028, 0x1053), "DS", VALUES},
    {"rescale_intercept", DICOM_TAG(0x0028, 0x1052), "DS", VALUES},
    {"rescale_type", DICOM_TAG(0x0028, 0x1054), "CS", VALUES},
    {"voi_function", DICOM_TAG(0x0028, 0x1056), "CS", VOI},
    {"pixel_spacing", DICOM_TAG(0x0028, 0x0030), "DS", MEASURES},
    {"imager_pixel_spacing", DICOM_TAG(0x0018, 0x1164), "DS", 0},
    {"slice_thickness", DICOM_TAG(0x0018, 0x0050), "DS", MEASURES},
    {"pixel_aspect_ratio", DICOM_TAG(0x0028, 0x0034), "IS", 0},
    {"orientation", DICOM_TAG(0x0020, 0x0037), "DS", ORIENTATION},
    {"position", DICOM_TAG(0x0020, 0x0032), "DS", PLACE},
    {"patient_orientation", DICOM_TAG(0x0020, 0x0020), "CS", 0},
    {"laterality", DICOM_TAG(0x0020, 0x0060), "CS", 0},
    {"image_laterality", DICOM_TAG(0x0020, 0x0062), "CS", 0},
    {"view_position", DICOM_TAG(0x0018, 0x5101), "CS", 0},
    {"body_part", DICOM_TAG(0x0018, 0x0015), "CS", 0},
    {"lossy", DICOM_TAG(0x0028, 0x2110), "CS", 0},
    {"burned_in_annotation", DICOM_TAG(0x0028, 0x0301), "CS", 0},
};

/* What says who, when and where, or may in words of its own. */
static const struct {
    const char *key;
    uint32_t tag;
} hidden[] = {
    {"patient_name", DICOM_TAG(0x0010, 0x0010)},
    {"patient_id", DICOM_TAG(0x0010, 0x0020)},
    {"other_patient_ids", DICOM_TAG(0x0010, 0x1000)},
    {"other_patient_names", DICOM_TAG(0x0010, 0x1001)},
    {"birth_date", DICOM_TAG(0x0010, 0x0030)},
    {"sex", DICOM_TAG(0x0010, 0x0040)},
    {"age", DICOM_TAG(0x0010, 0x1010)},
    {"weight", DICOM_TAG(0x0010, 0x1030)},
    {"address", DICOM_TAG(0x0010, 0x1040)},
    {"patient_comments", DICOM_TAG(0x0010, 0x4000)},
    {"accession_number", DICOM_TAG(0x0008, 0x0050)},
    {"institution", DICOM_TAG(0x0008, 0x0080)},
    {"institution_address", DICOM_TAG(0x0008, 0x0081)},
    {"department", DICOM_TAG(0x0008, 0x1040)},
    {"station", DICOM_TAG(0x0008, 0x1010)},
    {"referring_physician", DICOM_TAG(0x0008, 0x0090)},
    {"performing_physician", DICOM_TAG(0x0008, 0x1050)},
    {"reading_physician", DICOM_TAG(0x0008, 0x1060)},
    {"operator", DICOM_TAG(0x0008, 0x1070)},
    {"study_date", DICOM_TAG(0x0008, 0x0020)},
    {"series_date", DICOM_TAG(0x0008, 0x0021)},
    {"acquisition_date", DICOM_TAG(0x0008, 0x0022)},
    {"content_date", DICOM_TAG(0x0008, 0x0023)},
    {"study_time", DICOM_TAG(0x0008, 0x0030)},
    {"acquisition_date_time", DICOM_TAG(0x0008, 0x002A)},
    {"device_serial_number", DICOM_TAG(0x0018, 0x1000)},
    {"study_id", DICOM_TAG(0x0020, 0x0010)},
    {"study_uid", DICOM_TAG(0x0020, 0x000D)},
    {"series_uid", DICOM_TAG(0x0020, 0x000E)},
    {"instance_uid", DICOM_TAG(0x0008, 0x0018)},
    {"study_description", DICOM_TAG(0x0008, 0x1030)},
    {"series_description", DICOM_TAG(0x0008, 0x103E)},
    {"protocol", DICOM_TAG(0x0018, 0x1030)},
    {"image_comments", DICOM_TAG(0x0020, 0x4000)},
};

bool pfm_dicom_is(const void *begin, size_t size, size_t total) { return pfm_dicom_begins(begin, size, total); }

static bool is_whole(double value) { return value == (double)(json_int_t)value; }

static json_t *make_number(double value)
{
    return value > -1e15 && value < 1e15 && is_whole(value) ? json_integer((json_int_t)value) : pfm_json_number(value);
}

/* Numbers, alone or as a list; NULL where there are none. */
static json_t *make_numbers(const pfm_dicom_element *element, const char *vr)
{
    double values[64];
    bool good = true;
    const size_t count = pfm_dicom_numbers(element, vr, values, 64, &good);
    if (count == 1 && good)
        return make_number(values[0]);
    json_t *list = json_array();
    for (size_t i = 0; i < count && good; i++)
        list = pfm_json_add(list, make_number(values[i]));
    return list;
}

static pfm_status tell(pfm_dicom *file, const told *what, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_element element;
    bool found = false;
    char code[65];
    PFM_TRY(pfm_dicom_find_of_frame(file, 0, what->macro, what->tag, &element, &found, err));
    if (!found)
        goto done;
    if (strcmp(what->vr, "CS") != 0) {
        json_t *numbers = make_numbers(&element, what->vr);
        if (json_is_array(numbers) && json_array_size(numbers) == 0)
            json_decref(numbers); /* no numbers: damaged */
        else
            status = pfm_json_take(out, what->key, numbers, err);
        goto done;
    }
    for (size_t i = 0; i < element.length; i++) { /* two codes, as A\F, are told as one */
        if (element.value[i] == '\\') {
            pfm_dicom_element first = element, second = element;
            char one[33], other[32];
            first.length = i;
            second.value += i + 1;
            second.length -= i + 1;
            pfm_dicom_code(&first, one, sizeof one);
            pfm_dicom_code(&second, other, sizeof other);
            (void)snprintf(code, sizeof code, "%s\\%s", one, other);
            status = pfm_json_take(out, what->key, json_string(code), err);
            goto done;
        }
    }
    pfm_dicom_code(&element, code, sizeof code);
    if (code[0] != '\0')
        status = pfm_json_take(out, what->key, json_string(code), err);
done:
    return status;
}

static pfm_status tell_windows(pfm_dicom *file, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_element element;
    double centers[64], widths[64];
    size_t counts[2] = {0};
    bool found = false, good = true;
    json_t *list = NULL;
    for (int i = 0; i < 2; i++) {
        PFM_TRY(pfm_dicom_find_of_frame(file, 0, VOI, DICOM_TAG(0x0028, i == 0 ? 0x1050 : 0x1051), &element, &found, err));
        counts[i] = found ? pfm_dicom_numbers(&element, "DS", i == 0 ? centers : widths, 64, &good) : 0;
    }
    list = json_array();
    for (size_t i = 0; i < counts[0] && i < counts[1]; i++)
        list = pfm_json_add(list, json_pack("{s:o, s:o}", "center", make_number(centers[i]), "width", make_number(widths[i])));
    status = pfm_json_take(out, "windows", list, err);
done:
    return status;
}

static pfm_status count_items(pfm_dicom *file, const char *key, uint32_t tag, uint32_t macro, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_element sequence;
    pfm_dicom_set item;
    bool found = false;
    int count = 0;
    PFM_TRY(pfm_dicom_find_of_frame(file, 0, macro, tag, &sequence, &found, err));
    for (; found && count < 64; count += found)
        PFM_TRY(pfm_dicom_get_item(file, &sequence, (size_t)count, &item, &found, err));
    if (count > 0)
        status = pfm_json_take(out, key, json_integer(count), err);
done:
    return status;
}

/* A text as UTF-8: as it is, or from Latin-1 where the file says that it is; NULL for what neither holds. */
static json_t *make_text(const pfm_dicom *file, const pfm_dicom_element *element)
{
    char text[257], set[65], converted[2 * sizeof text];
    size_t used = 0;
    pfm_dicom_text(element, text, sizeof text);
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0008, 0x0005)), set, sizeof set);
    json_t *whole = json_string(text);
    if (whole != NULL || strcmp(set, "ISO_IR 100") != 0)
        return whole != NULL ? whole : json_string("(in a character set that is not read)");
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at >= 0x80)
            converted[used++] = (char)(0xC0 | *at >> 6);
        converted[used++] = (char)(*at < 0x80 ? *at : 0x80 | (*at & 0x3F));
    }
    return json_stringn(converted, used);
}

static pfm_status tell_identifiers(const pfm_dicom *file, bool identifiers, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    PFM_TRY(pfm_json_take(out, "identifiers", object, err));
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        const pfm_dicom_element *element = pfm_dicom_find(file, hidden[i].tag);
        if (element != NULL)
            PFM_TRY(
                pfm_json_take(object, hidden[i].key, identifiers ? make_text(file, element) : json_string("(hidden)"), err));
    }
done:
    return status;
}

static pfm_status tell_pixels(const pfm_dicom *file, json_t *out, pfm_error *err)
{
    const bool has = pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0010)) != NULL ||
                     pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0008)) != NULL ||
                     pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0009)) != NULL;
    pfm_status status = pfm_json_take(out, "pixels", json_boolean(has), err);
    if (status == PFM_OK && file->cut)
        status = pfm_json_take(out, "cut_short", json_true(), err);
    return status;
}

pfm_status pfm_dicom_describe(const void *bytes, size_t size, const char *name, bool identifiers, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom file = {0};
    json_t *document = json_object();
    PFM_TRY(pfm_dicom_open(bytes, size, name, &file, err));
    const pfm_dicom_syntax *syntax = pfm_dicom_find_syntax(file.syntax);
    const char *encoding = file.set.implicit ? "not given" : file.set.big ? "not given, big endian" : "not given, explicit";
    PFM_TRY(pfm_json_take(document, "transfer_syntax", json_string(syntax != NULL ? syntax->name : encoding), err));
    PFM_TRY(pfm_json_take(document, "transfer_syntax_uid", json_string(file.syntax), err));
    for (size_t i = 0; i < sizeof everything / sizeof *everything; i++)
        PFM_TRY(tell(&file, &everything[i], document, err));
    PFM_TRY(tell_windows(&file, document, err));
    PFM_TRY(count_items(&file, "voi_luts", DICOM_TAG(0x0028, 0x3010), VOI, document, err));
    PFM_TRY(count_items(&file, "modality_luts", DICOM_TAG(0x0028, 0x3000), 0, document, err));
    PFM_TRY(tell_pixels(&file, document, err));
    PFM_TRY(tell_identifiers(&file, identifiers, document, err));
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(document);
    pfm_dicom_close(&file);
    return status;
}

pfm_status pfm_dicom_patient(const void *bytes, size_t size, const char *name, char out[65], pfm_error *err)
{
    static const char salt[] = "pefomed patient";
    pfm_status status = PFM_OK;
    pfm_dicom file = {0};
    char id[65], issuer[65], text[sizeof salt + sizeof id + sizeof issuer + 2];
    out[0] = '\0';
    PFM_TRY(pfm_dicom_open(bytes, size, name, &file, err));
    pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0010, 0x0020)), id, sizeof id);
    pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0010, 0x0021)), issuer, sizeof issuer);
    if (id[0] == '\0')
        goto done;
    const int length = snprintf(text, sizeof text, "%s\n%s\n%s", salt, issuer, id);
    status = pfm_hash_bytes(text, (size_t)length, out, err);
done:
    pfm_dicom_close(&file);
    return status;
}
