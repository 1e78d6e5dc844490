// A report: drafted by a model, edited and accepted by a person, saved as text and as DICOM SR. What is written is kept by the
// server as it is typed.

import {api, download, say} from './api.js';
import {ask, contentOf} from './asking.js';
import {el, labelled, nameOf} from './dom.js';

const PAUSE = 700; // milliseconds without a key until it is kept
const MOST_NAME = 64; // characters of a name in DICOM (PN, LO)

// Who accepts reports, for as long as the page is open; nothing of it is kept in the browser.
const verifier = {observer: '', organization: ''};

export class Reporting {
  #report = null; #timer = null; #saving = Promise.resolve(); #stop = null;

  // images(): what is asked about now; about: what the server says of the run.
  constructor(about, images) {
    this.images = images;
    this.model = el('select', {id: 'report-model'}, about.models.map(({id}) => el('option', {value: id}, nameOf(id))));
    this.indication = el('input', {id: 'indication', type: 'text', autocomplete: 'off'});
    this.text = el('textarea', {id: 'report-text', rows: 9, spellcheck: 'true', disabled: true, oninput: () => this.#edited()});
    this.draftButton = el('button', {id: 'draft', type: 'button', onclick: () => this.draft()}, 'Draft');
    this.acceptButton = el('button', {id: 'accept', type: 'button', class: 'main', onclick: () => this.accept()}, 'Accept');
    this.textButton = el('button', {id: 'save-text', type: 'button', onclick: () => this.#save('text', 'report.txt')}, 'Save as text');
    this.kind = el('select', {id: 'sr-kind'}, el('option', {value: 'basic'}, 'Basic Text'), el('option', {value: 'enhanced'}, 'Enhanced'));
    const name = (key, id) => el('input', {id, type: 'text', value: verifier[key], maxlength: MOST_NAME, autocomplete: 'off', oninput: (event) => { verifier[key] = event.target.value; }});
    this.observer = name('observer', 'verified-by');
    this.organization = name('organization', 'verified-at');
    this.srButton = el('button', {id: 'save-sr', type: 'button', onclick: () => this.#save(`sr?kind=${this.kind.value}`, 'report.dcm')}, 'Save as DICOM SR');
    this.removeButton = el('button', {id: 'remove-report', type: 'button', onclick: () => this.#remove()}, 'Remove');
    this.state = el('p', {id: 'report-state', class: 'quiet', role: 'status'});
    this.earlier = el('ul', {id: 'reports', class: 'plain'});
    const place = about.asks ? 'Indication, or what to report on' : "Indication (none: this run's prompt has no place for it)";
    this.indication.disabled = !about.asks;
    this.element = el('section', {class: 'panel stack', 'aria-labelledby': 'report-title'},
      el('h2', {id: 'report-title'}, 'Report'),
      el('div', {class: 'row'}, labelled('Model', this.model), labelled(place, this.indication, {class: 'field grow'}), this.draftButton),
      labelled('Report', this.text), this.state,
      el('fieldset', {class: 'row verified', 'aria-describedby': 'verified-help'}, el('legend', {}, 'Verified by (optional)'),
        labelled('Name, as Family^Given', this.observer, {class: 'field grow'}), labelled('Organization', this.organization, {class: 'field grow'}),
        el('p', {id: 'verified-help', class: 'quiet'}, 'With both, an accepted report becomes a verified structured report in this name; without, an unverified one.')),
      el('div', {class: 'row'}, this.acceptButton, this.textButton, labelled('Kind of SR', this.kind), this.srButton, this.removeButton),
      el('p', {class: 'notice'}, 'Not for clinical use'),
      el('details', {}, el('summary', {}, 'Earlier reports'), this.earlier));
    this.#tell();
    this.#list();
  }

  get isUnsaved() { return this.#timer !== null; }

  #tell(note = '') {
    const report = this.#report, open = report !== null && report.state === 'draft';
    this.text.disabled = !open;
    this.acceptButton.disabled = this.observer.disabled = this.organization.disabled = !open;
    this.textButton.disabled = this.removeButton.disabled = report === null;
    this.srButton.disabled = report?.state !== 'accepted' || !report.images.some(({kind}) => kind === 'DICOM');
    this.state.textContent = note || (report === null ? 'There is no report yet.' : report.state === 'accepted' ? `Accepted${report.observer ? `, verified by ${report.observer} (${report.organization})` : ''}. It cannot be changed any more.`
      : `A draft of ${nameOf(report.model)}${report.complete ? '' : ', cut at its longest'}; kept.`);
  }

  async draft() {
    if (this.#stop) return this.#stop.abort();
    const images = this.images();
    if (!images) return;
    await this.keep();
    this.#stop = new AbortController();
    this.draftButton.textContent = 'Stop';
    this.#report = null;
    this.text.value = '';
    this.#tell('The draft is being made.');
    try {
      const model = this.model.value, indication = this.indication.value.trim();
      const answer = await ask({model, content: contentOf(images, indication)}, (text) => { this.text.value = text; }, this.#stop.signal);
      this.#report = await api('/api/reports', {json: {model, indication, text: answer.text, complete: !answer.cut,
        images: images.map(({id, frame, window}) => ({id, frame, ...(window && {window})}))}});
      this.#tell();
      this.text.focus();
      this.#list();
    } catch (fault) {
      this.#tell(fault.name === 'AbortError' ? 'Stopped; nothing was kept.' : fault.message);
      if (fault.name !== 'AbortError') say(fault.message, 'error');
    } finally {
      this.#stop = null;
      this.draftButton.textContent = 'Draft';
    }
  }

  #edited() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.keep(), PAUSE);
    this.#tell('Being written.');
  }

  // Sends what is not kept yet, one request behind the other.
  keep() {
    if (this.#timer === null) return this.#saving;
    clearTimeout(this.#timer);
    this.#timer = null;
    const text = this.text.value, {id} = this.#report;
    this.#saving = this.#saving.then(async () => {
      try {
        const kept = await api(`/api/reports/${id}`, {method: 'PUT', json: {text, version: this.#report.version}});
        if (this.#report?.id === id) this.#report = kept;
        if (!this.isUnsaved) this.#tell();
      } catch (fault) {
        this.#tell(`Not kept: ${fault.message}`);
        throw fault;
      }
    });
    this.#saving.catch(() => {});
    const result = this.#saving;
    this.#saving = this.#saving.catch(() => {});
    return result;
  }

  async accept() {
    const [observer, organization] = [verifier.observer.trim(), verifier.organization.trim()];
    if ((observer === '') !== (organization === '')) {
      say('Who verifies a report is named with an organization: fill in both, or neither.', 'error');
      (observer === '' ? this.observer : this.organization).focus();
      return;
    }
    await this.keep();
    this.#report = await api(`/api/reports/${this.#report.id}/accept`, {json: {version: this.#report.version, ...(observer && {observer, organization})}});
    say('');
    this.#tell();
    this.#list();
  }

  async #save(what, name) {
    await this.keep();
    await download(`/api/reports/${this.#report.id}/${what}`, name);
  }

  async #remove() {
    clearTimeout(this.#timer);
    this.#timer = null;
    await api(`/api/reports/${this.#report.id}`, {method: 'DELETE'});
    this.#report = null;
    this.text.value = '';
    this.#tell('Removed.');
    this.#list();
  }

  async #open(id) {
    await this.keep();
    this.#report = await api(`/api/reports/${id}`);
    this.text.value = this.#report.text;
    this.indication.value = this.#report.indication;
    this.#tell();
  }

  async #list() {
    const {reports} = await api('/api/reports');
    this.earlier.replaceChildren(...reports.map(({id, state, created, model}) => el('li', {},
      el('button', {type: 'button', onclick: () => this.#open(id)}, `${new Date(created * 1000).toLocaleString()}, ${nameOf(model)}, ${state}`))));
    if (reports.length === 0) this.earlier.append(el('li', {class: 'quiet'}, 'none'));
  }
}
