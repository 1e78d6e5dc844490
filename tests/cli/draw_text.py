"""Writes a PNG of WIDTH x HEIGHT pixels, grey 20, with TEXT in letters 14 pixels high in its corner; TEXT may be empty.

usage: draw_text.py OUT.png WIDTH HEIGHT TEXT"""
import struct
import sys
import zlib

LETTERS = {'A': '0E11111F111111', 'D': '1E11111111111E', 'E': '1F10101E10101F', 'J': '0702020202120C', 'N': '11191515131111',
           'O': '0E11111111110E', ' ': '00000000000000'}


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def main(out, width, height, text):
    rows = [bytearray([20]) * width for _ in range(height)]
    for place, letter in enumerate(text):
        for y, bits in enumerate(bytes.fromhex(LETTERS[letter])):
            for x in range(5):
                for row in rows[6 + 2 * y:8 + 2 * y] if bits >> (4 - x) & 1 else ():
                    left = 6 + 12 * place + 2 * x
                    row[left:left + 2] = b'\xeb\xeb'
    pixels = zlib.compress(b''.join(b'\0' + bytes(row) for row in rows))
    with open(out, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + chunk(b'IDAT', pixels) + chunk(b'IEND', b''))


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
