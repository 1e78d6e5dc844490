// One stack of slices on a canvas: window, zoom, pan, slices; by mouse, touch and keys.
//
// A stack is {label, slices: [{id, frame, text}], at, window, info}: which slice is shown, through which window (null: the model's or
// the file's own), and what the server said of its first image; text: what is known of text in its pixels (burned_in.js).

import {api, say} from './api.js';
import {TextNote, textIn} from './burned_in.js';
import {el, labelled} from './dom.js';
import {drawValues, parseWindow, readValues, windowText} from './window.js';

const OPPOSITE = {L: 'R', R: 'L', A: 'P', P: 'A', H: 'F', F: 'H'};
const MOST_PICTURES = 48, MOST_VALUES = 6; // that are kept; of a CT 25 and 3 MB

// The newest entries of a cache stay.
function keep(cache, key, value, most) {
  cache.delete(key);
  cache.set(key, value);
  for (const old of cache.keys()) {
    if (cache.size <= most) break;
    cache.delete(old);
  }
  return value;
}

export class Viewer {
  #stack = null; #picture = null; #shown = null; #square = false; #wanted = ''; #mode = 'window';
  #zoom = 1; #x = 0; #y = 0;
  #pictures = new Map(); #values = new Map(); #told = new Map();
  #drawn = document.createElement('canvas');
  #pointers = new Map(); #pinched = false; #scrolled = 0;

  // changed(stack) is called when another slice or window is shown.
  constructor(changed) {
    this.changed = changed;
    this.canvas = el('canvas', {id: 'picture', tabindex: 0, role: 'img', 'aria-label': 'No image is open', 'aria-describedby': 'picture-line'});
    this.note = new TextNote();
    this.line = el('p', {id: 'picture-line', class: 'quiet', 'aria-live': 'off'});
    this.preset = el('select', {id: 'preset', onchange: () => this.setWindow(this.preset.value || null)});
    this.center = el('input', {id: 'center', type: 'number', step: 'any', onchange: () => this.#typed()});
    this.width = el('input', {id: 'width', type: 'number', step: 'any', min: 0, onchange: () => this.#typed()});
    this.slider = el('input', {id: 'slice', type: 'range', min: 1, max: 1, value: 1, 'aria-label': 'Slice', oninput: () => this.goTo(this.slider.value - 1)});
    this.modes = ['window', 'pan'].map((mode) => el('button', {type: 'button', 'data-mode': mode, onclick: () => this.setMode(mode)}, mode === 'window' ? 'Window' : 'Pan'));
    this.squareButton = el('button', {id: 'square', type: 'button', 'aria-pressed': 'false', onclick: () => this.toggleSquare()}, "Model's view");
    this.element = el('div', {class: 'viewer stack'},
      el('div', {class: 'row tools'}, labelled('Window', this.preset), labelled('Center', this.center), labelled('Width', this.width),
        el('div', {class: 'row', role: 'group', 'aria-label': 'What dragging does'}, this.modes),
        el('div', {class: 'row', role: 'group', 'aria-label': 'Size'},
          el('button', {type: 'button', 'aria-label': 'Smaller', onclick: () => this.zoomBy(1 / 1.25)}, '−'),
          el('button', {type: 'button', 'aria-label': 'Larger', onclick: () => this.zoomBy(1.25)}, '+'),
          el('button', {id: 'fit', type: 'button', onclick: () => this.fit()}, 'Fit')), this.squareButton),
      this.note.element, el('div', {class: 'frame'}, this.canvas), this.slider, this.line);
    this.#listen();
    this.setMode('window');
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.#tell();
  }

  get slice() { return this.#stack?.slices[this.#stack.at]; }
  get stack() { return this.#stack; }

  show(stack) {
    const other = stack !== this.#stack;
    this.#stack = stack;
    if (other) this.fit();
    if (stack === null) this.#picture = null;
    const {windows = [], window = null} = stack?.info ?? {};
    this.preset.replaceChildren(
      el('option', {value: ''}, window ? `the run's (${window})` : "the file's"),
      ...windows.filter(({name}) => name !== 'file').map(({name, center, width}, i) => el('option', {value: name}, center === undefined ? name : `${i + 1} ${name} (${center}, ${width})`)));
    this.#load();
  }

  // ---- what is shown ----

  goTo(at) {
    const stack = this.#stack;
    if (!stack) return;
    const next = Math.max(0, Math.min(stack.slices.length - 1, Number(at)));
    if (next === stack.at) return;
    stack.at = next;
    this.#load();
  }

  step(by) { this.goTo((this.#stack?.at ?? 0) + by); }

  // "40,400", a name, or null: the run's, or the file's own.
  setWindow(window) {
    if (!this.#stack?.info.values) return;
    this.#stack.window = window;
    this.#load();
  }

  // Window number i of those that fit the image.
  choosePreset(i) {
    const option = this.preset.options[i];
    if (option) this.setWindow(option.value || null);
  }

  // Moves center and width by shares of the width.
  shiftWindow(center, width) {
    const now = parseWindow(this.#stack?.window) ?? (this.#numbers && {...this.#numbers, kind: this.#kind});
    if (!this.#stack?.info.values || !now) return;
    now.center += center * now.width;
    now.width = Math.max(now.kind === 'LINEAR' ? 1 : 1e-6, now.width * Math.exp(width));
    this.setWindow(windowText(now));
  }

  // What stands behind a window that has a name.
  get #numbers() {
    const preset = this.#stack?.info.windows.find(({name, width}) => name === this.#stack.window && width !== undefined);
    if (preset) return {...preset, kind: 'LINEAR'};
    const {center, width, function: kind = 'LINEAR'} = this.#shown ?? {};
    if (Number.isFinite(center) && Number.isFinite(width)) return {center, width, kind};
    const values = this.slice && this.#values.get(`${this.slice.id}/${this.slice.frame}`); // a table of the file's has no numbers
    return values ? {center: values.low + values.step * values.most / 2, width: Math.max(1, values.step * values.most), kind: 'LINEAR'} : null;
  }

  // The function of a window that is set by hand: the file's own.
  get #kind() {
    const {window = '', function: kind} = this.#stack.info.shown;
    return window.startsWith('file') && kind !== 'LUT' ? kind : 'LINEAR';
  }

  #typed() {
    const center = Number(this.center.value), width = Number(this.width.value), kind = parseWindow(this.#stack.window)?.kind ?? this.#kind;
    if (this.center.value !== '' && width >= (kind === 'LINEAR' ? 1 : 1e-6)) this.setWindow(windowText({center, width, kind}));
    else this.#tell();
  }

  setMode(mode) {
    this.#mode = mode;
    for (const button of this.modes) button.setAttribute('aria-pressed', String(button.dataset.mode === mode));
  }

  toggleSquare() {
    this.#square = !this.#square;
    this.squareButton.setAttribute('aria-pressed', String(this.#square));
    this.fit();
    this.#load();
  }

  fit() {
    [this.#zoom, this.#x, this.#y] = [1, 0, 0];
    this.draw();
  }

  // About a place of the canvas, its middle where none is said.
  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const next = Math.max(0.1, Math.min(40, this.#zoom * factor)), by = next / this.#zoom;
    const [dx, dy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    this.#x = dx - (dx - this.#x) * by;
    this.#y = dy - (dy - this.#y) * by;
    this.#zoom = next;
    this.draw();
  }

  panBy(x, y) {
    this.#x += x;
    this.#y += y;
    this.draw();
  }

  // ---- loading ----

  #query(window) {
    const query = new URLSearchParams({frame: this.slice.frame});
    if (window) query.set('window', window);
    return query;
  }

  async #load() {
    const stack = this.#stack, slice = this.slice;
    this.#tell();
    this.changed(stack);
    if (!slice) return this.draw();
    const name = `${slice.id}/${slice.frame}`, window = stack.window, key = `${this.#square ? 'square' : 'picture'}/${name}/${window}`;
    this.#wanted = key;
    const values = this.#values.get(name), numbers = this.#square ? null : parseWindow(window) ?? (window && this.#presetOf(window));
    if (values && numbers) {
      drawValues(values, numbers, this.#drawn);
      this.#picture = this.#drawn;
      this.draw();
      return this.#tell();
    }
    try {
      const picture = await this.#fetchPicture(slice, window, key);
      if (this.#wanted !== key) return; // another one is wanted by now
      this.#picture = picture;
      this.draw();
      await this.#learn(slice, name, key);
    } catch (fault) {
      if (fault.name !== 'AbortError') say(fault.message, 'error');
    }
  }

  #presetOf(name) {
    const preset = this.#stack.info.windows.find((window) => window.name === name && window.width !== undefined);
    return preset ? {...preset, kind: 'LINEAR'} : null;
  }

  async #fetchPicture(slice, window, key) {
    const known = this.#pictures.get(key);
    if (known) return keep(this.#pictures, key, known, MOST_PICTURES);
    const what = key.startsWith('square') ? 'square' : 'picture';
    const picture = await createImageBitmap(await api(`/api/images/${slice.id}/${what}?${this.#query(window)}`, {as: 'blob', quiet: true}));
    return keep(this.#pictures, key, picture, MOST_PICTURES);
  }

  // What can be said beside the picture, and the values by which the next change of the window needs no request.
  async #learn(slice, name, key) {
    const window = this.#stack.window;
    const shown = this.#told.get(key) ?? keep(this.#told, key, await api(`/api/images/${slice.id}/shown?${this.#query(window)}`, {quiet: true}), 500);
    slice.text = textIn(shown) || slice.text; // what one window shows is in the file whatever another hides
    if (this.#wanted !== key) return;
    this.#shown = shown;
    this.#tell();
    this.changed(this.#stack);
    this.draw();
    if (!this.#stack.info.values || this.#values.has(name)) return;
    const response = await api(`/api/images/${slice.id}/values?frame=${slice.frame}`, {as: 'arrayBuffer', quiet: true});
    keep(this.#values, name, readValues(response), MOST_VALUES);
  }

  // ---- drawing ----

  #tell() {
    const stack = this.#stack, window = stack?.window ?? null, values = stack?.info.values ?? false;
    const numbers = parseWindow(window) ?? this.#numbers;
    const known = [...this.preset.options].some(({value}) => value === (window ?? ''));
    for (const option of this.preset.querySelectorAll('[data-own]')) option.remove();
    if (!known) this.preset.append(el('option', {value: window, 'data-own': true}, `set by hand (${window})`));
    this.preset.value = window ?? '';
    for (const field of [this.preset, this.center, this.width]) field.disabled = !values;
    this.center.value = values && numbers ? +numbers.center.toFixed(1) : '';
    this.width.value = values && numbers ? +numbers.width.toFixed(1) : '';
    const count = stack?.slices.length ?? 0;
    this.note.tell(stack);
    this.slider.max = Math.max(1, count);
    this.slider.value = (stack?.at ?? 0) + 1;
    this.slider.hidden = count < 2;
    this.line.textContent = stack === null ? 'Drop images here, or open them.'
      : [stack.label, count > 1 ? `slice ${stack.at + 1} of ${count}` : '', values && numbers ? `center ${this.center.value}, width ${this.width.value}` : '',
        this.#square ? 'as the model is shown it' : ''].filter(Boolean).join(' · ');
    this.canvas.setAttribute('aria-label', stack === null ? 'No image is open' : this.line.textContent);
  }

  draw() {
    const canvas = this.canvas, ratio = devicePixelRatio, context = canvas.getContext('2d');
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = '#000';
    context.fillRect(0, 0, width, height);
    if (!this.#picture || !this.#stack) return;
    const aspect = this.#square ? 1 : this.#shown?.pixel_aspect ?? this.#stack.info.shown.pixel_aspect ?? 1;
    const [wide, high] = [this.#picture.width, this.#picture.height * aspect];
    const scale = Math.min(width / wide, height / high) * this.#zoom;
    context.imageSmoothingEnabled = scale < 4;
    context.drawImage(this.#picture, width / 2 + this.#x * ratio - wide * scale / 2, height / 2 + this.#y * ratio - high * scale / 2, wide * scale, high * scale);
    if (!this.#square) this.#drawSides(context, width, height, ratio);
  }

  // To which side of the patient the edges are.
  #drawSides(context, width, height, ratio) {
    const {rows_toward: right = '', columns_toward: below = ''} = this.#shown ?? {};
    const turned = (sides) => [...sides].map((side) => OPPOSITE[side]).join('');
    context.font = `${16 * ratio}px sans-serif`;
    context.fillStyle = '#ffd34d';
    context.strokeStyle = '#000';
    context.lineWidth = 3 * ratio;
    context.textBaseline = 'middle';
    const write = (text, x, y, align) => {
      context.textAlign = align;
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    };
    const edge = 8 * ratio;
    write(right, width - edge, height / 2, 'right');
    write(turned(right), edge, height / 2, 'left');
    write(below, width / 2, height - 2 * edge, 'center');
    write(turned(below), width / 2, 2 * edge, 'center');
  }

  // ---- mouse, touch, keys ----

  #listen() {
    const canvas = this.canvas;
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus();
      this.#pointers.set(event.pointerId, {x: event.offsetX, y: event.offsetY});
      this.#pinched = this.#pointers.size > 1;
    });
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    canvas.addEventListener('dblclick', () => this.fit());
    canvas.addEventListener('wheel', (event) => this.#wheel(event), {passive: false});
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = {x: event.offsetX, y: event.offsetY}, [dx, dy] = [now.x - before.x, now.y - before.y];
    if (this.#pointers.size === 2) { // two fingers
      const [, other] = [...this.#pointers].find(([id]) => id !== event.pointerId);
      const length = ({x, y}) => Math.hypot(x - other.x, y - other.y);
      if (length(before) > 0) this.zoomBy(length(now) / length(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
      this.panBy(dx / 2, dy / 2);
    } else if (this.#pinched) {
      // A finger that is left of a pinch, or the third one: it is lifted in a moment.
    } else if (this.#mode === 'pan' || event.shiftKey || event.buttons > 1 || !this.#stack?.info.values) {
      this.panBy(dx, dy);
    } else {
      this.shiftWindow(-dy / 250, dx / 200);
    }
    this.#pointers.set(event.pointerId, now);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? event.deltaY * 40 : event.deltaY;
    if (event.ctrlKey || (this.#stack?.slices.length ?? 0) < 2) return this.zoomBy(Math.exp(-lines / 400), event.offsetX, event.offsetY);
    this.#scrolled += lines; // a touchpad sends many small ones
    const steps = Math.trunc(this.#scrolled / 60) || (Math.abs(lines) >= 60 ? Math.sign(lines) : 0);
    if (steps) [this.#scrolled] = [0, this.step(steps)];
  }

  // Whether the key was for the viewer.
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !this.#stack) return false;
    const pan = 40, does = event.shiftKey
      ? {ArrowLeft: () => this.panBy(-pan, 0), ArrowRight: () => this.panBy(pan, 0), ArrowUp: () => this.panBy(0, -pan), ArrowDown: () => this.panBy(0, pan)}
      : {ArrowUp: () => this.step(-1), ArrowDown: () => this.step(1), PageUp: () => this.step(-5), PageDown: () => this.step(5), Home: () => this.goTo(0),
        End: () => this.goTo(this.#stack.slices.length - 1), '-': () => this.zoomBy(1 / 1.25), i: () => this.shiftWindow(0, 0.05), k: () => this.shiftWindow(0, -0.05),
        j: () => this.shiftWindow(-0.02, 0), l: () => this.shiftWindow(0.02, 0), m: () => this.toggleSquare(), f: () => this.fit()};
    const action = event.key === '+' ? () => this.zoomBy(1.25) : /^[0-9]$/.test(event.key) && !event.shiftKey ? () => this.choosePreset(Number(event.key)) : does[event.key];
    action?.();
    return action !== undefined;
  }
}

export const viewerKeys = [
  ['↑ ↓, wheel', 'the slice before, the next one; Page Up and Down: five; Home, End'],
  ['Drag', 'the window: up and down its center, left and right its width (with Pan, Shift or the right button: move)'],
  ['J L, I K', 'center lower, higher; width larger, smaller'],
  ['0 to 9', 'the windows of the list'],
  ['+ −, Ctrl + wheel', 'larger, smaller'],
  ['Shift + arrows', 'move'],
  ['F, double click', 'fit'],
  ['M', 'what the model is shown'],
];
