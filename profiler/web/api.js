// SPDX-License-Identifier: Apache-2.0
// The agent's API. The token comes once with the address (#token=...) and stays in this tab.

const KEY = 'bianque-token';

export class ApiError extends Error {
  // status 0: the agent did not answer.
  constructor(status, code, message) {
    super(message);
    Object.assign(this, {status, code});
  }
}

export function takeToken(p) {
  if (!p.has('token')) return false;
  setToken(p.get('token'));
  p.delete('token');
  return true;
}

let memory = ''; // where there is no storage

export function setToken(token) {
  memory = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    /* kept above */
  }
}

function token() {
  try {
    return sessionStorage.getItem(KEY) ?? memory;
  } catch {
    return memory;
  }
}

export function pathWith(path, args) {
  const p = new URLSearchParams();
  for (const [key, value] of Object.entries(args))
    if (value !== null && value !== undefined && value !== '') p.set(key, value);
  return `${path}?${p}`;
}

async function ask(path, args, signal) {
  const key = token(),
    headers = key ? {Authorization: `Bearer ${key}`} : {};
  let response;
  try {
    response = await fetch(pathWith(path, args), {headers, signal});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'gone', 'the agent does not answer');
  }
  if (response.ok) return response;
  const text = await response.text();
  let said = {};
  try {
    said = JSON.parse(text).error ?? {};
  } catch {
    /* as it is */
  }
  throw new ApiError(response.status, said.code ?? '', said.message ?? text.slice(0, 300));
}

// part: the name of what the answer must have. An answer that is none is an error of another class.
export async function getJson(path, part, args = {}, signal = null) {
  const response = await ask(path, args, signal),
    doc = await response.json().catch(error => {
      throw error instanceof TypeError ? new ApiError(0, 'cut', 'the answer was cut short') : error;
    });
  if (!doc?.[part]) throw new Error(`it has no '${part}'`);
  return doc;
}

// Into a file of the reader; a plain link could not carry the token.
export async function download(path, args, name) {
  const response = await ask(path, args);
  saveBlob(await response.blob(), name);
}

export function saveBlob(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
