// Every write operation, and what the writer, a watcher and a later reader see of it.

import test from 'node:test';
import assert from 'node:assert/strict';
import {
  set, update, push, remove, get, increment, serverTimestamp, setPriority, setWithPriority,
  onValue, query, orderByPriority, orderByKey, limitToFirst, limitToLast, startAt, onChildAdded, connectDatabaseEmulator, getDatabase, ref,
} from 'firebase/database';
import { initializeApp, deleteApp } from 'firebase/app';
import { client, namespace, values, until, within, fresh, marker, port } from '../lib/harness.mjs';

test('set stores every kind of value', async (t) => {
  const ns = namespace('set');
  const a = client(t, ns);
  const tree = {
    string: 'text', empty: '', umlaut: 'ü', astral: '😀', int: 7, negative: -7, float: 0.1, large: 1e300,
    small: 5e-324, max: Number.MAX_SAFE_INTEGER, yes: true, no: false, nested: { a: { b: { c: 'deep' } } },
    list: ['x', 'y', 'z'], 'key with spaces': 1, 'ключ': 2, '😀': 3,
  };
  await set(a.ref('t'), tree);
  assert.deepEqual(await fresh(t, ns, 't'), tree);
  assert.equal(await fresh(t, ns, 't/nested/a/b/c'), 'deep');
  assert.equal(await fresh(t, ns, 't/ключ'), 2);
});

test('null, {} and [] delete, and empty parents vanish', async (t) => {
  const ns = namespace('null');
  const a = client(t, ns);
  await set(a.ref('x'), { keep: 1, gone: null, empty: {}, list: [], deep: { deeper: { nothing: {} } } });
  assert.deepEqual(await fresh(t, ns, 'x'), { keep: 1 });
  await set(a.ref('x/keep'), null);
  assert.equal(await fresh(t, ns, 'x'), null);
  assert.equal(await fresh(t, ns, ''), null);
});

test('remove takes the subtree only', async (t) => {
  const ns = namespace('remove');
  const a = client(t, ns);
  await set(a.ref('x'), { a: { b: 1, c: 2 }, d: 3 });
  await remove(a.ref('x/a'));
  assert.deepEqual(await fresh(t, ns, 'x'), { d: 3 });
  await remove(a.ref('x/never/was'));
  assert.deepEqual(await fresh(t, ns, 'x'), { d: 3 });
});

test('a child under a leaf makes it an object that keeps the priority', async (t) => {
  const ns = namespace('leaf');
  const a = client(t, ns);
  await setWithPriority(a.ref('x'), 'leaf', 9);
  await set(a.ref('x/child'), 1);
  const b = client(t, ns);
  const snap = await get(b.ref('x'));
  assert.deepEqual(snap.exportVal(), { child: 1, '.priority': 9 });
  // Deleting a child that a leaf does not have leaves the leaf.
  await setWithPriority(a.ref('y'), 'leaf', 9);
  await remove(a.ref('y/child'));
  assert.deepEqual((await get(b.ref('y'))).exportVal(), { '.value': 'leaf', '.priority': 9 });
});

test('update merges, deletes, and takes deep paths', async (t) => {
  const ns = namespace('update');
  const a = client(t, ns);
  await set(a.ref('u'), { a: 1, b: { c: 2, d: 3 }, e: 4 });
  await update(a.ref('u'), { a: 10, 'b/c': 20, e: null, 'n/e/w': 'deep' });
  assert.deepEqual(await fresh(t, ns, 'u'), { a: 10, b: { c: 20, d: 3 }, n: { e: { w: 'deep' } } });
  await update(a.ref(), { 'u/a': null, 'v/w': 1 });
  assert.deepEqual(await fresh(t, ns, ''), { u: { b: { c: 20, d: 3 }, n: { e: { w: 'deep' } } }, v: { w: 1 } });
});

test('an update is one event for a watcher of all its paths', async (t) => {
  const ns = namespace('atomic');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('u'), { a: 0, b: { c: 0 }, z: 0 });
  const own = values(a.ref('u'));
  const seen = values(b.ref('u'));
  await seen.first();
  await own.first();
  const mark = marker(a, b);
  for (let i = 1; i <= 20; i++) await update(a.ref('u'), { a: i, 'b/c': i, [`n${i}`]: i, z: i });
  await mark();
  for (const list of [own, seen]) {
    assert.equal(list.length, 21, 'one event each');
    for (const [i, v] of list.entries()) {
      assert.equal(v.a, i);
      assert.equal(v.b.c, i);
      assert.equal(v.z, i);
    }
  }
});

test('push makes ordered keys and the thenable resolves', async (t) => {
  const ns = namespace('push');
  const a = client(t, ns);
  const keys = [];
  for (let i = 0; i < 50; i++) {
    const r = push(a.ref('list'), i);
    keys.push(r.key);
    if (i % 10 === 9) await r;
  }
  await marker(a, a)();
  const b = client(t, ns);
  const seen = [];
  const snap = await get(b.ref('list'));
  snap.forEach((c) => { seen.push([c.key, c.val()]); });
  assert.deepEqual(seen, keys.map((k, i) => [k, i]));
  const r = push(a.ref('list'));
  assert.match(r.key, /^-[-0-9A-Z_a-z]{19}$/);
});

test('a hundred concurrent increments add up', async (t) => {
  const ns = namespace('inc');
  const clients = Array.from({ length: 5 }, () => client(t, ns));
  const seen = values(clients[0].ref('n'));
  const writes = [];
  for (let i = 0; i < 20; i++) for (const c of clients) writes.push(set(c.ref('n'), increment(1)));
  await within(Promise.all(writes), 'the increments');
  await until(() => seen.at(-1) === 100, () => `100, not ${seen.at(-1)}`);
  assert.equal(await fresh(t, ns, 'n'), 100);
});

test('increments of every shape', async (t) => {
  const ns = namespace('inc');
  const a = client(t, ns);
  await set(a.ref('i'), { int: 5, float: 0.5, text: 'x', obj: { deep: 1 } });
  await update(a.ref('i'), {
    int: increment(-7), float: increment(0.25), text: increment(3), none: increment(4), 'obj/deep': increment(1),
  });
  assert.deepEqual(await fresh(t, ns, 'i'), { int: -2, float: 0.75, text: 3, none: 4, obj: { deep: 2 } });
  await set(a.ref('i'), { a: { n: increment(2) }, int: increment(1) });
  assert.deepEqual(await fresh(t, ns, 'i'), { a: { n: 2 }, int: -1 });
  // Past what 64 bits hold it goes on as a double.
  await set(a.ref('big'), Number.MAX_SAFE_INTEGER);
  await set(a.ref('big'), increment(1e19));
  assert.equal(await fresh(t, ns, 'big'), Number.MAX_SAFE_INTEGER + 1e19);
});

test('serverTimestamp is one moment per write, the same for everyone', async (t) => {
  const ns = namespace('ts');
  const a = client(t, ns);
  const b = client(t, ns);
  const seen = values(b.ref('x'));
  await seen.first();
  const before = Date.now();
  await update(a.ref('x'), { one: serverTimestamp(), 'deep/two': serverTimestamp() });
  const after = Date.now();
  await until(() => seen.at(-1)?.one, 'the stamp');
  const v = seen.at(-1);
  assert.equal(v.one, v.deep.two);
  assert.ok(v.one >= before - 1 && v.one <= after + 1, `${before} <= ${v.one} <= ${after}`);
  assert.deepEqual(await fresh(t, ns, 'x'), v);
  // The writer's own guess gives way to the truth.
  const own = values(a.ref('x/one'));
  await own.first();
  assert.equal(own.at(-1), v.one);
});

test('serverTimestamp as a priority', async (t) => {
  const ns = namespace('ts');
  const a = client(t, ns);
  const before = Date.now();
  await setWithPriority(a.ref('x'), 'v', serverTimestamp());
  const snap = await get(client(t, ns).ref('x'));
  assert.equal(snap.val(), 'v');
  assert.ok(snap.priority >= before - 1 && snap.priority <= Date.now() + 1);
});

test('priorities order, change alone, and go with a plain set', async (t) => {
  const ns = namespace('prio');
  const a = client(t, ns);
  const b = client(t, ns);
  await setWithPriority(a.ref('p/a'), 'a', 3);
  await setWithPriority(a.ref('p/b'), { v: 1 }, 'text');
  await setWithPriority(a.ref('p/c'), 'c', 1);
  await set(a.ref('p/d'), 'd');
  const order = (snap) => { const keys = []; snap.forEach((c) => { keys.push(c.key); }); return keys; };
  const byPriority = values(query(b.ref('p'), orderByPriority()), order);
  await byPriority.first();
  assert.deepEqual(byPriority.at(-1), ['d', 'c', 'a', 'b']);
  await setPriority(a.ref('p/a'), 0);
  await until(() => byPriority.at(-1).join() === 'd,a,c,b', 'the new order');
  await setPriority(a.ref('p/b'), null);
  await until(() => byPriority.at(-1).join() === 'b,d,a,c', 'b without priority');
  assert.deepEqual((await get(client(t, ns).ref('p/a'))).exportVal(), { '.value': 'a', '.priority': 0 });
  await set(a.ref('p/a'), 'plain');
  assert.equal((await get(client(t, ns).ref('p/a'))).priority, null);
});

test('setPriority reaches a listener of the node itself', async (t) => {
  const ns = namespace('prio');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('x'), { k: 1 });
  const seen = values(b.ref('x'), (s) => s.exportVal());
  await seen.first();
  await setPriority(a.ref('x'), 5);
  await until(() => seen.at(-1)['.priority'] === 5, 'the priority');
  assert.deepEqual(seen.at(-1), { k: 1, '.priority': 5 });
  await setPriority(a.ref('x'), 'text');
  await until(() => seen.at(-1)['.priority'] === 'text', 'the priority');
});

test('setPriority of a missing node is refused and makes nothing', async (t) => {
  const ns = namespace('prio');
  const a = client(t, ns);
  await assert.rejects(within(setPriority(a.ref('missing'), 5), 'setPriority'));
  assert.equal(await fresh(t, ns, ''), null);
});

test('a priority in an update', async (t) => {
  const ns = namespace('prio');
  const a = client(t, ns);
  await set(a.ref('x'), { k: 1 });
  await update(a.ref('x'), { '.priority': 4, k: 2 });
  const snap = await get(client(t, ns).ref('x'));
  assert.deepEqual(snap.exportVal(), { k: 2, '.priority': 4 });
});

test('the writer never sees its own write undone', async (t) => {
  const ns = namespace('undo');
  const a = client(t, ns);
  const seen = values(a.ref('x'));
  const deep = values(a.ref('x/deep'));
  const root = values(a.ref(''), (s) => s.val()?.x?.n);
  await seen.first();
  for (let i = 1; i <= 30; i++) await set(a.ref('x'), { n: i, deep: { n: i } });
  await marker(a, a)();
  assert.deepEqual(seen.map((v) => v?.n), [undefined, ...Array.from({ length: 30 }, (_, i) => i + 1)]);
  assert.deepEqual(deep.map((v) => v?.n), seen.map((v) => v?.n));
  let last = 0;
  for (const n of root) { if (n !== undefined) { assert.ok(n >= last, `${n} after ${last}`); last = n; } }
});

test('arrays come back as arrays, sparse ones as they should', async (t) => {
  const ns = namespace('array');
  const a = client(t, ns);
  await set(a.ref('x'), { full: ['a', 'b'], holes: { 0: 'a', 2: 'c' }, sparse: { 0: 'a', 9: 'j' }, lead: { '00': 1, 1: 2 } });
  const v = await fresh(t, ns, 'x');
  assert.deepEqual(v.full, ['a', 'b']);
  assert.deepEqual(v.holes, ['a', , 'c']);
  assert.deepEqual(v.sparse, { 0: 'a', 9: 'j' });
  assert.deepEqual(v.lead, { '00': 1, 1: 2 });
});

test('keys order: integers, then UTF-16', async (t) => {
  const ns = namespace('keys');
  const a = client(t, ns);
  const order = ['-2147483648', '-1', '0', '00', '01', '9', '10', '2147483647', '-', '-2147483649', '1a', '2147483648',
    'Z', 'a', 'b', '~', '😀', '\uFFFF'];
  const shuffled = [...order].sort((x, y) => (x.length * 7 + x.charCodeAt(0) * 3) % 11 - (y.length * 7 + y.charCodeAt(0) * 3) % 11);
  await set(a.ref('k'), Object.fromEntries(shuffled.map((k) => [k, true])));
  const b = client(t, ns);
  const seen = [];
  onChildAdded(b.ref('k'), (s) => seen.push(s.key));
  await until(() => seen.length === order.length, 'all keys');
  assert.deepEqual(seen, order);
  // The SDK sorts what it has. Which children it gets is the server's order: by windows that are read and watched.
  const c = client(t, ns);
  const keys = (snap) => { const list = []; snap.forEach((child) => { list.push(child.key); }); return list; };
  for (let n = 1; n < order.length; n++) {
    assert.deepEqual(keys(await get(query(c.ref('k'), orderByKey(), limitToFirst(n)))), order.slice(0, n));
    assert.deepEqual(keys(await get(query(c.ref('k'), orderByKey(), limitToLast(n)))), order.slice(-n));
    assert.deepEqual(keys(await get(query(c.ref('k'), orderByKey(), startAt(order[n]), limitToFirst(2)))), order.slice(n, n + 2));
  }
  const live = values(query(c.ref('live'), orderByKey(), limitToLast(1)), keys);
  await live.first();
  for (const k of order) await set(a.ref(`live/${k}`), true); // each becomes the last
  await marker(a, c)();
  assert.deepEqual([...live], [[], ...order.map((k) => [k])]);
});

test('namespaces are apart, and their names ignore case', async (t) => {
  const one = namespace('one');
  const two = namespace('two');
  await set(client(t, one).ref('x'), 1);
  await set(client(t, two).ref('x'), 2);
  assert.equal(await fresh(t, one, 'x'), 1);
  assert.equal(await fresh(t, two, 'x'), 2);
  assert.equal(await fresh(t, one.toUpperCase(), 'x'), 1);
});

test('connectDatabaseEmulator, with a mock user', async (t) => {
  const ns = namespace('emu');
  const app = initializeApp({ databaseURL: `https://${ns}.firebaseio.com` }, ns);
  t.after(() => deleteApp(app));
  const db = getDatabase(app);
  connectDatabaseEmulator(db, '127.0.0.1', port, { mockUserToken: { sub: 'alice', email: 'a@example.com' } });
  await within(set(ref(db, 'x'), 'from the emulator client'), 'the write');
  assert.equal(await fresh(t, ns, 'x'), 'from the emulator client');
  assert.equal((await get(ref(db, 'x'))).val(), 'from the emulator client');
});
