// A closed server: what is not signed is not believed, and the Admin SDK works without any of the emulator's conventions.

import test from 'node:test';
import assert from 'node:assert/strict';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { readFile } from 'node:fs/promises';
import { createSign, randomBytes } from 'node:crypto';
import { initializeApp, deleteApp, cert } from 'firebase-admin/app';
import { getAuth } from 'firebase-admin/auth';
import { createUserWithEmailAndPassword, signInWithEmailAndPassword, signInWithCustomToken, sendPasswordResetEmail, confirmPasswordReset, sendEmailVerification,
  applyActionCode, sendSignInLinkToEmail, signInWithEmailLink, isSignInWithEmailLink, reload, getIdToken, getIdTokenResult } from 'firebase/auth';
import { getDatabase, ref, get, set, onValue } from 'firebase/database';
import { authApp, project, rejects, administer } from '../lib/auth.mjs';
import { ownServer } from '../lib/server.mjs';
import { mailServer } from '../lib/smtp.mjs';
import { until, within } from '../lib/harness.mjs';

delete process.env.FIREBASE_AUTH_EMULATOR_HOST;

async function closed(t, settings, ...flags) {
  const server = await ownServer(t, '--no-open', ...flags);
  const root = (await readFile(path.join(server.dir, 'root-secret'), 'utf8')).trim();
  const p = await project(settings, server.port, root);
  const rules = { rules: { users: { $uid: { '.read': 'auth.uid === $uid', '.write': 'auth.uid === $uid' } } } };
  const res = await fetch(`http://127.0.0.1:${server.port}/.settings/rules.json?ns=${p.name}`, { method: 'PUT', headers: { authorization: `Bearer ${root}` }, body: JSON.stringify(rules) });
  assert.equal(res.status, 200, await res.text());
  return { server, root, p, at: server.port };
}

// The Admin SDK speaks to Google's names over TLS; an agent leads its connections to the server. In production that is
//   new https.Agent({ host: 'db.example.com', servername: 'db.example.com', port: 443 })
// and here, where the server has no certificate, a connection without TLS.
class ToServer extends https.Agent {
  constructor(port) { super({ keepAlive: false }); this.to = port; }
  createConnection() { return net.connect(this.to, '127.0.0.1'); }
}

// The key file signs custom tokens. For access tokens this SDK asks Google, whatever "token_uri" of the key file says, so they are got here.
function credential(key) {
  const c = cert(key);
  c.getAccessToken = async () => {
    const now = Math.floor(Date.now() / 1000);
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: key.private_key_id })}.${part({ iss: key.client_email, sub: key.client_email, aud: key.token_uri, iat: now, exp: now + 3600 })}`;
    const assertion = `${text}.${createSign('RSA-SHA256').update(text).sign(key.private_key, 'base64url')}`;
    const res = await fetch(key.token_uri, { method: 'POST', body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }) });
    const answer = await res.json();
    if (!res.ok) throw new Error(answer.error_description);
    return answer;
  };
  return c;
}

async function admin(t, { server, root, p }) {
  const made = await administer('POST', `/_rebase/auth/projects/${p.name}/service-accounts`, { name: 'admin' }, server.port, root);
  const key = made.keyFile ?? made.key ?? made;
  const httpAgent = new ToServer(server.port);
  const app = initializeApp({ projectId: p.name, credential: credential(key), httpAgent }, `closed-${randomBytes(6).toString('hex')}`);
  t.after(() => deleteApp(app));
  return { auth: getAuth(app), key };
}

test('the unmodified Admin SDK: users, custom tokens, verified ID tokens', async (t) => {
  const s = await closed(t);
  const { auth: a } = await admin(t, s);
  const u = await a.createUser({ uid: 'u1', email: 'ann@example.com', password: 'secret1' });
  assert.equal(u.uid, 'u1');
  const { auth: client } = authApp(t, s.p, { at: s.at });
  await signInWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  const token = await getIdToken(client.currentUser);
  const decoded = await a.verifyIdToken(token, true);
  assert.equal(decoded.uid, 'u1');
  const parts = token.split('.');
  const forged = [parts[0], Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(parts[1], 'base64url')), admin: true })).toString('base64url'), parts[2]].join('.');
  await assert.rejects(a.verifyIdToken(forged), /signature/);
  const { user } = await signInWithCustomToken(client, await a.createCustomToken('u2', { level: 7 }));
  assert.equal((await getIdTokenResult(user)).claims.level, 7);
  assert.equal((await a.verifyIdToken(await getIdToken(user))).level, 7);
  assert.deepEqual((await a.listUsers()).users.map((x) => x.uid).toSorted(), ['u1', 'u2']);
});

test('rules see the user; what ends the sessions ends the permission of a live connection', async (t) => {
  const s = await closed(t);
  const { auth: a } = await admin(t, s);
  for (const [what, end] of Object.entries({
    revoked: (uid) => a.revokeRefreshTokens(uid),
    disabled: (uid) => a.updateUser(uid, { disabled: true }),
    deleted: (uid) => a.deleteUser(uid),
  })) {
    await t.test(what, async (t2) => {
      const { app, auth } = authApp(t2, s.p, { at: s.at });
      const db = getDatabase(app);
      const { user } = await createUserWithEmailAndPassword(auth, `${what}@example.com`, 'secret1');
      const mine = ref(db, `users/${user.uid}`);
      await within(set(mine, what), 'the write');
      assert.equal((await get(mine)).val(), what);
      const seen = [];
      onValue(mine, (x) => seen.push(x.val()), (err) => seen.push(err.code));
      await until(() => seen.length === 1, 'the value');
      await end(user.uid);
      await until(() => seen.at(-1) === 'PERMISSION_DENIED', () => `the end of the permission: ${seen}`);
      await assert.rejects(within(set(mine, 'again'), 'the refusal'), /PERMISSION_DENIED/);
    });
  }
});

test('what is not signed is not believed', async (t) => {
  const s = await closed(t);
  const { auth } = authApp(t, s.p, { at: s.at });
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  await rejects(signInWithCustomToken(auth, `${part({ alg: 'none' })}.${part({ uid: 'u1' })}.`), 'invalid-custom-token');
  await rejects(signInWithCustomToken(auth, '{"uid":"u1"}'), 'invalid-custom-token');
  const api = (where, init) => fetch(`http://127.0.0.1:${s.at}${where}`, init);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const [, body] = (await getIdToken(user)).split('.');
  const lookup = await api(`/identitytoolkit.googleapis.com/v1/accounts:lookup?key=${s.p.apiKey}`, { method: 'POST', body: JSON.stringify({ idToken: `${part({ alg: 'none', typ: 'JWT' })}.${body}.` }) });
  assert.equal(lookup.status, 400);
  assert.match((await lookup.json()).error.message, /^INVALID_ID_TOKEN/);
  for (const token of ['owner', 'nonsense', await getIdToken(user)]) {
    const res = await api(`/identitytoolkit.googleapis.com/v1/projects/${s.p.name}/accounts:batchGet`, { headers: { authorization: `Bearer ${token}` } });
    assert.ok([401, 403].includes(res.status), `${token.slice(0, 10)}: ${res.status}`);
  }
  assert.equal((await api(`/emulator/v1/projects/${s.p.name}/oobCodes`)).status, 404);
  assert.equal((await api(`/emulator/v1/projects/${s.p.name}/accounts`, { method: 'DELETE' })).status, 404);
  // Not of a project: no key, a wrong one.
  const noKey = await api('/identitytoolkit.googleapis.com/v1/accounts:signUp', { method: 'POST', body: '{}' });
  assert.equal(noKey.status, 403);
  await rejects(createUserWithEmailAndPassword(authApp(t, { ...s.p, apiKey: 'another-key' }, { at: s.at }).auth, 'a@example.com', 'secret1'), 'api-key-not-valid.-please-pass-a-valid-api-key.');
  // Without a mail server nothing is promised.
  await rejects(sendPasswordResetEmail(auth, 'ann@example.com'), 'operation-not-allowed');
});

test('a service account is of its project alone', async (t) => {
  const s = await closed(t);
  const { auth: a, key } = await admin(t, s);
  const other = await project({}, s.at, s.root);
  const { auth: client } = authApp(t, other, { at: s.at });
  await rejects(signInWithCustomToken(client, await a.createCustomToken('u1')), 'invalid-custom-token');
  const httpAgent = new ToServer(s.at);
  const app = initializeApp({ projectId: other.name, credential: credential(key), httpAgent }, `wrong-${randomBytes(6).toString('hex')}`);
  t.after(() => deleteApp(app));
  await assert.rejects(getAuth(app).listUsers());
});

test('users outlive the server', async (t) => {
  const s = await closed(t);
  const { auth } = authApp(t, s.p, { at: s.at });
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await s.server.stop('SIGKILL');
  await s.server.start();
  await getIdToken(user, true);
  const again = authApp(t, s.p, { at: s.at }).auth;
  assert.equal((await signInWithEmailAndPassword(again, 'ann@example.com', 'secret1')).user.uid, user.uid);
});

test('mails go out, with links that work', async (t) => {
  const smtp = await mailServer(t);
  const mails = { resetPassword: { subject: 'Passwort für %APP_NAME%', body: 'Hallo %EMAIL%, hier: %LINK% ü' } };
  const s = await closed(t, { signIn: { mails, domains: ['app.example'] } }, '--smtp', `smtp://127.0.0.1:${smtp.port}`, '--mail-from', 'App <noreply@app.example>', '--public-url', 'https://db.app.example');
  const { auth } = authApp(t, s.p, { at: s.at });
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const mail = async (to, n) => {
    await until(() => smtp.mails.length >= n, `mail ${n}`);
    assert.equal(smtp.mails[n - 1].to, to);
    assert.equal(smtp.mails[n - 1].from, 'noreply@app.example');
    const link = /https:\/\/[^\s]+/.exec(smtp.mails[n - 1].text)[0];
    assert.ok(link.startsWith('https://db.app.example/_rebase/auth/action?'), link);
    return { link, text: smtp.mails[n - 1].text, raw: smtp.mails[n - 1].raw, oobCode: new URL(link).searchParams.get('oobCode') };
  };
  await sendEmailVerification(auth.currentUser);
  await applyActionCode(auth, (await mail('ann@example.com', 1)).oobCode);
  await reload(auth.currentUser);
  assert.equal(auth.currentUser.emailVerified, true);

  await sendPasswordResetEmail(auth, 'nobody@example.com'); // goes nowhere, and says the same
  await sendPasswordResetEmail(auth, 'ann@example.com');
  const reset = await mail('ann@example.com', 2);
  assert.match(reset.text, /^Hallo ann@example\.com, hier: https/);
  assert.match(reset.raw, /^Subject: =\?utf-8\?q\?/m);
  await confirmPasswordReset(auth, reset.oobCode, 'secret2');
  await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret2');

  await rejects(sendSignInLinkToEmail(auth, 'bob@example.com', { url: 'https://evil.example/', handleCodeInApp: true }), 'unauthorized-continue-uri');
  await sendSignInLinkToEmail(auth, 'bob@example.com', { url: 'https://app.example/finish', handleCodeInApp: true });
  const { link } = await mail('bob@example.com', 3);
  assert.ok(isSignInWithEmailLink(auth, link));
  assert.equal((await signInWithEmailLink(auth, 'bob@example.com', link)).user.email, 'bob@example.com');
  assert.equal(smtp.mails.length, 3);
});
