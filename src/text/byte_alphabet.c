#include "text/tokenizer_internal.h"

#include "base/utf8.h"

/* Bytes that print as one character in Latin-1 stand for themselves; the 68 others are numbered upwards from U+0100. */
static bool stands_for_itself(uint32_t code)
{
    return (code >= 0x21 && code <= 0x7e) || (code >= 0xa1 && code <= 0xff && code != 0xad);
}

size_t pfm_byte_spell(unsigned char byte, char out[4])
{
    uint32_t code = byte;
    if (!stands_for_itself(byte))
        code = 0x100u + (byte <= 0x20 ? byte : byte == 0xad ? 67u : byte - 0x7fu + 33u);
    return pfm_utf8_encode(code, out);
}

int pfm_byte_read(uint32_t code)
{
    if (code < 0x100)
        return stands_for_itself(code) ? (int)code : -1;
    if (code > 0x100 + 67)
        return -1;
    uint32_t number = code - 0x100;
    return (int)(number < 33 ? number : number == 67 ? 0xad : number - 33 + 0x7f);
}
