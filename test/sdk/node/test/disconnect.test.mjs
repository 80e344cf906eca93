// onDisconnect, presence, and what a restart of the server means to both.

import test from 'node:test';
import assert from 'node:assert/strict';
import { set, get, onDisconnect, onValue, goOffline, goOnline, serverTimestamp, increment, remove, push, onChildAdded, onChildRemoved } from 'firebase/database';
import { client, namespace, values, until, within, fresh, connected, marker } from '../lib/harness.mjs';
import { proxy } from '../lib/proxy.mjs';
import { ownServer } from '../lib/server.mjs';

test('set, update, remove and a server value run when the client goes, as one event', async (t) => {
  const ns = namespace('od');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('p'), { state: 'here', gone: 'soon', n: 1, list: { x: 1 } });
  await onDisconnect(a.ref('p/state')).set('away');
  await onDisconnect(a.ref('p')).update({ 'list/y': 2, n: increment(5) });
  await onDisconnect(a.ref('p/gone')).remove();
  await onDisconnect(a.ref('p/seen')).set(serverTimestamp());
  await onDisconnect(a.ref('p/prio')).setWithPriority('v', 3);
  const seen = values(b.ref('p'), (s) => s.exportVal());
  await seen.first();
  assert.equal(seen.length, 1);
  const before = Date.now();
  goOffline(a.db);
  await until(() => seen.length > 1, 'the disconnect');
  await marker(b, b)();
  assert.equal(seen.length, 2, 'one event for all of them');
  const v = seen.at(-1);
  assert.ok(v.seen >= before - 1 && v.seen <= Date.now() + 1);
  delete v.seen;
  assert.deepEqual(v, { state: 'away', n: 6, list: { x: 1, y: 2 }, prio: { '.value': 'v', '.priority': 3 } });
});

test('they run once, and a later connection has none of them', async (t) => {
  const ns = namespace('once');
  const a = client(t, ns);
  const b = client(t, ns);
  await onDisconnect(a.ref('n')).set(increment(1));
  const seen = values(b.ref('n'));
  await seen.first();
  goOffline(a.db);
  await until(() => seen.at(-1) === 1, 'the first disconnect');
  goOnline(a.db);
  await set(a.ref('back'), true);
  goOffline(a.db);
  await until(async () => (await get(b.ref('back'))).val() === true, 'the second visit');
  await marker(b, b)();
  assert.equal(seen.at(-1), 1);
});

test('cancel takes back what was asked at a place and below', async (t) => {
  const ns = namespace('cancel');
  const a = client(t, ns);
  const b = client(t, ns);
  await onDisconnect(a.ref('x/a')).set(1);
  await onDisconnect(a.ref('x/b/c')).set(2);
  await onDisconnect(a.ref('y')).set(3);
  await onDisconnect(a.ref('x')).cancel();
  const seen = values(b.ref());
  await seen.first();
  goOffline(a.db);
  await until(() => seen.at(-1)?.y === 3, 'the disconnect');
  assert.deepEqual(seen.at(-1), { y: 3 });
});

test('a later operation at the same place replaces the earlier one', async (t) => {
  const ns = namespace('replace');
  const a = client(t, ns);
  const b = client(t, ns);
  await onDisconnect(a.ref('x')).set({ a: 1, b: 1 });
  await onDisconnect(a.ref('x/b')).set(2);
  await onDisconnect(a.ref('z')).set('first');
  await onDisconnect(a.ref('z')).set('second');
  const seen = values(b.ref());
  await seen.first();
  goOffline(a.db);
  await until(() => seen.at(-1)?.z, 'the disconnect');
  assert.deepEqual(seen.at(-1), { x: { a: 1, b: 2 }, z: 'second' });
});

test('a connection cut without a word counts as gone', async (t) => {
  const ns = namespace('cut');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const b = client(t, ns);
  await onDisconnect(a.ref('here')).remove();
  await set(a.ref('here'), true);
  const seen = values(b.ref('here'));
  await until(() => seen.at(-1) === true, 'presence');
  p.refuse = true;
  p.cut();
  await until(() => seen.at(-1) === null, 'the absence');
  p.refuse = false;
});

test('presence as apps do it: .info/connected, onDisconnect, set', async (t) => {
  const ns = namespace('presence');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const watcher = client(t, ns);
  const entries = new Map();
  const history = [];
  onChildAdded(watcher.ref('online'), (s) => { entries.set(s.key, s.val()); history.push(`+${s.val()}`); });
  onChildRemoved(watcher.ref('online'), (s) => { entries.delete(s.key); history.push(`-${s.val()}`); });
  const asks = [];
  let visit = 0;
  onValue(a.ref('.info/connected'), (s) => {
    if (!s.val()) return;
    visit += 1;
    const me = push(a.ref('online'));
    asks.push(onDisconnect(me).remove());
    asks.push(set(me, `visit ${visit}`));
  });
  await until(() => entries.size === 1, 'to be seen');
  for (let i = 2; i <= 4; i++) {
    // A write whose answer is lost is sent again, and the new session has no onDisconnect for it: so does Firebase leave a ghost.
    await within(asks.at(-1), 'the answer');
    p.cut();
    await until(() => [...entries.values()].join() === `visit ${i}`, () => `visit ${i} alone: ${history.join(' ')}`, 30000);
  }
  assert.equal(entries.size, 1, `no ghosts: ${history.join(' ')}`);
  const other = client(t, ns);
  const me = push(other.ref('online'));
  await onDisconnect(me).remove();
  await set(me, 'other');
  await until(() => entries.size === 2, 'the other');
  await other.close();
  await until(() => entries.size === 1, 'the other gone');
});

test('a status that is said again after every return is never taken for a repetition', async (t) => {
  const ns = namespace('status');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const b = client(t, ns);
  const seen = values(b.ref('status'));
  await seen.first();
  let visits = 0;
  onValue(a.ref('.info/connected'), (s) => {
    if (!s.val()) return;
    visits += 1;
    onDisconnect(a.ref('status')).set('offline');
    set(a.ref('status'), 'online');
  });
  for (let i = 1; i <= 4; i++) {
    await until(() => visits === i && seen.at(-1) === 'online', () => `online, visit ${i}: ${seen}`);
    p.refuse = true;
    p.cut(); // at once, before the server can know that its answer has arrived
    await until(() => seen.at(-1) === 'offline', 'offline');
    p.refuse = false;
  }
});

test('goOffline and goOnline flip .info/connected', async (t) => {
  const ns = namespace('flip');
  const a = client(t, ns);
  await connected(a);
  const up = values(a.ref('.info/connected'));
  await up.first();
  goOffline(a.db);
  await until(() => up.at(-1) === false, 'offline');
  goOnline(a.db);
  await until(() => up.at(-1) === true, 'online');
  assert.deepEqual([...up], [true, false, true]);
});

test('a crash of the server: data stays, its sessions end, clients come back', async (t) => {
  const own = await ownServer(t);
  const ns = namespace('crash');
  const a = client(t, ns, { port: own.port });
  const b = client(t, ns, { port: own.port });
  await onDisconnect(a.ref('gone')).set('yes');
  await set(a.ref('data'), { n: 1, text: 'x'.repeat(5000) });
  await set(a.ref('counter'), 0);
  const seen = values(b.ref('data/n'));
  await seen.first();
  const acked = [];
  for (let i = 0; i < 50; i++) acked.push(await set(a.ref(`log/k${i}`), i).then(() => i));
  await own.stop('SIGKILL');
  const while_down = set(a.ref('data/n'), 2);
  const counted = set(a.ref('counter'), increment(1));
  await own.start();
  await within(Promise.all([while_down, counted]), 'writes made while it was down', 60000);
  await until(() => seen.at(-1) === 2, 'the listener after the restart', 60000);
  const c = client(t, ns, { port: own.port });
  const all = (await within(get(c.ref()), 'all')).val();
  assert.equal(Object.keys(all.log).length, acked.length, 'every acknowledged write is there');
  assert.equal(all.data.text.length, 5000);
  assert.equal(all.counter, 1);
  assert.equal(all.gone, 'yes', 'the session that the crash ended has run its onDisconnect');
});
