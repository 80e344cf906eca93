// Signing in from a web page of another origin, by the SDK as published.

import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { launch, record, until, port } from '../lib/browser.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const files = {
  '/auth.html': [path.join(here, '../page/auth.html'), 'text/html'],
  '/auth.js': [path.join(here, '../page/auth.js'), 'text/javascript'],
};
for (const name of ['app', 'auth', 'database']) {
  files[`/firebase-${name}.js`] = [path.join(here, `../node_modules/firebase/firebase-${name}.js`), 'text/javascript'];
}

async function site(t) {
  const server = http.createServer(async (req, res) => {
    const file = files[new URL(req.url, 'http://x').pathname];
    if (!file) { res.statusCode = 404; return res.end(); }
    res.setHeader('content-type', `${file[1]}; charset=utf-8`);
    res.end(await readFile(file[0]));
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  t.after(() => { server.closeAllConnections(); return new Promise((r) => server.close(r)); });
  return server.address().port;
}

const base = `http://127.0.0.1:${port}`;

async function owner(method, at, body) {
  const res = await fetch(base + at, { method, headers: { authorization: 'Bearer owner', 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(res.ok, `${method} ${at}: ${res.status} ${await res.text()}`);
}

async function app(t) {
  const project = `p-${randomBytes(5).toString('hex')}`;
  const key = `key-${randomBytes(12).toString('hex')}`;
  await owner('POST', '/_rebase/auth/projects', { name: project, apiKeys: [key] });
  await owner('PUT', `/.settings/rules.json?ns=${project}`, { rules: { users: { $uid: { '.read': 'auth.uid === $uid', '.write': 'auth.uid === $uid' } } } });
  const origin = await site(t);
  const browser = await launch(t);
  const context = await browser.newContext();
  const url = `http://127.0.0.1:${origin}/auth.html?server=${encodeURIComponent(base)}&key=${key}&project=${project}`;
  const open = async () => {
    const page = await context.newPage();
    const seen = record(page);
    await page.goto(url);
    await page.waitForFunction(() => window.app?.states.length > 0);
    // call(name, ...) is app.name(...) in the page.
    const call = (name, ...args) => page.evaluate(([n, list]) => window.app[n](...list), [name, args]);
    return { page, seen, call, user: () => call('user') };
  };
  return { open, context, project };
}

test('a user signs up, writes under rules, and is still there after a reload', async (t) => {
  const { open } = await app(t);
  const a = await open();
  assert.deepEqual(await a.page.evaluate(() => window.app.states), [null]);
  const { value: uid, code } = await a.call('signUp', 'ann@example.com', 'secret1');
  assert.ok(uid, code);
  assert.deepEqual(await a.call('write', `users/${uid}`, { hello: 'world' }), { value: 'written' });
  assert.deepEqual(await a.call('write', 'users/other', 1), { code: 'PERMISSION_DENIED' });
  await a.call('rename', 'Ann');

  await a.page.reload();
  await a.page.waitForFunction(() => window.app?.states.length > 0);
  assert.deepEqual(await a.page.evaluate(() => window.app.states), [uid]);
  assert.deepEqual(await a.user(), { uid, email: 'ann@example.com', anonymous: false, name: 'Ann' });
  assert.deepEqual(await a.call('read', `users/${uid}`), { value: { hello: 'world' } });
  assert.deepEqual(await a.call('refresh'), { value: true });

  // A second tab has the same user, and hears when the first one signs out.
  const b = await open();
  assert.deepEqual(await b.user(), { uid, email: 'ann@example.com', anonymous: false, name: 'Ann' });
  await b.call('watch', `users/${uid}`);
  await until(() => b.page.evaluate(() => window.app.seen.length === 1), 'the value');
  await a.call('signOut');
  await until(async () => (await b.user()) === null, 'the other tab to be signed out');
  await until(() => b.page.evaluate(() => window.app.seen.at(-1) === 'PERMISSION_DENIED'), 'the end of the permission');
  assert.deepEqual(await a.call('write', `users/${uid}`, 1), { code: 'PERMISSION_DENIED' });
  assert.deepEqual(await a.call('signIn', 'ann@example.com', 'wrong!'), { code: 'auth/invalid-credential' });
  assert.deepEqual(await a.call('signIn', 'ann@example.com', 'secret1'), { value: uid });
});

test('an anonymous user keeps its data when it becomes somebody', async (t) => {
  const { open } = await app(t);
  const a = await open();
  const { value: uid } = await a.call('anonymously');
  assert.equal((await a.user()).anonymous, true);
  assert.deepEqual(await a.call('write', `users/${uid}`, 'mine'), { value: 'written' });
  assert.deepEqual(await a.call('upgrade', 'ann@example.com', 'secret1'), { value: uid });
  assert.equal((await a.user()).anonymous, false);
  await a.page.reload();
  await a.page.waitForFunction(() => window.app?.states.length > 0);
  assert.equal((await a.user()).anonymous, false);
  assert.deepEqual(await a.call('read', `users/${uid}`), { value: 'mine' });
});

test('a user who was deleted meanwhile is signed out by a reload', async (t) => {
  const { open, project } = await app(t);
  const a = await open();
  const { value: uid } = await a.call('signUp', 'ann@example.com', 'secret1');
  await owner('POST', `/identitytoolkit.googleapis.com/v1/projects/${project}/accounts:delete`, { localId: uid });
  await a.page.reload();
  await a.page.waitForFunction(() => window.app?.states.length > 0);
  assert.equal(await a.user(), null);
});
