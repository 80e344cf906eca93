// @firebase/rules-unit-testing, its database part, on the cases by which the rules language is tested: the library loads the rules, makes
// the data with them disabled, and asserts the verdicts as an app's tests would. What targaryen has said about the same
// cases stands beside; where it differs the case says why.

import test from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setLogLevel } from 'firebase/app';
import { initializeTestEnvironment, assertFails, assertSucceeds } from '@firebase/rules-unit-testing';
import { documentOf, ruleCases } from '../lib/cases.mjs';
import { port, within } from '../lib/harness.mjs';

setLogLevel('silent'); // each refusal is a warning otherwise

const environment = (rules) => initializeTestEnvironment({
  projectId: `rut-${randomBytes(5).toString('hex')}`,
  database: { host: '127.0.0.1', port, rules },
});

/** The auth variable of a case; nobody's if its rules do not ask. */
const authOf = (c) => (/\bauth\b/.test(documentOf(c)) ? JSON.parse(c.auth) : null);

/** Why the library, or the SDK in it, cannot put a case; undefined if it can. */
function unspeakable(c) {
  if (c.verb === 'document') return undefined;
  const auth = authOf(c);
  if (auth !== null && (typeof auth !== 'object' || Array.isArray(auth) || typeof auth.uid !== 'string' || !auth.uid)) return 'an auth variable that no user has';
  if (auth !== null && Object.keys(auth).some((k) => !['uid', 'provider', 'token'].includes(k))) return 'an auth variable that no user has';
  if (auth !== null && 'provider' in auth && auth.provider !== 'custom') return 'another provider';
  if (/\bnow\b/.test(c.arg) || (c.now !== '1000' && /\bnow\b/.test(c.rules))) return 'a time of its own';
  if (auth !== null && /\bauth\.token\.(firebase|sub|user_id|iat|exp|aud|iss|auth_time)\b/.test(c.arg)) return 'claims that the SDK fills in';
  if (/\b\d{16,}\b/.test(c.arg)) return 'a number that JavaScript does not have';
  return undefined;
}

/** The context in whose name a case is. */
function contextOf(env, c) {
  const auth = authOf(c);
  if (auth === null) return env.unauthenticatedContext();
  const { firebase, ...claims } = auth.token ?? {};
  return env.authenticatedContext(auth.uid, claims);
}

/** The query of a read, in the SDK's words. */
function queried(ref, text) {
  const q = JSON.parse(text);
  if (q === null) return ref;
  let r = ref;
  if (q.orderByChild !== undefined) r = r.orderByChild(q.orderByChild);
  else if (q.orderByKey) r = r.orderByKey();
  else if (q.orderByValue) r = r.orderByValue();
  else if (q.orderByPriority) r = r.orderByPriority();
  for (const name of ['startAt', 'endAt', 'equalTo', 'limitToFirst', 'limitToLast']) if (q[name] !== undefined) r = r[name](q[name]);
  return r;
}

/**
 * Reads by a query. A listen to everything, in whatever order, the SDK sends as a plain one: a get has the order in it, and is
 * refused for want of an index only when the rules have allowed it.
 */
function read(ref, text) {
  const q = JSON.parse(text);
  const bounded = q !== null && ['startAt', 'endAt', 'equalTo', 'limitToFirst', 'limitToLast'].some((name) => q[name] !== undefined);
  if (q === null || bounded) return queried(ref, text).once('value');
  return queried(ref, text).get().catch((err) => {
    if (!/index not defined/i.test(err.message)) throw err;
  });
}

/** Begins the operation of a case and returns its promise. Throws what the SDK refuses to send. */
function operation(db, c) {
  const [target, ...others] = c.arg.split(' ');
  const text = others.join(' ');
  const write = (path, value) => (path.endsWith('/.priority') ? db.ref(path.slice(0, -'/.priority'.length) || '/').setPriority(value, () => {}) : db.ref(path).set(value));
  switch (c.verb) {
    case 'eval': return read(db.ref(c.path), c.query);
    case 'read': return read(db.ref(target), c.query);
    case 'weval': return write(c.path, JSON.parse(c.value));
    case 'write': return write(target, JSON.parse(text));
    case 'update': return db.ref(target).update(JSON.parse(text));
    default: throw new Error(`what is ${c.verb}?`);
  }
}

/** Runs a case; returns what the library makes of it: allow, deny, error (of the document), or unsaid with the SDK's reason. */
async function verdict(c) {
  let env;
  try {
    env = await environment(documentOf(c));
  } catch (err) {
    return { got: 'error', text: String(err) };
  }
  try {
    if (c.verb === 'document') return { got: 'ok' };
    if (c.data !== 'null') await env.withSecurityRulesDisabled((admin) => admin.database().ref('/').set(JSON.parse(c.data)));
    const db = contextOf(env, c).database();
    let promise;
    try {
      promise = operation(db, c);
    } catch (err) {
      return { got: 'unsaid', text: String(err) };
    }
    const wanted = c.want === 'allow' || c.want === 'true' ? 'allow' : 'deny';
    const assertion = wanted === 'allow' ? assertSucceeds(promise) : assertFails(promise);
    try {
      await within(assertion, `${c.file}:${c.number}`);
      return { got: wanted };
    } catch (err) {
      return { got: wanted === 'allow' ? 'deny' : 'allow', text: String(err) };
    }
  } finally {
    await env.cleanup();
  }
}

test('the cases of the rules language through @firebase/rules-unit-testing', { timeout: 170000 }, async (t) => {
  const cases = ruleCases();
  assert.ok(cases.length > 300 && cases.every((c) => c.targaryen !== undefined), 'the cases and the verdicts of targaryen belong together');
  const wrong = [];
  const unsaid = new Map();
  let asserted = 0;
  let differing = 0;
  const queue = [...cases];
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let c = queue.shift(); c !== undefined; c = queue.shift()) {
      const why = unspeakable(c);
      const { got, text } = why ? { got: 'unsaid', text: why } : await verdict(c);
      if (got === 'unsaid') {
        unsaid.set(text, (unsaid.get(text) ?? 0) + 1);
        continue;
      }
      asserted++;
      const want = { true: 'allow', allow: 'allow', ok: 'ok', error: 'error' }[c.want] ?? 'deny';
      if (got !== want) wrong.push(`${c.file}:${c.number}: ${c.line}: ${got}: ${text}`);
      const second = { true: 'allow', false: 'deny', fails: 'deny', crash: undefined }[c.targaryen] ?? c.targaryen;
      if (second !== got) {
        differing++;
        if (!c.differs) wrong.push(`${c.file}:${c.number}: ${c.line}: targaryen says ${c.targaryen}, and nothing explains why`);
      }
    }
  }));
  t.diagnostic(`${asserted} of ${cases.length} cases asserted, targaryen differs in ${differing}; not said: ${[...unsaid].map(([why, n]) => `${n} ${why}`).join('; ')}`);
  assert.deepEqual(wrong, []);
  assert.ok(asserted > 500, `only ${asserted} cases could be said`);
});

test('an app\'s own tests: contexts, rules disabled, clearing, new rules', async (t) => {
  const env = await environment(JSON.stringify({
    rules: { users: { $uid: { '.read': 'auth != null && auth.uid === $uid', '.write': 'auth != null && auth.uid === $uid && auth.token.email_verified === true' } } },
  }));
  t.after(() => env.cleanup());
  const alice = env.authenticatedContext('alice', { email: 'alice@example.com', email_verified: true }).database();
  const bob = env.authenticatedContext('bob').database();
  const nobody = env.unauthenticatedContext().database();
  await assertSucceeds(alice.ref('users/alice').set({ name: 'Alice' }));
  await assertSucceeds(alice.ref('users/alice').once('value'));
  await assertSucceeds(alice.ref('users/alice').get());
  await assertFails(bob.ref('users/alice').once('value'));
  await assertFails(bob.ref('users/alice').get());
  await assertFails(bob.ref('users/bob').set(1)); // has not verified
  await assertFails(nobody.ref('users/alice').once('value'));
  await assertFails(nobody.ref('/').once('value'));
  await assertFails(alice.ref('/').update({ 'users/alice/name': 'A', 'users/bob/name': 'B' }));
  await assertFails(alice.ref('users/bob').push(1));
  await assertFails(alice.ref('users/bob').transaction(() => 1));
  await env.withSecurityRulesDisabled(async (admin) => {
    assert.deepEqual((await admin.database().ref('/').once('value')).val(), { users: { alice: { name: 'Alice' } } });
    await admin.database().ref('users/bob').set({ name: 'Bob' });
  });
  assert.deepEqual((await assertSucceeds(bob.ref('users/bob').once('value'))).val(), { name: 'Bob' });
  await env.clearDatabase();
  assert.equal((await assertSucceeds(bob.ref('users/bob').once('value'))).val(), null);
});

test('rules that are no JSON are a parse error, others name the line', async () => {
  await assert.rejects(environment('{ "rules": '), /Parse error/);
  await assert.rejects(environment('no rules'), /Parse error/);
  await assert.rejects(environment('{ "rules": {\n ".read": "unknown == 1" } }'), /Line 2: /);
});
