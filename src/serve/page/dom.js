// Elements without a template language: el('button', {class: 'main', onclick: go}, 'Go').

// Attributes are set as they are; a name that begins with "on" is an event, true an attribute without a value, and null or
// false one that is left out. Children are elements or texts.
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// A field with its label: labelled('Model', select).
export function labelled(text, field, attributes = {}) {
  return el('label', {class: 'field', ...attributes}, el('span', {}, text), field);
}

// A model's name; of a path its last part.
export const nameOf = (model) => model.split('/').filter(Boolean).at(-1) ?? model;

// "0.123" of a number, "" of what is none.
export const figure = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits) : '');

// A view whose Page is made with its root and places, and has move(places), key(event) and close().
export function viewOf(Page) {
  let page = null;
  const onKey = (event) => page?.key(event);
  return {
    show(root, places) {
      page = new Page(root, places);
      document.addEventListener('keydown', onKey);
    },
    move(places) { page?.move(places); },
    hide() {
      page?.close();
      page = null;
      document.removeEventListener('keydown', onKey);
    },
  };
}
