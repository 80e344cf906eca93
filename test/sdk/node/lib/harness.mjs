// What every test file needs: clients, each its own app and connection; waiting
// for a state with a deadline (never for a time); and records of events.

import { randomBytes } from 'node:crypto';
import { initializeApp, deleteApp } from 'firebase/app';
import { getDatabase, ref, onValue, get, set } from 'firebase/database';

export const port = Number(process.env.REBASE_PORT);
if (!port) throw new Error('REBASE_PORT is not set: run test/sdk/run-node.sh');

/** A database of the test's own, so that tests can run side by side. */
export function namespace(hint = 'db') {
  return `${hint}-${randomBytes(5).toString('hex')}`;
}

/**
 * A client with its own connection; it leaves when the test ends.
 * options.port: where it connects (a proxy, perhaps).
 */
export function client(t, ns, options = {}) {
  const url = `http://127.0.0.1:${options.port ?? port}/?ns=${ns}`;
  const app = initializeApp({ databaseURL: url }, `app-${randomBytes(6).toString('hex')}`);
  const db = getDatabase(app);
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await deleteApp(app);
  };
  t.after(close);
  return { app, db, ref: (path) => (path ? ref(db, path) : ref(db)), close };
}

/** Resolves with the first truthy result of probe; fails after `ms`. */
export async function until(probe, what = 'the condition', ms = 20000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const got = await probe();
    if (got) return got;
    if (Date.now() > deadline) {
      const detail = typeof what === 'function' ? what() : what;
      throw new Error(`gave up waiting for ${detail}`);
    }
    await new Promise((r) => setTimeout(r, 5));
  }
}

/** Fails instead of hanging. */
export function within(promise, what, ms = 30000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The values a listener saw, in order. */
export function values(query, pick = (snap) => snap.val()) {
  const seen = [];
  seen.errors = [];
  seen.stop = onValue(query, (snap) => seen.push(pick(snap)), (err) => seen.errors.push(err));
  seen.first = () => until(() => seen.length > 0 || seen.errors.length > 0, 'a first value');
  return seen;
}

/** Waits until the client's connection is up. */
export async function connected(c) {
  let up = false;
  const stop = onValue(c.ref('.info/connected'), (s) => { up = s.val() === true; });
  await until(() => up, 'the connection');
  stop();
}

/**
 * A point in the order of writes: `mark()` by the writer after its writes, then
 * `reached()` by a watcher. One connection hears of all writes in one order, so
 * a watcher that saw the mark has been sent everything before it.
 */
export function marker(writer, watcher) {
  const seen = values(watcher.ref('__mark'));
  let n = 0;
  return async () => {
    n += 1;
    await within(set(writer.ref('__mark'), n), 'the mark');
    await until(() => seen.at(-1) === n, `mark ${n}`);
  };
}

/** The present value as a fresh client reads it. */
export async function fresh(t, ns, path) {
  const c = client(t, ns);
  const snap = await within(get(c.ref(path)), `get ${path}`);
  const val = snap.val();
  await c.close();
  return val;
}

/** A REST call as the database's owner. */
export async function rest(ns, path, { method = 'GET', body, headers = {}, query = '', at = port } = {}) {
  const url = `http://127.0.0.1:${at}${path}?ns=${ns}${query ? '&' + query : ''}`;
  const res = await fetch(url, {
    method,
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    headers: { authorization: 'Bearer owner', ...headers },
  });
  const text = await res.text();
  let json;
  try { json = JSON.parse(text); } catch { json = undefined; }
  return { status: res.status, headers: res.headers, text, json };
}

export const delay = (ms) => new Promise((r) => setTimeout(r, ms));
