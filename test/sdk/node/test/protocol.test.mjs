// What a naive server gets wrong, on the bare wire.

import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import WebSocket from 'ws';
import { set } from 'firebase/database';
import { client, namespace, values, until, port, rest, delay, within } from '../lib/harness.mjs';
import { raw } from '../lib/raw.mjs';

test('hello comes first and has everything', async (t) => {
  const c = await raw(t, namespace('hello'));
  const first = JSON.parse(c.frames[0]);
  assert.equal(first.t, 'c');
  assert.equal(first.d.t, 'h');
  const { ts, v, h, s } = first.d.d;
  assert.ok(Number.isInteger(ts) && Math.abs(ts - Date.now()) < 60000);
  assert.match(c.frames[0], /"ts":\d+[,}]/, 'an integer literal');
  assert.equal(v, '5');
  assert.equal(h, `127.0.0.1:${port}`);
  assert.ok(typeof s === 'string' && s.length > 0);
});

test('hello names the host as the client called it', async (t) => {
  const c = await raw(t, namespace('host'), { host: 'db.localhost:8443' });
  assert.equal(c.hello.h, 'db.localhost:8443');
});

test('a pong has a d, and a keep-alive is answered by nothing', async (t) => {
  const c = await raw(t, namespace('pong'));
  const before = c.frames.length;
  c.ws.send('0');
  c.ping();
  await until(() => c.control.some((m) => m.t === 'o'), 'the pong');
  const pong = c.control.find((m) => m.t === 'o');
  assert.ok('d' in pong);
  assert.equal(c.frames.length, before + 1);
  c.ws.send('0');
  assert.equal((await c.ask('s', { c: {} })).s, 'ok');
  assert.ok(!c.frames.includes('0'));
});

test('every request is answered', async (t) => {
  const c = await raw(t, namespace('answer'));
  assert.deepEqual(await c.ask('s', { c: { 'sdk.node.12-19-0': 1 } }), { s: 'ok', d: '' });
  assert.equal((await c.ask('n', { p: '/never/listened' })).s, 'ok');
  assert.equal((await c.ask('n', { p: '/x', q: { l: 1, vf: 'l' }, t: 7 })).s, 'ok');
  assert.equal((await c.ask('unauth', {})).s, 'ok');
  assert.equal((await c.ask('unappeck', {})).s, 'ok');
  assert.equal((await c.ask('unappcheck', {})).s, 'ok');
  assert.equal((await c.ask('appcheck', { token: 'x' })).s, 'ok');
  assert.equal((await c.ask('oc', { p: '/x', d: null })).s, 'ok');
  assert.notEqual((await c.ask('nosuch', { p: '/x' })).s, 'ok');
  assert.notEqual((await c.ask('p', { nothing: 1 })).s, 'ok');
  assert.equal((await c.ask('p', { p: '/x', d: 1 })).s, 'ok');
  assert.equal(c.closed, false);
});

test('a listen: data first, then an ok whose d is an object', async (t) => {
  const ns = namespace('listen');
  await rest(ns, '/x.json', { method: 'PUT', body: { a: 1 } });
  const c = await raw(t, ns);
  const plain = await c.ask('q', { p: '/x', h: '' });
  assert.equal(plain.s, 'ok');
  assert.equal(typeof plain.d, 'object');
  assert.notEqual(plain.d, null);
  assert.deepEqual(c.log.map((m) => m.push ?? 'answer'), ['d', 'answer']);
  assert.equal(c.log[0].p.replace(/^\//, ''), 'x');
  assert.deepEqual(c.log[0].d, { a: 1 });
  assert.equal('t' in c.log[0], false);
  c.log.length = 0;
  const tagged = await c.ask('q', { p: '/x', q: { l: 1, vf: 'r' }, t: 3, h: '' });
  assert.equal(tagged.s, 'ok');
  assert.equal(c.log[0].t, 3);
  c.log.length = 0;
  const empty = await c.ask('q', { p: '/empty', h: '' });
  assert.equal(typeof empty.d, 'object');
  assert.notEqual(empty.d, null);
});

test('a matching hash: no data, still ok', async (t) => {
  const ns = namespace('hash');
  const c = await raw(t, ns);
  await c.ask('p', { p: '/x', d: { a: 1, b: 'x' } });
  assert.equal((await c.ask('q', { p: '/x', h: 'jRI9dwRS9sb4SWm8uuoN7+xBk4g=' })).s, 'ok');
  assert.deepEqual(c.pushes(), []);
  await c.ask('n', { p: '/x' });
  assert.equal((await c.ask('q', { p: '/x', h: 'another' })).s, 'ok');
  assert.equal(c.pushes().length, 1);
});

test('a write is pushed to the writer before it is answered', async (t) => {
  const ns = namespace('ack');
  const c = await raw(t, ns);
  await c.ask('q', { p: '/x', h: '' });
  await c.ask('q', { p: '/x', h: '', q: { l: 2, vf: 'r' }, t: 1 });
  c.log.length = 0;
  for (let i = 0; i < 20; i++) {
    const mark = c.log.length;
    const done = c.send('p', { p: '/x/k', d: i });
    await done;
    const since = c.log.slice(mark);
    assert.ok('answer' in since.at(-1), 'the answer is last');
    assert.equal(since.filter((m) => m.push && !('t' in m)).length, 1);
    assert.equal(since.filter((m) => m.push && m.t === 1).length, 1);
  }
});

test('stale: what the client lacks comes before the answer', async (t) => {
  const ns = namespace('stale');
  const c = await raw(t, ns);
  const other = await raw(t, ns);
  await other.ask('p', { p: '/x', d: 'theirs' });
  c.send('q', { p: '/x', h: '' });
  const answer = await c.ask('p', { p: '/x', d: 'mine', h: '' });
  assert.equal(answer.s, 'datastale');
  const push = c.log.findIndex((m) => m.push && m.d === 'theirs');
  const stale = c.log.findIndex((m) => m.s === 'datastale');
  assert.ok(push >= 0 && push < stale, JSON.stringify(c.log));
  await other.ask('p', { p: '/x', d: 5 });
  const again = await c.ask('p', { p: '/x', d: 6, h: 'w28swksk9+tXf5jEdS9R5oSFAv8=' });
  assert.equal(again.s, 'ok', 'the hash of 5');
});

test('the hash of a value with priorities', async (t) => {
  const c = await raw(t, namespace('hash'));
  const cases = [
    [{ 10: 1, 9: 2, a: 3, '-1': 4 }, 'xWE908c0/OhLKsrlNmnozRiUoFM='],
    [{ '.value': 5, '.priority': 1 }, 'oUSZ9VFwUrevB81K4PcN+7BHDJw='],
    [{ '.value': 'v', '.priority': 'p' }, 'R0MIwvHETT8eZK7iUSai21aukVY='],
    [{ a: { '.value': 1, '.priority': 2 }, b: { '.value': 2, '.priority': 1 } }, '/3lk7Vfl5OYG6Kw2SkiPXNeExPw='],
    [{ c: 1, '.priority': 7 }, 'X4eI7uK/FnCHgu5Gtu7XDUU+gB4='],
    [['x', 'y'], 'KtuknfwwJhsB3RrZnwAxD3+/Drs='],
    [{ 'é': 'ü😀' }, '7o8Sb/g3UlnNMC0Bv+94s8F7Aic='],
    [-0.5, '/r6we9NY8SVfOWrAH6omHfBJtYA='],
    ['', 'Ki0Xy0V6morg0TO3Sxi/jwugYDQ='],
  ];
  for (const [value, hash] of cases) {
    assert.equal((await c.ask('p', { p: '/h', d: value })).s, 'ok');
    assert.equal((await c.ask('p', { p: '/h', d: null, h: 'wrong' })).s, 'datastale');
    assert.equal((await c.ask('p', { p: '/h', d: null, h: hash })).s, 'ok', JSON.stringify(value));
    assert.equal((await c.ask('p', { p: '/h', d: null, h: '' })).s, 'ok', 'the hash of nothing');
  }
});

test('a pipeline is served in order', async (t) => {
  const ns = namespace('pipe');
  const c = await raw(t, ns);
  const sent = [];
  sent.push(c.send('s', { c: {} }));
  sent.push(c.send('gauth', { cred: 'owner' }));
  for (let i = 0; i < 50; i++) {
    sent.push(c.send('p', { p: '/x', d: i }));
    sent.push(c.send('g', { p: '/x', q: {} }));
    sent.push(c.send('q', { p: `/y${i}`, h: '' }));
    sent.push(c.send('n', { p: `/y${i}` }));
  }
  const answers = await within(Promise.all(sent), 'all answers');
  assert.deepEqual(c.log.filter((m) => 'answer' in m).map((m) => m.answer), sent.map((s) => s.r));
  for (let i = 0; i < 50; i++) assert.deepEqual(answers[2 + i * 4 + 1], { s: 'ok', d: i }, 'a read sees the write before it');
});

test('g is filtered and in export format', async (t) => {
  const ns = namespace('g');
  await rest(ns, '/.settings/rules.json', { method: 'PUT', body: { rules: { '.read': true, '.write': true, x: { '.indexOn': '.value' } } } });
  const c = await raw(t, ns);
  await c.ask('p', { p: '/x', d: { a: { '.value': 1, '.priority': 9 }, b: 2, c: ['u', 'v'] } });
  assert.deepEqual((await c.ask('g', { p: '/x', q: {} })).d, { a: { '.value': 1, '.priority': 9 }, b: 2, c: { 0: 'u', 1: 'v' } });
  assert.deepEqual((await c.ask('g', { p: '/x', q: { i: '.key', l: 1, vf: 'l' } })).d, { a: { '.value': 1, '.priority': 9 } });
  assert.deepEqual((await c.ask('g', { p: '/x', q: { sp: null, ep: null } })).d, { b: 2, c: { 0: 'u', 1: 'v' } });
  assert.deepEqual((await c.ask('g', { p: '/x', q: { i: '.key', sp: 'a', sin: false, ep: 'c', ein: false } })).d, { b: 2 });
  assert.deepEqual((await c.ask('g', { p: '/x', q: { i: '.value', sp: 2, sn: '[MIN_NAME]', ep: 2, en: '[MAX_NAME]' } })).d, { b: 2 });
  assert.deepEqual((await c.ask('g', { p: '/x', q: { i: '.value', sp: 1, sn: '[MAX_NAME]', sin: false, ep: 2 } })).d, { b: 2 });
  assert.equal((await c.ask('g', { p: '/none', q: {} })).d, null);
});

test('windows: exact, tagged, one message, newcomers whole', async (t) => {
  const ns = namespace('window');
  const c = await raw(t, ns);
  const other = await raw(t, ns);
  await other.ask('p', { p: '/x', d: { a: { n: 1 }, b: { n: 2, more: { deep: true } }, c: { n: 3 } } });
  await c.ask('q', { p: '/x', q: { i: '.key', l: 2, vf: 'r' }, t: 9, h: '' });
  assert.deepEqual(c.pushes().map((m) => [m.t, m.d]), [[9, { b: { n: 2, more: { deep: true } }, c: { n: 3 } }]]);
  c.log.length = 0;
  await other.ask('p', { p: '/x/a/n', d: 10 }); // outside the window: nothing may come
  await other.ask('p', { p: '/x/c', d: null }); // a comes back, whole
  await other.ask('m', { p: '/x', d: { d: 1, e: 2 } }); // two come, two go
  await c.ask('p', { p: '/sync', d: 1 });
  const seen = c.pushes();
  assert.equal(seen.length, 2, JSON.stringify(seen));
  for (const m of seen) assert.equal(m.t, 9);
  assert.equal(seen[0].push, 'm');
  assert.deepEqual(seen[0].d, { a: { n: 10 }, c: null });
  assert.equal(seen[1].push, 'm');
  assert.deepEqual({ a: null, b: null, ...seen[1].d }, { a: null, b: null, d: 1, e: 2 });
});

test('a multi-path update with an ancestor of another path is refused', async (t) => {
  const c = await raw(t, namespace('anc'));
  const bad = await c.ask('m', { p: '/x', d: { a: { b: 1 }, 'a/b': 2 } });
  assert.notEqual(bad.s, 'ok');
  assert.equal((await c.ask('g', { p: '/x', q: {} })).d, null, 'nothing of it was done');
  assert.equal((await c.ask('m', { p: '/x', d: { 'a/b': 2, 'a/c/d': 3 } })).s, 'ok');
});

test('invalid data is refused with a status, and nothing is stored', async (t) => {
  const c = await raw(t, namespace('bad'));
  const bad = [{ 'a.b': 1 }, { 'a#b': 1 }, { 'a$': 1 }, { 'a[': 1 }, { '': 1 }, { '.sv': 'nonsense' }, { '.value': 1, child: 2 }, { 'a/b': 1 }, { '.unknown': 1 },
    { x: { '.priority': { a: 1 }, '.value': 1 } }, { x: { '.sv': { increment: 'a' } } }];
  for (const d of bad) {
    const got = await c.ask('p', { p: '/x', d });
    assert.notEqual(got.s, 'ok', JSON.stringify(d));
    assert.equal(typeof got.d, 'string', JSON.stringify(got));
  }
  assert.notEqual((await c.ask('p', { p: '/a#b', d: 1 })).s, 'ok');
  assert.notEqual((await c.ask('q', { p: '/a[b', h: '' })).s, 'ok');
  assert.equal((await c.ask('g', { p: '/', q: {} })).d, null);
});

test('.priority: written alone, refused where nothing is, pushed to listeners', async (t) => {
  const c = await raw(t, namespace('prio'));
  assert.notEqual((await c.ask('p', { p: '/x/.priority', d: 5 })).s, 'ok');
  await c.ask('p', { p: '/x', d: { k: 1 } });
  await c.ask('q', { p: '/x', h: '' });
  c.log.length = 0;
  assert.equal((await c.ask('p', { p: '/x/.priority', d: 5 })).s, 'ok');
  assert.equal(c.pushes().length, 1);
  assert.deepEqual((await c.ask('g', { p: '/x', q: {} })).d, { k: 1, '.priority': 5 });
  assert.equal((await c.ask('m', { p: '/x', d: { '.priority': 'a', k: 2 } })).s, 'ok');
  assert.deepEqual((await c.ask('g', { p: '/x', q: {} })).d, { k: 2, '.priority': 'a' });
  assert.equal((await c.ask('p', { p: '/x/.priority', d: null })).s, 'ok');
  assert.deepEqual((await c.ask('g', { p: '/x', q: {} })).d, { k: 2 });
});

test('numbers: -0, int64 and doubles beyond', async (t) => {
  const ns = namespace('num');
  const c = await raw(t, ns);
  const ask = async (text) => {
    const r = c.next++;
    c.sendText(`{"t":"d","d":{"r":${r},"a":"p","b":{"p":"/n","d":${text}}}}`);
    await until(() => c.log.some((m) => m.answer === r), 'the answer');
    return (await rest(ns, '/n.json')).text.trim();
  };
  assert.equal(await ask('-0.0'), '0');
  assert.equal(await ask('2147483648.0'), '2147483648');
  assert.equal(await ask('9223372036854775807'), '9223372036854775807');
  assert.equal(await ask('-9223372036854775808'), '-9223372036854775808');
  assert.equal(await ask('9007199254740993'), '9007199254740993');
  for (const text of ['9223372036854775808', '1e19', '123456789012345678901234', '-1e25']) {
    const got = await ask(text);
    assert.match(got, /[.eE]/, `${text} as ${got}: not bare digits`);
    assert.equal(Number(got), Number(text));
  }
  assert.equal(Number(await ask('5e-324')), 5e-324);
});

test('ls ends the last session at once', async (t) => {
  const ns = namespace('ls');
  const first = await raw(t, ns);
  await first.ask('o', { p: '/gone', d: true });
  const watcher = await raw(t, ns);
  await watcher.ask('q', { p: '/gone', h: '' });
  // The first connection is still open here: only the new one says that it is over.
  const second = await raw(t, ns, { query: `&ls=${first.hello.s}` });
  assert.equal((await second.ask('g', { p: '/gone', q: {} })).d, true);
  await until(() => watcher.pushes().some((m) => m.d === true), 'the push');
});

test('onDisconnect is one merge at an observer', async (t) => {
  const ns = namespace('od');
  const a = await raw(t, ns);
  const b = await raw(t, ns);
  await a.ask('p', { p: '/r', d: { x: 1, y: { z: 1 } } });
  await b.ask('q', { p: '/r', h: '' });
  b.log.length = 0;
  await a.ask('o', { p: '/r/x', d: 2 });
  await a.ask('om', { p: '/r/y', d: { z: null, w: { '.sv': { increment: 3 } } } });
  await a.ask('o', { p: '/r/v', d: 'v' });
  a.cut();
  await until(() => b.pushes().length > 0, 'the push');
  await b.ask('p', { p: '/sync', d: 1 });
  assert.equal(b.pushes().length, 1, JSON.stringify(b.pushes()));
  assert.deepEqual((await b.ask('g', { p: '/r', q: {} })).d, { x: 2, y: { w: 3 }, v: 'v' });
});

test('one protocol message in many frames, in one and split by keep-alives', async (t) => {
  const c = await raw(t, namespace('seg'));
  const text = JSON.stringify({ t: 'd', d: { r: 900, a: 'p', b: { p: '/x', d: 'abc'.repeat(100) } } });
  c.ws.send('0');
  c.ws.send('4');
  const cut = [0, 1, 17, 100, text.length];
  for (let i = 0; i < 4; i++) c.ws.send(text.slice(cut[i], cut[i + 1]));
  await until(() => c.log.some((m) => m.answer === 900), 'the answer');
  assert.equal((await c.ask('g', { p: '/x', q: {} })).d, 'abc'.repeat(100));
  // One message in one frame beyond the segment size is fine too.
  c.ws.send(JSON.stringify({ t: 'd', d: { r: 901, a: 'p', b: { p: '/x', d: 'y'.repeat(40000) } } }));
  await until(() => c.log.some((m) => m.answer === 901), 'the answer');
});

test('paths with and without a leading slash, doubled and trailing ones', async (t) => {
  const c = await raw(t, namespace('slash'));
  await c.ask('p', { p: 'a/b', d: 1 });
  await c.ask('p', { p: '//a///c/', d: 2 });
  assert.deepEqual((await c.ask('g', { p: '/a/', q: {} })).d, { b: 1, c: 2 });
  assert.deepEqual((await c.ask('g', { p: '/', q: {} })).d, { a: { b: 1, c: 2 } });
  await c.ask('p', { p: '/p/é ü%', d: 3 });
  assert.deepEqual((await c.ask('g', { p: 'p', q: {} })).d, { 'é ü%': 3 });
});

test('two listens on one place: one push each, tagged and untagged', async (t) => {
  const ns = namespace('both');
  const c = await raw(t, ns);
  const other = await raw(t, ns);
  await c.ask('q', { p: '/x', h: '' });
  await c.ask('q', { p: '/x', q: { i: '.key', l: 5, vf: 'l' }, t: 4, h: '' });
  await c.ask('q', { p: '/x/deep', q: { i: '.key', l: 5, vf: 'l' }, t: 5, h: '' });
  c.log.length = 0;
  await other.ask('p', { p: '/x/deep/k', d: 1 });
  await c.ask('p', { p: '/sync', d: 1 });
  assert.deepEqual(c.pushes().map((m) => m.t ?? 0).toSorted(), [0, 4, 5]);
});

test('a write that changes nothing pushes nothing new', async (t) => {
  const ns = namespace('noop');
  const c = await raw(t, ns);
  const other = await raw(t, ns);
  await other.ask('p', { p: '/x', d: { a: 1 } });
  await c.ask('q', { p: '/x', h: '' });
  await c.ask('q', { p: '/x/a', h: '' });
  c.log.length = 0;
  await other.ask('p', { p: '/y', d: 1 });
  await c.ask('p', { p: '/sync', d: 1 });
  assert.deepEqual(c.pushes(), []);
});

test('rubbish does not take the server down', async (t) => {
  const ns = namespace('rubbish');
  for (const text of ['{', 'null', '[]', '{"t":"d"}', '{"t":"d","d":{"r":"x"}}', '{"t":"c","d":{"t":"zz","d":1}}', '999999', '{"t":"d","d":{"r":1,"a":"p","b":[]}}', '\u0000']) {
    const c = await raw(t, ns);
    c.ws.send(text);
    c.ping();
    await until(() => c.closed || c.control.some((m) => m.t === 'o') || c.log.length > 0 || text === '999999', `an end or an answer after ${text}`);
    c.cut();
  }
  const bin = await raw(t, ns);
  bin.ws.send(Buffer.from([1, 2, 3]), { binary: true });
  bin.cut();
  const c = await raw(t, ns);
  assert.equal((await c.ask('p', { p: '/fine', d: 1 })).s, 'ok');
});

test('mock tokens are accepted although expired, and refused when broken', async (t) => {
  const c = await raw(t, namespace('mock'));
  const b64 = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const token = `${b64({ alg: 'none', type: 'JWT' })}.${b64({ iat: 0, exp: 3600, sub: 'alice', user_id: 'alice', iss: 'x', aud: 'x', firebase: { sign_in_provider: 'custom' } })}.`;
  assert.equal((await c.ask('auth', { cred: token })).s, 'ok');
  assert.equal((await c.ask('gauth', { cred: 'owner' })).s, 'ok');
  assert.equal((await c.ask('unauth', {})).s, 'ok');
});

test('HTTP: raw paths, missing data, ETags', async (t) => {
  const ns = namespace('http');
  const request = (path, headers = {}) => new Promise((resolve, reject) => {
    const req = http.request({ host: '127.0.0.1', port, path, headers }, (res) => {
      let body = '';
      res.on('data', (d) => { body += d; });
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body }));
    });
    req.on('error', reject);
    req.end();
  });
  await rest(ns, '/a/b.json', { method: 'PUT', body: { c: 1 } });
  assert.equal((await request(`//a//b.json?ns=${ns}`)).status, 200, 'no redirect');
  assert.deepEqual(JSON.parse((await request(`//a//b.json?ns=${ns}`)).body), { c: 1 });
  assert.deepEqual(JSON.parse((await request(`/a/b/.json?ns=${ns}`)).body), { c: 1 });
  const missing = await request(`/nothing/here.json?ns=${ns}`);
  assert.equal(missing.status, 200);
  assert.equal(missing.body.trim(), 'null');
  const got = await rest(ns, '/a/b.json', { headers: { 'X-Firebase-ETag': 'true' } });
  const etag = got.headers.get('etag');
  assert.ok(etag && !etag.includes('"'), `etag ${etag}`);
  const stale = await rest(ns, '/a/b.json', { method: 'PUT', body: 2, headers: { 'if-match': 'wrong' } });
  assert.equal(stale.status, 412);
  assert.deepEqual(stale.json, { c: 1 }, 'the present value');
  assert.equal(stale.headers.get('etag'), etag);
  assert.equal((await rest(ns, '/a/b.json', { method: 'PUT', body: 2, headers: { 'if-match': etag } })).status, 200);
  assert.equal((await rest(ns, '/none.json', { headers: { 'X-Firebase-ETag': 'true' } })).headers.get('etag'), 'null_etag');
  await rest(ns, '/.json', { method: 'PUT', body: { a: { x: 1 }, b: 2 } });
  const shallow = await rest(ns, '/.json', { query: 'shallow=true&limitToFirst=1' });
  assert.equal(shallow.status, 200, shallow.text);
  assert.deepEqual(shallow.json, { a: true });
  assert.deepEqual((await rest(ns, '/.json', { query: 'shallow=true' })).json, { a: true, b: true });
  const patched = await rest(ns, '/.json', { method: 'PATCH', body: { 'a/y/z': 1, b: null } });
  assert.equal(patched.status, 200, patched.text);
  assert.deepEqual((await rest(ns, '/.json')).json, { a: { x: 1, y: { z: 1 } } });
  assert.equal((await rest(ns, '/.json', { method: 'PATCH', body: { a: 1, 'a/y': 1 } })).status, 400);
});

test('a write by REST reaches a listener, and one by the SDK reaches an event stream', async (t) => {
  const ns = namespace('sse');
  const c = client(t, ns);
  const seen = values(c.ref('x'));
  await seen.first();
  await rest(ns, '/x.json', { method: 'PUT', body: { a: 1 } });
  await until(() => seen.at(-1)?.a === 1, 'the push');
  const abort = new AbortController();
  t.after(() => abort.abort());
  const res = await fetch(`http://127.0.0.1:${port}/x.json?ns=${ns}`, { headers: { accept: 'text/event-stream' }, signal: abort.signal });
  assert.equal(res.status, 200);
  assert.match(res.headers.get('content-type'), /text\/event-stream/);
  let text = '';
  (async () => { for await (const chunk of res.body) text += Buffer.from(chunk).toString(); })().catch(() => {});
  await until(() => text.includes('\n\n'), 'the first event');
  await set(c.ref('x/b/c'), 2);
  await until(() => text.includes('/b/c'), 'the second event');
  assert.match(text, /^event: put\ndata: \{"path":"\/","data":\{"a":1\}\}\n\n/);
  assert.match(text, /event: put\ndata: \{"path":"\/b\/c","data":2\}\n\n/);
});
