/* What the phrases of a sentence say together: cues reach forward and back until something ends their reach, states make their
 * subjects findings. In the manner of NegEx (Chapman et al., A Simple Algorithm for Identifying Negated Findings and Diseases
 * in Discharge Summaries, 2001). */
#include "base/try.h"
#include "eval/label_words.h"
#include "eval/labels.h"

#include <stdlib.h>

const char *const pfm_finding_names[PFM_FINDINGS] = {"No Finding",       "Enlarged Cardiomediastinum",
                                                     "Cardiomegaly",     "Lung Lesion",
                                                     "Lung Opacity",     "Edema",
                                                     "Consolidation",    "Pneumonia",
                                                     "Atelectasis",      "Pneumothorax",
                                                     "Pleural Effusion", "Pleural Other",
                                                     "Fracture",         "Support Devices"};

enum { STATE = PFM_LABEL_ENLARGED | PFM_LABEL_NORMAL };
/* Words between a state and the subject that it is of: behind it, and before it. */
enum { REACH_BEHIND = 4, REACH_BEFORE = 8 };
/* Phrases that are looked at to see what begins behind one: a sentence without end must not cost its square. */
enum { LOOK_AHEAD = 50 };

struct pfm_labeller {
    pfm_label_words words;
};

pfm_status pfm_labeller_create(pfm_labeller **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_labeller *labeller = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *labeller, &labeller, err));
    PFM_TRY(pfm_label_words_create(&labeller->words, err));
    *out = labeller;
    labeller = NULL;
done:
    pfm_labeller_free(labeller);
    return status;
}

void pfm_labeller_free(pfm_labeller *labeller)
{
    if (labeller == NULL)
        return;
    pfm_label_words_free(&labeller->words);
    free(labeller);
}

/* Whether a statement of its own begins behind phrase i, a comma, "and" or "with": "no effusion, stable cardiomegaly", but not
 * "no effusion, edema or pneumothorax is seen". */
static bool begins_statement(const pfm_label_words *words, size_t i)
{
    const size_t end = i + LOOK_AHEAD < words->phrase_count ? i + LOOK_AHEAD : words->phrase_count;
    for (i++; i < end; i++) {
        unsigned kinds = words->phrases[i].kinds;
        if ((kinds & (PFM_LABEL_EITHER | PFM_LABEL_MENTION | PFM_LABEL_DENIED | PFM_LABEL_COMMA)) != 0)
            return false;
        if ((kinds & (PFM_LABEL_VERB | PFM_LABEL_ASSERTED | PFM_LABEL_NORMAL)) != 0)
            return true;
    }
    return false;
}

/* Whether doubt goes on behind a comma: "may be edema, atelectasis, or pneumonia". */
static bool goes_on(const pfm_label_words *words, size_t i)
{
    const unsigned listed = PFM_LABEL_MENTION | PFM_LABEL_COMMA | PFM_LABEL_ASSERTED;
    const size_t end = i + LOOK_AHEAD < words->phrase_count ? i + LOOK_AHEAD : words->phrase_count;
    for (i++; i < end && (words->phrases[i].kinds & listed) != 0;)
        i++;
    return i < end && (words->phrases[i].kinds & PFM_LABEL_EITHER) != 0;
}

static void reach_forward(pfm_label_words *words)
{
    bool absent = false, uncertain = false, passed = false;
    for (size_t i = 0; i < words->phrase_count; i++) {
        pfm_label_phrase *phrase = &words->phrases[i];
        bool joint = (phrase->kinds & (PFM_LABEL_COMMA | PFM_LABEL_JOINING | PFM_LABEL_ACCOMPANIED)) != 0;
        if ((phrase->kinds & PFM_LABEL_BARRIER) != 0)
            absent = uncertain = passed = false;
        if (joint && begins_statement(words, i))
            absent = uncertain = passed = false;
        if ((phrase->kinds & PFM_LABEL_COMMA) != 0)
            uncertain = uncertain && goes_on(words, i);
        if ((phrase->kinds & PFM_LABEL_ACCOMPANIED) != 0)
            uncertain = false;
        absent |= (phrase->kinds & PFM_LABEL_DENIED) != 0;
        uncertain |= (phrase->kinds & PFM_LABEL_DOUBTED) != 0;
        passed |= (phrase->kinds & PFM_LABEL_PASSED) != 0;
        phrase->absent = absent;
        phrase->uncertain = uncertain;
        phrase->passed = passed;
    }
}

/* "X is seen, effusion and edema are not": the verb next to the cue is the cue's, the one before ends its reach. */
static void reach_back(pfm_label_words *words)
{
    bool absent = false, uncertain = false, near = false;
    for (size_t i = words->phrase_count; i-- > 0;) {
        pfm_label_phrase *phrase = &words->phrases[i];
        unsigned kinds = phrase->kinds;
        bool verb = (kinds & PFM_LABEL_VERB) != 0;
        if ((kinds & (PFM_LABEL_BARRIER | PFM_LABEL_DENIED | PFM_LABEL_DOUBTED)) != 0 || (verb && !near))
            absent = uncertain = false;
        near = near && verb;
        if ((kinds & (PFM_LABEL_DENIED_BEHIND | PFM_LABEL_DOUBTED_BEHIND)) != 0) {
            absent = (kinds & PFM_LABEL_DENIED_BEHIND) != 0;
            uncertain = !absent;
            near = true;
        }
        phrase->absent |= absent && (kinds & PFM_LABEL_MENTION) != 0;
        phrase->uncertain |= uncertain && (kinds & PFM_LABEL_MENTION) != 0;
    }
}

/* "Atelectasis or pneumonia" asserts neither. */
static void doubt_alternatives(pfm_label_words *words)
{
    for (size_t i = 0; i < words->phrase_count; i++) {
        size_t before = i, behind = i + 1;
        if ((words->phrases[i].kinds & PFM_LABEL_EITHER) == 0)
            continue;
        while (before > 0 && words->phrases[before - 1].kinds == PFM_LABEL_ASSERTED)
            before--;
        while (behind < words->phrase_count && words->phrases[behind].kinds == PFM_LABEL_ASSERTED)
            behind++;
        if (before == 0 || behind == words->phrase_count || (words->phrases[before - 1].kinds & PFM_LABEL_MENTION) == 0 ||
            (words->phrases[behind].kinds & PFM_LABEL_MENTION) == 0)
            continue;
        words->phrases[before - 1].uncertain = words->phrases[behind].uncertain = true;
    }
}

static void tell(pfm_labels *labels, unsigned findings, pfm_label label)
{
    for (size_t f = 0; f < PFM_FINDINGS; f++) {
        if ((findings >> f & 1) != 0 && labels->of[f] < label)
            labels->of[f] = label;
    }
}

static pfm_label label_of(const pfm_label_phrase *phrase)
{
    return phrase->absent ? PFM_LABEL_ABSENT : phrase->uncertain ? PFM_LABEL_UNCERTAIN : PFM_LABEL_PRESENT;
}

/* "No enlargement" is absent as "normal" is; "not normal" says no more than that something is. */
static pfm_label label_of_state(const pfm_label_words *words, size_t i)
{
    const pfm_label_phrase *state = &words->phrases[i];
    if ((state->kinds & PFM_LABEL_ENLARGED) != 0)
        return label_of(state);
    bool denied = i > 0 && (state[-1].kinds & PFM_LABEL_DENIED) != 0 && state[-1].last == state->first;
    return denied || state->uncertain ? PFM_LABEL_UNCERTAIN : PFM_LABEL_ABSENT;
}

static void claim(pfm_label_phrase *subject, const pfm_label_phrase *state, pfm_label label, pfm_labels *labels)
{
    unsigned findings = subject->findings & state->findings;
    subject->used = true;
    if (findings == PFM_LABEL_LUNGS)
        findings = label == PFM_LABEL_ABSENT ? 1U << PFM_LUNG_OPACITY : 0;
    if (!state->passed)
        tell(labels, findings, label);
}

/* The subjects before a state, the nearest first, until the verb of another. false where there is none that is free. */
static bool claim_before(pfm_label_words *words, size_t i, pfm_label label, pfm_labels *labels)
{
    pfm_label_phrase *state = &words->phrases[i];
    bool found = false, large = (state->kinds & PFM_LABEL_ENLARGED) != 0;
    for (size_t k = i; k-- > 0;) {
        pfm_label_phrase *phrase = &words->phrases[k];
        if ((phrase->kinds & (STATE | PFM_LABEL_BARRIER | PFM_LABEL_MENTION)) != 0 ||
            (found && (phrase->kinds & PFM_LABEL_VERB) != 0) || (large && phrase->last + REACH_BEFORE < state->first))
            break;
        if ((phrase->kinds & PFM_LABEL_SUBJECT) == 0)
            continue;
        if (phrase->used || (large && !found && phrase->findings == 0))
            break; /* "heart size is stable, the aorta prominent" */
        claim(phrase, state, label, labels);
        found = true;
    }
    return found;
}

static void claim_behind(pfm_label_words *words, size_t i, pfm_label label, pfm_labels *labels)
{
    size_t from = words->phrases[i].last;
    for (size_t k = i + 1; k < words->phrase_count; k++) {
        pfm_label_phrase *phrase = &words->phrases[k];
        if ((phrase->kinds & (STATE | PFM_LABEL_BARRIER | PFM_LABEL_VERB | PFM_LABEL_COMMA | PFM_LABEL_MENTION)) != 0 ||
            phrase->first > from + REACH_BEHIND)
            break;
        if ((phrase->kinds & PFM_LABEL_SUBJECT) == 0)
            continue;
        claim(phrase, &words->phrases[i], label, labels);
        from = phrase->last;
    }
}

static void read_sentence(pfm_label_words *words, pfm_labels *labels)
{
    reach_forward(words);
    reach_back(words);
    doubt_alternatives(words);
    for (size_t i = 0; i < words->phrase_count; i++) {
        const pfm_label_phrase *phrase = &words->phrases[i];
        if ((phrase->kinds & PFM_LABEL_MENTION) != 0 && !phrase->passed)
            tell(labels, phrase->findings, label_of(phrase));
        if ((phrase->kinds & STATE) == 0)
            continue;
        pfm_label label = label_of_state(words, i);
        if (!claim_before(words, i, label, labels))
            claim_behind(words, i, label, labels);
    }
}

pfm_status pfm_labels_add(pfm_labeller *labeller, const char *text, pfm_labels *labels, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_label_words *words = &labeller->words;
    bool more = true, said = labels->of[PFM_NO_FINDING] != PFM_LABEL_NONE, found = false;
    PFM_TRY(pfm_label_words_begin(words, text, err));
    while (more) {
        PFM_TRY(pfm_label_words_next(words, &more, err));
        said |= more;
        if (more)
            read_sentence(words, labels);
    }
    for (size_t f = PFM_NO_FINDING + 1; f < PFM_FINDINGS; f++)
        found |= f != PFM_SUPPORT_DEVICES && labels->of[f] >= PFM_LABEL_UNCERTAIN;
    labels->of[PFM_NO_FINDING] = !said ? PFM_LABEL_NONE : found ? PFM_LABEL_ABSENT : PFM_LABEL_PRESENT;
done:
    return status;
}

pfm_status pfm_labels_of_row(pfm_labeller *labeller, const pfm_answer_set *set, const pfm_answer_row *row,
                             pfm_labels *reference, pfm_labels *prediction, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *reference = *prediction = (pfm_labels){0};
    for (size_t r = 0; r < row->reference_count; r++)
        PFM_TRY(pfm_labels_add(labeller, pfm_answer_references(set, row)[r], reference, err));
    PFM_TRY(pfm_labels_add(labeller, row->prediction, prediction, err));
done:
    return status;
}

pfm_status pfm_labels_write(const pfm_labels *labels, json_t **out, pfm_error *err)
{
    static const int numbers[] = {[PFM_LABEL_ABSENT] = 0, [PFM_LABEL_UNCERTAIN] = -1, [PFM_LABEL_PRESENT] = 1};
    json_t *object = json_object();
    bool good = object != NULL;
    for (size_t f = 0; f < PFM_FINDINGS && good; f++) {
        bool none = labels->of[f] == PFM_LABEL_NONE;
        good =
            json_object_set_new(object, pfm_finding_names[f], none ? json_null() : json_integer(numbers[labels->of[f]])) == 0;
    }
    if (!good) {
        json_decref(object);
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the labels of a text");
    }
    *out = object;
    return PFM_OK;
}
