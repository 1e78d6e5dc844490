// Questions about what is open, and their answers as they are made.

import {ApiError, events, say} from './api.js';
import {el, figure, nameOf} from './dom.js';

// "0.417"; of what is tiny "3e-9", and "0" of what is too small for a number.
export const probabilityText = (value) => (!Number.isFinite(value) ? '' : value >= 0.001 ? figure(value) : value === 0 ? '0' : value.toExponential(0));

export const contentOf = (images, text, blank = false) => [
  ...images.map(({id, frame, window}) => ({type: 'image_url', image_url: {url: `pefomed:${id}`, frame, ...(window && {window}), ...(blank && {blank})}})),
  {type: 'text', text},
];

// Streams one answer: told(text so far) as it comes; returns {text, probability, cut}.
export async function ask({model, content, maxTokens}, told, signal) {
  let text = '', last = null, finish = null;
  const body = {model, stream: true, stream_options: {include_usage: true}, messages: [{role: 'user', content}], ...(maxTokens && {max_tokens: maxTokens})};
  for await (const event of events('/v1/chat/completions', body, signal)) {
    const choice = event.choices[0];
    if (choice?.delta.content) told(text += choice.delta.content);
    finish = choice?.finish_reason ?? finish;
    if (event.pefomed) last = event;
  }
  if (!last) throw new ApiError('the answer broke off', 0, null);
  return {text, probability: last.pefomed.probability[0], cut: finish === 'length'};
}

function card(title, blank) {
  const text = el('p', {class: 'said', 'aria-live': 'polite'}), figures = el('p', {class: 'quiet figures'}, 'being made');
  const element = el('article', {class: 'panel answer', 'data-model': title, 'data-blank': blank},
    el('h3', {}, nameOf(title), blank ? el('span', {class: 'quiet'}, ' · with a blank image') : null), text, figures, el('p', {class: 'notice'}, 'Not for clinical use'));
  return {element, text, figures};
}

// The cards of one question; all are asked at once, and the server answers them in one batch.
export async function askAll({models, images, text, blank}, place, signal) {
  const asked = models.flatMap((model) => (blank ? [[model, false], [model, true]] : [[model, false]]));
  const cards = asked.map(([model, isBlank]) => card(model, isBlank));
  place.prepend(el('section', {class: 'stack exchange', 'aria-label': `Answers to: ${text}`},
    el('h3', {class: 'question'}, text), el('div', {class: 'cards'}, cards.map(({element}) => element))));
  await Promise.all(asked.map(async ([model, isBlank], i) => {
    const {text: said, figures, element} = cards[i];
    try {
      const answer = await ask({model, content: contentOf(images, text, isBlank)}, (now) => { said.textContent = now; }, signal);
      if (answer.text === '') said.append(el('em', {class: 'quiet'}, 'nothing'));
      figures.replaceChildren('Probability ', el('strong', {class: 'probability'}, probabilityText(answer.probability)), answer.cut ? ' · cut at its longest' : '');
    } catch (fault) {
      figures.textContent = fault.name === 'AbortError' ? 'Stopped.' : fault.message;
      if (fault.name !== 'AbortError') {
        figures.classList.add('bad');
        say(fault.message, 'error');
      }
    }
    element.dataset.done = 'true';
  }));
}
