// Projects of their own, apps signed in to them, and what comes by mail.

import { randomBytes } from 'node:crypto';
import { initializeApp, deleteApp } from 'firebase/app';
import { initializeAuth, inMemoryPersistence, connectAuthEmulator } from 'firebase/auth';
import { port, within } from './harness.mjs';

/** A call of the administration as the owner. */
export async function administer(method, path, body, at = port, token = 'owner') {
  const res = await fetch(`http://127.0.0.1:${at}${path}`, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await res.json();
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${JSON.stringify(json)}`);
  return json;
}

/** A project of the test's own, with an API key. */
export async function project(settings = {}, at = port, token = 'owner') {
  const name = `p-${randomBytes(5).toString('hex')}`;
  const apiKey = `key-${randomBytes(12).toString('hex')}`;
  await administer('POST', '/_rebase/auth/projects', { name, apiKeys: [apiKey], ...settings }, at, token);
  return { name, apiKey };
}

/** An app of the project with an Auth instance that nobody is signed in to; it is gone after the test. */
export function authApp(t, p, { at = port, url = `http://127.0.0.1:${at}`, ...config } = {}) {
  const app = initializeApp({ apiKey: p.apiKey, projectId: p.name, databaseURL: `http://127.0.0.1:${at}/?ns=${p.name}`, ...config }, `auth-${randomBytes(6).toString('hex')}`);
  const auth = initializeAuth(app, { persistence: inMemoryPersistence });
  connectAuthEmulator(auth, url, { disableWarnings: true });
  t.after(() => deleteApp(app));
  return { app, auth };
}

/** Fails unless the promise is rejected with auth/<code>. */
export async function rejects(promise, code) {
  let got;
  try {
    got = await within(promise, code);
  } catch (err) {
    if (err.code === `auth/${code}`) return err;
    throw err;
  }
  throw new Error(`not rejected, want auth/${code}: ${JSON.stringify(got)?.slice(0, 300)}`);
}

/** The codes that were sent lately to an address of the project, as the emulator tells them. */
export async function codes(p, email, kind) {
  const { oobCodes } = await administer('GET', `/emulator/v1/projects/${p.name}/oobCodes`);
  return oobCodes.filter((c) => c.email === email && c.requestType === kind);
}

export async function lastCode(p, email, kind) {
  const c = (await codes(p, email, kind)).at(-1);
  if (!c) throw new Error(`no ${kind} for ${email}`);
  return c;
}
