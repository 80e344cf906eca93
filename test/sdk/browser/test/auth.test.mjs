// Signing in from a web page of another origin, by the SDK as published.

import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { launch, record, until, port } from '../lib/browser.mjs';
import { provider } from '../lib/provider.mjs';

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

async function app(t, settings = {}) {
  const project = `p-${randomBytes(5).toString('hex')}`;
  const key = `key-${randomBytes(12).toString('hex')}`;
  await owner('POST', '/_rebase/auth/projects', { name: project, apiKeys: [key], ...settings });
  await owner('PUT', `/.settings/rules.json?ns=${project}`, { rules: { users: { $uid: { '.read': 'auth.uid === $uid', '.write': 'auth.uid === $uid' } } } });
  const origin = await site(t);
  const browser = await launch(t);
  const context = await browser.newContext();
  await context.route('https://apis.google.com/js/api.js*', async (route) => route.fulfill({ contentType: 'text/javascript', body: await readFile(path.join(here, '../lib/gapi.js'), 'utf8') }));
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
  return { open, context, project, origin, key };
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

test('a provider in a popup', async (t) => {
  const idp = await provider(t);
  const { open } = await app(t, { signIn: { providers: [{ id: 'oidc.corp', issuer: idp.issuer, clientId: 'client-1' }] } });
  const a = await open();
  // What the user does in the window that opens.
  const during = async (name, id, answer) => {
    const [popup, result] = await Promise.all([
      a.page.waitForEvent('popup').then(async (w) => { await answer(w); return w; }),
      a.call(name, id),
    ]);
    await until(() => popup.isClosed(), 'the window to close');
    return result;
  };
  const say = (what) => (w) => w.click(what);
  assert.deepEqual(await during('popup', 'oidc.corp', say('#no')), { code: 'auth/user-cancelled' });
  const first = await during('popup', 'oidc.corp', say('#yes'));
  assert.equal(first.value?.isNew, true, JSON.stringify(first));
  assert.deepEqual(await a.user(), { uid: first.value.uid, email: 'ann@corp.example', anonymous: false, name: 'Ann' });
  assert.equal(idp.asked.at(-1).redirect_uri, `${base}/emulator/auth/handler`);
  await a.call('signOut');
  assert.deepEqual(await during('popup', 'oidc.corp', say('#yes')), { value: { uid: first.value.uid, isNew: false } });
  // An anonymous user cannot take over what is somebody's.
  await a.call('signOut');
  await a.call('anonymously');
  assert.deepEqual(await during('link', 'oidc.corp', say('#yes')), { code: 'auth/credential-already-in-use' });
  // In an open server any provider will do, as in the emulator.
  const fake = await during('popup', 'google.com', async (w) => { await w.fill('#email', 'bob@example.com'); await w.click('#go'); });
  assert.equal(fake.value?.isNew, true, JSON.stringify(fake));
  assert.equal((await a.user()).email, 'bob@example.com');
});

test('a provider by redirect', async (t) => {
  const idp = await provider(t);
  const { open } = await app(t, { signIn: { providers: [{ id: 'oidc.corp', issuer: idp.issuer, clientId: 'client-1' }] } });
  const a = await open();
  await a.page.evaluate(() => { window.app.redirect('oidc.corp'); });
  await a.page.waitForURL(`${idp.issuer}/**`);
  await a.page.click('#yes');
  await a.page.waitForFunction(() => window.app?.states.length > 0);
  const { value: uid, code } = await a.call('redirected');
  assert.ok(uid, code);
  assert.deepEqual(await a.user(), { uid, email: 'ann@corp.example', anonymous: false, name: 'Ann' });
});

test('no other site can have a user signed in', async (t) => {
  const idp = await provider(t);
  const { context, key, project } = await app(t, { signIn: { providers: [{ id: 'oidc.corp', issuer: idp.issuer, clientId: 'client-1' }] } });
  const page = await context.newPage();
  await context.route('http://evil.example/**', (route) => route.fulfill({ contentType: 'text/html', body: '<title>evil</title><div></div>' }));
  await page.goto('http://evil.example/');
  const where = (name, extra) => `${base}/emulator/auth/${name}?${new URLSearchParams({ apiKey: key, appName: 'x', ...extra })}`;
  // It cannot hold the frame,
  await page.evaluate((src) => { const f = document.createElement('iframe'); f.src = src; document.body.append(f); }, where('iframe', {}));
  await until(() => page.frames().some((f) => f.url().startsWith('chrome-error:')), () => `the frame to be refused: ${page.frames().map((f) => f.url())}`);
  // nor open the handler, with its name or without,
  const ask = { authType: 'signInViaPopup', providerId: 'oidc.corp', eventId: '1' };
  for (const features of ['popup', 'popup,noreferrer']) {
    const [popup] = await Promise.all([
      features === 'popup' ? page.waitForEvent('popup') : context.waitForEvent('page'),
      page.evaluate(([url, f]) => { window.open(url, '_blank', f); }, [where('handler', ask), features]),
    ]);
    await popup.waitForSelector('[role=alert]');
    assert.match(await popup.textContent('[role=alert]'), /not on one of the project's domains/);
    await popup.close();
  }
  assert.deepEqual(idp.asked, []);
  // nor be where a redirect of the app ends.
  const res = await fetch(where('handler', { ...ask, authType: 'signInViaRedirect', redirectUrl: 'http://evil.example/' }), { headers: { referer: 'http://127.0.0.1/' } });
  assert.equal(res.status, 400);
  assert.ok(project);
});
