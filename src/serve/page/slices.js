// Pictures that are looked through one after the other: the slices of a series, the frames of a file, the images of a row. By wheel, keys, a slider.

import {el} from './dom.js';

const MOST_KEPT = 48; // pictures of a stack

// An entry is {address, text}: where a picture is, and what is said of it. load(address): a blob.
export class Slices {
  #entries = []; #kept = new Map(); #wanted = 0; #scrolled = 0; #closed = false;

  // name: what the pictures are of; touched(): it is this one that keys are meant for.
  constructor(name, load, touched = () => {}) {
    this.name = name;
    this.load = load;
    this.image = el('img', {alt: '', class: 'slice'});
    this.line = el('figcaption', {class: 'quiet slice-line'});
    this.slider = el('input', {type: 'range', min: 1, max: 1, value: 1, 'aria-label': `Slice of ${name}`, oninput: () => this.goTo(this.slider.value - 1), onfocus: touched});
    this.element = el('figure', {class: 'slices', onpointerdown: touched}, this.image, this.slider, this.line);
    this.element.addEventListener('wheel', (event) => this.#wheel(event, touched), {passive: false});
  }

  get count() { return this.#entries.length; }
  get at() { return this.#wanted; }

  show(entries, at) {
    this.#entries = entries;
    this.slider.max = Math.max(1, entries.length);
    this.slider.hidden = entries.length < 2;
    return this.#show(Math.max(0, Math.min(entries.length - 1, at)));
  }

  goTo(at) {
    const next = Math.max(0, Math.min(this.count - 1, Number(at)));
    if (next !== this.#wanted) this.#show(next);
  }

  step(by) { this.goTo(this.#wanted + by); }

  async #show(at) {
    const {address, text} = this.#entries[at];
    this.#wanted = at;
    this.slider.value = at + 1;
    this.slider.setAttribute('aria-valuetext', text);
    this.line.textContent = text;
    this.line.classList.remove('bad');
    this.image.alt = `${this.name}${text === '' ? '' : `, ${text}`}`;
    try {
      const picture = await this.#picture(address);
      if (this.#wanted === at && !this.#closed && this.#entries[at].address === address) this.image.src = picture;
    } catch (fault) {
      if (fault.name === 'AbortError' || this.#wanted !== at || this.#closed) return;
      this.image.removeAttribute('src');
      this.line.textContent = [text, fault.message].filter(Boolean).join(': ');
      this.line.classList.add('bad');
    }
  }

  // The newest of what was shown is kept.
  async #picture(address) {
    let picture = this.#kept.get(address);
    this.#kept.delete(address);
    picture ??= this.load(address).then((blob) => URL.createObjectURL(blob));
    this.#kept.set(address, picture);
    for (const [old, kept] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#kept.delete(old);
      kept.then(URL.revokeObjectURL, () => {});
    }
    try {
      return await picture;
    } catch (fault) {
      this.#kept.delete(address);
      throw fault;
    }
  }

  #wheel(event, touched) {
    if (this.count < 2 || event.ctrlKey) return;
    event.preventDefault();
    touched();
    const lines = event.deltaMode === 1 ? event.deltaY * 40 : event.deltaY;
    this.#scrolled += lines; // a touchpad sends many small ones
    const steps = Math.trunc(this.#scrolled / 60) || (Math.abs(lines) >= 60 ? Math.sign(lines) : 0);
    if (steps) [this.#scrolled] = [0, this.step(steps)];
  }

  // Whether the key was for it.
  key(event) {
    if (this.count < 2 || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return false;
    const does = {ArrowUp: () => this.step(-1), ArrowDown: () => this.step(1), PageUp: () => this.step(-5), PageDown: () => this.step(5), Home: () => this.goTo(0), End: () => this.goTo(this.count - 1)};
    does[event.key]?.();
    return event.key in does;
  }

  close() {
    this.#closed = true;
    for (const picture of this.#kept.values()) picture.then(URL.revokeObjectURL, () => {});
    this.#kept.clear();
  }
}

export const sliceKeys = ['↑ ↓, wheel', 'the slice before, the next one; Page Up and Down: five; Home, End'];

// The entries of one image, of which the server says how many slices it has.
export const entriesOf = (address, count) => Array.from({length: count}, (_, i) => (count === 1 ? {address, text: ''} : {address: `${address}?slice=${i + 1}`, text: `slice ${i + 1} of ${count}`}));
