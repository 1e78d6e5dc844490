// Curves as SVG: axes with units, values under the pointer or by arrow keys, linear or logarithmic. Curves differ by colour, by
// dashes and by their marks, so that no colour has to be told from another.

import {el} from './dom.js';

const DASHES = ['', '9 4', '2 4', '12 4 2 4']; // as many styles as style.css has colours
const MARKS = ['M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z', 'M-4 -4H4V4H-4Z', 'M0 -5L5 4H-5Z', 'M0 -5L5 0L0 5L-5 0Z'];
const MARKED = 6; // marks along a curve
const LEFT = 66, RIGHT = 14, TOP = 12, BOTTOM = 44, HEIGHT = 300;

const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

// "0.0123", "1.2e-5", "12,345", "1.54 GiB" of bytes.
export function valueText(value, unit = '') {
  if (!Number.isFinite(value)) return '';
  if (unit === 'bytes') {
    const power = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.abs(value) || 1) / 10)));
    return `${Number((value / 1024 ** power).toPrecision(3))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
  }
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 1e9 || size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, 'e').replace('e+', 'e');
  return size >= 1000 ? Number(value.toPrecision(6)).toLocaleString('en') : String(Number(value.toPrecision(4)));
}

// Round numbers within [low, high], about `count` of them.
export function linearTicks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find((f) => f * power >= rough) * power, ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

// Powers of ten, and where there are few of them 2 and 5 times them.
export function logTicks(low, high) {
  const ticks = [], decades = Math.log10(high / low), factors = decades > 3 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8], every = Math.max(1, Math.ceil(decades / 8));
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    if (power % every !== 0) continue;
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(6));
      if (tick >= low * 0.9999 && tick <= high * 1.0001) ticks.push(tick);
    }
  }
  return ticks;
}

// A sample of how a curve looks, for a legend.
const sample = (style) => svg('svg', {class: 'sample', viewBox: '0 0 44 12', 'aria-hidden': 'true'},
  svg('path', {class: `curve curve-${style}`, d: 'M2 6H42', 'stroke-dasharray': DASHES[style]}), svg('path', {class: `mark mark-${style}`, d: MARKS[style], transform: 'translate(22 6)'}));

// Where the last number that is not above `value` stands; -1 where there is none.
function place(numbers, value) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function nearest(numbers, value) {
  const at = place(numbers, value);
  if (at < 0) return 0;
  return at + 1 < numbers.length && numbers[at + 1] - value < value - numbers[at] ? at + 1 : at;
}

// Each value the mean of those around it, nearer ones counting more; the more values there are, the more of them.
function smoothed(values) {
  const weight = 2 / (1 + Math.max(2, values.length / 50)), forth = [], back = new Array(values.length);
  for (let i = 0; i < values.length; i++) forth.push(i === 0 ? values[0] : forth[i - 1] + weight * (values[i] - forth[i - 1]));
  for (let i = values.length - 1; i >= 0; i--) back[i] = i === values.length - 1 ? values[i] : back[i + 1] + weight * (values[i] - back[i + 1]);
  return forth.map((value, i) => (value + back[i]) / 2);
}

export class Chart {
  #curves = []; #log = false; #smooth = false; #at = null; #width = 0;

  // id: of the element; title: what is drawn; x: what the horizontal axis counts.
  constructor({id, title, x = 'step'}) {
    this.title = title;
    this.x = x;
    this.unit = '';
    this.svg = svg('svg', {class: 'chart', role: 'img', tabindex: 0, 'aria-describedby': `${id}-values`});
    this.values = el('p', {id: `${id}-values`, class: 'values', 'aria-live': 'off'});
    this.legend = el('ul', {class: 'plain legend'});
    this.logBox = el('input', {type: 'checkbox', id: `${id}-log`, onchange: () => this.setLog(this.logBox.checked)});
    this.smoothBox = el('input', {type: 'checkbox', id: `${id}-smooth`, onchange: () => {
      this.#smooth = this.smoothBox.checked;
      this.draw();
    }});
    this.element = el('figure', {id, class: 'stack figure'},
      el('div', {class: 'row'}, this.legend, el('label', {class: 'check'}, this.logBox, 'Logarithmic'), el('label', {class: 'check'}, this.smoothBox, 'Smoothed')), this.svg, this.values);
    this.svg.addEventListener('pointermove', (event) => this.#point(event));
    this.svg.addEventListener('pointerdown', (event) => this.#point(event));
    this.svg.addEventListener('pointerleave', () => this.#choose(null));
    this.svg.addEventListener('blur', () => this.#choose(null));
    this.svg.addEventListener('keydown', (event) => this.#key(event));
    this.observer = new ResizeObserver(() => {
      if (this.svg.clientWidth !== this.#width) this.draw();
    });
    this.observer.observe(this.svg);
  }

  close() { this.observer.disconnect(); }

  setLog(log) {
    this.#log = log;
    this.logBox.checked = log;
    this.draw();
  }

  // curves: [{name, unit, style, steps, values}].
  show(curves) {
    this.#curves = curves.filter(({steps}) => steps.length > 0);
    this.unit = this.#curves[0]?.unit ?? '';
    const known = this.#curves.map(({name, style}) => `${name}\n${style}`).join('\n\n');
    if (known !== this.known) {
      this.known = known;
      this.legend.replaceChildren(...this.#curves.map(({name, style}) => el('li', {}, sample(style), name)));
    }
    this.draw();
  }

  // ---- scales ----

  #range() {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const {steps, values} of this.#curves) {
      x0 = Math.min(x0, steps[0]);
      x1 = Math.max(x1, steps.at(-1));
      for (const value of values) {
        if (this.#log && value <= 0) continue;
        y0 = Math.min(y0, value);
        y1 = Math.max(y1, value);
      }
    }
    if (!Number.isFinite(y0)) return null;
    if (x0 === x1) [x0, x1] = [x0 - 1, x1 + 1];
    if (y0 === y1) [y0, y1] = this.#log ? [y0 / 2, y1 * 2] : [y0 - (Math.abs(y0) || 1) / 2, y1 + (Math.abs(y1) || 1) / 2];
    else if (!this.#log) [y0, y1] = [y0 >= 0 && y0 < (y1 - y0) / 2 ? 0 : y0 - (y1 - y0) * 0.04, y1 + (y1 - y0) * 0.04];
    return {x0, x1, y0, y1};
  }

  #scales(range) {
    const {x0, x1, y0, y1} = range, wide = this.#width - LEFT - RIGHT, high = HEIGHT - TOP - BOTTOM, of = this.#log ? Math.log : (v) => v;
    return {
      x: (step) => LEFT + wide * (step - x0) / (x1 - x0),
      y: (value) => TOP + high * (1 - (of(value) - of(y0)) / (of(y1) - of(y0))),
      step: (x) => x0 + (x1 - x0) * (x - LEFT) / wide,
    };
  }

  // ---- drawing ----

  draw() {
    this.#width = this.svg.clientWidth;
    const range = this.#range();
    this.svg.replaceChildren();
    this.svg.setAttribute('aria-label', this.#told());
    if (this.#width <= LEFT + RIGHT) return;
    this.svg.setAttribute('viewBox', `0 0 ${this.#width} ${HEIGHT}`);
    if (!range) {
      const positive = this.#curves.length > 0 ? 'Nothing is above 0, so that nothing can be drawn logarithmically.' : 'Nothing was logged yet.';
      this.svg.append(svg('text', {class: 'tick', x: this.#width / 2, y: HEIGHT / 2, 'text-anchor': 'middle'}, positive));
      return;
    }
    this.scales = this.#scales(range);
    this.#axes(range);
    for (const curve of this.#curves) this.#curve(curve);
    this.pointer = svg('g', {class: 'pointer'});
    this.svg.append(this.pointer);
    this.#choose(this.#at);
  }

  // For those who do not see it.
  #told() {
    const last = this.#curves.map(({name, unit, steps, values}) => `${name}: ${valueText(values.at(-1), unit)} at ${this.x} ${steps.at(-1)}`);
    return `${this.title} over ${this.x}s. ${last.join('; ') || 'Nothing was logged yet'}. Arrow keys tell its values.`;
  }

  #axes({x0, x1, y0, y1}) {
    const {x, y} = this.scales, end = this.#width - RIGHT, below = HEIGHT - BOTTOM;
    const ticks = this.#log ? logTicks(y0, y1) : linearTicks(y0, y1, 6);
    for (const tick of ticks.length > 1 ? ticks : linearTicks(y0, y1, 4).filter((v) => !this.#log || v > 0)) {
      this.svg.append(svg('line', {class: 'grid', x1: LEFT, x2: end, y1: y(tick), y2: y(tick)}),
        svg('text', {class: 'tick', x: LEFT - 8, y: y(tick) + 4, 'text-anchor': 'end'}, valueText(tick, this.unit)));
    }
    for (const tick of linearTicks(x0, x1, Math.max(3, Math.min(10, Math.floor(this.#width / 90)))).filter(Number.isInteger)) {
      this.svg.append(svg('line', {class: 'axis', x1: x(tick), x2: x(tick), y1: below, y2: below + 5}),
        svg('text', {class: 'tick', x: x(tick), y: below + 19, 'text-anchor': 'middle'}, tick.toLocaleString('en')));
    }
    const name = this.unit && this.unit !== 'bytes' ? `${this.title} (${this.unit})` : this.title;
    this.svg.append(svg('path', {class: 'axis', d: `M${LEFT} ${TOP}V${below}H${end}`}),
      svg('text', {class: 'label', x: (LEFT + end) / 2, y: HEIGHT - 6, 'text-anchor': 'middle'}, this.x),
      svg('text', {class: 'label', x: 0, y: 0, transform: `translate(13 ${(TOP + below) / 2}) rotate(-90)`, 'text-anchor': 'middle'}, `${name}${this.#log ? ', logarithmic' : ''}`));
  }

  // line: of a path; drawn: which values it goes through.
  #path(steps, values) {
    const {x, y} = this.scales, drawn = [...steps.keys()].filter((i) => !this.#log || values[i] > 0);
    return {drawn, line: drawn.map((i, k) => `${k > 0 ? 'L' : 'M'}${x(steps[i]).toFixed(1)} ${y(values[i]).toFixed(1)}`).join('')};
  }

  #curve({name, style, steps, values: raw}) {
    const {x, y} = this.scales, values = this.#smooth ? smoothed(raw) : raw;
    if (this.#smooth) this.svg.append(svg('path', {class: `curve raw curve-${style}`, d: this.#path(steps, raw).line}));
    const {line, drawn} = this.#path(steps, values);
    const marks = drawn.length <= MARKED ? drawn : Array.from({length: MARKED}, (_, k) => drawn[Math.round((k + 0.5) * (drawn.length - 1) / MARKED)]);
    this.svg.append(svg('path', {class: `curve curve-${style}`, d: line, 'stroke-dasharray': DASHES[style], 'data-name': name, 'data-points': drawn.length}),
      ...marks.map((i) => svg('path', {class: `mark mark-${style}`, d: MARKS[style], transform: `translate(${x(steps[i]).toFixed(1)} ${y(values[i]).toFixed(1)})`})));
  }

  // ---- values ----

  #point(event) {
    if (!this.scales || this.#curves.length === 0) return;
    this.values.setAttribute('aria-live', 'off');
    this.#choose(this.#near(this.scales.step(event.offsetX)));
  }

  // The step of any curve that lies nearest.
  #near(step) {
    const steps = this.#curves.map((curve) => curve.steps[nearest(curve.steps, step)]);
    return steps.reduce((best, other) => (Math.abs(other - step) < Math.abs(best - step) ? other : best), steps[0]);
  }

  #choose(step) {
    this.#at = step;
    this.pointer?.replaceChildren();
    this.values.replaceChildren();
    if (step === null || this.#curves.length === 0) {
      this.values.append(el('span', {class: 'quiet'}, 'Point at the curves, or press the arrow keys on them, for their values.'));
      return;
    }
    const {x, y} = this.scales;
    this.pointer?.append(svg('line', {class: 'line', x1: x(step), x2: x(step), y1: TOP, y2: HEIGHT - BOTTOM}));
    this.values.append(el('strong', {}, `${this.x} ${step.toLocaleString('en')}`));
    for (const {name, unit, style, steps, values} of this.#curves) {
      const at = place(steps, step), value = values[at];
      if (at < 0) continue;
      const behind = steps[at] === step ? '' : ` (${this.x} ${steps[at].toLocaleString('en')})`;
      this.values.append(el('span', {class: 'value'}, `${name} `, el('strong', {}, valueText(value, unit)), behind));
      if (!this.#log || value > 0) this.pointer?.append(svg('path', {class: `mark mark-${style}`, d: MARKS[style], transform: `translate(${x(steps[at])} ${y(value)}) scale(1.4)`}));
    }
  }

  #key(event) {
    const all = [...new Set(this.#curves.flatMap(({steps}) => steps))].sort((a, b) => a - b);
    const at = this.#at === null ? (event.key === 'ArrowRight' ? -1 : all.length) : all.indexOf(this.#at), by = event.shiftKey ? Math.ceil(all.length / 20) : 1;
    const to = {ArrowLeft: at - by, ArrowRight: at + by, Home: 0, End: all.length - 1}[event.key];
    if (to === undefined || all.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    this.values.setAttribute('aria-live', 'polite');
    this.#choose(all[Math.max(0, Math.min(all.length - 1, to))]);
  }
}
