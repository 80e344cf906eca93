'use strict';
// Loads the Realtime Database of the JS SDK (the one of firebase 12.19.0) and gives access to what it does not export: the
// distributed file is compiled as it is, with a line behind it that exports more of its names.
const fs = require('fs');
const Module = require('module');

const names = [
  'nodeFromJSON', 'nameCompare', 'nextPushId', 'resolveDeferredValueSnapshot', 'isValidKey',
  'Path', 'PRIORITY_INDEX', 'VALUE_INDEX', 'ChildrenNode',
];

const file = require.resolve('@firebase/database');
if (!/index\.node\.cjs\.js$/.test(file)) throw new Error('unexpected entry point of @firebase/database: ' + file);
const m = new Module(file, module);
m.filename = file;
m.paths = Module._nodeModulePaths(__dirname);
m._compile(fs.readFileSync(file, 'utf8') + '\nexports.__internal = {' + names.join(',') + '};\n', file);
const sdk = m.exports.__internal;

// Values come and go as JSON text: what JSON.parse makes of a number is part of the question.
const node = (json) => sdk.nodeFromJSON(JSON.parse(json));
const exported = (n) => JSON.stringify(n.val(true));

function order(n, index) {
  const children = [];
  n.forEachChild(sdk.PRIORITY_INDEX, (name, child) => { children.push({ name, node: child }); });
  children.sort((a, b) => index.compare(a, b));
  return children.map((c) => c.name);
}

const answers = {
  // The hash, the export and the value of a node.
  node: (q) => {
    const n = node(q.json);
    return { hash: n.hash(), export: exported(n), value: JSON.stringify(n.val()) };
  },
  // How each key compares with each: rows of <, = and >.
  keys: (q) => ({
    rows: q.keys.map((a) => q.keys.map((b) => '<=>'[1 + Math.sign(sdk.nameCompare(a, b))]).join('')),
  }),
  // The keys of a node's children by priority and by value.
  orders: (q) => {
    const n = node(q.json);
    return { priority: order(n, sdk.PRIORITY_INDEX), value: order(n, sdk.VALUE_INDEX) };
  },
  // A node after a value was set at a path.
  set: (q) => ({ export: exported(node(q.json).updateChild(new sdk.Path(q.path || ''), node(q.value))) }),
  // A node with its server values resolved against what was there.
  resolve: (q) => ({
    export: exported(sdk.resolveDeferredValueSnapshot(node(q.json), node(q.existing), { timestamp: q.now })),
  }),
  // Push ids for times, where each new random part takes its bytes from entropy.
  push: (q) => {
    let at = 0;
    const random = Math.random;
    Math.random = () => (q.entropy[at++] % 64 + 0.5) / 64;
    try {
      return { ids: q.times.map((t) => sdk.nextPushId(t)) };
    } finally {
      Math.random = random;
    }
  },
  path: (q) => ({ path: new sdk.Path(q.path || '').toString() }),
  validKeys: (q) => ({ valid: q.keys.map((k) => sdk.isValidKey(k)) }),
};

// answer answers one question, an object whose op names the kind.
exports.answer = (q) => answers[q.op](q);
