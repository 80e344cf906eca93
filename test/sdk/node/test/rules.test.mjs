// Security rules as an app meets them: what is refused and with which error, what is revoked and when, in whose name.

import test from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { initializeApp as initializeAdmin, deleteApp as deleteAdmin } from 'firebase-admin/app';
import { getDatabase as getAdminDatabase } from 'firebase-admin/database';
import { initializeApp, deleteApp } from 'firebase/app';
import {
  getDatabase, connectDatabaseEmulator, ref, get, set, update, push, remove, setPriority, runTransaction, onDisconnect,
  serverTimestamp, increment, query, orderByChild, orderByKey, limitToLast, goOffline, onValue,
} from 'firebase/database';
import { client, namespace, port, rest, until, values, within } from '../lib/harness.mjs';

process.env.FIREBASE_DATABASE_EMULATOR_HOST = `127.0.0.1:${port}`;

/** A client that is signed in, by the kind of token that an emulator believes; uid null: nobody. */
function user(t, ns, uid, claims = {}) {
  if (uid === null) return client(t, ns);
  const app = initializeApp({ projectId: 'demo', databaseURL: `http://127.0.0.1:${port}/?ns=${ns}` }, `app-${randomBytes(6).toString('hex')}`);
  const db = getDatabase(app);
  connectDatabaseEmulator(db, '127.0.0.1', port, { mockUserToken: { sub: uid, ...claims } });
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await deleteApp(app);
  };
  t.after(close);
  return { app, db, ref: (path) => (path ? ref(db, path) : ref(db)), close };
}

async function rules(ns, doc) {
  const res = await rest(ns, '/.settings/rules.json', { method: 'PUT', body: { rules: doc } });
  assert.equal(res.status, 200, res.text);
}

async function write(ns, path, body) {
  const res = await rest(ns, `/${path}.json`, { method: 'PUT', body: JSON.stringify(body) });
  assert.equal(res.status, 200, res.text);
}

const denied = (promise) => assert.rejects(within(promise, 'a refusal'), (err) => {
  assert.match(`${err.code} ${err.message}`, /permission.denied/i);
  return true;
});

const chat = {
  members: { '.read': 'auth != null', $room: { $uid: { '.write': 'auth.uid === $uid' } } },
  rooms: {
    $room: {
      '.read': "root.child('members').child($room).child(auth.uid).exists()",
      messages: {
        $m: {
          '.write': "root.child('members').child($room).child(auth.uid).exists() && (!data.exists() || data.child('author').val() === auth.uid)",
          '.validate': "newData.hasChildren(['author', 'text', 'at'])",
          author: { '.validate': 'newData.val() === auth.uid' },
          text: { '.validate': 'newData.isString() && newData.val().length <= 20' },
          at: { '.validate': 'newData.val() === now' },
          likes: { '.validate': 'newData.isNumber() && newData.val() <= 3' },
          $other: { '.validate': false },
        },
      },
    },
  },
};

test('writes of every kind are judged', async (t) => {
  const ns = namespace('judged');
  await rules(ns, chat);
  const ann = user(t, ns, 'ann');
  const bob = user(t, ns, 'bob');
  await denied(set(ann.ref('rooms/r/messages/m1'), { author: 'ann', text: 'hi', at: serverTimestamp() }));
  await within(set(ann.ref('members/r/ann'), true), 'joining');
  await denied(set(ann.ref('members/r/bob'), true));
  const m = push(ann.ref('rooms/r/messages'));
  await within(set(m, { author: 'ann', text: 'hi', at: serverTimestamp() }), 'a message');
  await denied(set(push(ann.ref('rooms/r/messages')), { author: 'bob', text: 'hi', at: serverTimestamp() }));
  await denied(set(push(ann.ref('rooms/r/messages')), { author: 'ann', text: 'hi', at: 1 }));
  await denied(set(push(ann.ref('rooms/r/messages')), { author: 'ann', text: 'hi' }));
  await denied(update(m, { text: 'far too long for this room' }));
  await denied(update(m, { extra: 1 }));
  await within(update(ann.ref('rooms/r/messages'), { [`${m.key}/text`]: 'ho', [`${m.key}/at`]: serverTimestamp() }), 'an edit');
  await denied(update(ann.ref(), { [`rooms/r/messages/${m.key}/at`]: serverTimestamp(), 'elsewhere': 1 }));
  await denied(remove(bob.ref(`rooms/r/messages/${m.key}`)));
  await denied(remove(ann.ref('rooms/r')));
  await denied(setPriority(bob.ref(`rooms/r/messages/${m.key}`), 3));
  for (let i = 1; i <= 3; i++) {
    await within(update(m, { likes: increment(1), at: serverTimestamp() }), 'a like');
  }
  await denied(update(m, { likes: increment(1), at: serverTimestamp() }));
  const { json } = await rest(ns, '/rooms/r/messages.json');
  assert.equal(json[m.key].text, 'ho');
  assert.equal(json[m.key].likes, 3);
  assert.equal(Object.keys(json).length, 1);
});

test('a refused write is taken back in the events, and those of others stay', async (t) => {
  const ns = namespace('back');
  await rules(ns, { '.read': true, a: { '.write': true, '.validate': 'newData.isNumber()' } });
  const c = user(t, ns, 'ann');
  const seen = values(c.ref('a'));
  await seen.first();
  await set(c.ref('a'), 1);
  await denied(set(c.ref('a'), 'text'));
  await within(set(c.ref('a'), 2), 'a write');
  assert.deepEqual([...seen], [null, 1, 'text', 1, 2]);
});

test('reads are judged: listens, gets, queries, REST', async (t) => {
  const ns = namespace('reads');
  await rules(ns, {
    own: { $uid: { '.read': 'auth.uid === $uid' } },
    list: { '.read': "query.orderByChild === 'n' && query.limitToLast <= 2", '.indexOn': 'n' },
    pub: { '.read': true },
  });
  await write(ns, '', { own: { ann: 1, bob: 2 }, list: { a: { n: 1 }, b: { n: 2 }, c: { n: 3 } }, pub: { x: 1 } });
  const ann = user(t, ns, 'ann');
  assert.equal((await within(get(ann.ref('own/ann')), 'get')).val(), 1);
  await assert.rejects(within(get(ann.ref('own/bob')), 'get'), /permission denied/i);
  await assert.rejects(within(get(ann.ref()), 'get'), /permission denied/i);
  const no = values(ann.ref('own'));
  await no.first();
  assert.equal(no.length, 0);
  assert.equal(no.errors[0].code, 'PERMISSION_DENIED');
  const window = values(query(ann.ref('list'), orderByChild('n'), limitToLast(2)));
  await window.first();
  assert.deepEqual(window[0], { b: { n: 2 }, c: { n: 3 } });
  for (const q of [query(ann.ref('list'), orderByChild('n'), limitToLast(3)), query(ann.ref('list'), orderByKey(), limitToLast(1))]) {
    const refused = values(q);
    await refused.first();
    assert.equal(refused.errors.length, 1);
  }
  // Refusals leave other listens alone.
  await write(ns, 'list/d', { n: 4 });
  await until(() => window.at(-1).d, 'the window');
  const anonymous = (path, q = '') => rest(ns, path, { headers: { authorization: '' }, query: q });
  assert.deepEqual((await anonymous('/pub.json')).json, { x: 1 });
  assert.equal((await anonymous('/own/ann.json')).status, 401);
  assert.deepEqual((await anonymous('/own/ann.json')).json, { error: 'Permission denied' });
  assert.equal((await anonymous('/list.json', 'orderBy="n"&limitToLast=2')).status, 200);
  assert.equal((await anonymous('/list.json', 'orderBy="n"&limitToLast=3')).status, 401);
  assert.equal((await anonymous('/list.json', 'shallow=true')).status, 401);
  assert.equal((await anonymous('/.json')).status, 401);
  assert.equal((await rest(ns, '/pub.json', { method: 'PUT', body: 1, headers: { authorization: '' } })).status, 401);
});

test('a listen ends when data, rules or the user no longer allow it', async (t) => {
  const ns = namespace('revoked');
  await rules(ns, chat);
  await write(ns, '', { members: { r: { ann: true, bob: true } }, rooms: { r: { topic: 'x' } } });
  const ann = user(t, ns, 'ann');
  const room = values(ann.ref('rooms/r'));
  const newest = values(query(ann.ref('rooms/r'), orderByKey(), limitToLast(1)));
  const members = values(ann.ref('members'));
  await Promise.all([room.first(), newest.first(), members.first()]);
  // Data: out of the room in one step with a secret.
  await rest(ns, '/.json', { method: 'PATCH', body: { 'members/r/ann': null, 'rooms/r/topic': 'secret' } });
  await until(() => room.errors.length === 1 && newest.errors.length === 1, 'the revocations');
  assert.equal(room.errors[0].code, 'PERMISSION_DENIED');
  assert.ok(!JSON.stringify([room, newest]).includes('secret'));
  assert.equal(members.errors.length, 0);
  assert.deepEqual(members.at(-1), { r: { bob: true } });
  // The client may come back when it is allowed again.
  await write(ns, 'members/r/ann', true);
  const again = values(ann.ref('rooms/r'));
  await again.first();
  assert.deepEqual(again[0], { topic: 'secret' });
  // Rules.
  await rules(ns, { ...chat, members: { '.read': false } });
  await until(() => members.errors.length === 1, 'the revocation by the rules');
  assert.equal(again.errors.length, 0);
});

test('without rules a database is open in the open mode, and closed by empty ones', async (t) => {
  const ns = namespace('none');
  const c = client(t, ns);
  await within(set(c.ref('a'), 1), 'a write');
  const seen = values(c.ref('a'));
  await seen.first();
  await rules(ns, {});
  await until(() => seen.errors.length === 1, 'the revocation');
  await denied(set(c.ref('a'), 2));
  assert.equal((await rest(ns, '/a.json', { headers: { authorization: '' } })).status, 401);
  assert.equal((await rest(ns, '/a.json')).json, 1);
});

test('a transaction is refused by the rules, and only with the present value', async (t) => {
  const ns = namespace('txn');
  await rules(ns, { n: { '.read': true, '.write': 'auth != null', '.validate': 'newData.val() === (data.exists() ? data.val() : 0) + 1 && newData.val() <= 12' } });
  const clients = [user(t, ns, 'a'), user(t, ns, 'b'), user(t, ns, 'c')];
  // They get in each other's way; on a stale value the rules would say no to what is right.
  await within(Promise.all(clients.map(async (c) => {
    for (let i = 0; i < 4; i++) await runTransaction(c.ref('n'), (v) => (v ?? 0) + 1);
  })), 'the transactions');
  assert.equal((await rest(ns, '/n.json')).json, 12);
  await denied(runTransaction(clients[0].ref('n'), (v) => v + 1));
  await denied(runTransaction(client(t, ns).ref('n'), (v) => v + 1));
});

test('onDisconnect is judged when it is asked for, and when it is done', async (t) => {
  const ns = namespace('bye');
  await rules(ns, { '.read': true, on: { $uid: { '.write': 'auth.uid === $uid' } }, once: { '.write': '!data.exists()' } });
  const ann = user(t, ns, 'ann');
  await denied(onDisconnect(ann.ref('on/bob')).set(false));
  await denied(onDisconnect(ann.ref()).update({ 'on/ann': 1, 'on/bob': 1 }));
  await within(onDisconnect(ann.ref('on/ann')).set('left'), 'onDisconnect');
  await within(onDisconnect(ann.ref('once')).set('ann'), 'onDisconnect');
  await write(ns, 'once', 'taken');
  const watcher = client(t, ns);
  const seen = values(watcher.ref());
  await seen.first();
  goOffline(ann.db);
  await until(() => seen.at(-1)?.on?.ann === 'left', 'what is left');
  assert.deepEqual(seen.at(-1), { on: { ann: 'left' }, once: 'taken' });
});

test('the admin SDK: everything; somebody else by override', async (t) => {
  const ns = namespace('override');
  await rules(ns, { own: { $uid: { '.read': 'auth.uid === $uid', '.write': 'auth.uid === $uid && auth.role === "x"' } } });
  const as = (override) => {
    const app = initializeAdmin({
      databaseURL: `https://${ns}.firebaseio.com`,
      credential: { getAccessToken: async () => ({ access_token: 'owner', expires_in: 3600 }) },
      ...(override === undefined ? {} : { databaseAuthVariableOverride: override }),
    }, `${ns}-${Math.random()}`);
    t.after(() => deleteAdmin(app));
    return getAdminDatabase(app);
  };
  await within(as(undefined).ref('own/ann').set(1), 'a write of the admin');
  const ann = as({ uid: 'ann', role: 'x' });
  await within(ann.ref('own/ann').set(2), 'a write as ann');
  assert.equal((await within(ann.ref('own/ann').get(), 'get')).val(), 2);
  await denied(ann.ref('own/bob').set(2));
  await denied(as({ uid: 'ann' }).ref('own/ann').set(3));
  await denied(as(null).ref('own/ann').set(3));
  await assert.rejects(within(as(null).ref('own/ann').get(), 'get'), /denied/i);
});

test('a stream of REST is cancelled', async (t) => {
  const ns = namespace('sse');
  await rules(ns, { a: { '.read': 'data.child("open").val() === true' } });
  await write(ns, 'a', { open: true });
  const ctl = new AbortController();
  t.after(() => ctl.abort());
  const res = await fetch(`http://127.0.0.1:${port}/a.json?ns=${ns}`, { headers: { accept: 'text/event-stream' }, signal: ctl.signal });
  assert.equal(res.status, 200);
  let text = '';
  const done = (async () => { for await (const chunk of res.body) text += Buffer.from(chunk).toString(); })();
  await until(() => text.includes('"open":true'), 'the first event');
  await rest(ns, '/a.json', { method: 'PUT', body: { open: false, secret: 1 } });
  await within(done, 'the end of the stream');
  assert.match(text, /event: cancel\ndata: Permission denied\n/);
  assert.ok(!text.includes('secret'));
  const closed = await fetch(`http://127.0.0.1:${port}/a.json?ns=${ns}`, { headers: { accept: 'text/event-stream' } });
  assert.equal(closed.status, 401);
});

test('signing out takes listens away, and those of another user come with him', async (t) => {
  // The SDK sends unauth and auth on the same connection; here that is done by hand.
  const ns = namespace('out');
  await rules(ns, { own: { $uid: { '.read': 'auth.uid === $uid' } }, any: { '.read': 'auth != null' } });
  const { WebSocket } = globalThis;
  const ws = new (WebSocket ?? (await import('ws')).default)(`ws://127.0.0.1:${port}/.ws?v=5&ns=${ns}`);
  t.after(() => ws.close());
  const got = [];
  ws.onmessage = (m) => got.push(JSON.parse(m.data));
  await until(() => got.length === 1, 'the hello');
  let r = 0;
  const ask = async (a, b) => {
    r += 1;
    const n = r;
    ws.send(JSON.stringify({ t: 'd', d: { r: n, a, b } }));
    return (await until(() => got.find((m) => m.d?.r === n), `the answer to ${a}`)).d.b.s;
  };
  const token = (sub) => [{ alg: 'none', type: 'JWT' }, { sub, iat: 0, exp: 3600 }].map((p) => Buffer.from(JSON.stringify(p)).toString('base64url')).join('.') + '.';
  const revoked = () => got.filter((m) => m.d?.a === 'c').map((m) => m.d.b.p);
  assert.equal(await ask('q', { p: '/any', h: '' }), 'permission_denied');
  assert.equal(await ask('auth', { cred: token('ann') }), 'ok');
  assert.equal(await ask('q', { p: '/any', h: '' }), 'ok');
  assert.equal(await ask('q', { p: '/own/ann', h: '' }), 'ok');
  assert.equal(await ask('auth', { cred: token('bob') }), 'ok');
  assert.deepEqual(revoked(), ['own/ann']);
  assert.equal(await ask('auth', { cred: 'no.token' }), 'invalid_token');
  assert.equal(await ask('q', { p: '/own/bob', h: '' }), 'ok');
  assert.equal(await ask('unauth', {}), 'ok');
  assert.deepEqual(revoked().sort(), ['any', 'own/ann', 'own/bob']);
  assert.equal(await ask('g', { p: '/any', q: {} }), 'permission_denied');
});
