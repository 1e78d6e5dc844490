/* Errors: every fallible function returns a pfm_status and takes a pfm_error last.
 *
 * A pfm_error holds one sentence that a person can act on: what is wrong, where (file, line, byte, tensor or tag) and what
 * would mend it. The first error wins: setting an error that is already set changes nothing. NULL is allowed everywhere. */
#ifndef PEFOMED_STATUS_H
#define PEFOMED_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PFM_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define PFM_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PFM_PRINTF(format_index, first_index)
#define PFM_MUST_CHECK
#endif

typedef enum pfm_status {
    PFM_OK = 0,
    PFM_ERROR_USAGE,       /* the caller asked for something that cannot be: a bad option, recipe key, rank */
    PFM_ERROR_NO_MEMORY,   /* an allocation failed */
    PFM_ERROR_IO,          /* the operating system refused a file: missing, unreadable, disk full */
    PFM_ERROR_FORMAT,      /* a file or message does not hold what its format demands */
    PFM_ERROR_UNSUPPORTED, /* well-formed, but this program cannot handle it */
    PFM_ERROR_MISMATCH,    /* two things that must agree do not: shapes, names, hashes */
    PFM_ERROR_NETWORK,     /* a transfer failed */
    PFM_ERROR_INTERRUPTED, /* the user stopped it; what was promised to be saved is saved */
    PFM_ERROR_NUMERIC      /* a loss or gradient is not finite */
} pfm_status;

typedef struct pfm_error {
    pfm_status code;
    char message[1000]; /* one line, no trailing newline, UTF-8 */
} pfm_error;

#define PFM_ERROR_INIT                                                                                                         \
    {                                                                                                                          \
        PFM_OK, { 0 }                                                                                                          \
    }

/* Records `code` and the formatted sentence in err unless err is NULL or already set. Newlines become spaces.
 * Returns code, so that `return pfm_error_set(...)` reads well. */
pfm_status pfm_error_set(pfm_error *err, pfm_status code, const char *format, ...) PFM_PRINTF(3, 4);

/* The enum's name in lower case ("format"), a static string. */
const char *pfm_status_name(pfm_status code);

#ifdef __cplusplus
}
#endif
#endif
