// Transactions: outcome, abort, contention, and what their listener sees.

import test from 'node:test';
import assert from 'node:assert/strict';
import { runTransaction, set, get, setWithPriority, setPriority, update, increment } from 'firebase/database';
import { client, namespace, values, fresh, within, until, marker } from '../lib/harness.mjs';

test('ten clients increment one counter a thousand times', async (t) => {
  const ns = namespace('contend');
  const clients = Array.from({ length: 10 }, () => client(t, ns));
  await Promise.all(clients.map(async (c) => {
    for (let i = 0; i < 100; i++) {
      // 25 tries can be used up when ten fight; the caller's own retry is then the contract.
      for (;;) {
        try {
          const done = await within(runTransaction(c.ref('n'), (n) => (n ?? 0) + 1), 'a transaction');
          assert.ok(done.committed);
          break;
        } catch (err) {
          if (!/maxretry/i.test(String(err.message))) throw err;
        }
      }
    }
  }));
  assert.equal(await fresh(t, ns, 'n'), 1000);
});

test('abort leaves the data and reports it', async (t) => {
  const ns = namespace('abort');
  const a = client(t, ns);
  await set(a.ref('x'), { keep: 1 });
  const b = client(t, ns);
  const held = values(b.ref('x'));
  await held.first();
  const done = await runTransaction(b.ref('x'), () => undefined);
  assert.equal(done.committed, false);
  assert.deepEqual(done.snapshot.val(), { keep: 1 });
  assert.deepEqual(await fresh(t, ns, 'x'), { keep: 1 });
});

test('null deletes, and a first guess of null is corrected', async (t) => {
  const ns = namespace('tx');
  const a = client(t, ns);
  await set(a.ref('x'), { n: 41 });
  const b = client(t, ns); // knows nothing yet: its first guess is null
  const inputs = [];
  const done = await within(runTransaction(b.ref('x/n'), (n) => { inputs.push(n); return (n ?? 0) + 1; }), 'the transaction');
  assert.equal(done.snapshot.val(), 42);
  assert.ok(inputs.length <= 3, `tries ${JSON.stringify(inputs)}: a stale answer must come after the data`);
  assert.equal(inputs.at(-1), 41);
  await runTransaction(b.ref('x'), () => null);
  assert.equal(await fresh(t, ns, 'x'), null);
});

test('a value with priorities hashes alike on both sides', async (t) => {
  const ns = namespace('hash');
  const a = client(t, ns);
  await setWithPriority(a.ref('x/a'), 1, 2);
  await setWithPriority(a.ref('x/b'), 'two', 'one');
  await setWithPriority(a.ref('x/c'), { deep: -0.5, '10': true, '9': false, 'é': 'ü😀' }, 0);
  await setPriority(a.ref('x'), 7);
  const b = client(t, ns);
  const held = values(b.ref('x'));
  await held.first();
  let tries = 0;
  const done = await within(runTransaction(b.ref('x'), (v) => { tries += 1; return { ...v, n: 1 }; }), 'the transaction');
  assert.equal(done.committed, true);
  assert.equal(tries, 1, 'the client held the data: the first try must fit');
  for (const v of [1.5, -0.5, 1e21, 5e-324, 2 ** 53, '', 'ü😀', true, false, ['x', 'y'], { '-1': 4, a: 3, 9: 2, 10: 1 }]) {
    await set(b.ref('v'), v);
    const seen = values(b.ref('v'));
    await seen.first();
    let n = 0;
    await within(runTransaction(b.ref('v'), () => { n += 1; return 'next'; }), `a transaction over ${v}`);
    assert.equal(n, 1, `the hash of ${JSON.stringify(v)}`);
    seen.stop();
  }
});

test('transactions at several places at once do not disturb each other', async (t) => {
  const ns = namespace('many');
  const a = client(t, ns);
  const b = client(t, ns);
  const all = [];
  for (let i = 0; i < 20; i++) {
    for (const c of [a, b]) all.push(runTransaction(c.ref(`m/k${i}`), (n) => (n ?? 0) + 1));
  }
  await within(Promise.all(all), 'the transactions');
  assert.deepEqual(Object.values(await fresh(t, ns, 'm')), Array(20).fill(2));
});

test('two transactions from one client run one after the other', async (t) => {
  const ns = namespace('serial');
  const a = client(t, ns);
  const seen = values(a.ref('n'));
  await seen.first();
  const done = await within(Promise.all(Array.from({ length: 10 }, () => runTransaction(a.ref('n'), (n) => (n ?? 0) + 1))), 'all');
  assert.deepEqual(done.map((d) => d.snapshot.val()), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(await fresh(t, ns, 'n'), 10);
  let last = 0;
  for (const v of seen) { if (v !== null) { assert.ok(v >= last, `${v} after ${last}`); last = v; } }
});

test('applyLocally: false shows only what is settled', async (t) => {
  const ns = namespace('local');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('n'), 0);
  const seen = values(b.ref('n'));
  await seen.first();
  await Promise.all(Array.from({ length: 10 }, async () => {
    await within(runTransaction(b.ref('n'), (n) => (n ?? 0) + 1, { applyLocally: false }), 'the transaction');
  }).concat(Array.from({ length: 10 }, () => set(a.ref('n'), increment(1)))));
  await marker(a, b)();
  assert.equal(seen.at(-1), 20);
  for (let i = 1; i < seen.length; i++) assert.ok(seen[i] > seen[i - 1], `${seen}`);
});

test('a set overrides a running transaction', async (t) => {
  const ns = namespace('override');
  const a = client(t, ns);
  await set(a.ref('x'), 1);
  const held = values(a.ref('x'));
  await held.first();
  const tx = runTransaction(a.ref('x'), (n) => (n ?? 0) + 100).catch((err) => err);
  const write = set(a.ref('x'), 5);
  const result = await within(tx, 'the transaction');
  await write;
  // Sent already, it may still commit before the set; else it ends with the reason 'set'.
  assert.ok(result.committed === true || (result instanceof Error && /set/i.test(result.message)), String(result));
  assert.equal(await fresh(t, ns, 'x'), 5);
});

test('contention with plain updates: nothing is lost', async (t) => {
  const ns = namespace('mix');
  const a = client(t, ns);
  const b = client(t, ns);
  const c = client(t, ns);
  const watch = values(c.ref('acc'));
  await set(a.ref('acc'), { a: 50, b: 50 });
  const move = async (cl, from, to) => {
    for (let i = 0; i < 20; i++) {
      await within(runTransaction(cl.ref('acc'), (v) => (v ? { ...v, [from]: v[from] - 1, [to]: v[to] + 1 } : v)), 'a move');
    }
  };
  await Promise.all([move(a, 'a', 'b'), move(b, 'b', 'a'), (async () => {
    for (let i = 0; i < 20; i++) await update(c.ref('acc'), { other: i });
  })()]);
  await marker(a, c)();
  const v = await fresh(t, ns, 'acc');
  assert.equal(v.a + v.b, 100);
  assert.equal(v.a, 50);
  for (const w of watch) if (w?.a !== undefined && w?.b !== undefined) assert.equal(w.a + w.b, 100);
});
