// Runs the cases of ../*.test with targaryen and writes its verdicts to
// verdicts.json. The language of the cases is described in ../README.md.
import fs from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import targaryen from 'targaryen';
import firebaseJSON from 'firebase-json';

const here = path.dirname(fileURLToPath(import.meta.url));
const cases = path.join(here, '..');

function evalDocument(kind, place, text) {
  let node = {[kind]: text};
  for (const key of place.split('/').filter(Boolean).reverse()) node = {[key]: node};
  return {rules: node};
}

function parseDocument(text) {
  return firebaseJSON.parse(text);
}

// The priority of a node can only be written along with its value.
function priorityWrite(db, target, value, now) {
  const at = target.slice(0, -'/.priority'.length) || '/';
  return db.write(at, db.snapshot(at).val(), value, now);
}

function run(set, verb, arg) {
  const isEval = verb === 'eval' || verb === 'weval';
  let db;
  try {
    const doc = isEval ?
      evalDocument(verb === 'eval' ? '.read' : '.write', set.place, arg) :
      parseDocument(set.rules);
    targaryen.ruleset(doc); // throws where it refuses the rules
    if (verb === 'document') return 'ok';
    db = targaryen.database(doc, JSON.parse(set.data), set.now).as(JSON.parse(set.auth));
  } catch (e) {
    return 'error';
  }
  const [first, ...others] = arg.split(' ');
  const text = others.join(' ');
  let result;
  switch (verb) {
    case 'eval':
    case 'read':
      result = db.read(isEval ? set.path : first, {now: set.now, query: JSON.parse(set.query) || undefined});
      break;
    case 'weval':
      result = db.write(set.path, JSON.parse(set.value), undefined, set.now);
      break;
    case 'write':
      result = first.endsWith('/.priority') ?
        priorityWrite(db, first, JSON.parse(text), set.now) :
        db.write(first, JSON.parse(text), undefined, set.now);
      break;
    case 'update':
      result = db.update(first, JSON.parse(text), set.now);
      break;
  }
  if (!isEval) return result.allowed ? 'allow' : 'deny';
  if (result.logs.some(l => l.error != null)) return 'fails';
  return String(result.allowed);
}

const verdicts = [];
for (const file of fs.readdirSync(cases).filter(f => f.endsWith('.test')).sort()) {
  const set = {data: 'null', value: 'null', auth: 'null', query: 'null', now: 1000, place: '/', path: '/', rules: ''};
  const lines = fs.readFileSync(path.join(cases, file), 'utf8').split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (line.trim() === '' || line[0] === '#') continue;
    const verb = line.split(' ', 1)[0];
    const rest = line.slice(verb.length + 1);
    switch (verb) {
      case 'data': case 'value': case 'auth': case 'query':
        set[verb] = rest;
        break;
      case 'now':
        set.now = Number(rest);
        break;
      case 'at':
        [set.place, set.path] = rest.split(' ');
        break;
      case 'rules': {
        const doc = [];
        for (i++; i < lines.length && lines[i] !== ''; i++) doc.push(lines[i]);
        set.rules = doc.join('\n');
        break;
      }
      case 'differs':
        break;
      default: {
        const arg = line.slice(verb.length, line.lastIndexOf('=> ')).trim();
        let verdict;
        try {
          verdict = run(set, verb, arg);
        } catch (e) {
          verdict = 'crash';
        }
        verdicts.push({file, case: line, verdict});
      }
    }
  }
}
const out = verdicts.map(v => '  ' + JSON.stringify(v)).join(',\n');
fs.writeFileSync(path.join(here, 'verdicts.json'), `[\n${out}\n]\n`);
console.log(`${verdicts.length} verdicts`);
