// A small model of the database's order and queries, written from the public
// documentation, to check windows against.

const intKey = (k) => /^-?0*\d{1,10}$/.test(k) && Number(k) >= -2147483648 && Number(k) <= 2147483647;

export function compareKeys(a, b) {
  if (a === b) return 0;
  const ia = intKey(a);
  const ib = intKey(b);
  if (ia && ib) return Number(a) - Number(b) || a.length - b.length;
  if (ia) return -1;
  if (ib) return 1;
  return a < b ? -1 : 1;
}

function rank(v) {
  if (v === null || v === undefined) return 0;
  if (v === false) return 1;
  if (v === true) return 2;
  if (typeof v === 'number') return 3;
  if (typeof v === 'string') return 4;
  return 5;
}

export function compareValues(a, b) {
  const ra = rank(a);
  const rb = rank(b);
  if (ra !== rb) return ra - rb;
  if (ra === 3) return a - b;
  if (ra === 4) return a < b ? -1 : a > b ? 1 : 0;
  return 0;
}

/** A node here is {leaf, prio} or {kids: Map, prio}; undefined is the empty node. */
export function node(value, prio = null) {
  if (value === null || value === undefined) return undefined;
  if (typeof value !== 'object') return { leaf: value, prio };
  const kids = new Map();
  for (const [k, v] of Object.entries(value)) {
    const n = node(v);
    if (n) kids.set(k, n);
  }
  return kids.size ? { kids, prio } : undefined;
}

export function setAt(n, path, value) {
  if (path.length === 0) return value;
  const kids = new Map(n?.kids ?? []);
  const kid = setAt(kids.get(path[0]), path.slice(1), value);
  if (kid) kids.set(path[0], kid); else kids.delete(path[0]);
  if (kids.size === 0) return n && !n.kids ? n : undefined;
  return { kids, prio: n?.prio ?? null };
}

export function exported(n) {
  if (!n) return null;
  let out;
  if (n.kids) {
    out = {};
    for (const [k, v] of n.kids) out[k] = exported(v);
    if (n.prio !== null) out['.priority'] = n.prio;
    return out;
  }
  return n.prio === null ? n.leaf : { '.value': n.leaf, '.priority': n.prio };
}

/** spec: {order: 'key'|'value'|'priority'|'child:a/b', start, startAfter, end, endBefore: [value, key?], first, last} */
export function result(spec, root) {
  const indexOf = (key, n) => {
    if (spec.order === 'value') return n.kids ? {} : n.leaf;
    if (spec.order === 'priority') return n.prio;
    if (spec.order === 'key') return null;
    let at = n;
    for (const k of spec.order.slice(6).split('/')) at = at?.kids?.get(k);
    return at ? (at.kids ? {} : at.leaf) : null;
  };
  const MIN = Symbol('min');
  const MAX = Symbol('max');
  const cmpKey = (a, b) => {
    if (a === b) return 0;
    if (a === MIN || b === MAX) return -1;
    if (a === MAX || b === MIN) return 1;
    return compareKeys(a, b);
  };
  const cmp = (a, b) => compareValues(a[0], b[0]) || cmpKey(a[1], b[1]);
  const bound = (b, missing) => (spec.order === 'key' ? [null, b[0]] : [b[0], b.length > 1 ? b[1] : missing]);
  let rows = [...(root?.kids ?? [])].map(([k, n]) => ({ at: [indexOf(k, n), k], k, n }));
  rows.sort((a, b) => cmp(a.at, b.at));
  rows = rows.filter(({ at }) => {
    if (spec.start && cmp(at, bound(spec.start, MIN)) < 0) return false;
    if (spec.startAfter && cmp(at, bound(spec.startAfter, MAX)) <= 0) return false;
    if (spec.end && cmp(at, bound(spec.end, MAX)) > 0) return false;
    if (spec.endBefore && cmp(at, bound(spec.endBefore, MIN)) >= 0) return false;
    return true;
  });
  if (spec.first) rows = rows.slice(0, spec.first);
  if (spec.last) rows = rows.slice(-spec.last);
  return rows.map(({ k, n }) => [k, exported(n)]);
}
