// What a client of the SDK notices of limits: it is slower, or comes later; no write fails, and none is lost.

import test from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { initializeApp, deleteApp } from 'firebase/app';
import { getDatabase, connectDatabaseEmulator, ref, get, set, push, onValue } from 'firebase/database';
import { namespace, until, within } from '../lib/harness.mjs';
import { ownServer } from '../lib/server.mjs';

function client(t, server, ns, uid) {
  const app = initializeApp({ projectId: 'demo', databaseURL: `http://127.0.0.1:${server.port}/?ns=${ns}` }, `app-${randomBytes(6).toString('hex')}`);
  const db = getDatabase(app);
  if (uid) connectDatabaseEmulator(db, '127.0.0.1', server.port, { mockUserToken: { sub: uid } });
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await deleteApp(app);
  };
  t.after(close);
  return { ref: (path) => ref(db, path), close };
}

async function hits(server, scope, kind, outcome) {
  const text = await (await fetch(`http://127.0.0.1:${server.port}/_rebase/metrics`)).text();
  const m = new RegExp(`rebase_limit_hits_total{kind="${kind}",outcome="${outcome}",scope="${scope}"} (\\d+)`).exec(text);
  return m ? Number(m[1]) : 0;
}

test('a client that is too fast is delayed, and loses nothing', async (t) => {
  const server = await ownServer(t, '--limit-connection', 'operations=100,bytes=1MiB');
  const ns = namespace('fast');
  const c = client(t, server, ns);
  const order = [];
  const stop = onValue(c.ref('last'), (s) => order.push(s.val()));
  const writes = Array.from({ length: 500 }, (_, i) => set(c.ref('last'), i));
  writes.push(set(c.ref('big'), 'x'.repeat(3 << 20)));
  await within(Promise.all(writes), 'all writes', 60000);
  stop();
  assert.deepEqual(order.filter((v) => v !== null), Array.from({ length: 500 }, (_, i) => i));
  assert.equal((await get(c.ref('last'))).val(), 499);
  assert.ok(await hits(server, 'connection', 'operations', 'delayed') > 0, 'nobody was delayed');
  assert.equal(await hits(server, 'connection', 'operations', 'refused'), 0);
});

test('a client for whom there is no connection left comes again, and then its writes arrive', async (t) => {
  const server = await ownServer(t, '--limit-database', 'connections=2');
  const ns = namespace('full');
  const [a, b] = [client(t, server, ns), client(t, server, ns)];
  await Promise.all([set(a.ref('a'), 1), set(b.ref('b'), 1)]);
  const late = client(t, server, ns);
  const written = set(late.ref('late'), 'here');
  await until(async () => await hits(server, 'database', 'connections', 'refused') > 0, 'a refusal');
  await a.close();
  await within(written, 'the write of who came late', 60000);
  assert.equal((await get(b.ref('late'))).val(), 'here');
});

test('a user has so many connections, over all its devices', async (t) => {
  const server = await ownServer(t, '--limit-user', 'connections=1');
  const ns = namespace('user');
  const first = client(t, server, ns, 'ann');
  await set(first.ref('first'), 1);
  const second = client(t, server, ns, 'ann');
  const other = client(t, server, ns, 'bob');
  const written = push(second.ref('list'), 'mine');
  await set(other.ref('other'), 1);
  await until(async () => await hits(server, 'user', 'connections', 'refused') > 0, 'a refusal');
  await first.close();
  await within(written, 'the write of the second device', 60000);
  assert.deepEqual(Object.values((await get(other.ref('list'))).val()), ['mine']);
});

test('a write that is too large is refused by itself', async (t) => {
  const server = await ownServer(t, '--limit-write', '100KiB');
  const c = client(t, server, namespace('large'));
  await set(c.ref('small'), 'x'.repeat(90 << 10));
  await assert.rejects(within(set(c.ref('large'), 'x'.repeat(200 << 10)), 'a refusal'), /write_too_big/i);
  await set(c.ref('after'), 1);
  assert.equal((await get(c.ref('large'))).exists(), false);
  assert.equal((await get(c.ref('after'))).val(), 1);
});
