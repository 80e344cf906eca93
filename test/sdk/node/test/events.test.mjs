// Every event kind, its previous key, and the order among events.

import test from 'node:test';
import assert from 'node:assert/strict';
import {
  set, update, remove, get, off, onValue, onChildAdded, onChildChanged, onChildMoved, onChildRemoved,
  query, orderByChild, orderByKey, orderByPriority, limitToLast, setPriority, setWithPriority, serverTimestamp,
} from 'firebase/database';
import { client, namespace, values, until, marker, rest, within, connected } from '../lib/harness.mjs';

function childEvents(q) {
  const log = [];
  onChildAdded(q, (s, prev) => log.push(['added', s.key, prev, s.val()]));
  onChildChanged(q, (s, prev) => log.push(['changed', s.key, prev, s.val()]));
  onChildMoved(q, (s, prev) => log.push(['moved', s.key, prev, s.val()]));
  onChildRemoved(q, (s) => log.push(['removed', s.key, undefined, s.val()]));
  onValue(q, (s) => { const keys = []; s.forEach((c) => { keys.push(c.key); }); log.push(['value', keys.join()]); });
  return log;
}

test('child events carry their previous key and come before the value', async (t) => {
  const ns = namespace('ev');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('l'), { a: 1, c: 3 });
  const log = childEvents(b.ref('l'));
  await until(() => log.some((e) => e[0] === 'value'), 'the first value');
  const mark = marker(a, b);
  await set(a.ref('l/b'), 2);
  await set(a.ref('l/a'), 10);
  await remove(a.ref('l/c'));
  await update(a.ref('l'), { a: null, b: 20, d: 4 });
  await mark();
  assert.deepEqual(log, [
    ['added', 'a', null, 1], ['added', 'c', 'a', 3], ['value', 'a,c'],
    ['added', 'b', 'a', 2], ['value', 'a,b,c'],
    ['changed', 'a', null, 10], ['value', 'a,b,c'],
    ['removed', 'c', undefined, 3], ['value', 'a,b'],
    ['removed', 'a', undefined, 10], ['added', 'd', 'b', 4], ['changed', 'b', null, 20], ['value', 'b,d'],
  ]);
});

test('child_moved when the ordered value changes', async (t) => {
  const ns = namespace('ev');
  await rest(ns, '/.settings/rules.json', {
    method: 'PUT', body: { rules: { '.read': true, '.write': true, l: { '.indexOn': 'n' } } },
  });
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('l'), { a: { n: 1 }, b: { n: 2 }, c: { n: 3 } });
  const log = childEvents(query(b.ref('l'), orderByChild('n')));
  await until(() => log.some((e) => e[0] === 'value'), 'the first value');
  log.length = 0;
  await set(a.ref('l/a/n'), 9);
  await marker(a, b)();
  assert.deepEqual(log, [['moved', 'a', 'c', { n: 9 }], ['changed', 'a', 'c', { n: 9 }], ['value', 'b,c,a']]);
});

test('child_moved by priority', async (t) => {
  const ns = namespace('ev');
  const a = client(t, ns);
  const b = client(t, ns);
  await setWithPriority(a.ref('l/a'), 'a', 1);
  await setWithPriority(a.ref('l/b'), 'b', 2);
  const log = childEvents(query(b.ref('l'), orderByPriority()));
  await until(() => log.some((e) => e[0] === 'value'), 'the first value');
  log.length = 0;
  await setPriority(a.ref('l/a'), 3);
  await marker(a, b)();
  assert.deepEqual(log.filter((e) => e[0] === 'moved'), [['moved', 'a', 'b', 'a']]);
  assert.deepEqual(log.at(-1), ['value', 'b,a']);
});

test('the writer gets its own events once and in order', async (t) => {
  const ns = namespace('ev');
  const a = client(t, ns);
  const log = childEvents(a.ref('l'));
  await until(() => log.length > 0, 'the first value');
  for (let i = 0; i < 20; i++) await set(a.ref(`l/k${String(i).padStart(2, '0')}`), i);
  await marker(a, a)();
  const added = log.filter((e) => e[0] === 'added').map((e) => e[3]);
  assert.deepEqual(added, Array.from({ length: 20 }, (_, i) => i));
  assert.equal(log.filter((e) => e[0] === 'removed').length, 0);
  assert.equal(log.filter((e) => e[0] === 'value').length, 21);
});

test('a server timestamp changes the guess at most once', async (t) => {
  const ns = namespace('ev');
  const a = client(t, ns);
  const seen = values(a.ref('x'));
  await seen.first();
  await set(a.ref('x'), serverTimestamp());
  await marker(a, a)();
  assert.equal(seen[0], null);
  assert.ok(seen.length === 2 || seen.length === 3, `events ${JSON.stringify(seen)}`);
  assert.ok(seen.slice(1).every((v) => typeof v === 'number'));
});

test('two writers: every watcher sees the same order', async (t) => {
  const ns = namespace('order');
  const writers = Array.from({ length: 4 }, () => client(t, ns));
  const watchers = Array.from({ length: 3 }, () => client(t, ns));
  const seen = watchers.map((w) => values(w.ref('x')));
  await Promise.all(seen.map((s) => s.first()));
  await Promise.all(writers.map(async (w, i) => {
    for (let k = 0; k < 50; k++) await set(w.ref('x'), `${i}:${k}`);
  }));
  for (const w of watchers) await marker(writers[0], w)();
  assert.equal(seen[0].length, 201);
  assert.deepEqual([...seen[1]], [...seen[0]]);
  assert.deepEqual([...seen[2]], [...seen[0]]);
  for (let i = 0; i < 4; i++) {
    const own = seen[0].filter((v) => v?.startsWith(`${i}:`)).map((v) => Number(v.split(':')[1]));
    assert.deepEqual(own, own.toSorted((p, q) => p - q), 'a writer in its own order');
  }
});

test('nested default and tagged listens stay apart', async (t) => {
  const ns = namespace('nest');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('r'), { in: { a: 1, b: 2, c: 3 }, out: 0 });
  const tagged = values(query(b.ref('r/in'), orderByKey(), limitToLast(2)));
  await tagged.first();
  const outer = values(b.ref('r'));
  await outer.first();
  await set(a.ref('r/in/d'), 4);
  await remove(a.ref('r/in/c'));
  await set(a.ref('r'), { in: { y: 1, z: 2 }, out: 1 });
  await marker(a, b)();
  assert.deepEqual(tagged.at(-1), { y: 1, z: 2 });
  assert.deepEqual(outer.at(-1), { in: { y: 1, z: 2 }, out: 1 });
  off(b.ref('r'));
  await set(a.ref('r/in/zz'), 3);
  await marker(a, b)();
  assert.deepEqual(tagged.at(-1), { z: 2, zz: 3 });
  assert.equal(outer.length, 4);
});

test('off stops events, and listening again starts afresh', async (t) => {
  const ns = namespace('off');
  const a = client(t, ns);
  const b = client(t, ns);
  const first = values(b.ref('x'));
  await first.first();
  await set(a.ref('x'), 1);
  await until(() => first.at(-1) === 1, 'one');
  first.stop();
  await set(a.ref('x'), 2);
  await marker(a, b)();
  assert.equal(first.at(-1), 1);
  const again = values(b.ref('x'));
  await again.first();
  assert.deepEqual([...again], [2]);
});

test('get with and without a listener, default and query', async (t) => {
  const ns = namespace('get');
  const a = client(t, ns);
  await set(a.ref('l'), { a: 1, b: 2, c: 3 });
  const b = client(t, ns);
  assert.deepEqual((await get(b.ref('l'))).val(), { a: 1, b: 2, c: 3 });
  assert.deepEqual((await get(query(b.ref('l'), orderByKey(), limitToLast(1)))).val(), { c: 3 });
  assert.equal((await get(b.ref('nothing'))).exists(), false);
  const seen = values(b.ref('l'));
  await seen.first();
  await set(a.ref('l/a'), 5);
  await until(() => seen.at(-1).a === 5, 'the change');
  assert.deepEqual((await get(b.ref('l'))).val(), { a: 5, b: 2, c: 3 });
  await setWithPriority(a.ref('p'), { list: ['x', 'y'] }, 7);
  const p = await get(client(t, ns).ref('p'));
  assert.equal(p.priority, 7, 'get brings priorities');
  assert.deepEqual(p.val(), { list: ['x', 'y'] });
});

test('an empty place gives one null', async (t) => {
  const ns = namespace('empty');
  const b = client(t, ns);
  const seen = values(b.ref('nothing/here'));
  const tagged = values(query(b.ref('nothing/there'), limitToLast(3)));
  await seen.first();
  await tagged.first();
  await marker(b, b)();
  assert.deepEqual([...seen], [null]);
  assert.deepEqual([...tagged], [null]);
});

test('a filled place never shows null first', async (t) => {
  const ns = namespace('first');
  const a = client(t, ns);
  await set(a.ref('x'), { v: 1 });
  for (let i = 0; i < 10; i++) {
    const b = client(t, ns);
    const seen = values(b.ref('x'));
    const tagged = values(query(b.ref('x'), limitToLast(1)));
    await seen.first();
    await tagged.first();
    assert.deepEqual([...seen], [{ v: 1 }]);
    assert.deepEqual([...tagged], [{ v: 1 }]);
    await b.close();
  }
});

test('a write above a listener reaches it cut to its place', async (t) => {
  const ns = namespace('above');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('x/y/z'), { v: 1 });
  const seen = values(b.ref('x/y/z'));
  await seen.first();
  await set(a.ref('x'), { y: { z: { v: 2 }, other: 1 } });
  await update(a.ref(''), { 'x/y': { z: { v: 3 } }, w: 1 });
  await set(a.ref('x/y/other'), 2); // changes nothing at z
  await set(a.ref('x'), 'leaf');
  await marker(a, b)();
  assert.deepEqual([...seen], [{ v: 1 }, { v: 2 }, { v: 3 }, null]);
});

test('.info: connected and serverTimeOffset', async (t) => {
  const ns = namespace('info');
  const a = client(t, ns);
  const up = values(a.ref('.info/connected'));
  const offset = values(a.ref('.info/serverTimeOffset'));
  await connected(a);
  await until(() => offset.length > 0 && offset.at(-1) !== null, 'the offset');
  assert.equal(up.at(-1), true);
  assert.equal(up[0], false);
  assert.ok(Math.abs(offset.at(-1)) < 5000, `offset ${offset.at(-1)} ms on one machine`);
  await assert.rejects(async () => within(set(a.ref('.info/connected'), 1), 'a write to .info'));
});
