#include "eval/identifiers.h"
#include "test.h"

#define KIND(name) (1U << PFM_IDENTIFIER_##name)

static void test_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned kinds;
    } cases[] = {
        {"", 0},
        {"No acute findings. Heart size 12.5 cm, 3/4 of the lung, T12, L4-5, 2.3 x 4.5 x 1.2 cm.", 0},
        {"65-year-old man, 89 years, BI-RADS 4, SUV 12.34, 120 kV, 1.5 T, in 2019", 0},
        {"may show 3 nodules; they march on; may 3 be right; 50 mm, 10-15 mm, 1,234,567 cells", 0},
        {"a decision on Friday. Deck 5. The dr said. MS plaques.", 0},
        {"0.12345678 and 3.14159265", 0},
        {"x^2 + y^2", 0},
        {"DOE^JOHN", KIND(NAME)},
        {"Seen by Dr. Smith", KIND(NAME)},
        {"Mrs Miller", KIND(NAME)},
        {"Prof. \xC3\x9Cnal", KIND(NAME)},
        {"Name: Jane", KIND(NAME)},
        {"patient name : Jane", KIND(NAME)},
        {"on 2019-03-05.", KIND(DATE)},
        {"5/3/19", KIND(DATE)},
        {"05.03.2019", KIND(DATE)},
        {"03/2019", KIND(DATE)},
        {"2019-03", KIND(DATE)},
        {"March 5", KIND(DATE)},
        {"MARCH 2019", KIND(DATE)},
        {"May 2019", KIND(DATE)},
        {"on 5 March", KIND(DATE)},
        {"the 5th of March", KIND(DATE)},
        {"5. M\xC3\xA4rz", KIND(DATE)},
        {"5 de marzo de 2019", KIND(DATE)},
        {"2019\xE5\xB9\xB4"
         "3\xE6\x9C\x88"
         "5\xE6\x97\xA5",
         KIND(DATE)},
        {"MRN 12", KIND(RECORD)},
        {"mrn: A-12", KIND(RECORD)},
        {"Accession number: X99", KIND(RECORD)},
        {"Patient ID is 5", KIND(RECORD)},
        {"accession to the study", 0},
        {"p10000032", KIND(NUMBER)},
        {"1234567", KIND(NUMBER)},
        {"555-123-4567", KIND(NUMBER)},
        {"(555) 123-4567", KIND(NUMBER)},
        {"555 123 4567", KIND(NUMBER)},
        {"123-45-6789", KIND(NUMBER)},
        {"write to jane.doe@example.org now", KIND(EMAIL)},
        {"a @ b, 5@7, x@y", 0},
        {"1.2.840.113619.2.55", KIND(UID)},
        {"92-year-old woman", KIND(AGE)},
        {"101 years", KIND(AGE)},
        {"90 y/o", KIND(AGE)},
        {"Dr. Lee, 5/3/2019, MRN 7654321", KIND(NAME) | KIND(DATE) | KIND(RECORD) | KIND(NUMBER)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (pfm_identifiers_find(cases[i].text) != cases[i].kinds)
            fail_msg("\"%s\": wanted %x, got %x", cases[i].text, cases[i].kinds, pfm_identifiers_find(cases[i].text));
}

static void test_values(void **state)
{
    (void)state;
    assert_true(pfm_identifier_stands_in("Smith", "seen by SMITH."));
    assert_true(pfm_identifier_stands_in("s-17", "(S-17)"));
    assert_false(pfm_identifier_stands_in("Smith", "blacksmiths"));
    assert_false(pfm_identifier_stands_in("Smith", "Smithson"));
    assert_false(pfm_identifier_stands_in("12", "12 mm")); /* too short to say anything */
    assert_false(pfm_identifier_stands_in("", "x"));
}

static void test_columns(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "patient",    "Patient", "patient_id", "PatientName",        "patientName", "patient-sex", "MRN",
        "name",       "Name",    "last_name",  "FirstName",          "subject_id",  "accession",   "AccessionNumber",
        "birth_date", "e_mail",  "phone",      "referring_physician"};
    static const char *const no[] = {"prediction", "question", "reference",        "organ_name", "file_name",  "content_type",
                                     "id",         "",         "outpatient_count", "filename",   "subjective", "personal"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!pfm_identifier_column(yes[i]))
            fail_msg("%s is a column of identifiers", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (pfm_identifier_column(no[i]))
            fail_msg("%s is no column of identifiers", no[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_found), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_columns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
