/* PNG (ISO/IEC 15948), clauses 5 and 11: signature, chunks, textual data. */
#include "image/png_chunks.h"

#include "base/memory.h"
#include "image/orientation.h"

#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>

enum { SIGNATURE = 8, AROUND = 12, MOST_TEXT = 1 << 20 };

typedef struct chunk {
    const unsigned char *type, *data;
    size_t length;
} chunk;

/* The chunk at *at, and *at behind it; false: there is no whole one. */
static bool next_chunk(const unsigned char *bytes, size_t size, size_t *at, chunk *out)
{
    if (*at > size || size - *at < AROUND)
        return false;
    const unsigned char *head = bytes + *at;
    *out = (chunk){.type = head + 4,
                   .data = head + SIGNATURE,
                   .length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]};
    if (out->length > size - *at - AROUND)
        return false;
    *at += AROUND + out->length;
    return true;
}

static bool is_type(const chunk *c, const char *type) { return memcmp(c->type, type, 4) == 0; }

bool pfm_png_is_whole(const unsigned char *bytes, size_t size)
{
    chunk c;
    for (size_t at = SIGNATURE; next_chunk(bytes, size, &at, &c);)
        if (is_type(&c, "IEND"))
            return true;
    return false;
}

/* What is behind the next zero byte, of which *left are there then; NULL: there is none. */
static const unsigned char *skip_string(const unsigned char *from, size_t *left)
{
    const unsigned char *zero = memchr(from, 0, *left);
    if (zero == NULL)
        return NULL;
    *left -= (size_t)(zero + 1 - from);
    return zero + 1;
}

/* The text of a chunk with this keyword, inflated where it is deflated; its end is marked by a zero byte. NULL: it is another
 * chunk, or one that cannot be read. Release with free(). */
static char *read_text(const chunk *c, const char *keyword)
{
    const bool plain = is_type(c, "tEXt"), packed = is_type(c, "zTXt"), international = is_type(c, "iTXt");
    size_t left = c->length, length = 0;
    char *out = NULL;
    if (!(plain || packed || international) || left <= strlen(keyword) || strcmp((const char *)c->data, keyword) != 0)
        return NULL;
    const unsigned char *text = skip_string(c->data, &left);
    const size_t settings = packed ? 1 : international ? 2 : 0; /* its method; whether it is deflated, and its method */
    if (text == NULL || left < settings)
        return NULL;
    const bool deflated = packed || (international && text[0] == 1);
    text += settings;
    left -= settings;
    for (int i = 0; international && i < 2 && text != NULL; i++) /* its language, and the keyword in it */
        text = skip_string(text, &left);
    if (text == NULL || (!deflated && left > MOST_TEXT) ||
        pfm_allocate((deflated ? MOST_TEXT : left) + 1, 1, &out, NULL) != PFM_OK)
        return NULL;
    if (!deflated) {
        memcpy(out, text, left);
        return out;
    }
    struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
    if (inflater == NULL || libdeflate_zlib_decompress(inflater, text, left, out, MOST_TEXT, &length) != LIBDEFLATE_SUCCESS) {
        free(out);
        out = NULL;
    } else {
        out[length] = '\0';
    }
    libdeflate_free_decompressor(inflater);
    return out;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A profile as ImageMagick writes one: an empty line, its name, how many bytes it has, and these in base 16. */
static int orientation_of_profile(char *text)
{
    size_t count = 0;
    const char *from = text;
    for (int i = 0; i < 3 && from != NULL; i++) {
        from = strchr(from, '\n');
        from = from == NULL ? NULL : from + 1;
    }
    for (int high = -1; from != NULL && *from != '\0'; from++) {
        const int digit = digit_of(*from);
        if (digit < 0)
            continue;
        if (high >= 0)
            text[count++] = (char)(high << 4 | digit);
        high = high < 0 ? digit : -1;
    }
    return pfm_orientation_of_exif((const unsigned char *)text, count);
}

int pfm_png_orientation(const unsigned char *bytes, size_t size)
{
    int exif = -1, profile = -1, xmp = -1; /* not met yet */
    chunk c;
    for (size_t at = SIGNATURE; next_chunk(bytes, size, &at, &c) && !is_type(&c, "IEND");) {
        char *raw = profile < 0 ? read_text(&c, "Raw profile type exif") : NULL;
        char *packet = xmp < 0 ? read_text(&c, "XML:com.adobe.xmp") : NULL;
        if (exif < 0 && is_type(&c, "eXIf"))
            exif = pfm_orientation_of_exif(c.data, c.length);
        if (raw != NULL)
            profile = orientation_of_profile(raw);
        if (packet != NULL)
            xmp = pfm_orientation_of_xmp((const unsigned char *)packet, strlen(packet));
        free(raw);
        free(packet);
    }
    exif = exif < 0 ? profile : exif;
    return exif > 0 ? exif : xmp > 0 ? xmp : 1;
}
