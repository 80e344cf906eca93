// Writes vectors for the Go tests: what the SDK itself sends for a query and
// which children it shows, from data that was set while offline.
import { initializeApp } from '@firebase/app';
import * as fb from '@firebase/database';

let seed = 12190;
function random() { // mulberry32
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = n => Math.floor(random() * n);
const pick = list => list[below(list.length)];

const keys = ['-2147483648', '-1', '0', '00', '01', '9', '10', '2147483647', '-', '-2147483649', '1a', '2147483648',
  'Z', 'a', 'b', 'ab', '~', '\u{1F600}', '\uFFFF', 'é', 'key with space', '"quoted"'];
const numbers = [-1e300, -2147483649, -1.5, -1, 0, 0.5, 1, 2, 3, 1e21, 9007199254740991, 1.7976931348623157e308];
const strings = ['', '0', 'a', 'b', 'ab', 'é', '\uFFFF', '\u{1F600}', '"\\\n', '[MIN_NAME]', '~'];
const leaves = [false, true, ...numbers, ...strings];
const priorities = [null, null, ...numbers, ...strings];

function withPriority(node) {
  const p = pick(priorities);
  if (p === null || random() < 0.4) return node;
  return typeof node === 'object' ? { ...node, '.priority': p } : { '.value': node, '.priority': p };
}
function child() {
  const r = random();
  if (r < 0.45) return withPriority(pick(leaves));
  const node = { present: true };
  if (r < 0.85) node.f = random() < 0.15 ? { deep: pick(leaves) } : withPriority(pick(leaves));
  if (random() < 0.3) node.g = { h: pick(leaves) };
  return withPriority(node);
}
function data() {
  const node = {};
  const n = 1 + below(12);
  for (let i = 0; i < n; i++) node[pick(keys)] = child();
  if (random() < 0.1) node['.priority'] = 7;
  return node;
}

// A query as a list of [method, …arguments]; the Go test does not need it, a
// reader does.
function constraints() {
  const list = [];
  const by = pick(['none', 'key', 'value', 'priority', 'child', 'child', 'deep']);
  switch (by) {
    case 'key': list.push(['orderByKey']); break;
    case 'value': list.push(['orderByValue']); break;
    case 'priority': list.push(['orderByPriority']); break;
    case 'child': list.push(['orderByChild', 'f']); break;
    case 'deep': list.push(['orderByChild', pick(['g/h', '/f/', 'f/deep', 'missing'])]); break;
  }
  const bound = (nullable) => {
    // Not '' by key: with a limit, the SDK's iterator takes it for no bound.
    if (by === 'key') return [pick([...keys, 'aa', '5', '\uF8FF'])];
    const values = by === 'none' || by === 'priority' ? [...numbers, ...strings] : leaves;
    const value = nullable && random() < 0.15 ? null : pick(values);
    return random() < 0.35 ? [value, pick(keys)] : [value];
  };
  const r = random();
  if (r < 0.2) {
    list.push(['equalTo', ...bound(true)]);
  } else {
    if (random() < 0.5) list.push([pick(['startAt', 'startAfter']), ...bound(true)]);
    if (random() < 0.5) list.push([pick(['endAt', 'endBefore']), ...bound(true)]);
  }
  if (random() < 0.6) list.push([pick(['limitToFirst', 'limitToLast']), 1 + below(6)]);
  return list;
}

const app = initializeApp({ databaseURL: 'http://127.0.0.1:9/?ns=vectors' });
const db = fb.getDatabase(app);
fb.goOffline(db);
fb.enableLogging(false);

for (let i = 0; i < 800; i++) {
  const ref = fb.ref(db, 'case' + i);
  const node = data();
  fb.set(ref, node).catch(() => {});
  let query, list;
  for (;;) { // some combinations the SDK refuses, and so shall not reach a server
    list = constraints();
    try {
      query = fb.query(ref, ...list.map(([name, ...args]) => fb[name](...args)));
      break;
    } catch { /* another */ }
  }
  let result;
  const stop = fb.onValue(query, snapshot => {
    result = [];
    snapshot.forEach(c => { result.push(c.key); });
  });
  stop();
  if (result === undefined) throw new Error('no event for ' + JSON.stringify(list));
  process.stdout.write(JSON.stringify({
    data: node, calls: list, q: query._queryObject, id: query._queryIdentifier, keys: result,
  }) + '\n');
}
process.exit(0);
