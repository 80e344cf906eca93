// firebase-admin for Node: over the socket as the owner, and its REST calls for rules.

import test from 'node:test';
import assert from 'node:assert/strict';
import { initializeApp, deleteApp } from 'firebase-admin/app';
import { getDatabase, getDatabaseWithUrl, ServerValue } from 'firebase-admin/database';
import { set as clientSet } from 'firebase/database';
import { client, namespace, port, until, within, rest, values, delay } from '../lib/harness.mjs';

process.env.FIREBASE_DATABASE_EMULATOR_HOST = `127.0.0.1:${port}`;

function admin(t, ns, options = {}) {
  const app = initializeApp({
    databaseURL: `https://${ns}.firebaseio.com`,
    credential: { getAccessToken: async () => ({ access_token: 'owner', expires_in: 3600 }) },
    ...options,
  }, `${ns}-${Math.random()}`);
  t.after(() => deleteApp(app));
  return getDatabase(app);
}

test('reads and writes of every kind', async (t) => {
  const ns = namespace('admin');
  const db = admin(t, ns);
  await within(db.ref('x').set({ a: 1, list: ['p', 'q'] }), 'set');
  await db.ref('x').update({ a: 2, 'b/c': 3 });
  const pushed = await db.ref('x/list2').push('one');
  await db.ref('x/n').set(ServerValue.increment(5));
  await db.ref('x/n').set(ServerValue.increment(5));
  const snap = await db.ref('x').once('value');
  assert.deepEqual(snap.val(), { a: 2, b: { c: 3 }, list: ['p', 'q'], list2: { [pushed.key]: 'one' }, n: 10 });
  assert.deepEqual((await db.ref('x').get()).val(), snap.val());
  await db.ref('x/list').remove();
  assert.equal((await db.ref('x/list').get()).exists(), false);
  await db.ref('t').set(ServerValue.TIMESTAMP);
  assert.ok(Math.abs((await db.ref('t').get()).val() - Date.now()) < 60000);
  const done = await within(db.ref('x/a').transaction((v) => (v ?? 0) + 40), 'the transaction');
  assert.equal(done.snapshot.val(), 42);
});

test('events and queries alongside an ordinary client', async (t) => {
  const ns = namespace('admin');
  const db = admin(t, ns);
  const c = client(t, ns);
  const seen = [];
  db.ref('q').orderByChild('n').startAt(2).limitToFirst(2).on('value', (s) => seen.push(s.val()));
  await until(() => seen.length === 1, 'a first value');
  await clientSet(c.ref('q'), { a: { n: 1 }, b: { n: 2 }, c: { n: 3 }, d: { n: 4 } });
  await until(() => seen.at(-1)?.b, 'the window');
  assert.deepEqual(seen.at(-1), { b: { n: 2 }, c: { n: 3 } });
  const there = values(c.ref('from-admin'));
  await there.first();
  await db.ref('from-admin').set('hello');
  await until(() => there.at(-1) === 'hello', 'the write by the admin');
});

test('rules: set as text and as an object, read back, refused when wrong', async (t) => {
  const ns = namespace('rules');
  const db = admin(t, ns);
  const text = '{\n  // who may read\n  "rules": {".read": true, ".write": true, "d": {".indexOn": ["height", "a/b"]}}\n}';
  await db.setRules(text);
  assert.equal((await db.getRules()).trim(), text.trim());
  assert.deepEqual(await db.getRulesJSON(), { rules: { '.read': true, '.write': true, d: { '.indexOn': ['height', 'a/b'] } } });
  await db.setRules({ rules: { '.read': true, '.write': true, d: { '.indexOn': 'height' } } });
  assert.deepEqual(await db.getRulesJSON(), { rules: { '.read': true, '.write': true, d: { '.indexOn': 'height' } } });
  await assert.rejects(db.setRules('{"rules": '));
  await assert.rejects(db.setRules('{"nonsense": {}}'));
  assert.deepEqual(await db.getRulesJSON(), { rules: { '.read': true, '.write': true, d: { '.indexOn': 'height' } } });
  const put = await rest(ns, '/.settings/rules.json', { method: 'PUT', body: '{"rules":{' });
  assert.equal(put.status, 400);
  assert.equal(typeof put.json.error, 'string');
});

test('an index that rules declare: a REST query uses it, and no warning comes', async (t) => {
  const ns = namespace('index');
  const db = admin(t, ns);
  await db.ref('d').set({ x: { height: 3 }, y: { height: 1 }, z: { height: 2 } });
  await db.setRules({ rules: { '.read': true, '.write': true, d: { '.indexOn': 'height' } } });
  let got;
  await until(async () => {
    got = await rest(ns, '/d.json', { query: `orderBy="height"&limitToLast=2` });
    return got.status === 200;
  }, () => `the index to be ready: ${got.text}`);
  assert.deepEqual(got.json, { x: { height: 3 }, z: { height: 2 } });
  const warnings = [];
  const warn = console.warn;
  console.warn = (...args) => warnings.push(args.join(' '));
  t.after(() => { console.warn = warn; });
  const snap = await within(db.ref('d').orderByChild('height').limitToFirst(1).once('value'), 'the query');
  assert.deepEqual(snap.val(), { y: { height: 1 } });
  assert.deepEqual(warnings.filter((w) => /indexOn/.test(w)), []);
});

test('several databases from one app', async (t) => {
  const one = namespace('one');
  const two = namespace('two');
  const app = initializeApp({ databaseURL: `https://${one}.firebaseio.com` }, `${one}-multi`);
  t.after(() => deleteApp(app));
  const db1 = getDatabase(app);
  const db2 = getDatabaseWithUrl(`https://${two}.firebaseio.com`, app);
  await Promise.all([db1.ref('x').set(1), db2.ref('x').set(2)]);
  assert.equal((await rest(one, '/x.json')).json, 1);
  assert.equal((await rest(two, '/x.json')).json, 2);
});

test('with an auth override it still connects and works under open rules', async (t) => {
  const ns = namespace('override');
  for (const databaseAuthVariableOverride of [{ uid: 'someone' }, null]) {
    const db = admin(t, ns, { databaseAuthVariableOverride });
    await within(db.ref('x').set(String(databaseAuthVariableOverride?.uid)), 'the write');
    assert.equal((await db.ref('x').get()).val(), String(databaseAuthVariableOverride?.uid));
  }
});
