// The Admin SDK for Node with a service account, against a closed server. run-closed.sh starts it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { deleteApp, initializeApp } from 'firebase-admin/app';
import { getDatabase } from 'firebase-admin/database';
import { serviceAccount } from '../lib/serviceaccount.mjs';

const url = process.env.CLOSED_URL;
const apps = [];
after(() => Promise.all(apps.map((app) => deleteApp(app))));

function database(keyFile, more = {}) {
  const credential = serviceAccount(JSON.parse(readFileSync(process.env[keyFile], 'utf8')));
  const app = initializeApp({ credential, databaseURL: url, ...more }, `app${apps.length}`);
  apps.push(app);
  return getDatabase(app);
}

test('a service account is an administrator, over WebSocket', async () => {
  const db = database('CLOSED_KEY');
  await db.ref('node/x').set(5);
  assert.equal((await db.ref('node/x').get()).val(), 5);
});

test('an opaque access token is no cause for complaint', async () => {
  const complaints = [];
  const { error, warn } = console;
  console.error = console.warn = (...args) => complaints.push(args);
  try {
    await database('CLOSED_KEY').ref('node/y').set(1);
  } finally {
    Object.assign(console, { error, warn });
  }
  assert.deepEqual(complaints, []);
});

test('whoever acts as somebody is bound by the rules', async () => {
  const db = database('CLOSED_KEY', { databaseAuthVariableOverride: { uid: 'noddy' } });
  await db.ref('users/noddy').set('mine');
  await assert.rejects(db.ref('users/alice').set('not mine'), /PERMISSION_DENIED/);
  const nobody = database('CLOSED_KEY', { databaseAuthVariableOverride: null });
  await assert.rejects(nobody.ref('users/noddy').set('not mine'), /PERMISSION_DENIED/);
});

test('a service account of another project is nobody here', async () => {
  const key = JSON.parse(readFileSync(process.env.CLOSED_OTHER_KEY, 'utf8'));
  const { access_token: token } = await serviceAccount(key).getAccessToken();
  const answer = await fetch(`${url}node/x.json`, { headers: { Authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 401);
});

test('the documentation shows this credential', () => {
  const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
  const code = read('../lib/serviceaccount.mjs');
  assert.ok(read('../../../../docs/auth.md').includes(code.slice(code.indexOf('export function')).trim()));
});
