"""DICOM files of nobody that checks write themselves: explicit little endian, or 16 bits in JPEG as they come from a golden file."""
import struct

WIDE = ('OB', 'OW', 'SQ', 'UN', 'UT')


def element(group, number, vr, value):
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, int):
        value = struct.pack('<H', value)
    if len(value) % 2:
        value += b'\0' if vr in ('UI', 'OB') else b' '
    head = struct.pack('<HH', group, number) + vr.encode()
    return head + (struct.pack('<HI', 0, len(value)) if vr in WIDE else struct.pack('<H', len(value))) + value


def image(path, *, study='1.2.3', series='1.2.3.1', instance='1.2.3.1.1', modality='CT', body_part=None, description=None, number=1,
          position=None, side=12, sop_class='1.2.840.10008.5.1.4.1.1.7', name='MARKED^NAME', patient='MARKED-ID', value=300):
    """A picture of side x side pixels of 16 bits, all but the first of one value."""
    pixels = struct.pack('<H', 0) + struct.pack('<H', value) * (side * side - 1)
    parts = [element(8, 0x16, 'UI', sop_class), element(8, 0x18, 'UI', instance), element(8, 0x20, 'DA', '19010203'),
             element(8, 0x60, 'CS', modality)]
    if description:
        parts.append(element(8, 0x103E, 'LO', description))
    parts += [element(0x10, 0x10, 'PN', name), element(0x10, 0x20, 'LO', patient)]
    if body_part:
        parts.append(element(0x18, 0x15, 'CS', body_part))
    if study:
        parts.append(element(0x20, 0x0D, 'UI', study))
    parts += [element(0x20, 0x0E, 'UI', series), element(0x20, 0x13, 'IS', str(number))]
    if position is not None:
        parts += [element(0x20, 0x32, 'DS', f'0\\0\\{position}'), element(0x20, 0x37, 'DS', '1\\0\\0\\0\\1\\0')]
    parts += [element(0x28, 2, 'US', 1), element(0x28, 4, 'CS', 'MONOCHROME2'), element(0x28, 0x10, 'US', side),
              element(0x28, 0x11, 'US', side), element(0x28, 0x100, 'US', 16), element(0x28, 0x101, 'US', 12),
              element(0x28, 0x102, 'US', 11), element(0x28, 0x103, 'US', 0), element(0x7FE0, 0x10, 'OW', pixels)]
    meta = b''.join([element(2, 1, 'OB', b'\0\1'), element(2, 2, 'UI', sop_class), element(2, 3, 'UI', instance),
                     element(2, 0x10, 'UI', '1.2.840.10008.1.2.1'), element(2, 0x12, 'UI', '1.2.3.9')])
    with open(path, 'wb') as out:
        out.write(bytes(128) + b'DICM' + element(2, 0, 'UL', struct.pack('<I', len(meta))) + meta + b''.join(parts))
    return path
