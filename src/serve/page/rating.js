// A rater's sheet: one item after the other, by keys alone or by touch. A score counts as given when the server has it on its disk;
// until then the item stays. The server tells nothing of whose a text is, so neither can this page.

import {api, say} from './api.js';
import {isTyping} from './app.js';
import {el, labelled} from './dom.js';
import {Slices, entriesOf, sliceKeys} from './slices.js';

export const sheetKeys = [
  ['0 1 2 ...', 'give this score, and go on'],
  ['X', 'one cannot tell: no score, and go on'],
  ['← →', 'the item before, the next one'],
  ['N', 'the next one that has nothing yet'],
  ['U', 'undo the last change'],
  ['C', 'write a comment; Esc leaves it, and keeps it'],
  sliceKeys,
  ['I', 'images large or small'],
  ['F', 'full screen'],
];

const PAUSE = 1000; // milliseconds before the server is tried again
const MOST_BUTTONS = 11;

// Lines that a rubric's file broke run on; empty lines and lists stay.
const flowing = (text) => text.replace(/([^\n])\n(?=[^\n\s\-*\d])/g, '$1 ');
const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

export class Sheet {
  #root; #secret; #state = null; #item = null; #busy = false; #gone = false; #stacks = []; #active = null; #keeping = Promise.resolve();
  #onKey = (event) => this.#key(event);
  #onLeave = (event) => { if (this.#busy || this.#isWritten()) event.preventDefault(); };

  constructor(root, secret) {
    this.#root = root;
    this.#secret = secret;
  }

  async start() {
    try {
      this.#state = await this.#ask('/api/rate');
    } catch (fault) {
      this.#root.append(el('h1', {}, 'Rate'), el('p', {id: 'rate-refused'}, fault.message));
      return;
    }
    this.#build();
    document.addEventListener('keydown', this.#onKey);
    addEventListener('beforeunload', this.#onLeave);
    await this.#go(this.#state.next ?? this.#state.count);
  }

  stop() {
    if (this.#isWritten()) this.#keepComment();
    this.#gone = true;
    this.#forgetImages();
    document.removeEventListener('keydown', this.#onKey);
    removeEventListener('beforeunload', this.#onLeave);
  }

  // ---- the server ----

  #ask(path, options = {}) { return api(path, {...options, bearer: this.#secret, quiet: true}); }

  // Asks until there is an answer: each of these requests may be sent twice. null: it was refused, which is said.
  async #insist(path, options) {
    while (!this.#gone) {
      try {
        const answer = await this.#ask(path, options);
        say('');
        return answer;
      } catch (fault) {
        say(fault.status === 0 || fault.status === 503 ? `Not kept yet: ${fault.message} Trying again.` : fault.message, 'error');
        if (fault.status !== 0 && fault.status !== 503) return null;
        await wait(PAUSE);
      }
    }
    return null;
  }

  // ---- what is seen ----

  #build() {
    const {instruction, low, high} = this.#state;
    this.progress = el('progress', {id: 'rate-progress', 'aria-label': 'Items that are done', max: this.#state.count});
    this.done = el('span', {id: 'rate-done'});
    this.title = el('h1', {id: 'rate-title', tabindex: -1});
    this.images = el('div', {id: 'rate-images', class: 'rate-images'});
    this.parts = el('div', {id: 'rate-parts', class: 'stack'});
    this.levels = el('div', {id: 'rate-levels', class: 'stack', role: 'group', 'aria-label': 'Score'}, this.#buttons());
    this.cannot = this.#button(null, 'X', 'One cannot tell');
    this.number = el('input', {id: 'rate-number', type: 'number', min: low, max: high, step: 1, onkeydown: (event) => this.#numberKey(event)});
    this.comment = el('textarea', {id: 'rate-comment', rows: 2, maxlength: 4000, onkeydown: (event) => this.#commentKey(event), onchange: () => this.#keepComment()});
    this.undoButton = el('button', {id: 'rate-undo', type: 'button', 'aria-keyshortcuts': 'u', onclick: () => this.#undo()}, el('kbd', {}, 'U'), 'Undo');
    this.before = el('button', {id: 'rate-before', type: 'button', 'aria-label': 'The item before', onclick: () => this.#move(-1)}, '←');
    this.after = el('button', {id: 'rate-after', type: 'button', 'aria-label': 'The next item', onclick: () => this.#move(1)}, '→');
    this.note = el('p', {id: 'rate-note', role: 'status'});
    this.#root.append(el('div', {class: 'rate'},
      el('div', {class: 'rate-top'}, this.title, this.progress, this.done, el('span', {class: 'row'}, this.before, this.after, this.undoButton)),
      el('section', {class: 'panel stack rate-seen', tabindex: 0, 'aria-label': 'What is rated'}, this.images, this.parts),
      el('section', {class: 'panel stack rate-given', tabindex: 0, 'aria-label': 'Your rating'},
        this.note, el('details', {open: this.#state.done === 0}, el('summary', {}, 'What is to be judged'), el('p', {class: 'said'}, flowing(instruction.trim()))),
        this.levels, this.cannot, this.#isDirect() ? null : labelled(`Score, ${low} to ${high}, then Enter`, this.number),
        labelled('Comment (C)', this.comment))));
  }

  #isDirect() { return this.#state.low >= 0 && this.#state.high <= 9; }

  #button(score, key, text) {
    return el('button', {type: 'button', class: 'level', 'data-score': score === null ? 'none' : score, onclick: () => this.#give(score)}, el('kbd', {}, key), el('span', {}, text));
  }

  #buttons() {
    const {low, high, levels} = this.#state;
    if (high - low >= MOST_BUTTONS) return [];
    return Array.from({length: high - low + 1}, (_, i) => this.#button(low + i, String(low + i), levels.find(({score}) => score === low + i)?.text.trim() ?? ''));
  }

  #tell() {
    const {count, done, change, closed} = this.#state, item = this.#item;
    this.progress.value = done;
    this.done.textContent = `${done} of ${count} done`;
    this.title.textContent = `Item ${item.n} of ${count}`;
    this.before.disabled = item.n === 1;
    this.after.disabled = item.n === count;
    this.undoButton.disabled = change === null || closed;
    this.note.textContent = closed ? 'The study is closed and takes no more scores. Thank you.' : done === count ? 'All is done, thank you. You may still change what you gave.' : '';
    this.note.className = done === count || closed ? 'good' : '';
    for (const button of this.#root.querySelectorAll('button.level')) {
      const given = item.done && (item.score === null ? 'none' : String(item.score)) === button.dataset.score;
      button.setAttribute('aria-pressed', String(given));
      button.disabled = closed;
    }
    this.number.value = item.score ?? '';
    this.comment.disabled = this.number.disabled = closed;
  }

  #forgetImages() {
    this.#stacks.forEach((stack) => stack.close());
    this.#stacks = [];
    this.#active = null;
  }

  async #showImages(item) {
    this.#forgetImages();
    const count = item.images.length;
    const places = item.images.map((here, k) => (here ? el('p', {class: 'quiet'}, `Image ${k + 1} comes.`)
      : el('p', {class: 'bad'}, `Image ${k + 1} of ${count} is not here; tell the study's owner.`)));
    this.images.replaceChildren(...places);
    for (const [k, place] of places.entries()) {
      if (!item.images[k]) continue;
      const address = `/api/rate/items/${item.n}/images/${k}`;
      try {
        const {slices, at} = await this.#ask(`${address}/series`);
        if (this.#item !== item || this.#gone) return;
        place.replaceWith(this.#stack(`Image ${k + 1} of ${count}`, entriesOf(address, slices), at - 1));
      } catch (fault) {
        if (this.#item !== item || this.#gone) return;
        place.replaceWith(el('p', {class: 'bad'}, `Image ${k + 1} of ${count} cannot be shown: ${fault.message}`));
      }
    }
  }

  // Keys go through the stack that was touched last, at first the first that has several slices.
  #stack(name, entries, at) {
    const stack = new Slices(name, (where) => this.#ask(where, {as: 'blob'}), () => { if (stack.count > 1) this.#active = stack; });
    this.#stacks.push(stack);
    stack.show(entries, at);
    if (stack.count > 1) this.#active ??= stack;
    return stack.element;
  }

  async #go(n) {
    const item = await this.#insist(`/api/rate/items/${n}`);
    if (!item || this.#gone) return;
    this.#item = item;
    this.comment.value = item.comment;
    this.parts.replaceChildren(...item.parts.flatMap(({title, text}) => [el('h2', {}, title), el('p', {class: 'said'}, text === '' ? '(nothing was written)' : text)]));
    this.#tell();
    this.title.focus();
    this.#root.querySelector('.rate-seen').scrollTop = 0;
    scrollTo(0, 0);
    this.#showImages(item);
  }

  // ---- what is done ----

  // One thing at a time: a key that comes before an answer would be of an item that was not seen.
  async #alone(work) {
    if (this.#busy || !this.#item) return;
    this.#busy = true;
    try {
      await work();
    } finally {
      this.#busy = false;
    }
  }

  // The same behind a comment that is being kept, as one is when a button beside it is pressed.
  async #then(work) {
    await this.#keeping;
    await this.#alone(work);
  }

  #isWritten() { return this.#item !== null && this.comment && this.comment.value !== this.#item.comment; }

  // The score with what was written beside it, then the next item that has nothing yet.
  #give(score) {
    return this.#then(async () => {
      const state = await this.#insist(`/api/rate/items/${this.#item.n}`, {method: 'PUT', json: {score, comment: this.comment.value}});
      if (!state) return;
      this.#state = state;
      await this.#go(await this.#nextOpen() ?? this.#item.n);
    });
  }

  // The next one behind this that has nothing yet, else the first of all; null: there is none.
  async #nextOpen() {
    const {next, count} = this.#state;
    if (next === null || next > this.#item.n) return next;
    for (let n = this.#item.n + 1; n <= count; n++) {
      const item = await this.#insist(`/api/rate/items/${n}`);
      if (!item || !item.done) return n;
    }
    return next;
  }

  #keepComment() {
    this.#keeping = this.#alone(async () => {
      if (!this.#isWritten()) return;
      const comment = this.comment.value, item = this.#item, state = await this.#insist(`/api/rate/items/${item.n}`, {method: 'PUT', json: {comment}});
      if (!state) return;
      this.#state = state;
      item.comment = comment;
      this.#tell();
    });
    return this.#keeping;
  }

  async #move(by) {
    await this.#keepComment();
    const n = this.#item.n + by;
    if (n >= 1 && n <= this.#state.count) await this.#alone(() => this.#go(n));
  }

  #undo() {
    return this.#then(async () => {
      const {change, changed} = this.#state;
      if (change === null) return;
      const state = await this.#insist('/api/rate/undo', {json: {change}});
      if (!state) return;
      this.#state = state;
      await this.#go(changed);
    });
  }

  async #goToOpen() {
    await this.#keepComment();
    await this.#alone(async () => {
      const n = await this.#nextOpen();
      if (n !== null) await this.#go(n);
    });
  }

  // ---- keys ----

  #numberKey(event) {
    if (event.key === 'Escape') this.title.focus();
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (this.number.value !== '' && this.number.checkValidity()) this.#give(Number(this.number.value));
    else say(`A score is a whole number from ${this.#state.low} to ${this.#state.high}.`, 'error');
  }

  async #commentKey(event) {
    if (event.key !== 'Escape' && !(event.key === 'Enter' && event.ctrlKey)) return;
    event.preventDefault();
    await this.#keepComment();
    this.title.focus();
  }

  #digit(event) {
    const {low, high, closed} = this.#state, score = Number(event.key);
    if (closed) return;
    if (!this.#isDirect()) {
      this.number.value = '';
      this.number.focus();
      return 'typed'; // into the field
    }
    if (score >= low && score <= high) this.#give(score);
    else say(`Scores go from ${low} to ${high}.`, 'error');
  }

  #key(event) {
    if (isTyping(event) || event.ctrlKey || event.altKey || event.metaKey || !this.#item) return;
    if (this.#active?.key(event)) return event.preventDefault();
    if (event.repeat || (event.target.matches('input[type=range]') && /^Arrow/.test(event.key))) return; // a slider's own keys
    const does = {x: () => { if (!this.#state.closed) this.#give(null); }, u: () => this.#undo(), c: () => this.comment.focus(), n: () => this.#goToOpen(),
      i: () => this.images.classList.toggle('large'), f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
      ArrowLeft: () => this.#move(-1), ArrowRight: () => this.#move(1)};
    const action = /^[0-9]$/.test(event.key) || (event.key === '-' && !this.#isDirect()) ? () => this.#digit(event) : does[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action && action() !== 'typed') event.preventDefault();
  }
}
