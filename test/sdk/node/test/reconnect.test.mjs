// Being offline and coming back: what is sent again, what is not, and what must not happen twice.

import test from 'node:test';
import assert from 'node:assert/strict';
import { set, update, get, push, increment, goOffline, goOnline, query, limitToLast, orderByKey, runTransaction, remove, setWithPriority, onDisconnect } from 'firebase/database';
import { client, namespace, values, until, within, fresh, marker, connected, rest } from '../lib/harness.mjs';
import { proxy } from '../lib/proxy.mjs';

test('writes and listens made offline take effect on return, in order', async (t) => {
  const ns = namespace('queue');
  const a = client(t, ns);
  const b = client(t, ns);
  await connected(a);
  const seen = values(b.ref('x'));
  await seen.first();
  goOffline(a.db);
  const done = [];
  const writes = [];
  for (let i = 1; i <= 5; i++) writes.push(set(a.ref('x'), i).then(() => done.push(i)));
  writes.push(update(a.ref(), { 'y/z': 1 }).then(() => done.push('update')));
  const own = values(a.ref('x'));
  const other = values(a.ref('other'));
  await set(b.ref('other'), 'from b');
  assert.equal(own.at(-1), 5, 'its own writes show at once');
  assert.deepEqual(done, []);
  goOnline(a.db);
  await within(Promise.all(writes), 'the queued writes');
  assert.deepEqual(done, [1, 2, 3, 4, 5, 'update']);
  await until(() => other.at(-1) === 'from b', 'the listen made offline');
  await marker(a, b)();
  assert.deepEqual([...seen], [null, 1, 2, 3, 4, 5]);
  assert.equal(own.at(-1), 5);
  assert.ok(!own.includes(null) && own.every((v, i) => i === 0 || v >= own[i - 1]), `${own}`);
});

test('changes made by others meanwhile arrive as one event', async (t) => {
  const ns = namespace('catchup');
  const a = client(t, ns);
  const b = client(t, ns);
  await set(a.ref('x'), { a: 1, b: 2 });
  const seen = values(b.ref('x'));
  const win = values(query(b.ref('x'), orderByKey(), limitToLast(1)));
  await seen.first();
  await win.first();
  goOffline(b.db);
  for (let i = 0; i < 10; i++) await update(a.ref('x'), { a: i, [`n${i}`]: i });
  goOnline(b.db);
  await until(() => seen.at(-1).n9 === 9, 'the news');
  await until(() => win.at(-1).n9 === 9, 'the news in the window');
  assert.equal(seen.length, 2);
  assert.equal(win.length, 2);
});

test('what the client still has is not sent again', async (t) => {
  const ns = namespace('hash');
  const p = await proxy(t);
  const a = client(t, ns);
  const body = 'x'.repeat(500);
  await set(a.ref('same'), Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, { body, n: i / 7, flag: i % 2 === 0 }])));
  await setWithPriority(a.ref('same/k5'), { body }, 3);
  await setWithPriority(a.ref('prio'), 'leaf', 'p');
  await set(a.ref('window'), Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, body])));
  const b = client(t, ns, { port: p.port });
  const same = values(b.ref('same'));
  const prio = values(b.ref('prio'));
  const win = values(query(b.ref('window'), limitToLast(50)));
  const changing = values(b.ref('changing'));
  for (const s of [same, prio, win, changing]) await s.first();
  const first = p.links.at(-1).down.join('').length;
  assert.ok(first > 75000, `everything came the first time: ${first}`);
  p.refuse = true;
  p.cut();
  await set(a.ref('changing'), 'news');
  p.refuse = false;
  await until(() => changing.at(-1) === 'news', 'the news after the return');
  await set(a.ref('mark'), 1);
  const seen = values(b.ref('mark'));
  await until(() => seen.at(-1) === 1, 'the mark');
  const again = p.links.at(-1).down.join('');
  assert.ok(again.length < 5000, `unchanged data came again: ${again.length} characters`);
  assert.equal(same.length, 1);
  assert.equal(win.length, 1);
  assert.equal(prio.length, 1);
});

test('the client names its last session when it comes back', async (t) => {
  const ns = namespace('ls');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  await set(a.ref('x'), 1);
  const hello = p.links[0].down.find((f) => f.includes('"h"'));
  const session = JSON.parse(hello).d.d.s;
  assert.ok(session.length > 0);
  p.cut();
  await within(set(a.ref('x'), 2), 'a write after the cut');
  assert.ok(p.links.at(-1).url.includes(`ls=${session}`), p.links.at(-1).url);
});

test('a lost answer: the increment counts once', async (t) => {
  const ns = namespace('lost');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const b = client(t, ns);
  const seen = values(b.ref('n'));
  await seen.first();
  const own = values(a.ref('n'));
  await own.first();
  for (let i = 1; i <= 5; i++) {
    const swallowed = p.swallow((f) => f.includes('"a":"p"') && f.includes('increment'));
    const write = set(a.ref('n'), increment(1));
    await within(swallowed, 'the server to answer');
    await until(() => seen.at(-1) === i, 'the increment at the other client');
    p.cut();
    await within(write, 'the answer to the write sent again', 40000);
    assert.equal(await fresh(t, ns, 'n'), i);
    await until(() => own.at(-1) === i, () => `the writer's own view: ${own}`);
  }
  assert.deepEqual([...seen], [null, 1, 2, 3, 4, 5]);
});

test('a lost answer: several writes in flight, updates and pushes among them', async (t) => {
  const ns = namespace('lost');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const b = client(t, ns);
  await set(a.ref('n'), 0);
  const seen = values(b.ref('n'));
  await seen.first();
  const swallowed = p.swallow((f) => f.includes('"a":"m"') && f.includes('third'));
  const writes = [
    set(a.ref('n'), increment(1)),
    update(a.ref(), { n: increment(10), 'm/first': increment(1) }),
    push(a.ref('list'), 'pushed'),
    update(a.ref(), { n: increment(100), 'm/third': 1 }),
    set(a.ref('n'), increment(1000)),
  ];
  await within(swallowed, 'the server to answer');
  await until(() => seen.at(-1) >= 111, 'the increments at the other client');
  p.cut();
  await within(Promise.all(writes), 'all answers', 40000);
  const all = await fresh(t, ns, '');
  assert.equal(all.n, 1111);
  assert.deepEqual(all.m, { first: 1, third: 1 });
  assert.deepEqual(Object.values(all.list), ['pushed']);
});

test('a lost answer: a newer value by someone else stays', async (t) => {
  const ns = namespace('newer');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const b = client(t, ns);
  const own = values(a.ref('x'));
  await own.first();
  const seen = values(b.ref('x'));
  await seen.first();
  const swallowed = p.swallow((f) => f.includes('"a":"p"') && f.includes('"older"'));
  const write = set(a.ref('x'), 'older');
  await within(swallowed, 'the server to answer');
  await until(() => seen.at(-1) === 'older', 'the write at the other client');
  p.refuse = true;
  p.cut();
  await set(b.ref('x'), 'newer');
  p.refuse = false;
  await within(write, 'the answer to the write sent again', 40000);
  await marker(b, b)();
  assert.deepEqual([...seen], [null, 'older', 'newer']);
  assert.equal(await fresh(t, ns, 'x'), 'newer');
  await until(() => own.at(-1) === 'newer', () => `the writer's own view: ${own}`);
});

test('the same write made again on purpose is applied again', async (t) => {
  const ns = namespace('twice');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  await set(a.ref('n'), increment(1));
  await set(a.ref('n'), increment(1));
  await p.settled();
  p.cut();
  await within(set(a.ref('n'), increment(1)), 'after the cut');
  await within(set(a.ref('n'), increment(1)), 'after the cut');
  await p.settled();
  p.cut();
  await Promise.all([within(set(a.ref('n'), increment(1)), 'x'), within(set(a.ref('n'), increment(1)), 'x')]);
  assert.equal(await fresh(t, ns, 'n'), 6);
});

test('a write that never reached the server is made on return', async (t) => {
  const ns = namespace('never');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  await set(a.ref('n'), increment(1));
  await p.settled();
  p.refuse = true;
  p.cut();
  const write = set(a.ref('n'), increment(1));
  const b = client(t, ns);
  await set(b.ref('n'), increment(10));
  p.refuse = false;
  await within(write, 'the queued write', 40000);
  assert.equal(await fresh(t, ns, 'n'), 12);
});

test('cuts at random while writing: every increment counts once', async (t) => {
  const ns = namespace('storm');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  const own = values(a.ref('n'));
  await own.first();
  const writes = [];
  for (let round = 0; round < 6; round++) {
    await until(() => p.links.some((l) => l.open && l.up.length > 0), 'a connection', 40000);
    // Told apart by their place: equal ones right after a break could be taken for each other.
    for (let i = 0; i < 20; i++) writes.push(update(a.ref(), { n: increment(1), [`log/r${round}k${i}`]: increment(1) }));
    const link = p.links.at(-1);
    const base = link.up.length;
    // Some have been sent, fewer answered: then the line is cut.
    await until(() => !link.open || link.up.length > base + 5 + round * 2, 'some to be sent');
    p.cut();
  }
  await within(Promise.all(writes), 'all answers', 60000);
  assert.equal(await fresh(t, ns, 'n'), 120);
  const log = Object.values(await fresh(t, ns, 'log'));
  assert.equal(log.length, 120);
  assert.ok(log.every((v) => v === 1), `applied twice: ${log}`);
  await until(() => own.at(-1) === 120, () => `the writer's own view: ${own.at(-1)}`);
});

test('a transaction whose answer is lost fails or commits, never both', async (t) => {
  const ns = namespace('txlost');
  const p = await proxy(t);
  const a = client(t, ns, { port: p.port });
  await set(a.ref('n'), 1);
  const held = values(a.ref('n'));
  await until(() => held.at(-1) === 1, 'the value');
  const swallowed = p.swallow((f) => f.includes('"a":"p"') && f.includes('"h"'));
  const tx = runTransaction(a.ref('n'), (n) => (n ?? 0) + 1).then((r) => r.committed, (err) => err);
  await within(swallowed, 'the server to answer');
  p.cut();
  const outcome = await within(tx, 'the outcome', 40000);
  assert.ok(outcome === true || /disconnect/.test(String(outcome)), String(outcome));
  assert.equal(await fresh(t, ns, 'n'), 2);
  await until(() => held.at(-1) === 2, 'the settled value');
});

test('a client far behind catches up', async (t) => {
  const ns = namespace('behind');
  const p = await proxy(t);
  const a = client(t, ns);
  const b = client(t, ns, { port: p.port });
  const seen = values(b.ref('x'));
  await seen.first();
  const writes = [];
  for (let i = 0; i < 300; i++) writes.push(set(a.ref(`x/k${i % 20}`), { i, body: 'y'.repeat(2000) }));
  await Promise.all(writes);
  p.cut();
  await set(a.ref('x/last'), true);
  await until(() => seen.at(-1)?.last === true, 'the end', 40000);
  assert.deepEqual(Object.keys(seen.at(-1)).length, 21);
  for (let k = 0; k < 20; k++) assert.equal(seen.at(-1)[`k${k}`].i, 280 + k);
});
