// From files to stacks of slices: sent to the server, which keeps them in memory, and sorted where they are a series.

import {api, say} from './api.js';
import {textIn} from './burned_in.js';

const AT_ONCE = 3;

// All files of a drop, those in folders too, in the order of their names.
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean), files = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      return;
    }
    const reader = entry.createReader();
    for (;;) { // a reader gives some at a time
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return;
      for (const inner of some) await walk(inner);
    }
  };
  if (entries.length === 0) return [...transfer.files];
  for (const entry of entries) await walk(entry);
  return files;
}

async function send(files) {
  const opened = new Array(files.length).fill(null), faults = [];
  let next = 0, done = 0;
  const work = async () => {
    while (next < files.length) {
      const number = next++, file = files[number];
      try {
        opened[number] = {name: file.name, ...await api('/api/images', {body: file, headers: {'Content-Type': 'application/octet-stream'}, quiet: true})};
      } catch (fault) {
        faults.push(`${file.name}: ${fault.message}`);
      }
      say(`Opened ${++done} of ${files.length}`);
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, work));
  return {opened: opened.filter(Boolean), faults};
}

// What is known of text in a frame: the pixels of the first one were looked at, and what the file says is of all. The others are looked at when they are shown.
const textOf = ({shown}, frame) => textIn(frame === 0 ? shown : {burned_in: shown.burned_in});
const frames = (image) => Array.from({length: image.frames}, (_, frame) => ({id: image.id, frame, text: textOf(image, frame)}));
const stackOf = (label, slices, info) => ({label, slices, at: Math.floor((slices.length - 1) / 2), window: null, info, asked: true});

// Of several DICOM files each series is a stack; every other file is one by itself.
async function stack(opened) {
  const dicom = opened.filter(({kind}) => kind === 'DICOM'), stacks = [], sorted = new Set();
  if (dicom.length > 1) {
    const {series} = await api('/api/images/series', {json: {images: dicom.map(({id}) => id)}});
    for (const {modality, plane, slices, order, duplicates} of series) {
      const first = opened.find(({id}) => id === slices[0].id), notes = [];
      if (slices.length > 1 && order !== 'position') notes.push(`sorted by ${order === 'instance' ? 'number' : 'name'}`);
      if (duplicates > 0) notes.push(`${duplicates} where another one lies`);
      const label = slices.length > 1 ? `${[modality, plane].filter(Boolean).join(' ')}, ${[`${slices.length} slices`, ...notes].join(', ')}` : first.name;
      stacks.push(stackOf(label, slices.map(({id, frame}) => ({id, frame, text: textOf(opened.find((image) => image.id === id), frame)})), first));
      for (const {id} of slices) sorted.add(id);
    }
  }
  for (const image of opened)
    if (!sorted.has(image.id)) stacks.push(stackOf(image.frames > 1 ? `${image.name}, ${image.frames} frames` : image.name, frames(image), image));
  return stacks;
}

export async function openFiles(files) {
  if (files.length === 0) return [];
  say(`Opening ${files.length === 1 ? files[0].name : `${files.length} files`}`);
  files.sort((a, b) => a.name.localeCompare(b.name, 'en', {numeric: true}));
  const {opened, faults} = await send(files);
  const stacks = await stack(opened);
  if (faults.length > 0) say(faults.length > 1 ? `${faults.length} of ${files.length} files were not opened. ${faults[0]}` : faults[0], 'error');
  else say('');
  return stacks;
}

export async function closeStack({slices}) {
  await Promise.allSettled([...new Set(slices.map(({id}) => id))].map((id) => api(`/api/images/${id}`, {method: 'DELETE', quiet: true})));
}
