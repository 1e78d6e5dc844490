// Rate: for the owner of studies (#rate), and for those who rate, by their links (#rate/SECRET).

import {Sheet, sheetKeys} from './rating.js';
import {Studies} from './studies.js';

export let keys = [];

let shown = null;

export async function show(root, places) {
  const [secret] = places;
  keys = secret ? sheetKeys : [];
  document.body.classList.toggle('alone', Boolean(secret)); // a rater has this view and no other
  shown = secret ? new Sheet(root, secret) : new Studies(root);
  await shown.start();
}

export function hide() {
  shown?.stop();
  shown = null;
  document.body.classList.remove('alone');
}
