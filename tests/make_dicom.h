/* Small DICOM files that tests write themselves: explicit little endian, 16 bits, nobody's. */
#ifndef PFM_TESTS_MAKE_DICOM_H
#define PFM_TESTS_MAKE_DICOM_H

#include "base/file.h"
#include "test.h"

typedef struct made_dicom {
    const char *series, *patient, *orientation, *position, *image_type; /* NULL: the element is left out */
    int instance, number;                                               /* of the series; 0: left out */
    int frames;                                                         /* 0: one, and no element says so */
    const char *const *positions; /* [frames] in functional groups; then the orientation is in the shared one */
    int value;                    /* of all pixels, 0..100; that of frame i is i more */
} made_dicom;

static inline void dicom_bytes(pfm_buffer *out, const void *bytes, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_buffer_append(out, bytes, count, &err));
}

static inline void dicom_u16(pfm_buffer *out, unsigned value)
{
    const unsigned char bytes[2] = {(unsigned char)value, (unsigned char)(value >> 8)};
    dicom_bytes(out, bytes, 2);
}

static inline void dicom_element(pfm_buffer *out, unsigned group, unsigned element, const char *vr, const void *value,
                                 size_t length)
{
    const char *const wide[] = {"OW", "SQ"};
    dicom_u16(out, group);
    dicom_u16(out, element);
    dicom_bytes(out, vr, 2);
    const size_t padded = length + length % 2;
    if (memcmp(vr, wide[0], 2) == 0 || memcmp(vr, wide[1], 2) == 0) {
        dicom_u16(out, 0);
        dicom_u16(out, (unsigned)(padded & 0xFFFF));
        dicom_u16(out, (unsigned)(padded >> 16));
    } else {
        dicom_u16(out, (unsigned)padded);
    }
    dicom_bytes(out, value, length);
    if (length % 2 != 0)
        dicom_bytes(out, memcmp(vr, "UI", 2) == 0 ? "" : " ", 1);
}

static inline void dicom_text(pfm_buffer *out, unsigned group, unsigned element, const char *vr, const char *text)
{
    if (text != NULL)
        dicom_element(out, group, element, vr, text, strlen(text));
}

static inline void dicom_whole(pfm_buffer *out, unsigned group, unsigned element, int value)
{
    char text[20];
    (void)snprintf(text, sizeof text, "%d", value);
    if (value != 0)
        dicom_text(out, group, element, "IS", text);
}

static inline void dicom_short(pfm_buffer *out, unsigned element, unsigned value)
{
    const unsigned char bytes[2] = {(unsigned char)value, (unsigned char)(value >> 8)};
    dicom_element(out, 0x0028, element, "US", bytes, 2);
}

/* An item of a functional group with one macro that says one text. */
static inline void dicom_item(pfm_buffer *out, unsigned macro, unsigned element, const char *text)
{
    pfm_buffer inner = {0}, wrapped = {0}, own = {0};
    dicom_text(&inner, 0x0020, element, "DS", text);
    const unsigned char head[4] = {0xFE, 0xFF, 0x00, 0xE0};
    dicom_bytes(&wrapped, head, 4);
    dicom_u16(&wrapped, (unsigned)inner.size);
    dicom_u16(&wrapped, 0);
    dicom_bytes(&wrapped, inner.data, inner.size);
    dicom_element(&own, 0x0020, macro, "SQ", wrapped.data, wrapped.size);
    dicom_bytes(out, head, 4);
    dicom_u16(out, (unsigned)own.size);
    dicom_u16(out, 0);
    dicom_bytes(out, own.data, own.size);
    pfm_buffer_free(&inner);
    pfm_buffer_free(&wrapped);
    pfm_buffer_free(&own);
}

static inline void dicom_groups(pfm_buffer *out, const made_dicom *made)
{
    pfm_buffer shared = {0}, frames = {0};
    if (made->positions == NULL)
        return;
    dicom_item(&shared, 0x9116, 0x0037, made->orientation);
    for (int i = 0; i < made->frames; i++)
        dicom_item(&frames, 0x9113, 0x0032, made->positions[i]);
    dicom_element(out, 0x5200, 0x9229, "SQ", shared.data, shared.size);
    dicom_element(out, 0x5200, 0x9230, "SQ", frames.data, frames.size);
    pfm_buffer_free(&shared);
    pfm_buffer_free(&frames);
}

/* Writes folder/name, 8 x 8 pixels. */
static inline void make_dicom(const char *folder, const char *name, const made_dicom *made)
{
    enum { SIDE = 8 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer out = {0}, pixels = {0};
    const unsigned char preamble[128] = {0};
    assert_ok(pfm_folder_create(folder, &err));
    dicom_bytes(&out, preamble, sizeof preamble);
    dicom_bytes(&out, "DICM", 4);
    dicom_text(&out, 0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1");
    dicom_text(&out, 0x0008, 0x0008, "CS", made->image_type);
    dicom_text(&out, 0x0008, 0x0060, "CS", "CT");
    dicom_text(&out, 0x0010, 0x0020, "LO", made->patient);
    dicom_text(&out, 0x0020, 0x000E, "UI", made->series);
    dicom_whole(&out, 0x0020, 0x0011, made->number);
    dicom_whole(&out, 0x0020, 0x0013, made->instance);
    dicom_text(&out, 0x0020, 0x0032, "DS", made->positions == NULL ? made->position : NULL);
    dicom_text(&out, 0x0020, 0x0037, "DS", made->positions == NULL ? made->orientation : NULL);
    dicom_short(&out, 0x0002, 1);
    dicom_text(&out, 0x0028, 0x0004, "CS", "MONOCHROME2");
    dicom_whole(&out, 0x0028, 0x0008, made->frames);
    dicom_short(&out, 0x0010, SIDE);
    dicom_short(&out, 0x0011, SIDE);
    dicom_short(&out, 0x0100, 16);
    dicom_short(&out, 0x0101, 16);
    dicom_short(&out, 0x0102, 15);
    dicom_short(&out, 0x0103, 0);
    dicom_text(&out, 0x0028, 0x1050, "DS", "128");
    dicom_text(&out, 0x0028, 0x1051, "DS", "256");
    dicom_groups(&out, made);
    for (int frame = 0; frame < (made->frames > 0 ? made->frames : 1); frame++)
        for (int i = 0; i < SIDE * SIDE; i++)
            dicom_u16(&pixels, (unsigned)(made->value + frame));
    dicom_element(&out, 0x7FE0, 0x0010, "OW", pixels.data, pixels.size);
    assert_ok(pfm_file_write(test_path(folder, name), out.data, out.size, &err));
    pfm_buffer_free(&out);
    pfm_buffer_free(&pixels);
}

#define AXIAL "1\\0\\0\\0\\1\\0"
#define CORONAL "1\\0\\0\\0\\0\\-1"

#endif
