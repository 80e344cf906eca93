// The cases of the rules language, rules/testdata/*.test; README.md there describes them.

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const folder = fileURLToPath(new URL('../../../../rules/testdata/', import.meta.url));

/** All cases, each with the settings that hold for it, and what targaryen has said about it. */
export function ruleCases() {
  const recorded = JSON.parse(readFileSync(path.join(folder, 'targaryen/verdicts.json'), 'utf8'));
  const cases = [];
  for (const file of readdirSync(folder).filter((f) => f.endsWith('.test')).sort()) {
    const set = { data: 'null', value: 'null', auth: 'null', query: 'null', now: '1000', place: '/', path: '/', rules: '', differs: '' };
    const lines = readFileSync(path.join(folder, file), 'utf8').split('\n');
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i];
      if (line.trim() === '' || line[0] === '#') continue;
      const verb = line.split(' ', 1)[0];
      const rest = line.slice(verb.length + 1);
      if (['data', 'value', 'auth', 'query', 'now', 'differs'].includes(verb)) {
        set[verb] = rest;
      } else if (verb === 'at') {
        [set.place, set.path] = rest.split(' ');
      } else if (verb === 'rules') {
        const doc = [];
        for (i++; i < lines.length && lines[i] !== ''; i++) doc.push(lines[i]);
        set.rules = doc.join('\n');
      } else {
        const end = line.lastIndexOf('=> ');
        cases.push({
          ...set, file, verb, line, number: i + 1,
          arg: line.slice(verb.length, end).trim(), want: line.slice(end + 3).split(' ', 1)[0],
          targaryen: recorded[cases.length]?.case === line ? recorded[cases.length].verdict : undefined,
        });
        set.differs = '';
      }
    }
  }
  return cases;
}

/** The document of a case: its own, or one that has its expression at its place. */
export function documentOf(c) {
  if (c.verb !== 'eval' && c.verb !== 'weval') return c.rules;
  let node = { [c.verb === 'eval' ? '.read' : '.write']: c.arg };
  for (const key of c.place.split('/').filter(Boolean).reverse()) node = { [key]: node };
  return JSON.stringify({ rules: node });
}
