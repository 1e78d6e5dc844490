/* Words that keep a full stop behind them, and what may begin a sentence behind a single letter's. */
#ifndef PFM_EVAL_PTB_TABLE_H
#define PFM_EVAL_PTB_TABLE_H

/* In any case of letters. */
static const char *const ptb_abbreviations[] = {
    "adj",  "adm",     "adv",  "al",   "ala",  "alex",   "apr",  "ariz",  "assn", "assoc", "asst", "atty", "attys", "aug",
    "ave",  "bancorp", "bhd",  "bldg", "blvd", "brig",   "bros", "calif", "capt", "cf",    "cie",  "cmdr", "co",    "col",
    "colo", "comdr",   "conn", "corp", "cos",  "cpl",    "ct",   "dak",   "dec",  "dept",  "det",  "dr",   "drs",   "elec",
    "ens",  "esq",     "est",  "etc",  "ext",  "feb",    "fla",  "fri",   "ft",   "ga",    "gen",  "gov",  "govs",  "hon",
    "inc",  "ind",     "insp", "intl", "invt", "jan",    "jos",  "jr",    "jul",  "jun",   "kan",  "kans", "ky",    "lieut",
    "lt",   "ltd",     "maj",  "mar",  "md",   "messrs", "mich", "minn",  "mlle", "mme",   "mo",   "mon",  "mont",  "mr",
    "mrs",  "ms",      "msgr", "mt",   "natl", "neb",    "nev",  "nov",   "oct",  "okla",  "penn", "pfc",  "plc",   "pres",
    "prof", "profs",   "pvt",  "rd",   "rep",  "reps",   "rev",  "rt",    "sen",  "sens",  "sep",  "sept", "seq",   "sfc",
    "sgt",  "spc",     "sq",   "sr",   "st",   "ste",    "supt", "supts", "sys",  "tel",   "tenn", "thu",  "thurs", "treas",
    "tue",  "tues",    "univ", "va",   "vs",   "vt",     "wed",  "wis",   "wisc", "wm",    "wyo",
};
/* With a capital. */
static const char *const ptb_capital_abbreviations[] = {"ark", "del", "ill", "la", "mass", "miss", "ore", "pa", "tex", "wash"};
/* Written so, and no other way. */
static const char *const ptb_exact_abbreviations[] = {"Mfg", "Mtg", "Pte", "Pty", "Ptys"};
/* Before a number. */
static const char *const ptb_number_abbreviations[] = {"art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"};

static const char *const ptb_sentence_starters[] = {
    "A",    "About", "According", "Additionally", "After", "An", "As",   "At",   "But",   "Earlier", "He",
    "Her",  "Here",  "However",   "If",           "In",    "It", "Last", "Many", "More",  "Now",     "Once",
    "One",  "Other", "Our",       "She",          "Since", "So", "Some", "Such", "That",  "The",     "Their",
    "Then", "There", "These",     "They",         "This",  "We", "What", "When", "While", "Yet",     "You",
};

#endif
