// A compact part of the Node suite, run inside the page: window.battery[name](context).
import { initializeApp, deleteApp } from './firebase-app.js';
import * as sdk from './firebase-database.js';

const {
  getDatabase, ref, set, get, update, push, remove, onValue, onChildAdded, runTransaction, increment, serverTimestamp,
  setWithPriority, query, orderByKey, orderByChild, orderByPriority, limitToLast, limitToFirst, startAt, endAt, onDisconnect,
  goOffline, goOnline, forceLongPolling, forceWebSockets,
} = sdk;

const transport = new URLSearchParams(location.search).get('transport');
if (transport === 'lp') forceLongPolling();
if (transport === 'ws') forceWebSockets();
const server = new URLSearchParams(location.search).get('server');

let count = 0;
function client(ns) {
  const app = initializeApp({ databaseURL: `${server}/?ns=${ns}` }, `app${count++}`);
  const db = getDatabase(app);
  return { db, ref: (p) => (p ? ref(db, p) : ref(db)), close: () => deleteApp(app) };
}

async function until(probe, what, ms = 30000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const got = await probe();
    if (got) return got;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await new Promise((r) => setTimeout(r, 10));
  }
}

function same(got, want, what) {
  const sort = (v) => (v && typeof v === 'object' && !Array.isArray(v)
    ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sort(v[k])])) : Array.isArray(v) ? v.map(sort) : v);
  const g = JSON.stringify(sort(got));
  const w = JSON.stringify(sort(want));
  if (g !== w) throw new Error(`${what}: got ${g?.slice(0, 500)}, want ${w?.slice(0, 500)}`);
}

function values(q) {
  const seen = [];
  seen.stop = onValue(q, (s) => seen.push(s.val()));
  seen.first = () => until(() => seen.length > 0, 'a first value');
  return seen;
}

const tests = {
  async 'set, update, push, remove and get'(a, b) {
    await set(a.ref('x'), { text: 'ü😀', n: 1.5, list: ['p', 'q'], gone: 1 });
    await update(a.ref('x'), { 'deep/er': true, gone: null });
    const pushed = await push(a.ref('x/pushed'), 'v');
    await remove(a.ref('x/list'));
    same((await get(b.ref('x'))).val(), { text: 'ü😀', n: 1.5, deep: { er: true }, pushed: { [pushed.key]: 'v' } }, 'get');
    await set(a.ref('path with spaces/é%ü'), 1);
    same((await get(b.ref('path with spaces'))).val(), { 'é%ü': 1 }, 'odd path');
  },
  async 'events in order, none undone, one per update'(a, b) {
    const own = values(a.ref('x'));
    const seen = values(b.ref('x'));
    await own.first();
    await seen.first();
    for (let i = 1; i <= 10; i++) await update(a.ref('x'), { n: i, 'd/n': i });
    await until(() => seen.at(-1)?.n === 10, 'the last');
    const want = [null, ...Array.from({ length: 10 }, (_, i) => ({ n: i + 1, d: { n: i + 1 } }))];
    same(own, want, 'the writer');
    same(seen, want, 'the watcher');
  },
  async 'child events and priorities'(a, b) {
    await setWithPriority(a.ref('p/a'), 'a', 2);
    await setWithPriority(a.ref('p/b'), 'b', 1);
    const log = [];
    onChildAdded(query(b.ref('p'), orderByPriority()), (s, prev) => log.push([s.key, prev, s.priority]));
    await until(() => log.length === 2, 'both');
    same(log, [['b', null, 1], ['a', 'b', 2]], 'events');
  },
  async 'increments and transactions from two clients'(a, b) {
    const writes = [];
    for (let i = 0; i < 25; i++) for (const c of [a, b]) writes.push(set(c.ref('n'), increment(1)));
    await Promise.all(writes);
    same((await get(b.ref('n'))).val(), 50, 'increments');
    const work = async (c) => {
      for (let i = 0; i < 10; i++) await runTransaction(c.ref('t'), (n) => (n ?? 0) + 1);
    };
    await Promise.all([work(a), work(b)]);
    const seen = values(a.ref('t'));
    await until(() => seen.at(-1) === 20, 'twenty');
  },
  async 'windows move with the data'(a, b) {
    await set(a.ref('q'), Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, { n: i, rest: `r${i}` }])));
    const last = values(query(b.ref('q'), orderByKey(), limitToLast(2)));
    const low = values(query(b.ref('q'), orderByChild('n'), limitToFirst(2)));
    const range = values(query(b.ref('q'), orderByChild('n'), startAt(3), endAt(4)));
    for (const s of [last, low, range]) await s.first();
    await update(a.ref('q'), { 'k0/n': 3.5, k9: null });
    // Each window hears of it by a message of its own, in no particular order.
    await until(() => range.at(-1)?.k0 && last.length > 1 && low.length > 1, 'the newcomer');
    same(last.at(-1), { k7: { n: 7, rest: 'r7' }, k8: { n: 8, rest: 'r8' } }, 'last');
    same(low.at(-1), { k1: { n: 1, rest: 'r1' }, k2: { n: 2, rest: 'r2' } }, 'low');
    same(range.at(-1), { k3: { n: 3, rest: 'r3' }, k0: { n: 3.5, rest: 'r0' }, k4: { n: 4, rest: 'r4' } }, 'range');
    same([last.length, low.length, range.length], [2, 2, 2], 'one event each');
  },
  async 'large values both ways'(a, b) {
    const text = 'aü€'.repeat(100000);
    const seen = values(b.ref('x'));
    await seen.first();
    await set(a.ref('x'), text);
    await until(() => seen.at(-1)?.length === text.length, 'the text');
    if (seen.at(-1) !== text) throw new Error('the text differs');
    const astral = 'x' + '😀'.repeat(50000);
    await fetch(`${server}/y.json?ns=${a.ns}`, { method: 'PUT', body: JSON.stringify(astral) });
    const got = (await get(b.ref('y'))).val();
    if (got !== astral) throw new Error('the astral text differs');
  },
  async 'many small writes at once'(a, b) {
    const writes = [];
    for (let i = 0; i < 300; i++) writes.push(set(a.ref(`m/k${i}`), i));
    await Promise.all(writes);
    same(Object.keys((await get(b.ref('m'))).val()).length, 300, 'children');
  },
  async 'server time'(a) {
    await set(a.ref('t'), serverTimestamp());
    const v = (await get(a.ref('t'))).val();
    if (Math.abs(v - Date.now()) > 60000) throw new Error(`off: ${v}`);
    const offset = values(a.ref('.info/serverTimeOffset'));
    await until(() => typeof offset.at(-1) === 'number', 'the offset');
  },
  async 'offline and back'(a, b) {
    await set(a.ref('x'), 0);
    const seen = values(b.ref('x'));
    await until(() => seen.at(-1) === 0, 'the start');
    goOffline(a.db);
    const writes = [set(a.ref('x'), 1), set(a.ref('x'), 2)];
    const own = values(a.ref('x'));
    await set(b.ref('y'), 'meanwhile');
    goOnline(a.db);
    await Promise.all(writes);
    await until(() => seen.at(-1) === 2, 'the queued writes');
    same((await get(a.ref('y'))).val(), 'meanwhile', 'the news');
    same(own.at(-1), 2, 'own view');
  },
  async 'onDisconnect'(a, b) {
    await onDisconnect(a.ref('p/state')).set('away');
    await onDisconnect(a.ref('p/gone')).remove();
    await set(a.ref('p'), { state: 'here', gone: 1 });
    const seen = values(b.ref('p'));
    await until(() => seen.at(-1)?.gone, 'presence');
    goOffline(a.db);
    await until(() => seen.at(-1)?.state === 'away', 'the disconnect', 90000); // a polling client may have to time out
    same(seen, [{ state: 'here', gone: 1 }, { state: 'away' }], 'one event');
  },
};

window.battery = Object.fromEntries(Object.entries(tests).map(([name, run]) => [name, async () => {
  const ns = `web-${Math.random().toString(36).slice(2)}`;
  const a = client(ns);
  const b = client(ns);
  a.ns = ns;
  try {
    await run(a, b);
  } finally {
    await a.close();
    await b.close();
  }
}]));
