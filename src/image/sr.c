#include "pefomed/sr.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/salt.h"
#include "base/try.h"
#include "base/utf8.h"
#include "image/dicom_charset.h"
#include "image/dicom_dcmtk.h"
#include "image/sr_identity.h"
#include "image/sr_sections.h"
#include "pefomed/context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

/* RFC 5646, as CID 5000 has them. */
static const struct {
    const char *code, *name;
} languages[] = {
    {"ar", "Arabic"},
    {"bg", "Bulgarian"},
    {"cs", "Czech"},
    {"da", "Danish"},
    {"de", "German"},
    {"el", "Greek"},
    {"en", "English"},
    {"en-GB", "English (United Kingdom)"},
    {"en-US", "English (United States)"},
    {"es", "Spanish"},
    {"et", "Estonian"},
    {"fa", "Persian"},
    {"fi", "Finnish"},
    {"fr", "French"},
    {"he", "Hebrew"},
    {"hi", "Hindi"},
    {"hr", "Croatian"},
    {"hu", "Hungarian"},
    {"id", "Indonesian"},
    {"it", "Italian"},
    {"ja", "Japanese"},
    {"ko", "Korean"},
    {"lt", "Lithuanian"},
    {"lv", "Latvian"},
    {"nb", "Norwegian Bokmal"},
    {"nl", "Dutch"},
    {"no", "Norwegian"},
    {"pl", "Polish"},
    {"pt", "Portuguese"},
    {"pt-BR", "Portuguese (Brazil)"},
    {"ro", "Romanian"},
    {"ru", "Russian"},
    {"sk", "Slovak"},
    {"sl", "Slovenian"},
    {"sr", "Serbian"},
    {"sv", "Swedish"},
    {"th", "Thai"},
    {"tr", "Turkish"},
    {"uk", "Ukrainian"},
    {"vi", "Vietnamese"},
    {"zh", "Chinese"},
    {"zh-CN", "Chinese (China)"},
    {"zh-TW", "Chinese (Taiwan)"},
};

static const char *find_language(const char *code)
{
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        if (strcasecmp(languages[i].code, code) == 0)
            return languages[i].name;
    }
    return NULL;
}

pfm_status pfm_sr_check(const char *kind, const char *language, pfm_error *err)
{
    if (kind != NULL && strcmp(kind, "basic") != 0 && strcmp(kind, "enhanced") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a structured report is basic or enhanced, and not '%.40s'", kind);
    if (language != NULL && find_language(language) == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "the language of a structured report is a code such as en, es or pt-BR, and not '%.40s'",
                             language);
    return PFM_OK;
}

/* Whether it is UTF-8 of at most so many characters, some of them letters, without what a text value must not hold. */
static bool is_value(const char *text, size_t size, size_t most)
{
    size_t count = 0;
    bool says = false;
    if (!pfm_utf8_valid(text, size))
        return false;
    for (size_t at = 0, length = 0; at < size; at += length, count++) {
        const uint32_t code = pfm_utf8_decode(text + at, size - at, &length);
        if (code < 32 || (code >= 127 && code < 160) || code == '\\')
            return false;
        says = says || pfm_utf8_is_word(code);
    }
    return says && count <= most;
}

/* A person's name (PS3.5, 6.2, PN): groups between =, each of up to five components between ^. */
static bool is_person(const char *name)
{
    enum { GROUPS = 3, COMPONENTS = 5, LONGEST = 64 };
    int groups = 0;
    for (const char *at = name;; groups++) {
        const size_t size = strcspn(at, "=");
        int components = 1;
        for (size_t i = 0; i < size; i++)
            components += at[i] == '^';
        if (groups == GROUPS || components > COMPONENTS || !is_value(at, size, LONGEST))
            return false;
        if (at[size] == '\0')
            return true;
        at += size + 1;
    }
}

pfm_status pfm_sr_check_observer(const char *observer, const char *organization, pfm_error *err)
{
    if (observer == NULL || organization == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "who verifies a report is named with an observer and an organization; give both or neither");
    if (!is_person(observer))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "observer must be a person's name as DICOM writes it, Family^Given, of at most 64 characters");
    if (!is_value(organization, strlen(organization), 64))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "organization must be a name of at most 64 characters without backslash and line breaks");
    return PFM_OK;
}

pfm_status pfm_sr_open(const pfm_sr_image *images, size_t count, pfm_sr **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr *sr = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *sr, &sr, err));
    if (count == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "a structured report is about images; name one, or leave --sr out");
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_sr_add(sr, &images[i], err));
    *out = sr;
    sr = NULL;
done:
    pfm_sr_free(sr);
    return status;
}

void pfm_sr_free(pfm_sr *sr)
{
    if (sr == NULL)
        return;
    for (size_t i = 0; i < sr->element_count; i++)
        free(sr->elements[i].value);
    for (size_t i = 0; i < sr->reference_count; i++)
        free(sr->references[i].frames);
    free(sr->elements);
    free(sr->references);
    free(sr);
}

/* ---- character sets ---- */

static const char utf8[] = "ISO_IR 192";

static bool is_identity_utf8(const pfm_sr *sr)
{
    for (size_t i = 0; i < sr->element_count; i++) {
        if (!pfm_utf8_valid(sr->elements[i].value, strlen(sr->elements[i].value)))
            return false;
    }
    return true;
}

/* Whether a text can stand in any character set but, for JIS X 0201, two characters. NULL can. */
static bool is_plain(const char *text, const char *set)
{
    const bool japanese = strncmp(set, "ISO_IR 13", 9) == 0 || strncmp(set, "ISO 2022 IR 13", 14) == 0;
    for (const char *c = text; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80 || (japanese && (*c == '\\' || *c == '~')))
            return false;
    }
    return true;
}

/* The character sets of the images' values and of the report: the images' own where that holds the answer too, else UTF-8. */
static pfm_status choose_sets(const pfm_sr *sr, const pfm_sr_sections *sections, const pfm_sr_text *text, const char **stored,
                              const char **set, pfm_error *err)
{
    const bool defined = pfm_charset_is_defined(sr->character_set), named = sr->character_set[0] != '\0';
    *stored = sr->character_set;
    if (sr->foreign && (!defined || !named)) { /* what these bytes are the images do not say */
        if (is_identity_utf8(sr))
            *stored = utf8;
        else if (!named)
            *stored = "ISO_IR 100";
        else
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "the images' names are in a character set that DICOM does not have ((0008,0005)), so that no "
                                 "structured report can carry them; leave --sr out");
    } else if (!defined) {
        *stored = "";
    }
    bool plain = is_plain(text->observer, *stored) && is_plain(text->organization, *stored);
    for (size_t i = 0; i < sections->count; i++)
        plain = plain && is_plain(sections->items[i].text, *stored);
    *set = plain ? *stored : utf8;
    return PFM_OK;
}

static void free_elements(pfm_sr_element *elements, size_t count)
{
    for (size_t i = 0; elements != NULL && i < count; i++)
        free(elements[i].value);
    free(elements);
}

/* *out [element_count] = the images' values in UTF-8. */
static pfm_status convert_elements(const pfm_sr *sr, const char *stored, pfm_sr_element **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr_element *elements = NULL;
    pfm_error reason = PFM_ERROR_INIT;
    PFM_TRY(pfm_allocate(sr->element_count, sizeof *elements, &elements, err));
    for (size_t i = 0; i < sr->element_count; i++) {
        const pfm_sr_element *from = &sr->elements[i];
        elements[i] = *from;
        elements[i].value = NULL;
        status = pfm_charset_convert(stored, from->vr, from->value, &elements[i].value, &reason);
        if (status != PFM_OK)
            PFM_FAIL(status,
                     "the images' (%04X,%04X) cannot be converted to UTF-8, which the report's text needs: %s; leave --sr out",
                     from->group, from->element, reason.message);
    }
    *out = elements;
    elements = NULL;
done:
    free_elements(elements, sr->element_count);
    return status;
}

/* ---- what is made up ---- */

/* out = "2.25." and a UUID of a digest, in decimal (PS3.5, B.2). */
static void make_uid(const pfm_hash_hex digest, pfm_dicom_uid out)
{
    uint32_t parts[4];
    char digits[40];
    size_t used = 0;
    for (int i = 0; i < 4; i++) {
        char eight[9] = "";
        memcpy(eight, digest + 8 * i, 8);
        parts[i] = (uint32_t)strtoul(eight, NULL, 16);
    }
    parts[1] = (parts[1] & 0xFFFF0FFFu) | 0x4000u; /* its version, 4, and variant (RFC 9562) */
    parts[2] = (parts[2] & 0x3FFFFFFFu) | 0x80000000u;
    while ((parts[0] | parts[1] | parts[2] | parts[3]) != 0) {
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            rest = rest << 32 | parts[i];
            parts[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        digits[used++] = (char)('0' + rest);
    }
    memcpy(out, "2.25.", 5);
    for (size_t i = 0; i < used; i++)
        out[5 + i] = digits[used - 1 - i];
    out[5 + used] = '\0';
}

static void update(pfm_hash *hash, const char *text) { pfm_hash_update(hash, text, strlen(text) + 1); }

/* The UID of one thing of a report; without chance only of what the report says. */
static pfm_status derive_uid(const char *of, const pfm_sr *sr, const pfm_sr_sections *sections, const pfm_dcmtk_sr *report,
                             const unsigned char chance[16], pfm_dicom_uid out, pfm_error *err)
{
    pfm_hash *hash = NULL;
    pfm_hash_hex digest;
    pfm_status status = pfm_hash_create(&hash, err);
    if (status != PFM_OK)
        return status;
    update(hash, of);
    pfm_hash_update(hash, chance, 16);
    update(hash, report->date);
    update(hash, report->time);
    update(hash, report->enhanced ? "enhanced" : "basic");
    update(hash, report->complete ? "complete" : "partial");
    for (size_t i = 0; i < sr->reference_count; i++)
        update(hash, sr->references[i].instance);
    for (size_t i = 0; i < sections->count; i++)
        update(hash, sections->items[i].text);
    if (report->observer != NULL) {
        update(hash, report->observer);
        update(hash, report->organization);
        update(hash, report->verified);
    }
    pfm_hash_finish(hash, digest);
    pfm_hash_free(hash);
    make_uid(digest, out);
    return PFM_OK;
}

/* The observer: this program as it is installed here. */
static pfm_status derive_device(const char *home, pfm_dicom_uid out, pfm_error *err)
{
    static const char device[] = "device observer";
    char bytes[sizeof(pfm_salt) + sizeof device];
    pfm_salt salt;
    pfm_hash_hex digest;
    pfm_status status = pfm_salt_load(home, &salt, err);
    if (status != PFM_OK)
        return status;
    memcpy(bytes, &salt, sizeof salt);
    memcpy(bytes + sizeof salt, device, sizeof device);
    status = pfm_hash_bytes(bytes, sizeof bytes, digest, err);
    if (status == PFM_OK)
        make_uid(digest, out);
    return status;
}

/* A time in the images' zone where they name one, else in the machine's; of a report of a given second in UTC. */
static void tell_time(const pfm_sr *sr, const pfm_sr_text *text, time_t now, char date[9], char clock[7])
{
    struct tm parts = {0};
    if (sr->timezone[0] != '\0') {
        const long number = strtol(sr->timezone + 1, NULL, 10), seconds = (number / 100 * 60 + number % 100) * 60;
        now += sr->timezone[0] == '-' ? -seconds : seconds;
    }
    if (text->dated || sr->timezone[0] != '\0')
        (void)gmtime_r(&now, &parts);
    else
        (void)localtime_r(&now, &parts);
    (void)strftime(date, 9, "%Y%m%d", &parts);
    (void)strftime(clock, 7, "%H%M%S", &parts);
}

/* ---- the report ---- */

static pfm_status list_sections(const pfm_sr_text *text, pfm_sr_sections *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (text->request != NULL)
        PFM_TRY(pfm_sr_add_section(out, PFM_SR_REQUEST, text->request, err));
    if (text->indication != NULL)
        PFM_TRY(pfm_sr_add_section(out, PFM_SR_INDICATION, text->indication, err));
    PFM_TRY(pfm_sr_add_report(out, text->answer, err));
done:
    return status;
}

/* English where nothing speaks against it. */
static void choose_language(const pfm_sr_text *text, pfm_dcmtk_sr *out)
{
    bool ascii = true;
    for (const char *c = text->answer; *c != '\0'; c++)
        ascii = ascii && (unsigned char)*c < 0x80;
    out->language = text->language != NULL ? text->language : ascii ? "en" : NULL;
    out->language_name = out->language != NULL ? find_language(out->language) : NULL;
}

static pfm_status make(const pfm_dcmtk_sr *report, const char *name, unsigned char **bytes, size_t *size, pfm_error *err)
{
    char reason[100] = "";
    const pfm_dcmtk_result result = pfm_dcmtk_make_sr(report, bytes, size, reason);
    if (result == PFM_DCMTK_NO_MEMORY)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make the structured report %s", name);
    if (result != PFM_DCMTK_OK)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "cannot make the structured report %s: %s", name, reason);
    return PFM_OK;
}

pfm_status pfm_sr_write(const pfm_sr *sr, const pfm_sr_text *text, const char *path, pfm_error *err)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    pfm_status status = pfm_sr_make(sr, text, path, &bytes, &size, err);
    if (status == PFM_OK)
        status = pfm_file_write(path, bytes, size, err);
    free(bytes);
    return status;
}

static pfm_status check_text(const pfm_sr_text *text, pfm_error *err)
{
    if (text->observer != NULL && !text->complete)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a report that is not complete cannot be verified");
    const pfm_status status = text->observer != NULL || text->organization != NULL
                                  ? pfm_sr_check_observer(text->observer, text->organization, err)
                                  : PFM_OK;
    return status == PFM_OK ? pfm_sr_check(text->kind, text->language, err) : status;
}

pfm_status pfm_sr_make(const pfm_sr *sr, const pfm_sr_text *text, const char *name, unsigned char **bytes, size_t *size,
                       pfm_error *err)
{
    *bytes = NULL;
    pfm_status status = PFM_OK;
    pfm_sr_sections sections = {0};
    pfm_sr_element *converted = NULL;
    const char *stored = NULL;
    pfm_dicom_uid series, instance, device;
    char date[9], clock[7], verified[15];
    unsigned char chance[16] = {0};
    pfm_dcmtk_sr report = {.enhanced = text->kind != NULL && strcmp(text->kind, "enhanced") == 0,
                           .complete = text->complete,
                           .source = sr,
                           .elements = sr->elements,
                           .observer = text->observer,
                           .organization = text->organization,
                           .verified = verified,
                           .date = date,
                           .time = clock,
                           .version = pfm_version(),
                           .series = series,
                           .instance = instance,
                           .device = device};
    PFM_TRY(check_text(text, err));
    PFM_TRY(list_sections(text, &sections, err));
    report.sections = sections.items;
    report.section_count = sections.count;
    PFM_TRY(choose_sets(sr, &sections, text, &stored, &report.set, err));
    if (sr->foreign && strcmp(report.set, stored) != 0) {
        PFM_TRY(convert_elements(sr, stored, &converted, err));
        report.elements = converted;
    }
    choose_language(text, &report);
    tell_time(sr, text, text->dated ? (time_t)text->time : time(NULL), date, clock);
    tell_time(sr, text, (time_t)text->verified, verified, verified + 8);
    if (!text->dated && getrandom(chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        PFM_FAIL(PFM_ERROR_IO, "cannot draw a UID for %s: %s", name, strerror(errno));
    PFM_TRY(derive_uid("series", sr, &sections, &report, chance, series, err));
    PFM_TRY(derive_uid("instance", sr, &sections, &report, chance, instance, err));
    PFM_TRY(derive_device(text->home, device, err));
    status = make(&report, name, bytes, size, err);
done:
    free_elements(converted, sr->element_count);
    pfm_sr_sections_free(&sections);
    return status;
}
