// The frame of the page: which view is shown, light and dark, the list of keys.
//
// A view is a file NAME.js beside this one (and a line in src/serve/CMakeLists.txt) and a line in `views`. It is reached as
// #NAME, and as #NAME/WHAT/EVER where it has places of its own. Its file exports
//   show(root, places)  fills the empty element `root`; places: ['WHAT', 'EVER']. May be async. Called again when the places
//                       change, unless it exports move(places).
//   hide()              optional: stops what runs; `root` is emptied afterwards.
//   keys                optional: [['W', 'what it does'], ...] for the list of keys.
// It speaks to the server by api.js, makes elements by dom.js, and looks as style.css says. Styles and scripts that stand in
// the document itself are refused by the server's Content-Security-Policy: no style="..." (element.style.x = ... is fine).

import {el} from './dom.js';
import {say} from './api.js';

const views = [
  ['read', 'Read'],
  ['runs', 'Runs'],
  ['answers', 'Answers'],
  ['rate', 'Rate'],
];

const keys = [
  ['?', 'these keys'],
  ['Alt + 1, 2, ...', 'the views'],
  ['Alt + D', 'light or dark'],
];

const main = document.getElementById('main');
let shown = null; // {name, module}

function placesOf(hash) {
  const [name, ...places] = hash.replace(/^#/, '').split('/').map(decodeURIComponent);
  return {name: views.some(([known]) => known === name) ? name : views[0][0], places};
}

async function navigate() {
  const {name, places} = placesOf(location.hash);
  if (shown?.name === name && shown.module?.move) {
    shown.module.move(places);
    return;
  }
  shown?.module?.hide?.();
  main.replaceChildren();
  say('');
  shown = {name, module: null};
  for (const link of document.querySelectorAll('#views a')) {
    if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${views.find(([known]) => known === name)[1]} – pefomed`;
  const mine = shown;
  const module = await import(`./${name}.js`);
  if (shown !== mine) return; // another view was chosen meanwhile
  shown.module = module;
  await module.show(main, places);
}

// ---- light and dark ----

const THEME = 'pefomed-theme';

function isDark() {
  const chosen = localStorage.getItem(THEME);
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function showTheme() {
  const chosen = localStorage.getItem(THEME);
  if (chosen) document.documentElement.dataset.theme = chosen;
  document.getElementById('theme').textContent = isDark() ? 'Light' : 'Dark';
  document.dispatchEvent(new Event('themechange')); // for what draws on a canvas
}

function switchTheme() {
  localStorage.setItem(THEME, isDark() ? 'light' : 'dark');
  showTheme();
}

// ---- keys ----

// Keys of one character can be switched off (WCAG 2.1.4).
const LETTERS = 'pefomed-letter-keys';
const lettersAreOff = () => localStorage.getItem(LETTERS) === 'off';

// Before any view hears of it: in one place, whatever a view listens to. What an element itself does with a key stays.
function holdLetter(event) {
  const isCharacter = [...event.key].length === 1 && event.key !== ' ';
  if (isCharacter && !event.ctrlKey && !event.altKey && !event.metaKey && lettersAreOff() && !isTyping(event)) event.stopImmediatePropagation();
}

function switchLetters(event) {
  if (event.target.checked) localStorage.removeItem(LETTERS);
  else localStorage.setItem(LETTERS, 'off');
  listKeys();
}

function listKeys() {
  const list = [...keys, ...(shown?.module?.keys ?? [])];
  document.getElementById('letter-keys').checked = !lettersAreOff();
  document.getElementById('key-list').replaceChildren(
    ...list.flatMap(([key, what]) => [el('dt', {}, keyName(key)), el('dd', {}, what)]));
}

// A key's name; of several those of a character are struck out where they are switched off.
function keyName(key) {
  if (!lettersAreOff() || key.startsWith('Alt')) return el('kbd', {}, key);
  const isOff = (part) => part.replace(/\w+ \+ \S+/, '').split(' ').some((one) => [...one].length === 1 && !'↑↓←→'.includes(one));
  return el('kbd', {}, key.split(', ').flatMap((part, i) => [i > 0 ? ', ' : null, isOff(part) ? el('s', {class: 'off'}, part) : part]));
}

function showKeys() {
  listKeys();
  document.getElementById('keys').showModal();
}

// Whether a key is meant for a field in which one writes or chooses; then no view takes it.
export const isTyping = (event) => event.target.closest('input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, dialog') !== null;

function takeKey(event) {
  const isAlone = document.body.classList.contains('alone'); // a view that has no others beside it
  if (!isAlone && event.altKey && /^Digit[1-9]$/.test(event.code) && views[event.code[5] - 1]) location.hash = views[event.code[5] - 1][0];
  else if (event.altKey && event.code === 'KeyD') switchTheme();
  else if (event.key === '?' && !isTyping(event)) showKeys();
  else return;
  event.preventDefault();
}

document.getElementById('views').append(
  ...views.map(([name, title], i) => el('a', {href: `#${name}`, 'data-view': name, 'aria-keyshortcuts': `Alt+${i + 1}`}, title)));
document.getElementById('theme').addEventListener('click', switchTheme);
document.getElementById('show-keys').addEventListener('click', showKeys);
document.getElementById('close-keys').addEventListener('click', () => document.getElementById('keys').close());
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault(); // the hash names the view
  main.focus();
});
document.getElementById('letter-keys').addEventListener('change', switchLetters);
addEventListener('keydown', holdLetter, true);
document.addEventListener('keydown', takeKey);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showTheme);
addEventListener('hashchange', navigate);
addEventListener('unhandledrejection', (event) => {
  if (event.reason?.name === 'ApiError' || event.reason?.status !== undefined) event.preventDefault(); // it was said already
});
showTheme();
navigate();
