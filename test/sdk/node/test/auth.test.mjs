// The Auth SDK for JavaScript: users sign up, in and out, and look after their accounts.

import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, createSign } from 'node:crypto';
import http from 'node:http';
import {
  createUserWithEmailAndPassword, signInWithEmailAndPassword, signInAnonymously, signInWithCustomToken, signInWithEmailLink, signInWithCredential, signOut,
  updateProfile, updateEmail, updatePassword, sendPasswordResetEmail, confirmPasswordReset, verifyPasswordResetCode, sendEmailVerification, applyActionCode,
  checkActionCode, sendSignInLinkToEmail, isSignInWithEmailLink, verifyBeforeUpdateEmail, deleteUser, reload, linkWithCredential, reauthenticateWithCredential,
  unlink, onAuthStateChanged, onIdTokenChanged, getIdToken, getIdTokenResult, fetchSignInMethodsForEmail, getAdditionalUserInfo, validatePassword,
  EmailAuthProvider, GoogleAuthProvider, OAuthProvider,
} from 'firebase/auth';
import { getDatabase, ref, get, set, onValue } from 'firebase/database';
import { authApp, project, rejects, codes, lastCode } from '../lib/auth.mjs';
import { port, rest, until, within, delay } from '../lib/harness.mjs';

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('sign-up, sign-out, sign-in', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const states = [];
  onAuthStateChanged(auth, (u) => states.push(u?.uid ?? null));
  await until(() => states.length === 1, 'the first state');
  const up = await createUserWithEmailAndPassword(auth, 'Ann@Example.com', 'secret1');
  assert.equal(up.user.email, 'ann@example.com');
  assert.equal(up.user.emailVerified, false);
  assert.equal(up.user.isAnonymous, false);
  assert.equal(getAdditionalUserInfo(up).isNewUser, true);
  assert.deepEqual(up.user.providerData.map((d) => d.providerId), ['password']);
  assert.ok(Math.abs(Date.parse(up.user.metadata.creationTime) - Date.now()) < 60000);
  await signOut(auth);
  const back = await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  assert.equal(back.user.uid, up.user.uid);
  assert.equal(getAdditionalUserInfo(back).isNewUser, false);
  await until(() => states.length === 4, () => `four states: ${states}`);
  assert.deepEqual(states, [null, up.user.uid, null, up.user.uid]);

  const { claims: c, signInProvider } = await getIdTokenResult(back.user);
  assert.equal(c.iss, `https://securetoken.google.com/${p.name}`);
  assert.equal(c.aud, p.name);
  assert.equal(c.sub, up.user.uid);
  assert.equal(signInProvider, 'password');
  assert.deepEqual(c.firebase.identities, { email: ['ann@example.com'] });

  await rejects(createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1'), 'email-already-in-use');
  await rejects(createUserWithEmailAndPassword(auth, 'new@example.com', 'short'), 'weak-password');
  await rejects(createUserWithEmailAndPassword(auth, 'not an address', 'secret1'), 'invalid-email');
  await rejects(createUserWithEmailAndPassword(auth, 'new@example.com', ''), 'missing-password');
});

test('what fails does not tell whether there is an account', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const wrong = await rejects(signInWithEmailAndPassword(auth, 'ann@example.com', 'wrong!'), 'invalid-credential');
  const nobody = await rejects(signInWithEmailAndPassword(auth, 'nobody@example.com', 'wrong!'), 'invalid-credential');
  assert.equal(wrong.message, nobody.message);
  assert.deepEqual(wrong.customData._tokenResponse, nobody.customData._tokenResponse);
  await sendPasswordResetEmail(auth, 'nobody@example.com');
  assert.deepEqual(await codes(p, 'nobody@example.com', 'PASSWORD_RESET'), []);
  assert.deepEqual(await fetchSignInMethodsForEmail(auth, 'ann@example.com'), []);
  assert.deepEqual(await fetchSignInMethodsForEmail(auth, 'nobody@example.com'), []);
});

test('without the protection, addresses are told as Firebase tells them', async (t) => {
  const p = await project({ signIn: { hideEmails: false } });
  const { auth } = authApp(t, p);
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await rejects(signInWithEmailAndPassword(auth, 'ann@example.com', 'wrong!'), 'wrong-password');
  await rejects(signInWithEmailAndPassword(auth, 'nobody@example.com', 'wrong!'), 'user-not-found');
  await rejects(sendPasswordResetEmail(auth, 'nobody@example.com'), 'user-not-found');
  assert.deepEqual(await fetchSignInMethodsForEmail(auth, 'ann@example.com'), ['password']);
  // And then an address can be changed without a mail.
  await updateEmail(auth.currentUser, 'new@example.com');
  assert.equal(auth.currentUser.email, 'new@example.com');
  await getIdToken(auth.currentUser, true);
  await signInWithEmailAndPassword(auth, 'new@example.com', 'secret1');
});

test('guessing is locked out', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  for (const email of ['ann@example.com', 'nobody@example.com']) {
    let refused;
    for (let i = 0; i < 12 && !refused; i++) {
      refused = await signInWithEmailAndPassword(auth, email, `guess${i}`).catch((e) => (e.code === 'auth/too-many-requests' ? e : undefined));
    }
    assert.ok(refused, `${email} is never locked`);
  }
  await rejects(signInWithEmailAndPassword(auth, 'ann@example.com', 'secret1'), 'too-many-requests');
  // Who has the mailbox gets in at once.
  await sendPasswordResetEmail(auth, 'ann@example.com');
  await confirmPasswordReset(auth, (await lastCode(p, 'ann@example.com', 'PASSWORD_RESET')).oobCode, 'secret2');
  await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret2');
});

test('anonymous, then with a password', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await signInAnonymously(auth);
  assert.equal(user.isAnonymous, true);
  assert.equal((await getIdTokenResult(user)).signInProvider, 'anonymous');
  const { uid } = user;
  const linked = await linkWithCredential(user, EmailAuthProvider.credential('ann@example.com', 'secret1'));
  assert.equal(linked.user.uid, uid);
  assert.equal(linked.user.isAnonymous, false);
  assert.equal(linked.operationType, 'link');
  await signOut(auth);
  assert.equal((await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret1')).user.uid, uid);
  const other = await signInAnonymously(authApp(t, p).auth);
  await rejects(linkWithCredential(other.user, EmailAuthProvider.credential('ann@example.com', 'secret1')), 'email-already-in-use');
});

test('ways that are turned off', async (t) => {
  const p = await project({ signIn: { email: false, emailLink: false, anonymous: false, custom: false } });
  const { auth } = authApp(t, p);
  await rejects(createUserWithEmailAndPassword(auth, 'a@example.com', 'secret1'), 'operation-not-allowed');
  await rejects(signInWithEmailAndPassword(auth, 'a@example.com', 'secret1'), 'operation-not-allowed');
  await rejects(signInAnonymously(auth), 'admin-restricted-operation');
  await rejects(signInWithCustomToken(auth, '{"uid":"x"}'), 'operation-not-allowed');
  const closed = authApp(t, await project({ signIn: { signUp: false } }));
  await rejects(createUserWithEmailAndPassword(closed.auth, 'a@example.com', 'secret1'), 'admin-restricted-operation');
});

test('custom token: claims, refresh, the same user again', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const token = `${part({ alg: 'none', typ: 'JWT' })}.${part({ uid: 'my/user.1', claims: { level: 7 } })}.`;
  const first = await signInWithCustomToken(auth, token);
  assert.equal(first.user.uid, 'my/user.1');
  assert.equal(getAdditionalUserInfo(first).isNewUser, true);
  assert.equal((await getIdTokenResult(first.user)).claims.level, 7);
  assert.equal((await getIdTokenResult(first.user, true)).claims.level, 7);
  assert.equal((await getIdTokenResult(first.user)).signInProvider, 'custom');
  assert.equal(first.user.isAnonymous, false);
  const again = await signInWithCustomToken(auth, token);
  assert.equal(getAdditionalUserInfo(again).isNewUser, false);
  await rejects(signInWithCustomToken(auth, 'nonsense'), 'invalid-custom-token');
});

test('profile', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await updateProfile(user, { displayName: 'Ann ü😀', photoURL: 'https://example.com/a.png' });
  assert.equal((await getIdTokenResult(user)).claims.name, 'Ann ü😀');
  const other = authApp(t, p).auth;
  await signInWithEmailAndPassword(other, 'ann@example.com', 'secret1');
  assert.equal(other.currentUser.displayName, 'Ann ü😀');
  assert.equal(other.currentUser.photoURL, 'https://example.com/a.png');
  await updateProfile(other.currentUser, { displayName: null });
  await reload(user);
  assert.equal(user.displayName, null);
  assert.equal(user.photoURL, 'https://example.com/a.png');
});

test('password change ends other sessions, not one\'s own', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const other = authApp(t, p).auth;
  await signInWithEmailAndPassword(other, 'ann@example.com', 'secret1');
  await updatePassword(user, 'secret2');
  await getIdToken(user, true);
  await reload(user);
  await rejects(getIdToken(other.currentUser, true), 'user-token-expired');
  assert.equal(other.currentUser, null); // the SDK has signed it out
  await rejects(signInWithEmailAndPassword(other, 'ann@example.com', 'secret1'), 'invalid-credential');
  await signInWithEmailAndPassword(other, 'ann@example.com', 'secret2');
  await reauthenticateWithCredential(user, EmailAuthProvider.credential('ann@example.com', 'secret2'));
  await rejects(reauthenticateWithCredential(user, EmailAuthProvider.credential('ann@example.com', 'wrong!')), 'invalid-credential');
});

test('password reset by mail', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await sendPasswordResetEmail(auth, 'ann@example.com', { url: 'https://app.example/done', handleCodeInApp: false });
  const { oobCode, oobLink } = await lastCode(p, 'ann@example.com', 'PASSWORD_RESET');
  const link = new URL(oobLink);
  assert.equal(link.searchParams.get('continueUrl'), 'https://app.example/done');
  assert.equal(link.searchParams.get('mode'), 'resetPassword');
  assert.equal(link.searchParams.get('apiKey'), p.apiKey);
  assert.equal(await verifyPasswordResetCode(auth, oobCode), 'ann@example.com');
  await rejects(confirmPasswordReset(auth, oobCode, 'tiny'), 'weak-password');
  await confirmPasswordReset(auth, oobCode, 'secret2');
  await rejects(confirmPasswordReset(auth, oobCode, 'secret3'), 'invalid-action-code');
  await rejects(verifyPasswordResetCode(auth, 'nonsense'), 'invalid-action-code');
  await rejects(getIdToken(auth.currentUser, true), 'user-token-expired');
  const { user } = await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret2');
  assert.equal(user.emailVerified, true);
});

test('the page that the link in the mail leads to', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await sendPasswordResetEmail(auth, 'ann@example.com', { url: 'https://app.example/done' });
  const { oobLink } = await lastCode(p, 'ann@example.com', 'PASSWORD_RESET');
  const page = await fetch(oobLink);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /New password/);
  assert.match(page.headers.get('content-security-policy'), /default-src 'none'/);
  assert.equal(page.headers.get('referrer-policy'), 'no-referrer');
  const post = (body) => fetch(oobLink, { method: 'POST', body: new URLSearchParams(body) });
  assert.match(await (await post({ password: 'tiny' })).text(), /at least 6/);
  const done = await post({ password: 'secret2' });
  assert.equal(done.status, 200);
  assert.match(await done.text(), /https:\/\/app\.example\/done/);
  assert.equal((await post({ password: 'secret3' })).status, 400);
  await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret2');

  await sendEmailVerification(auth.currentUser);
  const verify = (await lastCode(p, 'ann@example.com', 'VERIFY_EMAIL')).oobLink;
  await fetch(verify); // as a mail program does, to look at it
  await reload(auth.currentUser);
  await fetch(verify, { method: 'POST' });
  await reload(auth.currentUser);
  assert.equal(auth.currentUser.emailVerified, true);
});

test('e-mail verification', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await sendEmailVerification(user);
  const { oobCode } = await lastCode(p, 'ann@example.com', 'VERIFY_EMAIL');
  const info = await checkActionCode(auth, oobCode);
  assert.equal(info.operation, 'VERIFY_EMAIL');
  assert.equal(info.data.email, 'ann@example.com');
  await applyActionCode(auth, oobCode);
  await reload(user);
  assert.equal(user.emailVerified, true);
  assert.equal((await getIdTokenResult(user, true)).claims.email_verified, true);
  await rejects(applyActionCode(auth, oobCode), 'invalid-action-code');
});

test('e-mail change, once the new address has confirmed it, and back', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  await sendEmailVerification(user);
  await applyActionCode(auth, (await lastCode(p, 'ann@example.com', 'VERIFY_EMAIL')).oobCode);
  await reload(user);
  await rejects(updateEmail(user, 'new@example.com'), 'operation-not-allowed');
  await verifyBeforeUpdateEmail(user, 'new@example.com');
  const { oobCode } = await lastCode(p, 'new@example.com', 'VERIFY_AND_CHANGE_EMAIL');
  const info = await checkActionCode(auth, oobCode);
  assert.equal(info.operation, 'VERIFY_AND_CHANGE_EMAIL');
  assert.equal(info.data.email, 'new@example.com');
  assert.equal(info.data.previousEmail, 'ann@example.com');
  await applyActionCode(auth, oobCode);
  await rejects(reload(user), 'user-token-expired');
  const back = await signInWithEmailAndPassword(auth, 'new@example.com', 'secret1');
  assert.equal(back.user.emailVerified, true);
  const recover = await lastCode(p, 'ann@example.com', 'RECOVER_EMAIL');
  assert.equal((await checkActionCode(auth, recover.oobCode)).operation, 'RECOVER_EMAIL');
  await applyActionCode(auth, recover.oobCode);
  // Whoever made the change may know the password.
  await rejects(signInWithEmailAndPassword(auth, 'ann@example.com', 'secret1'), 'invalid-credential');
  await sendPasswordResetEmail(auth, 'ann@example.com');
  await confirmPasswordReset(auth, (await lastCode(p, 'ann@example.com', 'PASSWORD_RESET')).oobCode, 'secret2');
  await signInWithEmailAndPassword(auth, 'ann@example.com', 'secret2');
});

test('sign-in by a link in a mail', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const settings = { url: 'https://app.example/finish?cart=7', handleCodeInApp: true };
  await sendSignInLinkToEmail(auth, 'ann@example.com', settings);
  const { oobLink } = await lastCode(p, 'ann@example.com', 'EMAIL_SIGNIN');
  assert.ok(isSignInWithEmailLink(auth, oobLink));
  // What the browser does with the link: it goes on to the app, with what the app needs.
  const res = await fetch(oobLink, { redirect: 'manual' });
  assert.equal(res.status, 302);
  const finish = res.headers.get('location');
  assert.match(finish, /^https:\/\/app\.example\/finish\?/);
  assert.equal(new URL(finish).searchParams.get('cart'), '7');
  assert.ok(isSignInWithEmailLink(auth, finish));
  await rejects(signInWithEmailLink(auth, 'eve@example.com', finish), 'invalid-action-code');
  const { user } = await signInWithEmailLink(auth, 'ann@example.com', finish);
  assert.equal(user.emailVerified, true);
  assert.equal(user.isAnonymous, false);
  await rejects(signInWithEmailLink(auth, 'ann@example.com', finish), 'invalid-action-code');
});

test('deletion', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const other = authApp(t, p).auth;
  await signInWithEmailAndPassword(other, 'ann@example.com', 'secret1');
  await deleteUser(user);
  assert.equal(auth.currentUser, null);
  await rejects(getIdToken(other.currentUser, true), 'user-token-expired');
  await rejects(signInWithEmailAndPassword(auth, 'ann@example.com', 'secret1'), 'invalid-credential');
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
});

test('tokens are refreshed, and listeners hear of it', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const seen = [];
  onIdTokenChanged(auth, (u) => u && seen.push(u.accessToken));
  await until(() => seen.length === 1, 'the first token');
  const before = claims(await getIdToken(user));
  await delay(1100); // tokens differ by the second
  const after = claims(await getIdToken(user, true));
  await until(() => seen.length === 2, 'the second token');
  assert.equal(after.auth_time, before.auth_time);
  assert.ok(after.iat > before.iat);
  assert.equal(after.exp - after.iat, 3600);
});

test('the password policy', async (t) => {
  const p = await project({ signIn: { passwordMin: 10 } });
  const { auth } = authApp(t, p);
  assert.equal((await validatePassword(auth, 'short')).isValid, false);
  assert.equal((await validatePassword(auth, 'long-enough-1')).isValid, true);
  await assert.rejects(createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1'), /auth\/(weak-password|password-does-not-meet-requirements)/);
  await createUserWithEmailAndPassword(auth, 'ann@example.com', 'long-enough-1');
});

test('a provider of the emulator\'s kind: any ID token is believed in open mode', async (t) => {
  const p = await project();
  const { auth } = authApp(t, p);
  const credential = GoogleAuthProvider.credential(JSON.stringify({ sub: 'g1', email: 'ann@gmail.example.com', email_verified: true, name: 'Ann' }));
  const first = await signInWithCredential(auth, credential);
  assert.equal(first.user.email, 'ann@gmail.example.com');
  assert.equal(first.user.displayName, 'Ann');
  assert.equal(getAdditionalUserInfo(first).isNewUser, true);
  assert.equal(getAdditionalUserInfo(first).providerId, 'google.com');
  assert.equal(getAdditionalUserInfo(first).profile.sub, 'g1');
  assert.equal((await getIdTokenResult(first.user)).signInProvider, 'google.com');
  assert.deepEqual((await getIdTokenResult(first.user)).claims.firebase.identities['google.com'], ['g1']);
});

/** An OpenID Connect provider: discovery, keys, authorization and token endpoint. */
async function provider(t) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const self = { kid: 'k1', codes: new Map() };
  self.sign = (body, key = privateKey, header = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: self.kid, ...header })}.${part({ iss: self.issuer, aud: 'client-1', iat: now, exp: now + 600, ...body })}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(key, 'base64url')}`;
  };
  const server = http.createServer(async (req, res) => {
    const url = new URL(req.url, self.issuer);
    const json = (o, status = 200) => { res.writeHead(status, { 'content-type': 'application/json' }); res.end(JSON.stringify(o)); };
    if (url.pathname === '/.well-known/openid-configuration') {
      return json({ issuer: self.issuer, jwks_uri: `${self.issuer}/keys`, authorization_endpoint: `${self.issuer}/authorize`, token_endpoint: `${self.issuer}/token` });
    }
    if (url.pathname === '/keys') return json({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: self.kid, alg: 'RS256', use: 'sig' }] });
    if (url.pathname === '/authorize') { // the user agrees at once
      const code = `code-${Math.random()}`;
      self.codes.set(code, Object.fromEntries(url.searchParams));
      const back = new URL(url.searchParams.get('redirect_uri'));
      back.searchParams.set('code', code);
      back.searchParams.set('state', url.searchParams.get('state'));
      res.writeHead(302, { location: back.href });
      return res.end();
    }
    if (url.pathname === '/token') {
      let body = '';
      for await (const chunk of req) body += chunk;
      const form = new URLSearchParams(body);
      const asked = self.codes.get(form.get('code'));
      self.codes.delete(form.get('code'));
      const pkce = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
      const basic = Buffer.from((req.headers.authorization ?? '').slice(6), 'base64').toString();
      if (!asked || pkce !== asked.code_challenge || form.get('redirect_uri') !== asked.redirect_uri || basic !== 'client-1:hush') return json({ error: 'invalid_grant' }, 400);
      return json({ access_token: 'at', id_token: self.sign({ sub: 'flow-user', email: 'flow@example.com', email_verified: true, nonce: asked.nonce }) });
    }
    return json({}, 404);
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  t.after(() => new Promise((r) => { server.closeAllConnections(); server.close(r); }));
  self.issuer = `http://127.0.0.1:${server.address().port}`;
  return self;
}

test('a generic OpenID Connect provider: ID tokens, nonces, linking, unlinking', async (t) => {
  const idp = await provider(t);
  const p = await project({ signIn: { providers: [{ id: 'oidc.corp', issuer: idp.issuer, clientId: 'client-1' }] } });
  const { auth } = authApp(t, p);
  const oidc = new OAuthProvider('oidc.corp');
  const nonce = 'a-nonce-of-the-app';
  const hashed = createHash('sha256').update(nonce).digest('hex');
  const first = await signInWithCredential(auth, oidc.credential({ idToken: idp.sign({ sub: 's1', email: 'ann@corp.example', email_verified: true, name: 'Ann', nonce: hashed }), rawNonce: nonce }));
  assert.equal(first.user.email, 'ann@corp.example');
  assert.equal(first.user.emailVerified, true);
  assert.deepEqual(first.user.providerData.map((d) => [d.providerId, d.uid]), [['oidc.corp', 's1']]);
  assert.equal(getAdditionalUserInfo(first).isNewUser, true);
  const again = await signInWithCredential(auth, oidc.credential({ idToken: idp.sign({ sub: 's1' }) }));
  assert.equal(again.user.uid, first.user.uid);

  const evil = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  for (const [why, idToken] of Object.entries({
    'another key': idp.sign({ sub: 's1' }, evil),
    'another audience': idp.sign({ sub: 's1', aud: 'client-2' }),
    'another issuer': idp.sign({ sub: 's1', iss: 'https://evil.example' }),
    expired: idp.sign({ sub: 's1', exp: 1000 }),
    'no subject': idp.sign({}),
    unsigned: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ iss: idp.issuer, aud: 'client-1', sub: 's1' })).toString('base64url')}.`,
    'a nonce that is not shown': idp.sign({ sub: 's1', nonce: hashed }),
    'plain JSON': '{"sub":"s1"}',
  })) {
    await t.test(`refused: ${why}`, () => rejects(signInWithCredential(auth, oidc.credential({ idToken })), 'invalid-credential'));
  }
  await rejects(signInWithCredential(auth, oidc.credential({ idToken: idp.sign({ sub: 's1', nonce: hashed }), rawNonce: 'another' })), 'invalid-credential');

  // One account per address: whoever has both links them.
  const other = authApp(t, p).auth;
  const { user } = await createUserWithEmailAndPassword(other, 'bob@corp.example', 'secret1');
  const bob = oidc.credential({ idToken: idp.sign({ sub: 's2', email: 'bob@corp.example', email_verified: true }) });
  const err = await rejects(signInWithCredential(auth, bob), 'account-exists-with-different-credential');
  assert.ok(OAuthProvider.credentialFromError(err));
  await linkWithCredential(user, bob);
  assert.deepEqual(user.providerData.map((d) => d.providerId).toSorted(), ['oidc.corp', 'password']);
  assert.equal((await signInWithCredential(auth, bob)).user.uid, user.uid);
  const third = await signInAnonymously(authApp(t, p).auth);
  await rejects(linkWithCredential(third.user, oidc.credential({ idToken: idp.sign({ sub: 's1' }) })), 'credential-already-in-use');
  await unlink(user, 'oidc.corp');
  assert.deepEqual(user.providerData.map((d) => d.providerId), ['password']);
});

test('the code flow of a provider, over the API', async (t) => {
  const idp = await provider(t);
  const p = await project({ signIn: { providers: [{ id: 'oidc.corp', issuer: idp.issuer, clientId: 'client-1', clientSecret: 'hush' }] } });
  const call = async (method, body) => {
    const res = await fetch(`http://127.0.0.1:${port}/identitytoolkit.googleapis.com/v1/accounts:${method}?key=${p.apiKey}`, { method: 'POST', body: JSON.stringify(body) });
    return res.json();
  };
  const continueUri = 'http://localhost/app/callback';
  const begun = await call('createAuthUri', { providerId: 'oidc.corp', continueUri });
  assert.ok(begun.authUri.startsWith(`${idp.issuer}/authorize?`), JSON.stringify(begun));
  const back = (await fetch(begun.authUri, { redirect: 'manual' })).headers.get('location');
  const signedIn = await call('signInWithIdp', { requestUri: back, sessionId: begun.sessionId, postBody: 'providerId=oidc.corp', returnSecureToken: true });
  assert.equal(signedIn.email, 'flow@example.com');
  assert.equal(claims(signedIn.idToken).firebase.sign_in_provider, 'oidc.corp');
  const twice = await call('signInWithIdp', { requestUri: back, sessionId: begun.sessionId, postBody: 'providerId=oidc.corp' });
  assert.match(twice.error.message, /^INVALID_IDP_RESPONSE/);
  // An answer that belongs to the sign-in of somebody else.
  const mine = await call('createAuthUri', { providerId: 'oidc.corp', continueUri });
  const theirs = await call('createAuthUri', { providerId: 'oidc.corp', continueUri });
  const answer = (await fetch(theirs.authUri, { redirect: 'manual' })).headers.get('location');
  const mixed = await call('signInWithIdp', { requestUri: answer, sessionId: mine.sessionId, postBody: 'providerId=oidc.corp' });
  assert.match(mixed.error.message, /^INVALID_IDP_RESPONSE/);
});

test('a signed-in user writes under rules, and nobody else', async (t) => {
  const p = await project();
  const set1 = await rest(p.name, '/.settings/rules.json', { method: 'PUT', body: { rules: { users: { $uid: { '.read': 'auth.uid === $uid', '.write': "auth.uid === $uid && auth.token.email === 'ann@example.com'" } } } } });
  assert.equal(set1.status, 200, set1.text);
  const { app, auth } = authApp(t, p);
  const db = getDatabase(app);
  const { user } = await createUserWithEmailAndPassword(auth, 'ann@example.com', 'secret1');
  const mine = ref(db, `users/${user.uid}`);
  await within(set(mine, 'hello'), 'the write');
  assert.equal((await get(mine)).val(), 'hello');
  await assert.rejects(set(ref(db, 'users/other'), 1), /PERMISSION_DENIED/);
  const seen = [];
  onValue(mine, (s) => seen.push(s.val()), (e) => seen.push(e.code));
  await until(() => seen.length === 1, 'the value');
  await signOut(auth);
  await until(() => seen.length === 2, 'the end of the permission');
  assert.deepEqual(seen, ['hello', 'PERMISSION_DENIED']);
  await assert.rejects(set(mine, 'x'), /PERMISSION_DENIED/);
});

test('errors are the API\'s, and browsers may read them', async (t) => {
  const p = await project();
  const url = `http://127.0.0.1:${port}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=${p.apiKey}`;
  const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-client-version' } });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get('access-control-allow-headers'), 'content-type,x-client-version');
  const bad = await fetch(url, { method: 'POST', headers: { origin: 'https://app.example' }, body: JSON.stringify({ email: 'x', password: 'secret1' }) });
  assert.equal(bad.headers.get('access-control-allow-origin'), '*');
  assert.deepEqual([bad.status, await bad.json()], [400, {
    error: { code: 400, message: 'INVALID_EMAIL', errors: [{ message: 'INVALID_EMAIL', domain: 'global', reason: 'invalid' }], status: 'INVALID_ARGUMENT' },
  }]);
  assert.equal((await fetch(url, { method: 'POST', body: '{' })).status, 400);
  assert.equal((await fetch(url, { method: 'POST', body: JSON.stringify({ email: 'x'.repeat(300_000) }) })).status, 413);
  assert.equal((await fetch(`http://127.0.0.1:${port}/identitytoolkit.googleapis.com/v1/accounts:nonsense?key=${p.apiKey}`, { method: 'POST' })).status, 404);
  const admin = await fetch(`http://127.0.0.1:${port}/identitytoolkit.googleapis.com/v1/projects/${p.name}/accounts:batchGet`);
  assert.equal(admin.status, 401);
});
