// Runs: which there are, their learning curves as they come, settings, scores by kind, and any two compared.

import {api, say} from './api.js';
import {isTyping} from './app.js';
import {Chart, valueText} from './chart.js';
import {el, figure, labelled, viewOf} from './dom.js';
import {differenceTable, percent} from './difference.js';

const LIST_PAUSE = 5000, LOG_PAUSE = 2000, IDLE_PAUSE = 10000; // milliseconds
const MOST_POINTS = 4000; // of a series, before it is asked for anew, thinned
const UNITS = {loss: 'nats', validation_loss: 'nats', seconds: 's', read_seconds: 's', rss_bytes: 'bytes', epoch: 'epochs', tokens: 'tokens', samples: 'samples'};
const TITLES = {loss: 'loss', validation_loss: 'validation loss', lr: 'learning rate', grad_norm: 'norm of the gradient', rss_bytes: 'memory', seconds: 'time', read_seconds: 'time of reading', logits_change: 'change of the logits'};
const titleOf = (name) => TITLES[name] ?? name.replaceAll('_', ' ');
const path = (name) => `/api/runs/${encodeURIComponent(name)}`;

export const keys = [['/', 'the field that filters the runs'], ['L', 'curves linear or logarithmic'], ['← →', 'on a curve: its values; with Shift in larger steps'], ['X', 'exchange the two runs']];

// The curves of a run, read on as the log grows.
class Log {
  constructor(name) {
    this.name = name;
    this.series = {};
    this.log = null;
    this.step = null;
    this.stages = [];
    this.state = '';
  }

  async read(signal) {
    const long = Object.values(this.series).some(({step}) => step.length > MOST_POINTS);
    const query = this.log && !long && this.step !== null ? `?from=${this.step}&log=${this.log}` : '';
    const told = await api(`${path(this.name)}/log${query}`, {signal, quiet: true});
    const goesOn = query !== '' && told.log === this.log;
    if (!goesOn) this.series = told.series;
    else for (const [name, {step, value}] of Object.entries(told.series)) {
      const series = this.series[name] ??= {step: [], value: []};
      series.step.push(...step);
      series.value.push(...value);
    }
    const changed = !goesOn || told.step !== this.step || told.state !== this.state;
    Object.assign(this, {log: told.log, step: told.step, stages: told.stages, state: told.state});
    return changed;
  }
}

const stateText = (state) => el('span', {class: `state ${state}`}, {training: '● training', finished: '✓ finished', interrupted: '■ interrupted'}[state] ?? state);
const overall = (scores) => {
  const names = Object.keys(scores), name = names.find((n) => n.endsWith('-none')) ?? names[0];
  return name && Number.isFinite(scores[name].overall) ? `${scores[name].overall.toFixed(1)} %` : '';
};
const withInterval = (value, interval) => (Number.isFinite(value) ? `${value.toFixed(1)}${interval ? ` (${interval[0].toFixed(1)}–${interval[1].toFixed(1)})` : ''}` : '');

class Page {
  #timers = []; #stop = new AbortController(); #runs = [];

  constructor(root, places) {
    this.filter = el('input', {id: 'run-filter', type: 'search', oninput: () => this.#list()});
    this.body = el('tbody', {});
    this.cut = el('p', {class: 'quiet'});
    this.detail = el('div', {class: 'stack', id: 'run-detail'});
    root.append(el('div', {class: 'runs'},
      el('section', {class: 'panel stack', 'aria-labelledby': 'runs-title'}, el('h2', {id: 'runs-title'}, 'Runs'), labelled('Names that contain', this.filter),
        el('div', {class: 'scroll list', tabindex: 0, role: 'region', 'aria-label': 'Runs'}, el('table', {id: 'run-table'},
          el('thead', {}, el('tr', {}, ['Run', 'State', 'Step', 'Loss', 'Right'].map((title, i) => el('th', {scope: 'col', class: i > 1 ? 'number' : null}, title)))), this.body)), this.cut),
      this.detail));
    this.move(places);
    this.refresh();
  }

  get signal() { return this.#stop.signal; }

  close() {
    this.#stop.abort();
    this.#clear();
    clearTimeout(this.listTimer);
  }

  #clear() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    for (const chart of this.charts ?? []) chart.close();
    this.charts = [];
  }

  // ---- the list ----

  async refresh() {
    try {
      const {runs, cut} = await api('/api/runs', {signal: this.signal});
      this.#runs = runs;
      this.cut.textContent = cut ? 'There are more runs than are listed; start serve with --runs for the folder that matters.' : '';
      this.#list();
      this.#others();
      if (!this.name && runs.length > 0) location.replace(`#runs/${encodeURIComponent((runs.find(({state}) => state === 'training') ?? runs[0]).name)}`);
    } catch (fault) {
      if (fault.name === 'AbortError') return;
    }
    this.listTimer = setTimeout(() => this.refresh(), LIST_PAUSE);
  }

  // Rows stay the elements that they are, so that focus stays where it is.
  #list() {
    const wanted = this.filter.value.trim().toLowerCase(), runs = this.#runs.filter(({name}) => name.toLowerCase().includes(wanted));
    const names = runs.map(({name}) => name).join('\n');
    if (this.listed !== names) {
      this.listed = names;
      this.body.replaceChildren(...runs.map(({name}) => el('tr', {'data-run': name}, el('td', {}, el('a', {href: `#runs/${encodeURIComponent(name)}`}, el('span', {}, name.split(':').flatMap((part, i) => (i > 0 ? [':', el('wbr'), part] : [part]))))),
        el('td', {}), el('td', {class: 'number'}), el('td', {class: 'number'}), el('td', {class: 'number'}))));
      if (runs.length === 0) this.body.append(el('tr', {}, el('td', {colspan: 5, class: 'quiet'}, this.#runs.length === 0 ? 'There are no runs in the folders of this server (serve --runs FOLDER).' : 'No run is called so.')));
    }
    runs.forEach((run, i) => {
      const [link, state, step, loss, right] = this.body.children[i].children;
      if (run.name === this.name) link.firstChild.setAttribute('aria-current', 'true');
      else link.firstChild.removeAttribute('aria-current');
      if (state.dataset.state !== run.state) state.replaceChildren(stateText(run.state));
      state.dataset.state = run.state;
      step.textContent = run.step?.toLocaleString('en') ?? '';
      loss.textContent = valueText(run.loss ?? NaN);
      right.textContent = overall(run.scores);
    });
  }

  #others() {
    if (!this.other) return;
    const names = ['', ...this.#runs.map(({name}) => name).filter((name) => name !== this.name)];
    if (this.other.dataset.names === names.join('\n')) return;
    this.other.dataset.names = names.join('\n');
    this.other.replaceChildren(...names.map((name) => el('option', {value: name}, name || 'no other')));
    this.other.value = this.against ?? '';
  }

  // ---- a run ----

  async move([name, against]) {
    this.#clear();
    this.name = name;
    this.against = against && against !== name ? against : null;
    this.#list();
    if (!name) return;
    const mine = `${name}\n${against}`;
    this.moved = mine;
    try {
      const [run, both] = await Promise.all([api(path(name), {signal: this.signal}), this.against ? api(`${path(name)}/against/${encodeURIComponent(this.against)}`, {signal: this.signal}) : null]);
      if (this.moved !== mine) return;
      say('');
      this.#show(run, both);
    } catch (fault) {
      if (fault.name !== 'AbortError' && this.moved === mine) this.detail.replaceChildren(el('p', {class: 'bad'}, fault.message));
    }
  }

  exchange() {
    if (this.against) location.hash = `#runs/${encodeURIComponent(this.against)}/${encodeURIComponent(this.name)}`;
  }

  #show(run, both) {
    this.other = el('select', {id: 'run-other', onchange: () => { location.hash = `#runs/${encodeURIComponent(this.name)}${this.other.value ? `/${encodeURIComponent(this.other.value)}` : ''}`; }});
    this.#others();
    this.stateLine = el('p', {id: 'run-state', 'aria-live': 'polite'}, stateText(run.state));
    this.logs = [this.name, this.against].filter(Boolean).map((name) => new Log(name));
    this.curve = el('select', {id: 'run-curve', onchange: () => this.#draw()});
    this.charts = [new Chart({id: 'loss-chart', title: 'loss'}), new Chart({id: 'other-chart', title: ''})];
    this.detail.replaceChildren(
      el('section', {class: 'panel stack', 'aria-labelledby': 'run-title'},
        el('div', {class: 'row'}, el('div', {class: 'grow'}, el('h2', {id: 'run-title'}, run.name), this.stateLine), labelled('Compare with', this.other)),
        this.charts[0].element, el('div', {class: 'row'}, labelled('Another curve', this.curve)), this.charts[1].element),
      ...(both ? this.#comparison(run, both) : [this.#scores(run.scores)]),
      this.#settings(run));
    for (const log of this.logs) this.#follow(log);
  }

  async #follow(log) {
    const logs = this.logs;
    try {
      if (!document.hidden && await log.read(this.signal) && logs === this.logs) this.#draw();
    } catch (fault) {
      if (fault.name === 'AbortError' || logs !== this.logs) return;
      say(fault.message, 'error');
    }
    if (logs === this.logs && !this.signal.aborted) this.#timers.push(setTimeout(() => this.#follow(log), log.state === 'training' ? LOG_PAUSE : IDLE_PAUSE));
  }

  #curvesOf(names) {
    const many = this.logs.length > 1, curves = [];
    names.forEach((series, s) => this.logs.forEach((log, r) => {
      const {step = [], value = []} = log.series[series] ?? {};
      curves.push({name: many ? `${titleOf(series)}, ${log.name}` : titleOf(series), unit: UNITS[series] ?? '', style: s * this.logs.length + r, steps: step, values: value});
    }));
    return curves;
  }

  #draw() {
    const main = this.logs[0], parts = [stateText(main.state)];
    if (main.step !== null) parts.push(` · step ${main.step.toLocaleString('en')}`);
    if (main.stages.length > 0) parts.push(` · stage ${main.stages.at(-1).name} (${main.stages.map(({name, step}) => `${name} from step ${step}`).join(', ')})`);
    this.stateLine.replaceChildren(...parts);
    const others = [...new Set(this.logs.flatMap(({series}) => Object.keys(series)))].filter((name) => name !== 'loss' && name !== 'validation_loss');
    if (this.curve.dataset.names !== others.join('\n')) {
      const chosen = this.curve.value;
      this.curve.dataset.names = others.join('\n');
      this.curve.replaceChildren(...others.map((name) => el('option', {value: name}, titleOf(name))));
      this.curve.value = others.includes(chosen) ? chosen : others.includes('lr') ? 'lr' : others[0] ?? '';
    }
    this.charts[0].show(this.#curvesOf(['loss', 'validation_loss']));
    this.charts[1].title = titleOf(this.curve.value);
    this.charts[1].show(this.#curvesOf([this.curve.value]));
  }

  // ---- scores ----

  #scores(scores) {
    const names = Object.keys(scores), section = el('section', {class: 'panel stack', 'aria-labelledby': 'scores-title', id: 'scores'}, el('h2', {id: 'scores-title'}, 'Scores'));
    if (names.length === 0) {
      section.append(el('p', {class: 'quiet'}, 'There are none yet: pefomed eval writes them.'));
      return section;
    }
    const figures = [['overall', 'All'], ['closed', 'Closed'], ['open', 'Open'], ['recall_open', 'Recall, open']];
    section.append(el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Scores'}, el('table', {}, el('caption', {class: 'quiet'}, 'Right answers in percent, with 95 % intervals over images'),
      el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Split and probe'), el('th', {scope: 'col', class: 'number'}, 'Rows'), figures.map(([, title]) => el('th', {scope: 'col', class: 'number'}, title)))),
      el('tbody', {}, names.map((name) => el('tr', {}, el('th', {scope: 'row'}, name), el('td', {class: 'number'}, scores[name].n?.toLocaleString('en') ?? ''),
        figures.map(([key]) => el('td', {class: 'number'}, withInterval(scores[name][key], scores[name].ci95?.[key])))))))));
    const metrics = names.filter((name) => scores[name].metrics);
    for (const name of metrics) section.append(el('h3', {}, name), el('dl', {}, Object.entries(scores[name].metrics).flatMap(([metric, value]) => [el('dt', {}, metric), el('dd', {}, figure(value))])));
    const kinds = names.filter((name) => scores[name].by && Object.keys(scores[name].by).length > 0);
    if (kinds.length > 0) section.append(this.#byKind(kinds, (name) => [scores[name]]));
    return section;
  }

  // Scores of one or two runs by the values of each column.
  #byKind(names, scoresOf) {
    const place = el('div', {class: 'cards'}), select = el('select', {id: 'scores-of', onchange: () => show()}, names.map((name) => el('option', {value: name}, name)));
    const show = () => {
      const scores = scoresOf(select.value), columns = [...new Set(scores.flatMap(({by}) => Object.keys(by ?? {})))];
      place.replaceChildren(...columns.map((column) => {
        const values = [...new Set(scores.flatMap(({by}) => Object.keys(by?.[column] ?? {})))];
        const heads = scores.length > 1 ? ['This run', 'The other'] : ['Right'];
        return el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': column}, el('table', {}, el('caption', {}, column.replaceAll('_', ' ')),
          el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Kind'), el('th', {scope: 'col', class: 'number'}, 'Rows'), heads.map((head) => el('th', {scope: 'col', class: 'number'}, head)))),
          el('tbody', {}, values.map((value) => el('tr', {}, el('th', {scope: 'row'}, value), el('td', {class: 'number'}, scores.map(({by}) => by?.[column]?.[value]?.n).find(Number.isFinite)?.toLocaleString('en') ?? ''),
            scores.map(({by}) => el('td', {class: 'number'}, percent(by?.[column]?.[value]?.overall))))))));
      }));
    };
    select.value = names.find((name) => name.endsWith('-none')) ?? names[0];
    show();
    return el('div', {class: 'stack'}, el('div', {class: 'row'}, labelled('By kind, of', select)), place);
  }

  // ---- two runs ----

  #comparison(run, {recipes, scores, files}) {
    const settings = el('section', {class: 'panel stack', id: 'differences', 'aria-labelledby': 'differences-title'}, el('h2', {id: 'differences-title'}, 'What differs in the recipes'),
      recipes.length === 0 ? el('p', {}, 'Nothing.') : el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Differences of the recipes'}, el('table', {},
        el('thead', {}, el('tr', {}, ['Key', this.name, this.against].map((title) => el('th', {scope: 'col'}, title)))),
        el('tbody', {}, recipes.map(({key, a, b}) => el('tr', {}, el('th', {scope: 'row'}, key), el('td', {}, a), el('td', {}, b)))))));
    const common = Object.keys(scores.a).filter((name) => scores.b[name] && scores.a[name].by);
    const beside = el('section', {class: 'panel stack', 'aria-labelledby': 'beside-title'}, el('h2', {id: 'beside-title'}, 'Scores side by side'),
      common.length === 0 ? el('p', {class: 'quiet'}, 'The runs have no scores of the same split.') : this.#byKind(common, (name) => [scores.a[name], scores.b[name]]));
    return [settings, this.#paired(files), beside];
  }

  #paired(files) {
    const choose = (id) => el('select', {id});
    const [a, b] = [choose('paired-a'), choose('paired-b')], place = el('div', {class: 'stack', 'aria-live': 'polite'});
    const compare = async () => {
      if (!a.value || !b.value) return;
      place.replaceChildren(el('p', {class: 'quiet'}, 'Being computed.'));
      try {
        const told = await api(`/api/predictions/${encodeURIComponent(a.value)}/against/${encodeURIComponent(b.value)}`, {signal: this.signal, quiet: true});
        place.replaceChildren(differenceTable(told, a.value, b.value),
          el('p', {}, el('a', {href: `#answers/${encodeURIComponent(a.value)}/${encodeURIComponent(b.value)}`}, 'Look through the answers in which they differ')));
      } catch (fault) {
        if (fault.name !== 'AbortError') place.replaceChildren(el('p', {class: 'bad'}, fault.message));
      }
    };
    const fill = async () => {
      const {files: all} = await api('/api/predictions', {signal: this.signal});
      for (const select of [a, b]) {
        select.replaceChildren(el('option', {value: ''}, 'choose a file'), ...all.map(({name}) => el('option', {value: name}, name)));
        select.addEventListener('change', compare);
      }
      if (files.length > 0) [a.value, b.value] = [files[0].a, files[0].b];
      else place.append(el('p', {class: 'quiet'}, 'Predictions that lie in both runs\' folders are found by themselves; choose others here.'));
      compare();
    };
    fill().catch(() => {});
    return el('section', {class: 'panel stack', id: 'paired', 'aria-labelledby': 'paired-title'}, el('h2', {id: 'paired-title'}, 'Difference on the same questions'),
      el('div', {class: 'row'}, labelled("This run's predictions", a), labelled("The other's", b)), place);
  }

  // ---- settings ----

  #settings({recipe, audit}) {
    const text = (title, id, content) => el('details', {id}, el('summary', {}, title), el('pre', {tabindex: 0, role: 'region', 'aria-label': title}, content));
    return el('section', {class: 'panel', 'aria-labelledby': 'settings-title'}, el('h2', {id: 'settings-title'}, 'Settings'),
      recipe ? text('Recipe', 'recipe', recipe) : el('p', {class: 'quiet'}, 'The recipe cannot be read.'),
      audit ? text('Audit: what the run was made from', 'audit', JSON.stringify(audit, null, 2)) : null);
  }

  key(event) {
    if (isTyping(event) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === '/') this.filter.focus();
    else if (event.key.toLowerCase() === 'l') for (const chart of this.charts) chart.setLog(!chart.logBox.checked);
    else if (event.key.toLowerCase() === 'x') this.exchange();
    else return;
    event.preventDefault();
  }
}

export const {show, move, hide} = viewOf(Page);
