// How the page speaks to its server. Every request of every view goes through api() (or events()), which adds the token where
// the server wants one, and makes one sentence of what went wrong.

const KEPT = 'pefomed-token'; // of this tab alone: sessionStorage ends with it

// The one line under the bar. `kind` is '' or 'error'. It stays until something else is said, or until say('').
export function say(text, kind = '') {
  const line = document.getElementById('status');
  line.textContent = text;
  line.className = kind;
}

export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let asking = null; // one dialog, however many requests wait for it

function askForToken() {
  const dialog = document.getElementById('token-dialog'), form = document.getElementById('token-form');
  asking ??= new Promise((resolve) => {
    const take = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, document.getElementById('token').value.trim());
      form.removeEventListener('submit', take);
      form.reset();
      dialog.close();
      asking = null;
      resolve();
    };
    form.addEventListener('submit', take);
    dialog.addEventListener('cancel', (event) => event.preventDefault()); // without a token there is nothing to see
    dialog.showModal();
  });
  return asking;
}

async function describe(response) {
  try {
    const {error} = await response.json();
    return new ApiError(error.message, response.status, error.code);
  } catch {
    return new ApiError(`the server answers with status ${response.status}`, response.status, null);
  }
}

// The response of a request that went well; asks for the token as often as it is wrong. bearer: what is shown in place of the
// token, for which nobody is asked.
export async function fetchChecked(path, {bearer, ...options}) {
  for (;;) {
    const token = bearer ?? sessionStorage.getItem(KEPT), headers = new Headers(options.headers);
    if (token) headers.set('Authorization', `Bearer ${token}`);
    let response;
    try {
      response = await fetch(path, {...options, headers, cache: options.cache ?? 'no-store'});
    } catch (fault) {
      throw fault.name === 'AbortError' ? fault : new ApiError('the server cannot be reached; is it running?', 0, null);
    }
    if (response.ok) return response;
    if (response.status !== 401 || bearer) throw await describe(response);
    if (token && sessionStorage.getItem(KEPT) === token) say('That token is not the right one.', 'error');
    await askForToken();
    say('');
  }
}

// await api('/api/reports') -> what the JSON says. Options: method (GET, or POST where there is a body); json: a value to send;
// body: bytes to send; as: 'json' (default), 'blob', 'text' or 'response'; signal: to cancel; bearer: a secret in place of the token; quiet: the caller shows the
// error. On failure it shows the sentence in the line under the bar, and throws an ApiError.
export async function api(path, {method, json, body, as = 'json', signal, headers = {}, bearer, quiet = false} = {}) {
  const sent = json !== undefined ? JSON.stringify(json) : body;
  const type = json !== undefined ? {'Content-Type': 'application/json'} : {};
  try {
    const options = {method: method ?? (sent === undefined ? 'GET' : 'POST'), body: sent, signal, bearer, headers: {...type, ...headers}};
    const response = await fetchChecked(path, options);
    return as === 'response' ? response : await response[as]();
  } catch (fault) {
    if (!quiet && fault.name !== 'AbortError') say(fault.message, 'error');
    throw fault;
  }
}

// The events of a streamed answer as they come: for await (const event of events(path, json, signal)).
export async function* events(path, json, signal) {
  const response = await api(path, {json, as: 'response', signal, quiet: true});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (line === 'data: [DONE]') return;
      const event = JSON.parse(line.slice('data: '.length));
      if (event.error) throw new ApiError(event.error.message, response.status, event.error.code);
      yield event;
    }
  }
}

// Hands the reader a file.
export async function download(path, name) {
  const address = URL.createObjectURL(await api(path, {as: 'blob'})), link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
