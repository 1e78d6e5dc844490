#include "eval/identifiers.h"

#include "base/try.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONG_NUMBER = 7, OLD_AGE = 90, LONGEST_WORD = 40, SHORTEST_VALUE = 3 };

const char *const pfm_identifier_names[PFM_IDENTIFIER_KINDS] = {"name",  "date", "record", "number",
                                                                "email", "uid",  "age",    "column"};

static bool is_digit(char c) { return isdigit((unsigned char)c) != 0; }
/* Bytes of other scripts count as letters. */
static bool is_letter(char c) { return isalpha((unsigned char)c) != 0 || (unsigned char)c >= 0x80; }
static bool is_word(char c) { return is_digit(c) || is_letter(c); }
static bool begins_word(const char *text, const char *at) { return at == text || !is_word(at[-1]); }

static size_t count_digits(const char *at)
{
    size_t count = 0;
    while (is_digit(at[count]))
        count++;
    return count;
}

static long number_at(const char *at, size_t digits) /* of at most nine */
{
    long value = 0;
    for (size_t i = 0; i < digits && i < 9; i++)
        value = 10 * value + (at[i] - '0');
    return value;
}

static bool starts_with_any(const char *at, const char *const *words, size_t *length)
{
    for (; *words != NULL; words++) {
        const size_t size = strlen(*words);
        if (strncasecmp(at, *words, size) == 0 && !is_word(at[size])) {
            *length = size;
            return true;
        }
    }
    return false;
}

/* ---- dates ---- */

static bool is_year(const char *at, size_t digits)
{
    const long value = number_at(at, digits);
    return digits == 4 && value >= 1850 && value <= 2199;
}

/* 2019-03-05, 5/3/19, 05.03.2019, 03/2019: `at` begins a number. */
static bool is_numeric_date(const char *at)
{
    const size_t a = count_digits(at);
    const char sign = at[a];
    if (a > 4 || strchr("-/.", sign) == NULL || sign == '\0' || !is_digit(at[a + 1]))
        return false;
    const char *second = at + a + 1;
    const size_t b = count_digits(second);
    const long x = number_at(at, a), y = number_at(second, b);
    if (second[b] != sign || !is_digit(second[b + 1])) /* two numbers: a month of a year */
        return sign != '.' && second[b] != sign &&
               ((a <= 2 && x >= 1 && x <= 12 && is_year(second, b)) || (is_year(at, a) && b == 2 && y >= 1 && y <= 12));
    const char *third = second + b + 1;
    const size_t c = count_digits(third);
    if (third[c] == '.' && is_digit(third[c + 1]))
        return false; /* a longer chain of numbers */
    const bool days = b <= 2 && x >= 1 && y >= 1 && (x <= 12 || y <= 12) && x <= 31 && y <= 31;
    if (is_year(at, a))
        return b <= 2 && c <= 2 && y >= 1 && y <= 12 && number_at(third, c) >= 1 && number_at(third, c) <= 31;
    return a <= 2 && days && (is_year(third, c) || (c == 2 && (sign != '.' || (a == 2 && b == 2))));
}

static const char *const months[] = {"january",
                                     "february",
                                     "march",
                                     "april",
                                     "june",
                                     "july",
                                     "august",
                                     "september",
                                     "october",
                                     "november",
                                     "december",
                                     "jan",
                                     "feb",
                                     "mar",
                                     "apr",
                                     "jun",
                                     "jul",
                                     "aug",
                                     "sep",
                                     "sept",
                                     "oct",
                                     "nov",
                                     "dec",
                                     "januar",
                                     "februar",
                                     "m\xC3\xA4rz",
                                     "juni",
                                     "juli",
                                     "oktober",
                                     "dezember",
                                     "enero",
                                     "febrero",
                                     "marzo",
                                     "abril",
                                     "mayo",
                                     "junio",
                                     "julio",
                                     "agosto",
                                     "septiembre",
                                     "octubre",
                                     "noviembre",
                                     "diciembre",
                                     "janvier",
                                     "f\xC3\xA9vrier",
                                     "mars",
                                     "avril",
                                     "juin",
                                     "juillet",
                                     "ao\xC3\xBBt",
                                     "septembre",
                                     "octobre",
                                     "novembre",
                                     "d\303\251cembre", /* in octal, which ends before the c */
                                     "gennaio",
                                     "febbraio",
                                     "aprile",
                                     "maggio",
                                     "giugno",
                                     "luglio",
                                     "settembre",
                                     "ottobre",
                                     "dicembre",
                                     NULL};

/* The day or year beside a month's name; "may" and "mai" are other words too, and count where they have a capital. */
static bool is_month(const char *at, size_t *length)
{
    if (strncmp(at, "May", 3) == 0 || strncmp(at, "MAY", 3) == 0 || strncmp(at, "Mai", 3) == 0) {
        *length = 3;
        return !is_word(at[3]);
    }
    return starts_with_any(at, months, length);
}

static bool is_day_or_year(const char *at)
{
    const size_t digits = count_digits(at);
    const char *behind = at + digits;
    static const char *const endings[] = {"st", "nd", "rd", "th", NULL};
    size_t ignored = 0;
    if (is_word(*behind) && !starts_with_any(behind, endings, &ignored))
        return false;
    return is_year(at, digits) || (digits >= 1 && digits <= 2 && number_at(at, digits) >= 1 && number_at(at, digits) <= 31);
}

/* "March 5", "March 2019", "5 March", "5. März", "5 de marzo": `at` begins a month's name. */
static bool is_named_date(const char *text, const char *at)
{
    size_t length = 0;
    if (!is_month(at, &length))
        return false;
    const char *behind = at + length;
    behind += strspn(behind, ".,");
    behind += strspn(behind, " \t-");
    if (strncasecmp(behind, "de ", 3) == 0 || strncasecmp(behind, "of ", 3) == 0)
        behind += 3;
    if (is_day_or_year(behind))
        return true;
    const char *before = at;
    while (before > text && strchr(" \t-.", before[-1]) != NULL)
        before--;
    if (before - text >= 3 && (strncasecmp(before - 3, " de", 3) == 0 || strncasecmp(before - 3, " of", 3) == 0))
        before -= 3;
    const char *day = before;
    if (day - text >= 3 && is_letter(day[-1]) && is_digit(day[-3])) /* 5th */
        day -= 2;
    while (day > text && is_digit(day[-1]))
        day--;
    return day < before && is_digit(*day) && begins_word(text, day) && is_day_or_year(day);
}

/* 2019年3月: a month in Chinese and Japanese. */
static bool is_cjk_date(const char *at)
{
    const size_t digits = count_digits(at);
    return digits <= 2 && strncmp(at + digits, "\xE6\x9C\x88", 3) == 0 && is_digit(at[digits + 3]);
}

static bool is_cjk_year_month(const char *at)
{
    const size_t digits = count_digits(at);
    return digits == 4 && strncmp(at + digits, "\xE5\xB9\xB4", 3) == 0 && is_digit(at[digits + 3]);
}

/* ---- numbers ---- */

/* The groups of digits that one sign joins; *total = their digits, *groups = how many. */
static const char *count_groups(const char *at, const char *signs, size_t *total, size_t *groups)
{
    *total = *groups = 0;
    for (;;) {
        const size_t digits = count_digits(at);
        *total += digits;
        (*groups)++;
        at += digits;
        if (*at == '\0' || strchr(signs, *at) == NULL || !is_digit(at[1]))
            return at;
        at++;
    }
}

/* `at` begins a run of digits. */
static unsigned find_in_number(const char *text, const char *at)
{
    size_t total = 0, groups = 0;
    unsigned found = 0;
    const bool fraction = at - text >= 2 && at[-1] == '.' && is_digit(at[-2]);
    const bool joined = at > text && (at[-1] == '-' || at[-1] == '.' || at[-1] == '/') && at - text >= 2 && is_digit(at[-2]);
    if (count_digits(at) >= LONG_NUMBER && !fraction)
        found |= 1U << PFM_IDENTIFIER_NUMBER;
    (void)count_groups(at, ".", &total, &groups);
    if (!joined && groups >= 5 && (*at == '1' || *at == '2' || *at == '0') && !is_digit(at[1]))
        found |= 1U << PFM_IDENTIFIER_UID;
    if (!joined && (is_numeric_date(at) || is_cjk_date(at) || is_cjk_year_month(at)))
        return found | 1U << PFM_IDENTIFIER_DATE;
    (void)count_groups(at, "-", &total, &groups);
    if (!joined && groups >= 2 && total >= LONG_NUMBER)
        found |= 1U << PFM_IDENTIFIER_NUMBER;
    (void)count_groups(at, " ", &total, &groups);
    if (groups == 3 && total == 10 && count_digits(at) == 3 && count_digits(at + 4) == 3) /* 555 123 4567 */
        found |= 1U << PFM_IDENTIFIER_NUMBER;
    return found;
}

/* "92-year-old", "101 years": `at` begins a number. */
static bool is_old_age(const char *at)
{
    static const char *const years[] = {"year", "years", "yr",          "yrs", "yo",   "y/o", "y.o",
                                        "y",    "jahre", "a\xC3\xB1os", "ans", "anni", NULL};
    const size_t digits = count_digits(at);
    size_t length = 0;
    if (digits < 2 || digits > 3 || number_at(at, digits) < OLD_AGE || number_at(at, digits) > 130)
        return false;
    at += digits;
    at += *at == ' ' || *at == '-';
    return starts_with_any(at, years, &length);
}

/* ---- words ---- */

static bool is_capital(const char *at)
{
    return isupper((unsigned char)*at) != 0 || (unsigned char)*at >= 0xC3; /* letters with accents, other scripts */
}

/* `at` begins a word. */
static bool is_name(const char *at)
{
    static const char *const titles[] = {"Dr",   "Mr",   "Mrs", "Ms",  "Prof", "Doctor", "Professor",
                                         "Herr", "Frau", "Mme", "Sra", "Dra",  "Sig",    NULL};
    size_t length = 0;
    if (strncasecmp(at, "name", 4) == 0 && at[4 + strspn(at + 4, " \t")] == ':') {
        const char *value = at + 4 + strspn(at + 4, " \t") + 1;
        return is_capital(value + strspn(value, " \t"));
    }
    for (const char *const *title = titles; *title != NULL; title++) {
        length = strlen(*title);
        if (strncmp(at, *title, length) != 0 || is_word(at[length]))
            continue;
        at += length;
        at += *at == '.';
        return *at == ' ' && is_capital(at + 1);
    }
    return false;
}

/* A label with a number behind it: within a few words, a token with a digit. */
static bool is_record(const char *at)
{
    static const char *const labels[] = {"mrn",
                                         "ssn",
                                         "dob",
                                         "accession",
                                         "patient id",
                                         "patientid",
                                         "patient no",
                                         "patient number",
                                         "medical record",
                                         "record number",
                                         "hospital number",
                                         "nhs number",
                                         "date of birth",
                                         "study id",
                                         "subject id",
                                         NULL};
    static const char *const links[] = {"number", "numbers", "no", "nr", "id", "is", "num", NULL};
    size_t length = 0;
    if (!starts_with_any(at, labels, &length))
        return false;
    at += length;
    for (;;) {
        at += strspn(at, " \t:#.=-");
        if (!starts_with_any(at, links, &length))
            break;
        at += length;
    }
    for (; is_word(*at) || ((*at == '-' || *at == '/') && is_word(at[1])); at++)
        if (is_digit(*at))
            return true;
    return false;
}

/* LAST^FIRST: `at` is the sign. */
static bool is_dicom_name(const char *text, const char *at)
{
    return at - text >= 2 && is_letter(at[-1]) && is_letter(at[-2]) && is_letter(at[1]);
}

static bool is_email(const char *text, const char *at)
{
    if (at == text || !is_word(at[-1]) || !is_word(at[1]))
        return false;
    const size_t host = strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return at[1 + host] == '.' && is_letter(at[2 + host]);
}

unsigned pfm_identifiers_find(const char *text)
{
    unsigned found = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (is_digit(*at) && (at == text || !is_digit(at[-1]))) {
            found |= find_in_number(text, at);
            found |= (unsigned)(begins_word(text, at) && is_old_age(at)) << PFM_IDENTIFIER_AGE;
        } else if (is_letter(*at) && begins_word(text, at)) {
            found |= (unsigned)is_name(at) << PFM_IDENTIFIER_NAME;
            found |= (unsigned)is_record(at) << PFM_IDENTIFIER_RECORD;
            found |= (unsigned)is_named_date(text, at) << PFM_IDENTIFIER_DATE;
        } else if (*at == '^') {
            found |= (unsigned)is_dicom_name(text, at) << PFM_IDENTIFIER_NAME;
        } else if (*at == '@') {
            found |= (unsigned)is_email(text, at) << PFM_IDENTIFIER_EMAIL;
        }
    }
    return found;
}

bool pfm_identifier_stands_in(const char *value, const char *text)
{
    const size_t length = strlen(value);
    if (length < SHORTEST_VALUE)
        return false;
    for (const char *at = text; *at != '\0'; at++)
        if (strncasecmp(at, value, length) == 0 && begins_word(text, at) && !is_word(at[length]))
            return true;
    return false;
}

/* ---- columns ---- */

/* *out = the next word of a name such as patient_id or PatientName, in small letters; false: there is none. */
static bool next_word(const char **at, char out[LONGEST_WORD])
{
    size_t length = 0;
    const char *c = *at;
    while (*c != '\0' && !is_word(*c))
        c++;
    const char *begin = c;
    for (; is_word(*c); c++) {
        if (c > begin && isupper((unsigned char)*c) && islower((unsigned char)c[-1]))
            break;
        if (length + 1 < LONGEST_WORD)
            out[length++] = (char)tolower((unsigned char)*c);
    }
    out[length] = '\0';
    *at = c;
    return length > 0;
}

bool pfm_identifier_column(const char *name)
{
    static const char *const words[] = {"patient",   "patients",  "patientid", "patientname", "mrn",      "ssn",
                                        "dob",       "accession", "birth",     "birthdate",   "birthday", "subject",
                                        "person",    "address",   "phone",     "telephone",   "email",    "mail",
                                        "firstname", "lastname",  "surname",   "physician",   "referrer", "insurance"};
    static const char *const whole[] = {"name", "names"};
    char word[LONGEST_WORD], first[LONGEST_WORD] = "";
    size_t count = 0;
    for (const char *at = name; next_word(&at, word); count++) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strcmp(word, words[i]) == 0)
                return true;
        if (count == 0)
            memcpy(first, word, sizeof first);
        const bool of_person =
            count == 1 && (strcmp(first, "first") == 0 || strcmp(first, "last") == 0 || strcmp(first, "full") == 0);
        if (of_person && strcmp(word, "name") == 0)
            return true;
    }
    return count == 1 && (strcmp(first, whole[0]) == 0 || strcmp(first, whole[1]) == 0);
}

pfm_status pfm_identifier_kinds_read(const char *list, unsigned *out, pfm_error *err)
{
    static const char all_kinds[] = "all";
    *out = 0;
    if (list == NULL)
        return PFM_OK;
    for (const char *at = list;; at++) {
        const size_t length = strcspn(at, ",");
        unsigned bits = 0;
        if (length == strlen(all_kinds) && strncmp(at, all_kinds, length) == 0)
            bits = (1U << PFM_IDENTIFIER_KINDS) - 1;
        for (int k = 0; k < PFM_IDENTIFIER_KINDS; k++)
            if (strlen(pfm_identifier_names[k]) == length && strncmp(at, pfm_identifier_names[k], length) == 0)
                bits = 1U << k;
        if (bits == 0)
            return pfm_error_set(
                err, PFM_ERROR_USAGE,
                "--accept-identifiers names kinds, separated by commas: name, date, record, number, email, uid, "
                "age, column, or all; not '%.*s'",
                (int)(length < 60 ? length : 60), at);
        *out |= bits;
        at += length;
        if (*at == '\0')
            return PFM_OK;
    }
}

pfm_status pfm_identifier_kinds_list(unsigned bits, const char *joint, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(out);
    for (int k = 0; k < PFM_IDENTIFIER_KINDS; k++)
        if ((bits >> k & 1) != 0)
            PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", out->size > 0 ? joint : "", pfm_identifier_names[k]));
done:
    return status;
}
