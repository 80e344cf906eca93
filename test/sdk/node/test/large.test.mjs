// Values that need many frames, in both directions, and the limits.

import test from 'node:test';
import assert from 'node:assert/strict';
import { set, get, push, query, limitToLast } from 'firebase/database';
import { client, namespace, values, within, rest, marker, until } from '../lib/harness.mjs';
import { raw } from '../lib/raw.mjs';

test('five megabytes in one string', async (t) => {
  const ns = namespace('5mb');
  const a = client(t, ns);
  const b = client(t, ns);
  const seen = values(b.ref('x'));
  await seen.first();
  const text = 'Ünïcode-'.repeat(700000).slice(0, 5_000_000);
  await within(set(a.ref('x'), text), 'the write');
  await until(() => seen.at(-1)?.length === 5_000_000, 'the push');
  assert.ok(seen.at(-1) === text);
  const got = (await within(get(client(t, ns).ref('x')), 'the read')).val();
  assert.ok(got === text);
});

test('astral characters on every segment border', async (t) => {
  const ns = namespace('astral');
  // The SDK itself would cut a pair on the way up, so the data comes by REST.
  const data = {};
  for (let shift = 0; shift < 4; shift++) data[`s${shift}`] = 'x'.repeat(shift) + '😀'.repeat(30000);
  data.mixed = 'aü€😀'.repeat(20000);
  const put = await rest(ns, '/x.json', { method: 'PUT', body: data });
  assert.equal(put.status, 200, put.text.slice(0, 200));
  const c = client(t, ns);
  const seen = values(c.ref('x'));
  await seen.first();
  for (const k of Object.keys(data)) assert.ok(seen[0][k] === data[k], `${k} differs`);
  // And live.
  await rest(ns, '/x/s1.json', { method: 'PUT', body: JSON.stringify('xx' + '😀'.repeat(40000)) });
  await until(() => seen.length > 1, 'the push');
  assert.ok(seen.at(-1).s1 === 'xx' + '😀'.repeat(40000));
});

test('no frame is longer than 16384 bytes nor cuts a character', async (t) => {
  const ns = namespace('frames');
  await rest(ns, '/x.json', { method: 'PUT', body: { a: '😀'.repeat(30000), b: 'ü'.repeat(50001) } });
  const c = await raw(t, ns);
  await c.ask('q', { p: '/x', h: '' });
  assert.ok(c.frames.length > 5);
  for (const f of c.frames) {
    assert.ok(Buffer.byteLength(f) <= 16384, `a frame of ${Buffer.byteLength(f)} bytes`);
    assert.ok(!f.includes('\uFFFD'), 'a broken character');
  }
  assert.equal(c.pushes()[0].d.a.length, 60000);
});

test('ten thousand children', async (t) => {
  const ns = namespace('wide');
  const a = client(t, ns);
  const all = Object.fromEntries(Array.from({ length: 10000 }, (_, i) => [`k${i}`, { i, text: `child ${i}` }]));
  await within(set(a.ref('x'), all), 'the write', 60000);
  const b = client(t, ns);
  const seen = values(b.ref('x'));
  const last = values(query(b.ref('x'), limitToLast(2)));
  await seen.first();
  await last.first();
  assert.deepEqual(seen[0], all);
  assert.deepEqual(Object.keys(last[0]), ['k9998', 'k9999']);
});

test('many large messages both ways keep their order', async (t) => {
  const ns = namespace('stream');
  const a = client(t, ns);
  const b = client(t, ns);
  const seen = values(b.ref('x'), (s) => s.val()?.i);
  await seen.first();
  const writes = [];
  for (let i = 0; i < 40; i++) writes.push(set(a.ref('x'), { i, pad: String(i).padStart(50000, '.') }));
  await within(Promise.all(writes), 'the writes', 60000);
  await marker(a, b)();
  assert.deepEqual([...seen], [undefined, ...Array.from({ length: 40 }, (_, i) => i)]);
});

test('a write over 16 MB is refused, and the connection goes on', async (t) => {
  const ns = namespace('huge');
  const a = client(t, ns);
  const nine = 'x'.repeat(9_000_000);
  await assert.rejects(within(set(a.ref('x'), { a: nine, b: nine }), 'the answer', 60000), (err) => {
    assert.match(String(err.code ?? err.message), /too_?big|exceeds/i);
    return true;
  });
  await set(a.ref('y'), 'still here');
  assert.equal((await get(client(t, ns).ref('x'))).exists(), false);
});

test('a key of 768 bytes and a depth of 32 are fine', async (t) => {
  const ns = namespace('limits');
  const c = await raw(t, ns);
  const key = 'ü'.repeat(384);
  assert.equal((await c.ask('p', { p: '/', d: { [key]: 1 } })).s, 'ok');
  assert.notEqual((await c.ask('p', { p: '/', d: { [key + 'x']: 1 } })).s, 'ok');
  const deep = Array.from({ length: 32 }, (_, i) => `d${i}`).join('/');
  assert.equal((await c.ask('p', { p: `/${deep}`, d: 1 })).s, 'ok');
  assert.notEqual((await c.ask('p', { p: `/${deep}/more`, d: 1 })).s, 'ok');
  assert.equal((await c.ask('p', { p: '/fine', d: 1 })).s, 'ok');
});
