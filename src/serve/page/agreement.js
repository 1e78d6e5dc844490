// Tables of what pefomed agree says of a study, with 95% intervals.

import {el, figure} from './dom.js';

// "0.43 (0.27 to 0.57)"; a dash where a figure is not defined.
function withInterval(value, interval) {
  if (!Number.isFinite(value)) return '–';
  return interval ? `${figure(value, 2)} (${figure(interval[0], 2)} to ${figure(interval[1], 2)})` : figure(value, 2);
}

function table(title, head, rows) {
  if (rows.length === 0) return null;
  return el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title},
    el('table', {}, el('caption', {}, title), el('thead', {}, el('tr', {}, head.map((text, i) => el('th', {scope: 'col', class: i > 0 ? 'number' : null}, text)))),
      el('tbody', {}, rows.map(([first, ...others]) => el('tr', {}, el('th', {scope: 'row'}, first), others.map((text) => el('td', {class: 'number'}, String(text))))))));
}

const measures = [['cohen', "Cohen's kappa"], ['kappa_quadratic', 'Quadratic kappa'], ['spearman', 'Spearman'], ['mean_abs_diff', 'Mean absolute difference']];
const figuresOf = (of) => measures.map(([key]) => withInterval(of[key], of.ci95?.[key]));

export function agreementOf(result) {
  const {krippendorff, fleiss, ci95} = result;
  const all = [...['nominal', 'ordinal', 'interval'].map((level) => [`Krippendorff's alpha, ${level}`, withInterval(krippendorff?.[level], ci95.krippendorff?.[level])]),
    ["Fleiss' kappa", withInterval(fleiss, ci95.fleiss)]];
  return el('div', {class: 'stack'},
    el('p', {class: 'quiet'}, `Texts with a score: ${result.n_items}, with two or more: ${result.n_paired}. In brackets: 95% intervals over texts.`),
    table('All raters', ['Figure', 'Value'], all),
    table('Two raters each', ['Who', 'Texts', ...measures.map(([, name]) => name)], result.pairs.map((pair) => [`${pair.a} and ${pair.b}`, pair.n, ...figuresOf(pair)])),
    table('Each with themselves, texts that came twice', ['Who', 'Texts', 'The same', ...measures.map(([, name]) => name)],
      Object.entries(result.consistency ?? {}).map(([name, of]) => [name, of.n, Number.isFinite(of.same) ? `${figure(of.same, 0)} %` : '–', ...figuresOf(of)])),
    table('Mean scores', ['Who', 'Mean'], result.raters.map((name) => [name, withInterval(result.wasm[name], ci95.wasm?.[name])])),
    table('Mean scores of systems', ['System', 'Texts', 'Mean of the raters', ...result.raters],
      (result.systems ?? []).map((of) => [of.system, of.n, withInterval(of.mean, of.ci95), ...result.raters.map((name) => withInterval(of.wasm[name]))])));
}
