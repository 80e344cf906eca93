// Every kind of query with live changes in and out of its window, against a model.

import test from 'node:test';
import assert from 'node:assert/strict';
import {
  set, remove, setWithPriority, setPriority, update, get, query, onValue, onChildAdded, onChildChanged,
  onChildMoved, onChildRemoved, orderByKey, orderByValue, orderByPriority, orderByChild,
  limitToFirst, limitToLast, startAt, startAfter, endAt, endBefore, equalTo,
} from 'firebase/database';
import { client, namespace, values, marker, rest, until } from '../lib/harness.mjs';
import { node, setAt, result, exported } from '../lib/model.mjs';

const KEYS = ['-5', '0', '3', '12', '00', 'a', 'b', 'kappa', 'Z', '~', 'ü', '😀', '\uFFFF'];
const LEAVES = [false, true, -3, 0, 2, 2.5, 7, 'a', 'b', 'ü', '😀', '\uFFFF'];
const PRIOS = [null, null, -1, 0, 2, 'a', 'b'];

/** A repeatable source of random numbers (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

function specs() {
  const out = [];
  const limits = [{}, { first: 3 }, { last: 3 }];
  const add = (order, bounds) => { for (const l of limits) for (const b of bounds) out.push({ order, ...b, ...l }); };
  add('key', [{}, { start: ['3'] }, { startAfter: ['a'] }, { end: ['b'] }, { endBefore: ['12'] },
    { start: ['0'], end: ['a'] }, { startAfter: ['-5'], endBefore: ['ü'] }, { start: ['b'], end: ['b'] }]);
  for (const order of ['value', 'child:n', 'child:d/x']) {
    add(order, [{}, { start: [2] }, { start: [2, 'b'] }, { startAfter: [2] }, { startAfter: [0, '3'] }, { end: ['a'] }, { end: ['a', 'b'] },
      { endBefore: ['a'] }, { endBefore: [2, 'Z'] }, { start: [true], end: [2.5] }, { start: [2], end: [2] },
      { start: [2, 'b'], end: [2, 'b'] }, { start: [null], end: [null] }, { startAfter: [null] }, { end: [0] }]);
  }
  add('priority', [{}, { start: [0] }, { startAfter: [0, 'a'] }, { end: [2] }, { endBefore: ['b'] }, { start: [null], end: [null] },
    { start: [2], end: [2] }, { start: ['a', 'b'], end: ['a', 'b'] }]);
  return out;
}

function build(at, spec) {
  const parts = [];
  if (spec.order === 'key') parts.push(orderByKey());
  else if (spec.order === 'value') parts.push(orderByValue());
  else if (spec.order === 'priority') parts.push(orderByPriority());
  else parts.push(orderByChild(spec.order.slice(6)));
  const equal = spec.start && spec.end && JSON.stringify(spec.start) === JSON.stringify(spec.end);
  if (equal) parts.push(equalTo(...spec.start));
  else {
    if (spec.start) parts.push(startAt(...spec.start));
    if (spec.end) parts.push(endAt(...spec.end));
  }
  if (spec.startAfter) parts.push(startAfter(...spec.startAfter));
  if (spec.endBefore) parts.push(endBefore(...spec.endBefore));
  if (spec.first) parts.push(limitToFirst(spec.first));
  if (spec.last) parts.push(limitToLast(spec.last));
  return query(at, ...parts);
}

const rows = (snap) => { const out = []; snap.forEach((c) => { out.push([c.key, c.exportVal()]); }); return out; };

/** Keeps a list by child events alone. */
function replay(q) {
  const list = [];
  const log = [];
  const place = (key, prev) => {
    const i = prev === null ? 0 : list.indexOf(prev) + 1;
    if (prev !== null && i === 0) log.push(`unknown previous key ${prev} of ${key}`);
    list.splice(i, 0, key);
  };
  const drop = (key) => {
    const i = list.indexOf(key);
    if (i < 0) log.push(`${key} left without having come`);
    else list.splice(i, 1);
  };
  onChildAdded(q, (s, prev) => { if (list.includes(s.key)) log.push(`${s.key} came twice`); place(s.key, prev); });
  onChildRemoved(q, (s) => drop(s.key));
  onChildMoved(q, (s, prev) => { drop(s.key); place(s.key, prev); });
  onChildChanged(q, (s) => { if (!list.includes(s.key)) log.push(`${s.key} changed without having come`); });
  return { list, log };
}

function randomValue(rnd) {
  const leaf = () => LEAVES[Math.floor(rnd() * LEAVES.length)];
  const kind = rnd();
  if (kind < 0.45) return leaf();
  const v = {};
  if (rnd() < 0.8) v.n = rnd() < 0.9 ? leaf() : { o: 1 };
  if (rnd() < 0.6) v.d = { x: leaf(), y: leaf() };
  if (rnd() < 0.5 || Object.keys(v).length === 0) v.t = 'text';
  return v;
}

/** One random write by the client; returns the model's new tree, and notes in `did` whether it touched one child only. */
async function step(c, rnd, model, did) {
  const key = KEYS[Math.floor(rnd() * KEYS.length)];
  const at = c.ref(`q/${key}`);
  const kind = rnd();
  did.single = kind < 0.8;
  if (kind < 0.35) {
    const v = randomValue(rnd);
    const p = PRIOS[Math.floor(rnd() * PRIOS.length)];
    await setWithPriority(at, v, p);
    return setAt(model, [key], node(v, p));
  }
  if (kind < 0.45) {
    await remove(at);
    return setAt(model, [key], undefined);
  }
  if (kind < 0.6) {
    const v = LEAVES[Math.floor(rnd() * LEAVES.length)];
    await set(c.ref(`q/${key}/n`), v);
    return setAt(model, [key, 'n'], node(v));
  }
  if (kind < 0.7) {
    await set(c.ref(`q/${key}/d/x`), null);
    return setAt(model, [key, 'd', 'x'], undefined);
  }
  if (kind < 0.8) {
    const n = model?.kids?.get(key);
    if (!n) return model;
    const p = PRIOS[Math.floor(rnd() * PRIOS.length)];
    await setPriority(at, p);
    return setAt(model, [key], { ...n, prio: p });
  }
  if (kind < 0.95) {
    const other = KEYS[Math.floor(rnd() * KEYS.length)];
    const third = KEYS[Math.floor(rnd() * KEYS.length)];
    const changes = { [key]: randomValue(rnd), [`${other}/d/x`]: LEAVES[Math.floor(rnd() * LEAVES.length)], [third]: null };
    if (other === key || third === other) delete changes[`${other}/d/x`];
    if (third === key) delete changes[third];
    await update(c.ref('q'), changes);
    for (const [path, v] of Object.entries(changes)) model = setAt(model, path.split('/'), node(v));
    return model;
  }
  const all = {};
  for (const k of KEYS) if (rnd() < 0.5) all[k] = randomValue(rnd);
  await set(c.ref('q'), all);
  return node(all);
}

for (const indexed of [false, true]) {
  for (const seed of [1, 2]) {
    test(`live windows ${indexed ? 'with' : 'without'} an index, seed ${seed}`, async (t) => {
      const ns = namespace('query');
      if (indexed) {
        const put = await rest(ns, '/.settings/rules.json', {
          method: 'PUT', body: { rules: { '.read': true, '.write': true, q: { '.indexOn': ['n', 'd/x', '.value'] } } },
        });
        assert.equal(put.status, 200, put.text);
      }
      const warn = console.warn;
      console.warn = () => {}; // the SDK's advice about missing indexes
      t.after(() => { console.warn = warn; });

      const rnd = random(seed);
      const writer = client(t, ns);
      const watcher = client(t, ns);
      // A query that selects everything gives its client all the data, and the client then works out its other
      // queries there by itself. The server's windows are tested only if such queries have a client of their own.
      const whole = client(t, ns);
      let model = node(Object.fromEntries(KEYS.slice(0, 8).map((k) => [k, randomValue(rnd)])));
      await set(writer.ref('q'), exported(model));

      const watched = specs().map((spec) => {
        const q = build((Object.keys(spec).length === 1 ? whole : watcher).ref('q'), spec);
        const seen = values(q, rows);
        return { spec, q, seen, kept: replay(q) };
      });
      for (const w of watched) await w.seen.first();
      const marks = [marker(writer, watcher), marker(writer, whole)];
      for (let i = 0; i < 40; i++) {
        const did = {};
        if (i > 0) model = await step(writer, rnd, model, did);
        for (const mark of marks) await mark();
        for (const { spec, seen, kept } of watched) {
          const want = result(spec, model);
          const where = `step ${i}, ${JSON.stringify(spec)}`;
          assert.deepEqual(seen.at(-1), want, where);
          assert.deepEqual(kept.log, [], where);
          // Where one write adds and moves several, the SDK raises the additions first, behind places that then
          // move: such events bring the right children, but not an order.
          const keys = want.map(([k]) => k);
          if (did.single) assert.deepEqual(kept.list, keys, `child events, ${where}`);
          else assert.deepEqual(kept.list.toSorted(), keys.toSorted(), `child events, ${where}`);
          kept.list.splice(0, kept.list.length, ...keys);
          assert.deepEqual(seen.errors, []);
        }
      }
      for (const { spec, seen } of watched) {
        assert.ok(seen.length <= 40, `at most one event per write: ${seen.length} for ${JSON.stringify(spec)}`);
      }
      // What a newcomer is told must be the same, by listening and by one-shot reads.
      const late = client(t, ns);
      for (const { spec } of watched) {
        const q = build(late.ref('q'), spec);
        const want = result(spec, model);
        if (indexed) assert.deepEqual(rows(await get(q)), want, `get ${JSON.stringify(spec)}`);
        const seen = values(q, rows);
        await seen.first();
        assert.deepEqual(seen.at(-1), want, `late ${JSON.stringify(spec)}`);
        seen.stop();
      }
    });
  }
}

test('a newcomer to a window arrives whole', async (t) => {
  const ns = namespace('whole');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('q'), { a: { n: 1, rest: 'A' }, b: { n: 2, rest: 'B' }, c: { n: 3, rest: { deep: 'C' } } });
  await rest(ns, '/.settings/rules.json', { method: 'PUT', body: { rules: { '.read': true, '.write': true, q: { '.indexOn': 'n' } } } });
  const seen = values(query(b.ref('q'), orderByChild('n'), limitToFirst(2)));
  await seen.first();
  assert.deepEqual(seen.at(-1), { a: { n: 1, rest: 'A' }, b: { n: 2, rest: 'B' } });
  await set(a.ref('q/c/n'), 0); // only this was written, all of c must come
  await marker(a, b)();
  assert.deepEqual([...seen].slice(1), [{ c: { n: 0, rest: { deep: 'C' } }, a: { n: 1, rest: 'A' } }]);
  await remove(a.ref('q/c')); // b, unseen for a while, comes back whole
  await set(a.ref('q/b/rest'), 'B2');
  await marker(a, b)();
  assert.deepEqual(seen.at(-1), { a: { n: 1, rest: 'A' }, b: { n: 2, rest: 'B2' } });
});

test('one event when a write moves several in and out', async (t) => {
  const ns = namespace('batch');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('q'), Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, i])));
  const seen = values(query(b.ref('q'), orderByKey(), limitToLast(3)));
  await seen.first();
  await update(a.ref('q'), { k9: null, k8: null, k7: null, z: 1 });
  await marker(a, b)();
  assert.deepEqual([...seen], [{ k7: 7, k8: 8, k9: 9 }, { k5: 5, k6: 6, z: 1 }]);
});

test('many clients with one query share it', async (t) => {
  const ns = namespace('share');
  const a = client(t, ns);
  const watchers = Array.from({ length: 10 }, () => client(t, ns));
  const seen = watchers.map((w) => values(query(w.ref('q'), limitToLast(5))));
  await Promise.all(seen.map((s) => s.first()));
  for (let i = 0; i < 30; i++) await set(a.ref(`q/k${String(i).padStart(3, '0')}`), i);
  for (const [i, w] of watchers.entries()) {
    await marker(a, w)();
    assert.deepEqual(Object.values(seen[i].at(-1)), [25, 26, 27, 28, 29]);
  }
});

test('a query on a leaf or on nothing is empty, until children come', async (t) => {
  const ns = namespace('leafq');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('q'), 'leaf');
  const seen = values(query(b.ref('q'), orderByKey(), limitToFirst(2)));
  await seen.first();
  await set(a.ref('q'), { b: 2, a: 1, c: 3 });
  await set(a.ref('q'), 'again');
  await marker(a, b)();
  assert.deepEqual([...seen], [null, { a: 1, b: 2 }, null]);
});

test('the same query again after its listener left', async (t) => {
  const ns = namespace('again');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('q'), { a: 1, b: 2 });
  for (let i = 0; i < 5; i++) {
    const seen = values(query(b.ref('q'), limitToLast(1)));
    await seen.first();
    await until(() => seen.at(-1)?.b === 2 + i, `round ${i}`);
    seen.stop();
    await set(a.ref('q/b'), 3 + i);
  }
});
