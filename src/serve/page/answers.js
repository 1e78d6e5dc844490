// Answers: a file of predictions with its images, by filters; and where two files differ.

import {api, say} from './api.js';
import {isTyping} from './app.js';
import {probabilityText} from './asking.js';
import {differenceTable} from './difference.js';
import {el, labelled, viewOf} from './dom.js';
import {Slices, entriesOf, sliceKeys} from './slices.js';

const COUNT = 25, PAUSE = 300, AT_ONCE = 4, THUMBNAIL = 220, MOST_KEPT = 200;
const DIFFERS = {answers: 'say something else', verdicts: 'one is right, the other wrong', better: 'only the first is right', worse: 'only the second is right', all: 'all rows'};
const path = (name) => `/api/predictions/${encodeURIComponent(name)}`;

export const keys = [['/', 'the field for words'], ['J K', 'the next row, the one before'], ['N P', 'the next page, the one before'], ['Enter', 'on a row: its images, large'], sliceKeys,
  ['R W A', 'right, wrong, all'], ['X', 'exchange the two files']];

// Pictures by address, few at a time; the newest stay.
class Pictures {
  #kept = new Map(); #waiting = []; #running = 0;

  constructor(signal) { this.signal = signal; }

  get(address) {
    if (!this.#kept.has(address)) {
      this.#kept.set(address, new Promise((resolve, reject) => this.#waiting.push({address, resolve, reject})));
      for (const [old, picture] of this.#kept) {
        if (this.#kept.size <= MOST_KEPT) break;
        this.#kept.delete(old);
        picture.then(URL.revokeObjectURL, () => {});
      }
      this.#next();
    }
    return this.#kept.get(address);
  }

  async #next() {
    if (this.#running >= AT_ONCE || this.#waiting.length === 0) return;
    const {address, resolve, reject} = this.#waiting.shift();
    this.#running++;
    try {
      resolve(URL.createObjectURL(await api(address, {as: 'blob', signal: this.signal, quiet: true})));
    } catch (fault) {
      this.#kept.delete(address);
      reject(fault);
    }
    this.#running--;
    this.#next();
  }

  close() { for (const picture of this.#kept.values()) picture.then(URL.revokeObjectURL, () => {}); }
}

const verdict = (correct) => (correct === null || correct === undefined ? null
  : el('span', {class: correct ? 'verdict good' : 'verdict bad'}, correct ? '✓ right' : '✗ wrong'));
const choice = (select, options) => {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => el('option', {value}, text)));
  select.value = chosen;
};

class Page {
  #stop = new AbortController(); #asked = 0; #timer = null; #from = 0; #files = []; #columns = new Map();

  constructor(root, places) {
    const select = (id, changed) => el('select', {id, onchange: changed});
    this.pictures = new Pictures(this.#stop.signal);
    this.file = select('answers-file', () => this.#go(this.file.value, this.other.value));
    this.other = select('answers-other', () => this.#go(this.file.value, this.other.value));
    this.differ = select('answers-differ', () => this.#changed());
    choice(this.differ, Object.entries(DIFFERS));
    this.differ.value = 'answers';
    this.right = select('answers-right', () => this.#changed());
    this.kind = select('answers-kind', () => this.#changed());
    this.words = el('input', {id: 'answers-words', type: 'search', 'aria-describedby': 'words-help', oninput: () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#changed(), PAUSE);
    }});
    this.columns = el('div', {class: 'row', id: 'answers-columns'});
    this.clear = el('button', {type: 'button', id: 'answers-clear', onclick: () => this.#clear()}, 'Clear filters');
    this.differField = labelled('Rows in which', this.differ);
    this.summary = el('p', {id: 'answers-summary', role: 'status'});
    this.against = el('div', {class: 'stack', id: 'answers-against'});
    this.list = el('ol', {class: 'plain stack', id: 'answers'});
    const page = (id, text, by) => el('button', {type: 'button', id, onclick: () => this.page(by)}, text);
    this.before = page('answers-before', 'Page before', -1);
    this.next = page('answers-next', 'Next page', 1);
    this.place = el('span', {class: 'quiet', id: 'answers-place'});
    this.dialog = el('dialog', {id: 'answers-large', 'aria-label': 'Image', onclose: () => this.#closeLarge(), onkeydown: (event) => { if (this.large?.key(event)) event.preventDefault(); }}, this.largePlace = el('div', {}), el('div', {class: 'row'}, this.largeText = el('p', {class: 'grow'}),
      el('button', {type: 'button', onclick: () => this.dialog.close()}, 'Close')));
    root.append(el('div', {class: 'stack'},
      el('section', {class: 'panel stack', 'aria-labelledby': 'filters-title'}, el('h2', {id: 'filters-title'}, 'Answers'),
        el('div', {class: 'row'}, labelled('Predictions', this.file), labelled('Compared with', this.other), this.differField),
        el('div', {class: 'row'}, labelled('Words of question, answer or prediction', this.words, {class: 'field grow'}), labelled('Right or wrong', this.right), labelled('Kind', this.kind), this.clear),
        el('p', {id: 'words-help', class: 'quiet'}, 'All words have to be there, in any order; a word with * behind it is the beginning of one.'),
        this.columns, this.summary), this.against,
      this.list, el('div', {class: 'row'}, this.before, this.next, this.place), el('p', {class: 'notice'}, 'Not for clinical use'), this.dialog));
    this.observer = new IntersectionObserver((entries) => {
      for (const {isIntersecting, target} of entries) if (isIntersecting) this.#load(target);
    }, {rootMargin: '300px'});
    this.#begin(places);
  }

  close() {
    this.#stop.abort();
    this.observer.disconnect();
    this.pictures.close();
    this.#closeLarge();
    clearTimeout(this.#timer);
    this.closed = true;
  }

  async #begin(places) {
    const {files, cut, images} = await api('/api/predictions', {signal: this.#stop.signal});
    this.#files = files.map(({name}) => name);
    this.images = images;
    choice(this.file, this.#files.map((name) => [name, name]));
    if (cut) say('There are more files of predictions than are listed; start serve with --predictions for the folder that matters.');
    if (this.#files.length === 0) {
      for (const field of [this.file, this.other, this.words, this.right, this.kind, this.clear]) field.disabled = true;
      this.differField.hidden = this.before.hidden = this.next.hidden = true;
      this.summary.textContent = 'There are no files of predictions in the folders of this server (pefomed eval RUN --out FILE makes one, serve --predictions FOLDER shows it).';
      return;
    }
    this.move(places);
  }

  #go(file, other) {
    location.hash = `#answers/${encodeURIComponent(file)}${other && other !== file ? `/${encodeURIComponent(other)}` : ''}`;
  }

  move([file, other]) {
    if (this.#files.length === 0) return;
    if (!file) return location.replace(`#answers/${encodeURIComponent(this.#files[0])}`);
    this.name = file;
    this.otherName = other && other !== file ? other : '';
    this.file.value = file;
    choice(this.other, [['', 'no other file'], ...this.#files.filter((name) => name !== file).map((name) => [name, name])]);
    this.other.value = this.otherName;
    this.differField.hidden = this.otherName === '';
    this.against.replaceChildren();
    this.columns.replaceChildren();
    this.#columns.clear();
    this.#changed();
  }

  #clear() {
    for (const select of [this.right, this.kind, ...this.#columns.values()]) select.value = '';
    this.words.value = '';
    this.#changed();
  }

  exchange() { if (this.otherName) this.#go(this.otherName, this.name); }

  verdicts(value) {
    if (this.right.disabled) return;
    this.right.value = value;
    this.#changed();
  }

  page(by) {
    const to = this.#from + by * COUNT;
    if (to < 0 || to >= this.matching) return;
    this.#from = to;
    this.#ask(true);
  }

  #changed() {
    this.#from = 0;
    this.#ask(false);
  }

  // ---- rows ----

  async #ask(turned) {
    const number = ++this.#asked, query = new URLSearchParams({from: this.#from, count: COUNT});
    const add = (key, value) => value && query.set(key, value);
    add('right', this.right.value);
    add('kind', this.kind.value);
    add('words', this.words.value.trim());
    for (const [name, select] of this.#columns) add(name, select.value);
    add('against', this.otherName);
    if (this.otherName) add('differ', this.differ.value);
    try {
      const told = await api(`${path(this.name)}?${query}`, {signal: this.#stop.signal, quiet: true});
      if (number !== this.#asked || this.closed) return;
      say('');
      this.#show(told, turned);
    } catch (fault) {
      if (fault.name === 'AbortError' || number !== this.#asked) return;
      say(fault.message, 'error');
      this.list.replaceChildren();
      this.summary.textContent = '';
    }
  }

  #filters({right, kinds, columns}) {
    const shares = ({value, n, right: of}) => [value, `${value} (${n.toLocaleString('en')}${of !== null && n > 0 ? `, ${(100 * of / n).toFixed(0)} % right` : ''})`];
    const all = (values) => `all (${values.reduce((sum, {n}) => sum + n, 0).toLocaleString('en')})`;
    this.right.disabled = right === null;
    choice(this.right, right === null ? [['', 'not judged']] : [['', `both (${(right.right + right.wrong).toLocaleString('en')})`], ['right', `right (${right.right.toLocaleString('en')})`],
      ['wrong', `wrong (${right.wrong.toLocaleString('en')})`]]);
    this.kind.disabled = kinds.length === 0;
    choice(this.kind, kinds.length === 0 ? [['', 'none']] : [['', all(kinds)], ...kinds.map(shares)]);
    for (const {name, values} of columns) {
      if (!this.#columns.has(name)) {
        this.#columns.set(name, el('select', {id: `column-${name}`, onchange: () => this.#changed()}));
        this.columns.append(labelled(name.replaceAll('_', ' '), this.#columns.get(name)));
      }
      const select = this.#columns.get(name);
      choice(select, [['', all(values)], ...values.toSorted((a, b) => a.value.localeCompare(b.value, 'en', {numeric: true})).map(shares)]);
    }
  }

  #show(told, turned) {
    this.matching = told.matching;
    this.#filters(told);
    const judged = told.right !== null && told.matching > 0 ? this.#share(told) : '';
    this.summary.textContent = `${told.matching.toLocaleString('en')} of ${told.n.toLocaleString('en')} rows${judged}`;
    this.#differences(told.against);
    this.observer.disconnect();
    this.list.replaceChildren(...told.rows.map((row) => this.#row(row)));
    if (told.rows.length === 0) this.list.append(el('li', {class: 'panel quiet'}, 'No row is so.'));
    this.list.setAttribute('start', told.from + 1);
    this.before.disabled = told.from === 0;
    this.next.disabled = told.from + COUNT >= told.matching;
    this.place.textContent = told.matching > 0 ? `${(told.from + 1).toLocaleString('en')} to ${(told.from + told.rows.length).toLocaleString('en')}` : '';
    if (turned) this.list.firstElementChild?.focus();
  }

  // How many are right of the rows that are asked for.
  #share({kinds, matching}) {
    const chosen = kinds.filter(({value}) => !this.kind.value || value === this.kind.value), right = chosen.reduce((sum, {right: of}) => sum + of, 0);
    return this.right.value === '' ? `, ${(100 * right / matching).toFixed(1)} % right` : '';
  }

  #row(row) {
    const about = [row.kind, ...Object.entries(row.columns).map(([name, value]) => `${name.replaceAll('_', ' ')}: ${value}`)].filter(Boolean).join(' · ');
    const answer = ({prediction, correct, probability}, title) => el('div', {class: 'prediction'}, el('p', {class: 'quiet'}, title), el('p', {class: 'said'}, prediction === '' ? el('em', {class: 'quiet'}, 'nothing') : prediction),
      el('p', {}, verdict(correct), Number.isFinite(probability) ? el('span', {class: 'quiet'}, ` probability ${probabilityText(probability)}`) : null));
    return el('li', {class: 'panel row-of-answers', tabindex: -1, 'data-n': row.n, 'data-correct': String(row.correct), onkeydown: (event) => {
      if (event.key !== 'Enter' || event.target !== event.currentTarget) return;
      event.preventDefault(); // or it would press the dialog's button
      this.#open(row, 0);
    }},
      this.#images(row),
      el('div', {class: 'grow stack-small'}, row.question ? el('p', {class: 'question'}, row.question) : null,
        el('div', {class: 'cards'}, el('div', {class: 'prediction'}, el('p', {class: 'quiet'}, row.answers.length > 1 ? `Answers (${row.answers.length})` : 'Answer'), row.answers.map((text) => el('p', {class: 'said'}, text))),
          answer(row, this.otherName ? `Prediction of ${this.name}` : 'Prediction'), row.other ? answer(row.other, `Prediction of ${this.otherName}`) : null),
        el('p', {class: 'quiet'}, `${row.id} · ${about}`)));
  }

  // ---- images ----

  #images(row) {
    if (row.images.length === 0) return null;
    return el('div', {class: 'thumbnails'}, row.images.slice(0, 8).map((name, k) => {
      if (!row.there?.[k]) return el('p', {class: 'thumbnail quiet'}, this.images ? `${name} is not in the folders of images` : `${name} (images are shown by serve --images FOLDER)`);
      const button = el('button', {type: 'button', class: 'thumbnail', 'data-address': `${path(this.name)}/images/${row.n}/${k}`, 'aria-label': `Image ${k + 1} of ${row.images.length}, ${name}, large`, onclick: () => this.#open(row, k)}, 'image');
      this.observer.observe(button);
      return button;
    }), row.images.length > 8 ? el('p', {class: 'quiet'}, `and ${row.images.length - 8} more`) : null);
  }

  async #load(button) {
    this.observer.unobserve(button);
    try {
      const address = await this.pictures.get(`${button.dataset.address}?most=${THUMBNAIL}`);
      button.replaceChildren(el('img', {src: address, alt: ''}));
    } catch (fault) {
      if (fault.name !== 'AbortError') button.textContent = fault.message;
    }
  }

  // All images of the row with all of their slices, one behind the other, at image k.
  async #open(row, k) {
    if (!row.there?.[k]) return;
    this.#closeLarge();
    const large = new Slices(row.question || 'Image', (where) => api(where, {as: 'blob', signal: this.#stop.signal, quiet: true}));
    this.large = large;
    this.largePlace.replaceChildren(large.element);
    this.largeText.textContent = row.question ?? '';
    this.dialog.showModal();
    const addresses = row.images.map((_, i) => `${path(this.name)}/images/${row.n}/${i}`), missing = {slices: 0, at: 1};
    const told = await Promise.all(addresses.map((address, i) => (row.there[i] ? api(`${address}/series`, {signal: this.#stop.signal, quiet: true}).catch(() => ({slices: 1, at: 1})) : missing)));
    if (this.large !== large) return;
    const entries = addresses.map((address, i) => entriesOf(address, told[i].slices).map(({text, ...entry}) => (
      {...entry, text: [row.images.length > 1 ? `image ${i + 1} of ${row.images.length}` : '', text, row.images[i]].filter(Boolean).join(' · ')})));
    large.show(entries.flat(), entries.slice(0, k).flat().length + told[k].at - 1);
  }

  #closeLarge() {
    this.large?.close();
    this.large = null;
  }

  // ---- two files ----

  #differences(counts) {
    if (!counts) return;
    const figures = counts.both + counts.better + counts.worse + counts.neither > 0
      ? [['Both right', counts.both], [`Only ${this.name} right`, counts.better], [`Only ${this.otherName} right`, counts.worse], ['Neither right', counts.neither]] : [];
    const text = [['Rows in both', counts.rows], ['Answers differ', counts.answers], ...figures];
    let figureList = this.against.querySelector('#answers-counts');
    if (!figureList) {
      const place = el('div', {class: 'stack'});
      this.against.append(el('section', {class: 'panel stack', 'aria-labelledby': 'against-title'}, el('h2', {id: 'against-title'}, 'Where the two files differ'),
        figureList = el('dl', {id: 'answers-counts'}), el('details', {id: 'answers-scores', ontoggle: (event) => event.target.open && this.#compare(place)},
          el('summary', {}, 'Difference of the scores, by kind, with intervals'), place)));
    }
    figureList.replaceChildren(...text.flatMap(([title, count]) => [el('dt', {}, title), el('dd', {}, count.toLocaleString('en'))]));
  }

  async #compare(place) {
    if (place.dataset.done) return;
    place.dataset.done = 'true';
    place.replaceChildren(el('p', {class: 'quiet'}, 'Being computed.'));
    try {
      place.replaceChildren(differenceTable(await api(`${path(this.name)}/against/${encodeURIComponent(this.otherName)}`, {signal: this.#stop.signal, quiet: true}), this.name, this.otherName));
    } catch (fault) {
      if (fault.name !== 'AbortError') place.replaceChildren(el('p', {class: 'bad'}, fault.message));
    }
  }

  // ---- keys ----

  step(by) {
    const rows = [...this.list.querySelectorAll('.row-of-answers')], at = rows.findIndex((row) => row.contains(document.activeElement));
    const to = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
    to?.focus();
    to?.scrollIntoView({block: 'nearest'});
  }

  key(event) {
    if (isTyping(event) || event.ctrlKey || event.altKey || event.metaKey || this.dialog.open) return;
    const does = {'/': () => this.words.focus(), j: () => this.step(1), k: () => this.step(-1), n: () => this.page(1), p: () => this.page(-1), x: () => this.exchange(),
      r: () => this.verdicts('right'), w: () => this.verdicts('wrong'), a: () => this.verdicts('')};
    const action = does[event.key.toLowerCase()];
    if (!action) return;
    action();
    event.preventDefault();
  }
}

export const {show, move, hide} = viewOf(Page);
