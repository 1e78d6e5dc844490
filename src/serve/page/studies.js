// Studies, for their owner: made of predictions, watched while people rate, read.

import {api, download, say} from './api.js';
import {agreementOf} from './agreement.js';
import {el, labelled} from './dom.js';

const PAUSE = 5000; // milliseconds between two looks at how far the raters are
const OWN = 'own';

const nameOfFile = (name) => name.replace(/\.(jsonl|json|ndjson)$/, '');
const day = (seconds) => new Date(seconds * 1000).toLocaleString();

async function copy(field, button) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand('copy'); // where the page came without TLS
  }
  button.textContent = 'Copied';
}

// A button that does what cannot be undone when it is pressed a second time.
function twice(text, question, action, attributes = {}) {
  const button = el('button', {type: 'button', ...attributes, onclick: () => {
    if (button.textContent === question) return action();
    button.textContent = question;
    setTimeout(() => { button.textContent = text; }, 6000);
  }}, text);
  return button;
}

export class Studies {
  #root; #timer = null; #about = null; #gone = false;

  constructor(root) { this.#root = root; }

  async start() {
    this.#about = await api('/api/studies');
    if (this.#gone) return;
    this.list = el('div', {id: 'studies', class: 'stack'});
    this.links = el('div', {id: 'links', class: 'stack', 'aria-live': 'polite'});
    this.#root.append(el('h1', {class: 'unseen'}, 'Rate'), el('div', {class: 'studies'}, this.#form(), el('div', {class: 'stack'}, this.links, this.list)));
    this.#show(this.#about.studies);
    this.#timer = setInterval(() => this.#refresh(), PAUSE);
  }

  stop() {
    this.#gone = true;
    clearInterval(this.#timer);
  }

  // ---- a new one ----

  #form() {
    const {rubrics, predictions, open} = this.#about;
    this.name = el('input', {id: 'study-name', type: 'text', required: true, maxlength: 100, autocomplete: 'off'});
    this.rubric = el('select', {id: 'study-rubric', onchange: () => { this.ownField.hidden = this.rubric.value !== OWN; }},
      rubrics.map((name) => el('option', {value: name, selected: name === 'likert-report'}, {correct: 'right or wrong (correct)', 'likert-report': 'five points (likert-report)'}[name] ?? name)),
      el('option', {value: OWN}, 'a file of my own'));
    this.own = el('input', {id: 'study-own', type: 'file', accept: '.yaml,.yml'});
    this.ownField = labelled('Rubric (YAML)', this.own);
    this.ownField.hidden = true;
    this.raters = el('input', {id: 'study-raters', type: 'number', min: 1, max: 100, value: 2, required: true});
    this.perText = el('input', {id: 'study-per-text', type: 'number', min: 1, max: 100, placeholder: 'all'});
    this.duplicates = el('input', {id: 'study-duplicates', type: 'number', min: 0, max: 50, step: 'any', value: 10});
    this.files = el('input', {id: 'study-files', type: 'file', multiple: true, accept: '.jsonl,.json,.ndjson'});
    this.known = el('fieldset', {id: 'study-known', class: 'stack'}, el('legend', {}, 'Files of predictions on the server'),
      predictions.map((name) => el('label', {class: 'check'}, el('input', {type: 'checkbox', value: name}), name)));
    this.known.hidden = predictions.length === 0;
    this.button = el('button', {id: 'study-make', type: 'submit', class: 'main'}, 'Make the study');
    return el('form', {class: 'panel stack', 'aria-labelledby': 'new-title', onsubmit: (event) => this.#make(event)},
      el('h2', {id: 'new-title'}, 'A new study'),
      open ? el('p', {class: 'bad'}, 'This server has no token: whoever reaches it can open the blinding. Start it with --token-file for raters on other machines.') : null,
      labelled('Name', this.name), labelled('Rubric', this.rubric), this.ownField,
      el('div', {class: 'row'}, labelled('Raters', this.raters), labelled('Raters for each text', this.perText), labelled('Shown twice, %', this.duplicates)),
      labelled('Predictions, a file for each system (JSON lines)', this.files), this.known, this.button);
  }

  async #systems() {
    const sent = await Promise.all([...this.files.files].map(async (file) => ({name: nameOfFile(file.name), predictions: await file.text()})));
    return [...sent, ...[...this.known.querySelectorAll('input:checked')].map(({value}) => ({file: value}))];
  }

  async #make(event) {
    event.preventDefault();
    const systems = await this.#systems();
    if (systems.length === 0) return say('Choose at least one file of predictions.', 'error');
    const own = this.rubric.value === OWN ? this.own.files[0] : null;
    if (this.rubric.value === OWN && !own) return say('Choose the file of your rubric.', 'error');
    this.button.disabled = true;
    try {
      const made = await api('/api/studies', {json: {name: this.name.value, systems, raters: Number(this.raters.value), duplicates: Number(this.duplicates.value),
        ...(this.perText.value === '' ? {} : {per_text: Number(this.perText.value)}),
        ...(own ? {rubric: own.name.replace(/\.ya?ml$/, ''), rubric_text: await own.text()} : {rubric: this.rubric.value})}});
      say('');
      this.#showLinks(made, made.links);
      event.target.reset();
      this.ownField.hidden = true;
      await this.#reload();
    } finally {
      this.button.disabled = false;
    }
  }

  // Links are told once: the server keeps no more of them than it needs to know them again.
  #showLinks(study, links) {
    const warnings = [
      study.settings.telling > 0 ? `${study.settings.telling} texts hold the name of their system: raters could tell.` : null,
      study.images_missing > 0 ? `${study.images_missing} images are not in the server's folder of images, and raters will not see them.` : null];
    const title = el('h2', {tabindex: -1}, `Links of ${study.name}`);
    this.links.replaceChildren(el('section', {class: 'panel stack'}, title,
      el('p', {}, 'Give each person one. They are shown this once; a lost one is replaced by a new one.'),
      warnings.filter(Boolean).map((text) => el('p', {class: 'bad warning'}, text)),
      links.map(({rater, link}) => {
        const field = el('input', {type: 'text', readonly: true, class: 'grow link', value: location.origin + link, 'aria-label': `Link of rater ${rater}`});
        const button = el('button', {type: 'button', 'aria-label': `Copy the link of rater ${rater}`, onclick: () => copy(field, button)}, 'Copy');
        return el('div', {class: 'row'}, el('span', {class: 'rater'}, `Rater ${rater}`), field, button);
      })));
    title.focus();
  }

  // ---- those that there are ----

  async #reload() { this.#show((await api('/api/studies')).studies); }

  #show(studies) {
    this.list.replaceChildren(...(studies.length > 0 ? studies.map((study) => this.#describe(study)) : [el('p', {class: 'quiet'}, 'There is no study yet.')]));
  }

  // Only figures change, so that what is open and has the focus stays.
  async #refresh() {
    if (document.hidden) return;
    const {studies} = await api('/api/studies', {quiet: true}).catch(() => ({studies: []}));
    for (const {id, raters} of studies)
      for (const rater of raters) {
        const row = this.list.querySelector(`[data-study="${id}"] [data-rater="${rater.rater}"]`);
        if (row) this.#fill(row, rater);
      }
  }

  #fill(row, {count, done, scored, comments, last}) {
    const bar = row.querySelector('progress'), [, , figures, written, time] = row.children;
    bar.max = count;
    bar.value = done;
    figures.textContent = `${done} of ${count}${scored < done ? `, ${done - scored} without a score` : ''}`;
    written.textContent = comments;
    time.textContent = last === null ? 'not begun' : day(last);
  }

  #rater(study, rater) {
    const row = el('tr', {'data-rater': rater.rater}, el('th', {scope: 'row'}, `Rater ${rater.rater}`),
      el('td', {}, el('progress', {'aria-label': `Done by rater ${rater.rater}`})), el('td', {}), el('td', {class: 'number'}), el('td', {}),
      el('td', {}, twice('New link', 'The old one ends?', () => this.#relink(study, rater.rater), {'aria-label': null})));
    this.#fill(row, rater);
    return row;
  }

  #describe(study) {
    const path = `/api/studies/${study.id}`, result = el('div', {class: 'agreement'});
    const act = (text, action, attributes = {}) => el('button', {type: 'button', onclick: action, ...attributes}, text);
    return el('section', {class: 'panel stack study', 'data-study': study.id, 'aria-label': study.name},
      el('h2', {}, study.name),
      el('p', {class: 'quiet'}, `${study.settings.texts} texts of ${study.settings.systems.map(({name}) => name).join(', ')}; ${study.rubric}, ${study.scale[0]} to ${study.scale[1]}; `
        + `${study.settings.per_text} for each text, ${study.settings.planted} shown twice; made ${day(study.created)}${study.closed ? `; closed ${day(study.closed)}` : ''}`),
      el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Raters of ${study.name}`},
        el('table', {}, el('thead', {}, el('tr', {}, ['Who', 'How far', 'Done', 'Comments', 'Last', 'Link'].map((text) => el('th', {scope: 'col'}, text)))),
          el('tbody', {}, study.raters.map((rater) => this.#rater(study, rater))))),
      el('div', {class: 'row'},
        act('Agreement', () => this.#agree(path, result), {class: 'agree'}),
        act('Ratings (CSV)', () => download(`${path}/ratings?format=csv`, 'ratings.csv')), act('Ratings (JSON lines)', () => download(`${path}/ratings`, 'ratings.jsonl')),
        act('Sheets', () => download(`${path}/ratings?format=csv&form=sheets`, 'sheets.csv')), act('Key', () => download(`${path}/key`, 'sheets.key.json')),
        act(study.closed ? 'Open again' : 'Close', async () => { await api(path, {method: 'PUT', json: {closed: !study.closed}}); await this.#reload(); }, {class: 'close'}),
        twice('Remove', 'Remove all ratings?', async () => { await api(path, {method: 'DELETE'}); await this.#reload(); }, {class: 'remove'})),
      result);
  }

  async #relink(study, rater) {
    const link = await api(`/api/studies/${study.id}/raters/${rater}/link`, {method: 'POST'});
    this.#showLinks({...study, images_missing: 0}, [link]);
  }

  async #agree(path, result) {
    result.replaceChildren(el('p', {class: 'quiet', role: 'status'}, 'The agreement is being computed.'));
    try {
      result.replaceChildren(agreementOf(await api(`${path}/agreement`)));
    } catch {
      result.replaceChildren();
    }
  }
}
