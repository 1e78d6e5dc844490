// Text burned into pixels, as the server tells of it with each image that is opened (docs/privacy.md): nothing is hidden or changed, it is said.

import {el} from './dom.js';

// By what it is known, of what GET /api/images/ID/shown says; '': nothing is known of any.
export const textIn = ({burned_in: said, text_like: isFound} = {}) => [said === 'yes' ? 'the file says so' : '', isFound ? 'found in the pixels' : ''].filter(Boolean).join(', ');

export const hasText = ({slices}) => slices.some(({text}) => text);

// The line beside the image; of a stack it stays while one goes through its slices.
export class TextNote {
  constructor() {
    this.element = el('p', {id: 'burned-in', class: 'caution', role: 'status', hidden: true});
  }

  tell(stack) {
    this.element.hidden = !stack || !hasText(stack);
    if (this.element.hidden) return;
    const {slices, at} = stack, {text} = slices[at], count = slices.filter((slice) => slice.text).length;
    const here = text ? `May hold burned-in text (${text})` : 'Other slices may hold burned-in text';
    const sentence = `${here}${slices.length > 1 ? `; so may ${count} of ${slices.length} slices` : ''}. A model reads it too, and it may name the patient.`;
    if (this.element.textContent !== sentence) this.element.textContent = sentence; // or it would be read out again
  }
}
