// A window turns values into grey, as src/image/window.c does it for the model (PS3.3, C.11.2.1.2 and C.11.2.1.3).

// {center, width, kind} of "40,400" or "40,400,SIGMOID"; null for a window that has no numbers.
export function parseWindow(text) {
  const [center, width, kind = 'LINEAR'] = (text ?? '').split(',');
  return width !== undefined && Number.isFinite(+center) && Number.isFinite(+width) ? {center: +center, width: +width, kind} : null;
}

export const windowText = ({center, width, kind}) => `${+center.toFixed(3)},${+width.toFixed(3)}${kind === 'LINEAR' ? '' : `,${kind}`}`;

function share({center, width, kind}, value) {
  if (kind === 'SIGMOID') return 1 / (1 + Math.exp(-4 * (value - center) / width));
  if (kind === 'LINEAR') [center, width] = [center - 0.5, width - 1];
  if (!(value > center - width / 2)) return 0;
  if (value > center + width / 2) return 1;
  return (value - center) / width + 0.5;
}

// What the server sends of a frame (GET /api/images/ID/values).
export function readValues(buffer) {
  const head = new DataView(buffer), numbers = new Uint16Array(buffer, 32);
  return {width: head.getUint32(0, true), height: head.getUint32(4, true), low: head.getFloat64(8, true), step: head.getFloat64(16, true),
    inverted: head.getUint32(24, true) !== 0, numbers,
    most: numbers.reduce((a, b) => Math.max(a, b), 0)};
}

// Draws the values through the window into a canvas of their size.
export function drawValues(values, window, canvas) {
  const table = new Uint32Array(65536);
  for (let i = 0; i < table.length; i++) {
    let grey = share(window, values.low + i * values.step);
    if (values.inverted) grey = 1 - grey;
    const byte = grey > 0 ? Math.min(255, Math.floor(grey * 255 + 0.5)) : 0;
    table[i] = 0xff000000 | byte << 16 | byte << 8 | byte;
  }
  canvas.width = values.width;
  canvas.height = values.height;
  const context = canvas.getContext('2d'), picture = context.createImageData(values.width, values.height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[values.numbers[i]];
  context.putImageData(picture, 0, 0);
}
