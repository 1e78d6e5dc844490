/* Structured reports: DICOM files that tell an archive what was written about images of it (PS3.3, A.35.1 and A.35.2). They
 * carry the images' patient and study, which nothing else does that this library writes. docs/sr.md says what is in them. */
#ifndef PEFOMED_SR_H
#define PEFOMED_SR_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_sr_image {
    const char *path;  /* a DICOM file; of one in memory what errors call it */
    int frame;         /* that was looked at, from 0 */
    const void *bytes; /* [size] NULL, or the file itself */
    size_t size;
} pfm_sr_image;

/* The images that a report will be about. */
typedef struct pfm_sr pfm_sr;

/* Reads whose images they are, before there is a report. FORMAT: a file that is no DICOM file, or that lacks one of the four
 * UIDs by which a report refers to it; MISMATCH: images of two studies, or of two patients. No error says what a file holds of
 * a patient. The caller calls pfm_sr_free; everything is copied. */
pfm_status pfm_sr_open(const pfm_sr_image *images, size_t count, pfm_sr **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_sr_free(pfm_sr *sr);

typedef struct pfm_sr_text {
    const char *kind;       /* "basic" or "enhanced"; NULL: basic */
    const char *request;    /* what was asked, in UTF-8; NULL or "": nothing */
    const char *indication; /* why the images were taken; NULL or "": not known */
    const char *answer;     /* what was written; parts that begin "FINDINGS:", "IMPRESSION:", ... become sections */
    bool complete;          /* false: it was cut at its longest */
    const char *observer;   /* "Family^Given": who verifies it, whom it names (PS3.3, C.17.2); NULL: nobody, it is UNVERIFIED */
    const char *organization; /* of the observer */
    int64_t verified;         /* when, in seconds since 1970 */
    const char *language;     /* "en", "pt-BR": of the answer; NULL: English where it is ASCII, else not told */
    const char *home;         /* a context's: the salt there makes the UID of this installation, the observer */
    bool dated;               /* false: it is of now, and its UIDs are like no others; true: */
    int64_t time;             /* it is of this second since 1970, and the same words about the same images get the same bytes */
} pfm_sr_text;

/* USAGE for a kind or language that cannot be; NULL is always good. */
pfm_status pfm_sr_check(const char *kind, const char *language, pfm_error *err) PFM_MUST_CHECK;

/* Whether somebody can be named as verifying a report: a person's name (PN: at most 64 characters, up to four ^ between its
 * components, and so behind each of up to two =) and an organization (LO: at most 64 characters), both in UTF-8 without control
 * characters and backslashes. USAGE; nothing of either is in the error. */
pfm_status pfm_sr_check_observer(const char *observer, const char *organization, pfm_error *err) PFM_MUST_CHECK;

/* Writes the report, whole or not at all, in place of what stood there. IO; USAGE: an observer of what is not complete; FORMAT
 * where names are in a character set that cannot be written beside the answer's. */
pfm_status pfm_sr_write(const pfm_sr *sr, const pfm_sr_text *text, const char *path, pfm_error *err) PFM_MUST_CHECK;

/* The same into memory: *bytes [*size], the caller calls free(); `name` is what errors call it. */
pfm_status pfm_sr_make(const pfm_sr *sr, const pfm_sr_text *text, const char *name, unsigned char **bytes, size_t *size,
                       pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
