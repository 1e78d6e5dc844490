/* The vocabulary of pefomed-rules: X(kind, findings, "patterns, separated by commas").
 *
 * A pattern is words in lower case; `*` ends a beginning of a word, `a/b` is either. Of patterns that fit at a word the one
 * with the most words counts (equal ones together, IGNORED alone), and what it took is not looked at again. Kinds stand
 * in label_words.h; docs/labels.md says what is done with them. */
/* clang-format off */
#define HEART BIT(CARDIOMEGALY)
#define LUNGS PFM_LABEL_LUNGS /* what is clear, but never enlarged */
#define MEDIASTINUM BIT(ENLARGED_CARDIOMEDIASTINUM)
#define PFM_LABEL_TABLE(X)                                                                                                     \
    /* ---- what looks like a finding and is none ---- */                                                                      \
    X(IGNORED, 0, "pericardial effusion*, pericardial mass*, joint effusion*, age indeterminate, age indeterminant, considering, "                            \
                  "granulomatous infection*, granulomatous disease*, could be followed, could be further, may be followed, "   \
                  "mediastinal adenopathy, mediastinal lymphadenopathy, mediastinal granuloma*, mediastinal mass*, mass effect*, bone densit*, bony densit*, soft tissue densit*, "    \
                  "soft tissue mass*, breast mass*, thyroid mass*, thyroid nodule*, breast densit*, calcific densit*, "        \
                  "osseous densit*, metallic densit*, breast shadow*, nipple shadow*, vertebral collapse, vertebral body collapse, "            \
                  "collapse* vertebra*, biliary stent*, soft tissue edema, subcutaneous edema, "      \
                  "mineral densit*, bone mineral densit*, contrast densit*, air densit*, venous line*, lymph node*, mediastinal line*, "       \
                  "opacif* gallstone*, fibrous, scar* of breast, free of motion, air collection under, mediastinal lymph*")    \
    /* ---- findings ---- */                                                                                                   \
    X(MENTION, HEART, "cardiomegal*, cardiac enlargement, heart enlargement, ventricular enlargement, atrial enlargement, "    \
                      "cardiac hypertrophy, biventricular enlargement, chamber enlargement")                                   \
    X(MENTION, MEDIASTINUM, "mediastinal widening, mediastinal enlargement, mediastinal prominence, mediastinal fullness, "    \
                            "widening of mediastinum")                                                                         \
    X(MENTION, BIT(LUNG_LESION), "nodul*, mass, masses, tumor*, tumour*, neoplas*, malignan*, carcinoma*, cancer*, "           \
                                 "metasta*, cavitary, cavitation*, cavity, nodular opacit*, nodular densit*, "                 \
                                 "lung lesion*, pulmonary lesion*, parenchymal lesion*, cavitary lesion*, lung/pulmonary mass*")                     \
    X(MENTION, BIT(LUNG_OPACITY), "opacit*, opacif*, infiltrat*, airspace/interstitial disease*, air space disease*, "         \
                                  "airspace/interstitial process*, air space process*, densit*, "       \
                                  "interstitial prominence, interstitial pattern*, interstitial thickening, "                  \
                                  "interstitial change*, interstitial lung disease, interstitial abnormalit*, "                \
                                  "reticul*, scar, scars, scarring, "    \
                                  "scarred, fibros*, fibrotic, ground glass, groundglass, haziness, hazy, haze, "              \
                                  "peribronchial thickening, peribronchial cuffing, bronchial thickening, "                    \
                                  "bronchial wall thickening, bronchial cuffing, opaque, white out, whiteout, pneumonitis, "                \
                                  "parenchymal disease*, airspace/parenchymal/alveolar/pulmonary abnormalit*, "                \
                                  "fibronodular, silhouetting")                                                                \
    X(MENTION, BIT(EDEMA), "edema*, oedema*, vascular/pulmonary/venous/pulmonary congestion, pulmonary vascular congestion, "  \
                           "pulmonary venous congestion, congestive heart failure, congestive failure, heart failure, chf, "   \
                           "congestive change*, congestion, volume overload, fluid overload, cephalization, kerley, b line*, kerley b line*, "          \
                           "pulmonary venous hypertension, vascular engorgement, vascular prominence, "                        \
                           "vascular redistribution, cardiac decompensation, cardiac failure")                                 \
    X(MENTION, BIT(CONSOLIDATION), "consolidat*, airspace consolidation*, air space consolidation*, opacity/infiltrate consolidation*")        \
    X(MENTION, BIT(PNEUMONIA), "pneumoni*, bronchopneumoni*, infect*, infectious process*, infectious infiltrat*")             \
    X(MENTION, BIT(ATELECTASIS), "atelec*, atalec*, collaps*")                                                                 \
    X(MENTION, BIT(PNEUMOTHORAX), "pneumothora*, pneumothroax, hydropneumothora*, pleural air, pleural air collection*")       \
    X(MENTION, BIT(PLEURAL_EFFUSION), "effusion*, pleural effusion*, pleural fluid, fluid collection*, hemothora*, haemothora*, "    \
                                      "hydrothora*, empyema*, effussion*, pleural space fluid")                                \
    X(MENTION, BIT(PLEURAL_OTHER), "pleural thickening*, pleural plaque*, pleural scar*, pleural fibros*, fibrothora*, "       \
                                   "pleural calcification*, apical cap*, pleural parenchymal, pleuroparenchymal, "             \
                                   "thickening of pleura*, pleural lesion*, pleural mass*, pleural nodul*, pleural based, "    \
                                   "biapical/apical/apical pleural thickening, pleural disease, pleural reaction, "            \
                                   "pleural abnormalit*, pleural opacit*, pleural densit*, pleural tag*")                      \
    X(MENTION, BIT(FRACTURE), "fractur*, compression deformit*, wedge deformit*, compression fractur*, fx")                    \
    X(MENTION, BIT(SUPPORT_DEVICES), "pacemaker*, pacer*, pacing, icd, aicd, defibrillator*, catheter*, picc*, "               \
                                     "central line*, central venous line*, picc line*, subclavian line*, jugular line*, ij line*, "           \
                                     "lines, port, ports, portacath*, mediport*, infusaport*, chest port*, tube, tubes, "      \
                                     "endotracheal, nasogastric, tracheostomy, stent*, wires, wire, lead, leads, "             \
                                     "prosthetic/artificial/mechanical valve*, valve replacement*, valve prosthes*, prosthe*, "                  \
                                     "hardware, screw*, plate, plates, arthroplast*, drain, drains, coil, coils, "             \
                                     "device*, cannula*, swan ganz, balloon pump, lvad, stimulator*, tips, "                   \
                                     "ivc filter*, cava* filter*, filter, fixation rod*, spinal rods, orthopedic, "            \
                                     "fusion rod*, anchor, anchors, annuloplasty, loop recorder")                              \
    /* ---- subjects, which a state makes a finding ---- */                                                                    \
    X(SUBJECT, HEART, "heart, cardiac, heart size, cardiac size, cardiac silhouette, heart silhouette, cardiac contour*, "     \
                      "cardiac shadow, heart shadow, cardiopericardial silhouette, cardiac and heart, ventricle*, atrium")     \
    X(SUBJECT, MEDIASTINUM, "mediastin*, cardiomediastin*, cardio mediastinal, mediastinal contour*, mediastinal silhouette")                  \
    X(SUBJECT, BIT(EDEMA), "vascularity, vasculature, pulmonary vessel*, pulmonary vascular*, vascular pattern, "              \
                           "vascular marking*, pulmonary vascular pattern, pulmonary vascular marking*, vascular margin*")     \
    X(SUBJECT, BIT(LUNG_OPACITY), "marking*, interstitial/bronchovascular/lung/bronchial marking*, interstitium")               \
    X(SUBJECT, LUNGS, "lung, lungs, lung field*, lung parenchyma")                                                 \
    X(SUBJECT, BIT(PLEURAL_EFFUSION), "costophrenic angle*, costophrenic sulc*, pleural space*, posterior sulci")              \
    X(SUBJECT, 0, "aort*, thoracic aort*, hilar, hila, hilum, pulmonary arter*, hernia*, trachea*, bone*, bony, osseous, "     \
                  "lung volume*, diaphragm*, hemidiaphragm*, spine, soft tissue*, skeletal, ribs, lucency, air, node*, lymph, "      \
                  "granuloma*, adenopathy, lymphadenopathy, fat, vascular pedicle")        \
    /* ---- states ---- */                                                                                                     \
    X(ENLARGED, HEART | MEDIASTINUM | BIT(EDEMA) | BIT(LUNG_OPACITY), "prominent, prominence, increased, borderline")            \
    X(ENLARGED, HEART | MEDIASTINUM, "enlarged, enlargement, enlarging, widened, widening, wide, increased in size, large, "   \
                                     "larger, generous, dilated, dilatation, big, fullness")                                   \
    X(ENLARGED, BIT(EDEMA), "engorged, congested, indistinct, engorgement, cephalized, redistributed, indistinctness")         \
    X(ENLARGED, BIT(LUNG_OPACITY), "coarse*, accentuat*, thickened, exaggerat*")                                               \
    X(NORMAL, HEART | MEDIASTINUM | BIT(EDEMA) | BIT(LUNG_OPACITY) | LUNGS | BIT(PLEURAL_EFFUSION),                                    \
      "normal, normal limits, within normal limits, within limits of normal, unremarkable, limits of normal, clear, "          \
      "upper limits of normal, upper limit of normal, upper normal, top normal, not remarkable, "                              \
      "sharp, not enlarged, nonenlarged, not dilated, not widened")                    \
    /* ---- cues ---- */                                                                                                       \
    X(DENIED, 0, "no, not, without, w o, absence of, absent, negative for, free of, clear of, free from, denies, nor, "        \
                 "neither, never, no longer, resolved, resolution of, rather than, instead of, ruled out for, none, "                     \
                 "clearing of, removal of, interval removal of, not have, removed")                                            \
    X(DENIED_BEHIND, 0, "not seen, not identified, not visualized, not present, not demonstrated, not evident, "               \
                        "not appreciated, not noted, not apparent, not detected, not visible, not definitely seen, "           \
                        "not well seen, not definitely identified, absent, ruled out, excluded, resolved, removed, has resolved, "      \
                        "have resolved, no longer seen, no longer present, no longer identified, no longer visualized, "       \
                        "no longer evident, has cleared, have cleared, cleared, not been seen, been removed")                  \
    X(DOUBTED, 0, "may, might, could, possibl*, probabl*, presum*, suspicious for, suspicion of, suspicion for, suspect*, "    \
                  "question, questionable, question of, query, equivocal, suggest*, concern*, concern for, likely, "           \
                  "unlikely, less likely, more likely, worrisome for, difficult to completely exclude, cannot exclude, cannot entirely exclude, can not exclude, "  \
                  "cannot rule out, not exclude, not excluding, not entirely exclude, not completely exclude, rule out, "      \
                  "r o, to exclude, evaluate for, differential, consider*, borderline, versus, vs, indeterminate, "            \
                  "perhaps, potential*, favor*, correlat*, difficult to exclude")         \
    X(DOUBTED_BEHIND, 0, "cannot be excluded, cannot be ruled out, cannot be entirely excluded, not excluded, "                \
                         "cannot be completely excluded, can not be excluded, not entirely excluded, not be excluded, "        \
                         "not be entirely excluded, not be completely excluded, is possible, are possible, "        \
                         "is suspected, are suspected, questioned, is likely, are likely, "            \
                         "is considered, are considered, is unlikely, are unlikely, less likely, not been excluded, "          \
                         "may be present, could be present, might be present, could be considered, should be considered")      \
    X(PASSED, 0, "history of, history, hx of, h o, prior history of, evaluation for, evaluation of, evaluate, indication")                    \
    X(IGNORED, 0, "no change, no significant change, no interval change, no significant interval change, without change, "     \
                  "no increase, no decrease, no improvement, no substantial change, no definite change, not changed, "         \
                  "not significantly changed, without significant change, without significant interval change, without interval change, no appreciable change, no evidence of change, "      \
                  "not increased, not decreased, no change since, not only, "             \
                  "no new change, no apparent change, leads to, plate like, septal line*, pleural cavity, thoracic cavity, not well, not optimally, cannot be, no comparison")           \
    X(BARRIER, 0, "but, however, although, though, except, aside from, apart from, other than, with exception of, which, "     \
                  "otherwise, whereas, while, yet, still, because, since, as well as, besides, then, with exception")        \
    X(JOINING, 0, "and")                                                                                                       \
    X(ACCOMPANIED, 0, "with")                                                                                                 \
    X(EITHER, 0, "or, versus, vs, and or")                                                                                     \
    X(VERB, 0, "is, are, was, were, has, have, had, there, appear*, seems, remain*, demonstrate*, show, shows")                \
    X(ASSERTED, 0, "stable, mild, mildly, moderate*, minimal*, small, tiny, patchy, streaky, linear, left, right, bilateral, " \
                   "bibasilar, again, scattered, calcified, degenerative, unchanged, persistent, chronic, slight*, "           \
                   "subtle, trace, healed, old, remote, postsurgical, postoperative, low, interval, multiple, redemonstrat*, " \
                   "improving, worsening, increasing, decreasing, decreased, new, severe, the, this, atherosclero*, "          \
                   "tortuous, some, several, few, diffuse, basilar, biapical, apical")
/* clang-format on */
