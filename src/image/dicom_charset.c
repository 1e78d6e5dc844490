#include "image/dicom_charset.h"

#include "base/memory.h"
#include "base/try.h"
#include "base/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE = 0x1B, UPPER = 0x80, MOST_BYTES = 8 };

/* A set of characters as code extensions designate it. Its characters are those of an encoding that iconv knows, in which all
 * their bytes are upper ones, behind a prefix that tells the set from the others there. */
typedef struct repertoire {
    const char *number; /* behind "ISO_IR " or "ISO 2022 IR " */
    const char *escape; /* behind ESC */
    const char *encoding, *prefix;
    bool upper; /* it is G1, else G0 */
    int bytes;  /* of a character */
} repertoire;

static const repertoire repertoires[] = {
    {"6", "(B", NULL, "", false, 1},
    {"", "(J", NULL, "", false, 1}, /* of the set 13; as ASCII, but for two characters */
    {"13", ")I", "EUC-JP", "\x8E", true, 1},
    {"87", "$B", "EUC-JP", "", false, 2},
    {"87", "$@", "EUC-JP", "", false, 2}, /* its edition of 1978, which DICOM does not name and files use */
    {"159", "$(D", "EUC-JP", "\x8F", false, 2},
    {"149", "$)C", "EUC-KR", "", true, 2},
    {"58", "$)A", "EUC-CN", "", true, 2},
    {"100", "-A", "ISO-8859-1", "", true, 1},
    {"101", "-B", "ISO-8859-2", "", true, 1},
    {"109", "-C", "ISO-8859-3", "", true, 1},
    {"110", "-D", "ISO-8859-4", "", true, 1},
    {"144", "-L", "ISO-8859-5", "", true, 1},
    {"127", "-G", "ISO-8859-6", "", true, 1},
    {"126", "-F", "ISO-8859-7", "", true, 1},
    {"138", "-H", "ISO-8859-8", "", true, 1},
    {"148", "-M", "ISO-8859-9", "", true, 1},
    {"203", "-b", "ISO-8859-15", "", true, 1},
    {"166", "-T", "TIS-620", "", true, 1},
};
enum { REPERTOIRES = sizeof repertoires / sizeof *repertoires, ASCII = 0, ROMAN = 1, NONE = -1 };

/* Sets that stand alone: their bytes are an encoding, whatever escapes and delimiters there are. */
static const struct {
    const char *term, *encoding;
} whole[] = {{"ISO_IR 192", "UTF-8"}, {"ISO 2022 IR 192", "UTF-8"}, {"GB18030", "GB18030"}, {"GBK", "GBK"}};

/* ---- terms ---- */

typedef struct term {
    char text[20];
    int repertoire;       /* NONE: none */
    const char *encoding; /* NULL: it does not stand alone */
} term;

/* Reads the next one, passes over it and the \ behind it; false for one that is not defined. */
static bool read_term(const char **at, term *out)
{
    size_t length = strcspn(*at, "\\");
    const char *begin = *at;
    *at += length + (begin[length] == '\\');
    while (length > 0 && begin[length - 1] == ' ')
        length--;
    *out = (term){.repertoire = NONE};
    if (length >= sizeof out->text)
        return false;
    memcpy(out->text, begin, length);
    if (length == 0)
        out->repertoire = ASCII;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        if (strcmp(out->text, whole[i].term) == 0)
            out->encoding = whole[i].encoding;
    }
    const char *number = strncmp(out->text, "ISO_IR ", 7) == 0         ? out->text + 7
                         : strncmp(out->text, "ISO 2022 IR ", 12) == 0 ? out->text + 12
                                                                       : "";
    for (int i = 0; i < REPERTOIRES && out->repertoire == NONE && number[0] != '\0'; i++) {
        if (strcmp(number, repertoires[i].number) == 0)
            out->repertoire = i;
    }
    return out->repertoire != NONE || out->encoding != NULL;
}

bool pfm_charset_is_defined(const char *sets)
{
    term next;
    bool more = true;
    while (more) {
        const char *begin = sets;
        if (!read_term(&sets, &next))
            return false;
        more = sets > begin && sets[-1] == '\\';
    }
    return true;
}

/* ---- converting ---- */

typedef struct conversion {
    const char *vr;
    int first[2], now[2];        /* which repertoire is G0, and G1 */
    iconv_t opened[REPERTOIRES]; /* (iconv_t)-1: not yet */
    const char *value;           /* all of it, for places */
    pfm_buffer out;
} conversion;

static pfm_status refuse(const conversion *c, const char *at, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "its byte %zu %s", (size_t)(at - c->value) + 1, what);
}

static pfm_status open_encoding(const char *encoding, iconv_t *out, pfm_error *err)
{
    *out = iconv_open("UTF-8", encoding);
    if (*out != (iconv_t)-1)
        return PFM_OK;
    if (errno == ENOMEM)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not convert a text");
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this system has no converter from %s; install its C library's whole",
                         encoding);
}

/* Appends what the bytes [count] at `at` mean in a repertoire. */
static pfm_status append_character(conversion *c, int set, const char *at, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const repertoire *r = &repertoires[set];
    char in[MOST_BYTES], out[MOST_BYTES], *from = in, *to = out;
    size_t left = strlen(r->prefix), room = sizeof out;
    memcpy(in, r->prefix, left);
    for (size_t i = 0; i < count; i++)
        in[left++] = (char)((unsigned char)at[i] | UPPER);
    if (c->opened[set] == (iconv_t)-1)
        PFM_TRY(open_encoding(r->encoding, &c->opened[set], err));
    (void)iconv(c->opened[set], NULL, NULL, NULL, NULL);
    const bool converted = iconv(c->opened[set], &from, &left, &to, &room) != (size_t)-1 && left == 0;
    if (!converted || (unsigned char)out[0] < UPPER) /* the letters of ASCII are no others', nor are its delimiters */
        PFM_FAIL(PFM_ERROR_FORMAT, "its byte %zu begins no character of its set", (size_t)(at - c->value) + 1);
    status = pfm_buffer_append(&c->out, out, (size_t)(to - out), err);
done:
    return status;
}

/* Where the first set holds again (PS3.5, 6.1.2.5.3): behind control characters and what divides a value. */
static bool ends_extension(const conversion *c, char at)
{
    const bool text = strcmp(c->vr, "LT") == 0 || strcmp(c->vr, "ST") == 0 || strcmp(c->vr, "UT") == 0;
    return ((unsigned char)at < ' ') || (at == '\\' && !text) || ((at == '^' || at == '=') && strcmp(c->vr, "PN") == 0);
}

static pfm_status convert_lower(conversion *c, const char **at, pfm_error *err)
{
    const char *begin = *at;
    const int set = c->now[0];
    if (repertoires[set].bytes > 1 && *begin > ' ' && *begin < 127) {
        if (begin[1] <= ' ' || begin[1] >= 127) /* signed or not: upper bytes are below or above */
            return refuse(c, begin, "begins a character that is cut", err);
        *at += 2;
        return append_character(c, set, begin, 2, err);
    }
    (*at)++;
    if (ends_extension(c, *begin))
        memcpy(c->now, c->first, sizeof c->now);
    else if (set == ROMAN && *begin == '\\')
        return pfm_buffer_append_string(&c->out, "\xC2\xA5", err); /* yen */
    else if (set == ROMAN && *begin == '~')
        return pfm_buffer_append_string(&c->out, "\xE2\x80\xBE", err); /* overline */
    return pfm_buffer_append(&c->out, begin, 1, err);
}

static pfm_status convert_upper(conversion *c, const char **at, pfm_error *err)
{
    const char *begin = *at;
    const int set = c->now[1];
    if (set == NONE)
        return refuse(c, begin, "is of none of its sets", err);
    const size_t bytes = (size_t)repertoires[set].bytes;
    if (bytes > 1 && (unsigned char)begin[1] < UPPER)
        return refuse(c, begin, "begins a character that is cut", err);
    *at += bytes;
    return append_character(c, set, begin, bytes, err);
}

static pfm_status switch_set(conversion *c, const char **at, pfm_error *err)
{
    for (int i = 0; i < REPERTOIRES; i++) {
        const size_t length = strlen(repertoires[i].escape);
        if (strncmp(*at + 1, repertoires[i].escape, length) == 0) {
            c->now[repertoires[i].upper] = i;
            *at += 1 + length;
            return PFM_OK;
        }
    }
    return refuse(c, *at, "begins an escape sequence that DICOM does not have", err);
}

static pfm_status convert_extended(conversion *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    memcpy(c->now, c->first, sizeof c->now);
    for (const char *at = c->value; *at != '\0';) {
        if (*at == ESCAPE)
            PFM_TRY(switch_set(c, &at, err));
        else if ((unsigned char)*at < UPPER)
            PFM_TRY(convert_lower(c, &at, err));
        else
            PFM_TRY(convert_upper(c, &at, err));
    }
done:
    return status;
}

static pfm_status convert_whole(conversion *c, const char *encoding, pfm_error *err)
{
    pfm_status status = PFM_OK;
    iconv_t converter = (iconv_t)-1;
    char *from = (char *)(uintptr_t)c->value, piece[256];
    size_t left = strlen(c->value);
    if (strchr(c->value, ESCAPE) != NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "its byte %zu begins an escape sequence, which its set has none of",
                 (size_t)(strchr(c->value, ESCAPE) - c->value) + 1);
    PFM_TRY(open_encoding(encoding, &converter, err));
    while (left > 0) {
        char *to = piece;
        size_t room = sizeof piece;
        const bool stopped = iconv(converter, &from, &left, &to, &room) == (size_t)-1;
        if (stopped && errno != E2BIG)
            PFM_FAIL(PFM_ERROR_FORMAT, "its byte %zu begins no character of its set", (size_t)(from - c->value) + 1);
        PFM_TRY(pfm_buffer_append(&c->out, piece, sizeof piece - room, err));
    }
done:
    if (converter != (iconv_t)-1)
        (void)iconv_close(converter);
    return status;
}

/* What the terms say holds first; *encoding = of one that stands alone. */
static bool read_sets(const char *sets, conversion *c, const char **encoding)
{
    int upper = NONE, uppers = 0;
    bool empty = false; /* the first term */
    term next;
    *encoding = NULL;
    for (bool first = true;; first = false) {
        const char *begin = sets;
        if (!read_term(&sets, &next))
            return false;
        if (first ||
            (empty && *encoding == NULL)) /* beside a first set none can stand alone, and what says so is passed over */
            *encoding = next.encoding;
        const bool is_upper = next.repertoire != NONE && repertoires[next.repertoire].upper;
        if (first) {
            empty = next.text[0] == '\0';
            c->first[0] = is_upper && strcmp(repertoires[next.repertoire].escape, ")I") == 0 ? ROMAN : ASCII;
            c->first[1] = is_upper ? next.repertoire : NONE;
        }
        if (is_upper && next.repertoire != upper) {
            upper = next.repertoire;
            uppers++;
        }
        if (sets == begin || sets[-1] != '\\')
            break;
    }
    if (c->first[1] == NONE && uppers == 1) /* files leave the escape sequence out */
        c->first[1] = upper;
    return true;
}

pfm_status pfm_charset_convert(const char *sets, const char *vr, const char *value, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    conversion c = {.vr = vr, .value = value};
    const char *encoding = NULL;
    for (int i = 0; i < REPERTOIRES; i++)
        c.opened[i] = (iconv_t)-1;
    if (!read_sets(sets, &c, &encoding))
        PFM_FAIL(PFM_ERROR_FORMAT, "its character set is none that DICOM has");
    if (encoding != NULL)
        PFM_TRY(convert_whole(&c, encoding, err));
    else
        PFM_TRY(convert_extended(&c, err));
    PFM_TRY(pfm_buffer_append(&c.out, "", 1, err));
    *out = c.out.data;
    c.out = (pfm_buffer){0};
done:
    for (int i = 0; i < REPERTOIRES; i++) {
        if (c.opened[i] != (iconv_t)-1)
            (void)iconv_close(c.opened[i]);
    }
    pfm_buffer_free(&c.out);
    return status;
}
