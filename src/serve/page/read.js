// Read: open images, set the window, ask, report.

import {api, say} from './api.js';
import {isTyping} from './app.js';
import {askAll} from './asking.js';
import {hasText} from './burned_in.js';
import {el, labelled, nameOf} from './dom.js';
import {closeStack, filesOf, openFiles} from './opening.js';
import {Reporting} from './reporting.js';
import {Viewer, viewerKeys} from './viewer.js';

export const keys = [
  ['O', 'open files'],
  ['← →', 'the image before, the next one'],
  ...viewerKeys,
  ['Q', 'write a question; Enter asks it'],
  ['B', 'ask with a blank image too'],
  ['Esc', 'stop answers that are being made'],
];

// What stays when another view is shown meanwhile.
const stacks = [];
let current = null, about = null, page = null;

class Page {
  #stop = null;

  constructor(root) {
    this.viewer = new Viewer(() => this.#list());
    this.files = el('input', {id: 'files', type: 'file', multiple: true, class: 'unseen', tabindex: -1, 'aria-label': 'Images', onchange: () => this.#take(this.files)});
    this.folder = el('input', {id: 'folder', type: 'file', webkitdirectory: true, class: 'unseen', tabindex: -1, 'aria-label': 'Folder of images', onchange: () => this.#take(this.folder)});
    this.list = el('ul', {id: 'stacks', class: 'plain row', 'aria-label': 'Open images'});
    this.question = el('textarea', {id: 'question', rows: 2, onkeydown: (event) => this.#questionKey(event)});
    this.models = el('fieldset', {class: 'row', id: 'models'}, el('legend', {}, 'Models, side by side'), about.models.map(({id, base}, i) => el('label', {class: 'check'},
      el('input', {type: 'checkbox', value: id, checked: i === 0}), base ? `${nameOf(id)} (base)` : nameOf(id))));
    this.blank = el('input', {id: 'blank', type: 'checkbox'});
    this.slices = el('select', {id: 'slices'}, ['1', '4', '8', '16'].filter((n) => n <= about.limits.images).map((n) => el('option', {value: n}, n === '1' ? 'the one that is shown' : `${n}, evenly spaced`)));
    this.button = el('button', {id: 'ask', type: 'button', class: 'main', onclick: () => this.ask()}, 'Ask');
    this.answers = el('div', {id: 'answers', class: 'stack'});
    this.reporting = new Reporting(about, () => this.asked());
    root.append(el('h1', {class: 'unseen'}, 'Read'), el('div', {class: 'read'},
      el('div', {class: 'stack'},
        el('div', {class: 'row'}, el('button', {id: 'open', type: 'button', onclick: () => this.files.click()}, 'Open images'),
          el('button', {id: 'open-folder', type: 'button', onclick: () => this.folder.click()}, 'Open a folder'), this.files, this.folder, this.list),
        this.viewer.element),
      el('div', {class: 'stack'}, el('section', {class: 'panel stack', 'aria-labelledby': 'ask-title'}, el('h2', {id: 'ask-title'}, 'Ask'),
        labelled('Question', this.question), this.models,
        el('div', {class: 'row'}, el('label', {class: 'check'}, this.blank, 'With a blank image too'), labelled('Slices of a series', this.slices), this.button), this.answers),
      this.reporting.element)));
    if (!about.asks) {
      this.question.disabled = this.button.disabled = true;
      this.question.placeholder = 'This run takes no questions; draft a report.';
    }
    this.viewer.show(current);
  }

  // ---- images ----

  async #take(input) {
    const files = [...input.files];
    input.value = '';
    await this.open(files);
  }

  async open(files) {
    const opened = await openFiles(files);
    stacks.push(...opened);
    if (opened.length > 0) this.choose(opened[0]);
  }

  choose(stack) {
    current = stack;
    this.viewer.show(stack);
  }

  next(by) {
    const at = stacks.indexOf(current) + by;
    if (stacks[at]) this.choose(stacks[at]);
  }

  #close(stack) {
    const at = stacks.indexOf(stack);
    stacks.splice(at, 1);
    closeStack(stack);
    this.choose(current === stack ? stacks[Math.min(at, stacks.length - 1)] ?? null : current);
  }

  // A list of what is open; built anew only where it changed, so that focus stays.
  #list() {
    const state = stacks.map((stack) => `${stack.label} ${hasText(stack)}`).join('\n');
    if (this.listed !== state) {
      this.listed = state;
      this.list.replaceChildren(...stacks.map((stack) => el('li', {class: 'chip'},
        el('label', {class: 'check'}, el('input', {type: 'checkbox', checked: stack.asked, 'aria-label': `Ask about ${stack.label}`, onchange: (event) => { stack.asked = event.target.checked; }})),
        el('button', {type: 'button', onclick: () => this.choose(stack)}, stack.label), hasText(stack) ? el('span', {class: 'notice'}, 'text?') : null,
        el('button', {type: 'button', 'aria-label': `Close ${stack.label}`, onclick: () => this.#close(stack)}, '×'))));
    }
    [...this.list.children].forEach((item, i) => item.children[1].setAttribute('aria-pressed', String(stacks[i] === current)));
  }

  // What the model is shown: of each chosen stack the slice in sight, or some evenly spaced; null where that cannot be.
  asked() {
    const chosen = stacks.filter(({asked}) => asked), wanted = Number(this.slices.value);
    const images = chosen.flatMap(({slices, at, window}) => {
      const count = Math.min(wanted, slices.length);
      const places = count === 1 ? [at] : Array.from({length: count}, (_, i) => Math.floor((2 * i + 1) * slices.length / (2 * count)));
      return places.map((place) => ({...slices[place], window}));
    });
    const fault = about.sees && images.length === 0 ? 'Open an image, and mark it, to ask about it.'
      : images.length > about.limits.images ? `${images.length} images are marked, and the server takes ${about.limits.images} in a question.` : '';
    say(fault, fault ? 'error' : '');
    return fault ? null : images;
  }

  // ---- questions ----

  async ask() {
    if (this.#stop) return this.stop();
    const text = this.question.value.trim(), models = [...this.models.querySelectorAll('input:checked')].map(({value}) => value);
    if (text === '') return this.question.focus();
    const images = this.asked();
    if (!images) return;
    if (models.length === 0) return say('Mark a model to ask.', 'error');
    this.#stop = new AbortController();
    this.button.textContent = 'Stop';
    await askAll({models, images, text, blank: this.blank.checked}, this.answers, this.#stop.signal);
    this.#stop = null;
    this.button.textContent = 'Ask';
  }

  stop() { this.#stop?.abort(); }

  #questionKey(event) {
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    this.ask();
  }

  key(event) {
    if (event.key === 'Escape') return this.stop();
    if (isTyping(event) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches('input[type=range]') && /^Arrow(Left|Right)$/.test(event.key)) return; // its own keys; up and down are as elsewhere
    const does = {o: () => this.files.click(), q: () => this.question.focus(), b: () => this.blank.click(),
      ArrowLeft: () => this.next(-1), ArrowRight: () => this.next(1)};
    const action = event.shiftKey ? null : does[event.key];
    if (action) action();
    else if (!this.viewer.key(event)) return;
    event.preventDefault();
  }
}

const onKey = (event) => page?.key(event);
const onDragOver = (event) => event.preventDefault();
const onDrop = async (event) => {
  event.preventDefault();
  await page?.open(await filesOf(event.dataTransfer));
};
const onLeave = (event) => {
  if (page?.reporting.isUnsaved) event.preventDefault();
};

export async function show(root) {
  say('The model is being loaded.');
  about ??= await api('/api/about');
  say('');
  page = new Page(root);
  document.addEventListener('keydown', onKey);
  document.addEventListener('dragover', onDragOver);
  document.addEventListener('drop', onDrop);
  addEventListener('beforeunload', onLeave);
}

export function hide() {
  page?.stop();
  page?.reporting.keep();
  page = null;
  document.removeEventListener('keydown', onKey);
  document.removeEventListener('dragover', onDragOver);
  document.removeEventListener('drop', onDrop);
  removeEventListener('beforeunload', onLeave);
}
