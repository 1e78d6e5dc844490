#include "eval/labels.h"
#include "eval/metric.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

enum { NO = PFM_NO_FINDING, ECM = PFM_ENLARGED_CARDIOMEDIASTINUM, CMG = PFM_CARDIOMEGALY, LES = PFM_LUNG_LESION };
enum { OPA = PFM_LUNG_OPACITY, EDE = PFM_EDEMA, CON = PFM_CONSOLIDATION, PNA = PFM_PNEUMONIA, ATE = PFM_ATELECTASIS };
enum { PTX = PFM_PNEUMOTHORAX, EFF = PFM_PLEURAL_EFFUSION, PLO = PFM_PLEURAL_OTHER, FRA = PFM_FRACTURE };
enum { DEV = PFM_SUPPORT_DEVICES, MOST = 6 };

#define HAS(f)                                                                                                                 \
    {                                                                                                                          \
        f, PFM_LABEL_PRESENT                                                                                                   \
    }
#define MAY(f)                                                                                                                 \
    {                                                                                                                          \
        f, PFM_LABEL_UNCERTAIN                                                                                                 \
    }
#define NOT(f)                                                                                                                 \
    {                                                                                                                          \
        f, PFM_LABEL_ABSENT                                                                                                    \
    }

typedef struct expectation {
    int finding; /* from 1; 0 ends the list */
    pfm_label label;
} expectation;

/* What is not listed is not mentioned. */
static const struct {
    const char *text;
    expectation want[MOST];
} cases[] = {
    /* each finding */
    {"Mediastinal widening.", {HAS(ECM)}},
    {"MODERATE CARDIOMEGALY.", {HAS(CMG)}},
    {"A nodule in the left lung.", {HAS(LES)}},
    {"Patchy opacity at the right base.", {HAS(OPA)}},
    {"Pulmonary edema.", {HAS(EDE)}},
    {"Left lower lobe consolidation.", {HAS(CON)}},
    {"Right middle lobe pneumonia.", {HAS(PNA)}},
    {"Bibasilar atelectasis.", {HAS(ATE)}},
    {"Small apical pneumothorax.", {HAS(PTX)}},
    {"Bilateral pleural effusions.", {HAS(EFF)}},
    {"Apical pleural thickening.", {HAS(PLO)}},
    {"Healed rib fractures.", {HAS(FRA)}},
    {"PICC line tip in the SVC.", {HAS(DEV)}},
    /* denied */
    {"No pneumothorax, pleural effusion, or focal consolidation is seen.", {NOT(PTX), NOT(EFF), NOT(CON)}},
    {"No pneumothorax, stable left effusion.", {NOT(PTX), HAS(EFF)}},
    {"No pneumothorax but a left effusion.", {NOT(PTX), HAS(EFF)}},
    {"No effusion and the heart is enlarged.", {NOT(EFF), HAS(CMG)}},
    {"No edema. Effusion.", {NOT(EDE), HAS(EFF)}},
    {"Lungs are clear of focal airspace disease.", {NOT(OPA)}},
    {"Pneumothorax and effusion are not seen.", {NOT(PTX), NOT(EFF)}},
    {"An effusion is present, pneumothorax is not seen.", {HAS(EFF), NOT(PTX)}},
    {"The effusion has resolved.", {NOT(EFF)}},
    {"Atelectasis rather than pneumonia.", {HAS(ATE), NOT(PNA)}},
    {"No significant change in the left pneumothorax.", {HAS(PTX)}},
    {"Without change of the effusion.", {HAS(EFF)}},
    {"Chest tube has been removed.", {NOT(DEV)}},
    /* uncertain */
    {"Possible pneumonia.", {MAY(PNA)}},
    {"?pneumonia", {MAY(PNA)}},
    {"Opacity which may represent edema, atelectasis, or pneumonia.", {HAS(OPA), MAY(EDE), MAY(ATE), MAY(PNA)}},
    {"Possible pneumonia, small effusion.", {MAY(PNA), HAS(EFF)}},
    {"Question congestion in a patient with pacemaker.", {MAY(EDE), HAS(DEV)}},
    {"Effusion cannot be excluded.", {MAY(EFF)}},
    {"Cannot exclude pneumothorax.", {MAY(PTX)}},
    {"Atelectasis versus consolidation.", {MAY(ATE), MAY(CON)}},
    {"Atelectasis or mild consolidation.", {MAY(ATE), MAY(CON)}},
    {"No opacity to suggest pneumonia.", {NOT(OPA), NOT(PNA)}},
    {"Borderline cardiomegaly.", {MAY(CMG)}},
    /* subjects and states */
    {"The heart is enlarged.", {HAS(CMG)}},
    {"Enlarged heart, normal mediastinum.", {HAS(CMG), NOT(ECM)}},
    {"The heart is not enlarged.", {NOT(CMG)}},
    {"Heart size is borderline.", {MAY(CMG)}},
    {"Heart size, mediastinal contour and vascularity are within normal limits.", {NOT(CMG), NOT(ECM), NOT(EDE)}},
    {"Heart size is stable and the aorta is prominent.", {{0}}},
    {"The heart is normal, large hernia.", {NOT(CMG)}},
    {"Lungs are hyperexpanded with increased diameter.", {{0}}},
    {"Interstitial markings are increased.", {HAS(OPA)}},
    {"Clear lungs.", {NOT(OPA)}},
    /* what is none of the findings */
    {"Pericardial effusion.", {{0}}},
    {"History of pneumonia.", {{0}}},
    {"Evidence of prior granulomatous infection.", {{0}}},
    {"Calcified granuloma. Degenerative changes. XXXX.", {{0}}},
    /* how texts are cut */
    {"No 2.5 cm nodule", {NOT(LES)}},
    {"No\nedema", {NOT(EDE)}},
    {"No\n \nedema", {HAS(EDE)}},
    {"Findings: no\tairspace-disease; effusion", {NOT(OPA), HAS(EFF)}},
    {"\xc3\xa9"
     "dema \xe2\x80\x93 effusion\xff",
     {HAS(EFF)}},
};

static void test_texts(void **state)
{
    (void)state;
    pfm_labeller *labeller = NULL;
    assert_ok(pfm_labeller_create(&labeller, &err));
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        pfm_labels got = {0}, want = {0};
        bool found = false;
        for (size_t i = 0; i < MOST && cases[c].want[i].finding != 0; i++) {
            want.of[cases[c].want[i].finding] = cases[c].want[i].label;
            found |= cases[c].want[i].finding != DEV && cases[c].want[i].label >= PFM_LABEL_UNCERTAIN;
        }
        want.of[NO] = found ? PFM_LABEL_ABSENT : PFM_LABEL_PRESENT;
        assert_ok(pfm_labels_add(labeller, cases[c].text, &got, &err));
        for (size_t f = 0; f < PFM_FINDINGS; f++) {
            if (got.of[f] != want.of[f])
                fail_msg("'%s': %s is %d instead of %d", cases[c].text, pfm_finding_names[f], (int)got.of[f], (int)want.of[f]);
        }
    }
    pfm_labeller_free(labeller);
}

/* Several texts say together what the strongest says; a text without words has no label. */
static void test_several(void **state)
{
    (void)state;
    pfm_labeller *labeller = NULL;
    pfm_labels labels = {0};
    assert_ok(pfm_labeller_create(&labeller, &err));
    assert_ok(pfm_labels_add(labeller, " ., \n", &labels, &err));
    assert_int_equal(labels.of[NO], PFM_LABEL_NONE);
    assert_ok(pfm_labels_add(labeller, "No edema.", &labels, &err));
    assert_int_equal(labels.of[NO], PFM_LABEL_PRESENT);
    assert_ok(pfm_labels_add(labeller, "Possible edema. Pacemaker.", &labels, &err));
    assert_int_equal(labels.of[EDE], PFM_LABEL_UNCERTAIN);
    assert_int_equal(labels.of[NO], PFM_LABEL_ABSENT);
    assert_ok(pfm_labels_add(labeller, "Edema.", &labels, &err));
    assert_ok(pfm_labels_add(labeller, "No edema.", &labels, &err));
    assert_int_equal(labels.of[EDE], PFM_LABEL_PRESENT);
    json_t *written = NULL;
    assert_ok(pfm_labels_write(&labels, &written, &err));
    assert_int_equal(json_object_size(written), PFM_FINDINGS);
    assert_int_equal(json_integer_value(json_object_get(written, "Edema")), 1);
    assert_true(json_is_null(json_object_get(written, "Fracture")));
    json_decref(written);
    pfm_labeller_free(labeller);
}

/* A sentence without end is read in no time, and nothing reaches across all of it. */
static void test_long(void **state)
{
    (void)state;
    static const char *const parts[] = {"and ", "or stable ", "may, ", "normal heart ", "? "};
    pfm_labeller *labeller = NULL;
    assert_ok(pfm_labeller_create(&labeller, &err));
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        pfm_buffer text = {0};
        pfm_labels labels = {0};
        for (size_t i = 0; i < 200000; i++)
            assert_ok(pfm_buffer_append_string(&text, parts[p], &err));
        assert_ok(pfm_buffer_append_string(&text, "or. Edema", &err));
        assert_ok(pfm_labels_add(labeller, text.data, &labels, &err));
        assert_int_equal(labels.of[EDE], PFM_LABEL_PRESENT);
        pfm_buffer_free(&text);
    }
    pfm_labeller_free(labeller);
}

static double number(const json_t *out, const char *name)
{
    return json_number_value(json_object_get(json_object_get(out, "metrics"), name));
}

/* By hand. Uncertain as positive: Edema 1 of 1+1, Cardiomegaly 1 of 1+1, Effusion 0 of 1+0, Support Devices 1 of 1+1, No
 * Finding 0 of 0+1: 6/8. Certain only: Edema 0 of 1+0, Cardiomegaly 2/2, Effusion 0 of 1+0, Support Devices 2/2, No Finding 0
 * of 0+1: 4/7. */
static void test_metrics(void **state)
{
    (void)state;
    pfm_answer_set set = {.reports = true};
    json_t *out = NULL;
    json_t *rows = json_loads("[{\"reference\":\"Edema. Pacemaker.\",\"prediction\":\"Possible edema. Pacemaker.\"},"
                              "{\"reference\":\"Cardiomegaly.\",\"prediction\":\"Cardiomegaly.\"},"
                              "{\"references\":[\"Normal.\",\"Effusion.\"],\"prediction\":\"No effusion.\"}]",
                              0, NULL);
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_ok(pfm_score_metrics(&set,
                                "label_f1_micro,label_f1_macro,label_f1_micro5,label_f1_macro5,label_f1_micro_certain,"
                                "label_f1_macro_certain,label_f1_micro5_certain,label_f1_macro5_certain",
                                42, NULL, &out, &err));
    assert_true(fabs(number(out, "label_f1_micro") - 6.0 / 8) < 1e-12);
    assert_true(fabs(number(out, "label_f1_macro") - 3.0 / 14) < 1e-12);
    assert_true(fabs(number(out, "label_f1_micro5") - 4.0 / 5) < 1e-12);
    assert_true(fabs(number(out, "label_f1_macro5") - 2.0 / 5) < 1e-12);
    assert_true(fabs(number(out, "label_f1_micro_certain") - 4.0 / 7) < 1e-12);
    assert_true(fabs(number(out, "label_f1_macro_certain") - 2.0 / 14) < 1e-12);
    assert_true(fabs(number(out, "label_f1_micro5_certain") - 2.0 / 4) < 1e-12);
    assert_true(fabs(number(out, "label_f1_macro5_certain") - 1.0 / 5) < 1e-12);
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "pefomed-rules 1"));
    json_decref(out);
    json_decref(rows);
    pfm_answer_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_several),
                                       cmocka_unit_test(test_long), cmocka_unit_test(test_metrics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
