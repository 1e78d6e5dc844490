// The difference of two files of predictions on the same questions, as a table.

import {el} from './dom.js';

export const percent = (value) => (Number.isFinite(value) ? value.toFixed(1) : '');
const signed = (value) => `${value > 0 ? '+' : value < 0 ? '−' : ''}${Math.abs(value).toFixed(1)}`;

// told: what /api/predictions/A/against/B says; a, b: the files' names.
export function differenceTable(told, a, b) {
  const notes = [`${told.rows.toLocaleString('en')} questions that both answer`];
  if (told.only_here > 0) notes.push(`${told.only_here.toLocaleString('en')} that ${a} alone answers are left out`);
  if (told.only_there > 0) notes.push(`${told.only_there.toLocaleString('en')} that ${b} alone answers are left out`);
  const heads = [['Kind'], ['Rows'], ['Images'], ['First'], ['Second'], ['Difference (95 % interval)'], ['p']];
  return el('div', {class: 'stack'},
    el('p', {class: 'quiet'}, `${notes.join('; ')}. Right answers in percent; the difference is the first less the second, its interval is over images.`),
    el('div', {class: 'scroll list', tabindex: 0, role: 'region', 'aria-label': 'Differences'}, el('table', {class: 'difference'},
      el('thead', {}, el('tr', {}, heads.map(([title], i) => el('th', {scope: 'col', class: i > 0 ? 'number' : null}, title)))),
      el('tbody', {}, told.groups.map(({column, value, n, images, a: first, b: second, mean, ci95, p}) => {
        const sure = ci95 !== null && (ci95[0] > 0 || ci95[1] < 0) && p < 0.05, name = column === null ? 'all' : `${column.replaceAll('_', ' ')}: ${value}`;
        return el('tr', {class: sure ? 'sure' : null}, el('th', {scope: 'row'}, name), ...[n, images].map((count) => el('td', {class: 'number'}, count.toLocaleString('en'))),
          el('td', {class: 'number'}, percent(first)), el('td', {class: 'number'}, percent(second)),
          el('td', {class: 'number'}, ci95 ? `${signed(mean)} (${signed(ci95[0])} to ${signed(ci95[1])})` : `${signed(mean)} (one image: none)`), el('td', {class: 'number'}, p === null ? '' : p < 0.001 ? '< 0.001' : p.toFixed(3)));
      })))));
}
