// firebase-admin's authentication for Node, by the emulator's conventions.

import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { initializeApp, deleteApp } from 'firebase-admin/app';
import { getAuth } from 'firebase-admin/auth';
import { createUserWithEmailAndPassword, signInWithEmailAndPassword, signInWithCustomToken, getIdToken, getIdTokenResult, confirmPasswordReset, applyActionCode,
  signInWithEmailLink, signInWithCredential, OAuthProvider } from 'firebase/auth';
import { authApp, project, rejects } from '../lib/auth.mjs';
import { port } from '../lib/harness.mjs';

process.env.FIREBASE_AUTH_EMULATOR_HOST = `127.0.0.1:${port}`;

async function both(t, settings) {
  const p = await project(settings);
  const app = initializeApp({ projectId: p.name }, `admin-${randomBytes(6).toString('hex')}`);
  t.after(() => deleteApp(app));
  return { p, admin: getAuth(app), client: authApp(t, p).auth };
}

const code = (c) => (err) => { assert.equal(err.code, `auth/${c}`); return true; };

test('create, read, change, delete', async (t) => {
  const { admin, client } = await both(t);
  const made = await admin.createUser({ uid: 'u1', email: 'Ann@example.com', password: 'secret1', displayName: 'Ann', photoURL: 'https://example.com/a.png', phoneNumber: '+15555550100', emailVerified: true });
  assert.equal(made.uid, 'u1');
  assert.equal(made.email, 'ann@example.com');
  assert.deepEqual(made.providerData.map((d) => d.providerId).toSorted(), ['password', 'phone']);
  for (const u of [await admin.getUser('u1'), await admin.getUserByEmail('ann@example.com'), await admin.getUserByPhoneNumber('+15555550100')]) {
    assert.equal(u.uid, 'u1');
    assert.equal(u.displayName, 'Ann');
    assert.equal(u.emailVerified, true);
    assert.equal(u.disabled, false);
    assert.ok(u.metadata.creationTime);
  }
  await signInWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  assert.ok((await admin.getUser('u1')).metadata.lastSignInTime);
  const changed = await admin.updateUser('u1', { email: 'new@example.com', displayName: null, phoneNumber: null, password: 'secret2' });
  assert.equal(changed.email, 'new@example.com');
  assert.equal(changed.displayName, undefined);
  assert.equal(changed.phoneNumber, undefined);
  assert.equal(changed.emailVerified, false);
  await rejects(signInWithEmailAndPassword(client, 'ann@example.com', 'secret1'), 'invalid-credential');
  await signInWithEmailAndPassword(client, 'new@example.com', 'secret2');

  await assert.rejects(admin.createUser({ uid: 'u1' }), code('uid-already-exists'));
  await assert.rejects(admin.createUser({ email: 'new@example.com' }), code('email-already-exists'));
  const other = await admin.createUser({});
  await assert.rejects(admin.updateUser(other.uid, { email: 'new@example.com' }), code('email-already-exists'));
  await admin.updateUser(other.uid, { phoneNumber: '+15555550101' });
  await assert.rejects(admin.createUser({ phoneNumber: '+15555550101' }), code('phone-number-already-exists'));
  await assert.rejects(admin.updateUser('nobody', { displayName: 'x' }), code('user-not-found'));
  await admin.deleteUser('u1');
  await assert.rejects(admin.getUser('u1'), code('user-not-found'));
  await assert.rejects(admin.getUserByEmail('new@example.com'), code('user-not-found'));
  await assert.rejects(admin.deleteUser('u1'), code('user-not-found'));
});

test('custom claims reach tokens', async (t) => {
  const { admin, client } = await both(t);
  const { user } = await createUserWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  await admin.setCustomUserClaims(user.uid, { role: 'editor', level: 3 });
  assert.deepEqual((await admin.getUser(user.uid)).customClaims, { role: 'editor', level: 3 });
  assert.equal((await getIdTokenResult(user)).claims.role, undefined);
  const { claims } = await getIdTokenResult(user, true);
  assert.deepEqual([claims.role, claims.level], ['editor', 3]);
  assert.equal((await admin.verifyIdToken(await getIdToken(user))).role, 'editor');
  await assert.rejects(admin.setCustomUserClaims(user.uid, { big: 'x'.repeat(1000) }), code('claims-too-large'));
  await admin.setCustomUserClaims(user.uid, null);
  assert.equal((await getIdTokenResult(user, true)).claims.role, undefined);
});

test('disabled users', async (t) => {
  const { admin, client } = await both(t);
  const { user } = await createUserWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  const token = await getIdToken(user);
  await admin.updateUser(user.uid, { disabled: true });
  await rejects(signInWithEmailAndPassword(client, 'ann@example.com', 'secret1'), 'user-disabled');
  await rejects(getIdToken(user, true), 'user-disabled');
  await assert.rejects(admin.verifyIdToken(token, true), code('user-disabled'));
  await admin.updateUser(user.uid, { disabled: false });
  await signInWithEmailAndPassword(client, 'ann@example.com', 'secret1');
});

test('revocation', async (t) => {
  const { admin, client } = await both(t);
  const { user } = await createUserWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  const token = await getIdToken(user);
  await admin.verifyIdToken(token, true);
  await admin.revokeRefreshTokens(user.uid);
  await assert.rejects(admin.verifyIdToken(token, true), code('id-token-revoked'));
  await rejects(getIdToken(user, true), 'user-token-expired');
  const again = await signInWithEmailAndPassword(client, 'ann@example.com', 'secret1'); // within the same second
  await admin.verifyIdToken(await getIdToken(again.user), true);
});

test('custom tokens of the Admin SDK', async (t) => {
  const { admin, client } = await both(t);
  const { user } = await signInWithCustomToken(client, await admin.createCustomToken('u1', { level: 7 }));
  assert.equal(user.uid, 'u1');
  const decoded = await admin.verifyIdToken(await getIdToken(user));
  assert.equal(decoded.level, 7);
  assert.equal(decoded.firebase.sign_in_provider, 'custom');
  assert.equal((await admin.getUser('u1')).uid, 'u1');
});

test('listing, several at once, deleting several', async (t) => {
  const { admin } = await both(t);
  const uids = Array.from({ length: 25 }, (_, i) => `u${i}`);
  for (const uid of uids) await admin.createUser({ uid, email: `${uid}@example.com` });
  const seen = [];
  let pageToken;
  do {
    const page = await admin.listUsers(10, pageToken);
    seen.push(...page.users.map((u) => u.uid));
    pageToken = page.pageToken;
  } while (pageToken);
  assert.deepEqual(seen.toSorted(), uids.toSorted());
  const got = await admin.getUsers([{ uid: 'u1' }, { email: 'u2@example.com' }, { uid: 'nobody' }, { phoneNumber: '+15555550199' }]);
  assert.deepEqual(got.users.map((u) => u.uid).toSorted(), ['u1', 'u2']);
  assert.equal(got.notFound.length, 2);
  const gone = await admin.deleteUsers(['u1', 'u2', 'nobody']);
  assert.deepEqual([gone.successCount, gone.failureCount], [3, 0]);
  assert.equal((await admin.listUsers(1000)).users.length, 23);
});

test('links for mails of one\'s own', async (t) => {
  const { admin, client } = await both(t);
  await createUserWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  const oob = (link) => new URL(link).searchParams.get('oobCode');
  await confirmPasswordReset(client, oob(await admin.generatePasswordResetLink('ann@example.com', { url: 'https://app.example/' })), 'secret2');
  await signInWithEmailAndPassword(client, 'ann@example.com', 'secret2');
  await admin.updateUser(client.currentUser.uid, { emailVerified: false });
  await applyActionCode(client, oob(await admin.generateEmailVerificationLink('ann@example.com')));
  assert.equal((await admin.getUserByEmail('ann@example.com')).emailVerified, true);
  const link = await admin.generateSignInWithEmailLink('bob@example.com', { url: 'https://app.example/', handleCodeInApp: true });
  assert.equal((await signInWithEmailLink(client, 'bob@example.com', link)).user.email, 'bob@example.com');
  await applyActionCode(client, oob(await admin.generateVerifyAndChangeEmailLink('bob@example.com', 'bob2@example.com')));
  assert.equal((await admin.getUserByEmail('bob2@example.com')).emailVerified, true);
  await assert.rejects(admin.generatePasswordResetLink('nobody@example.com'), code('email-not-found'));
});

test('import: every kind of hash lets its user in, and is replaced by the first sign-in', async (t) => {
  const { admin, client } = await both(t);
  const salt = Buffer.from('NaCl');
  const kinds = {
    SCRYPT: {
      options: { algorithm: 'SCRYPT', key: Buffer.from('jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==', 'base64'), saltSeparator: Buffer.from('Bw==', 'base64'), rounds: 8, memoryCost: 14 },
      hash: Buffer.from('lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==', 'base64'), salt: Buffer.from('42xEC+ixf3L2lw==', 'base64'),
    },
    HMAC_SHA256: { options: { algorithm: 'HMAC_SHA256', key: Buffer.from('secret') }, hash: createHmac('sha256', 'secret').update('user1password' + 'NaCl').digest() },
    SHA256: { options: { algorithm: 'SHA256', rounds: 1 }, hash: createHash('sha256').update('NaCl' + 'user1password').digest() },
    MD5: { options: { algorithm: 'MD5', rounds: 0 }, hash: createHash('md5').update('NaCl' + 'user1password').digest() },
    BCRYPT: { options: { algorithm: 'BCRYPT' }, hash: Buffer.from('$2b$07$BCryptRequires22ChrcteddW18WfK976fJFsZuTbCZz7j/VPSF.q') }, // by libxcrypt
  };
  for (const [name, k] of Object.entries(kinds)) {
    await t.test(name, async () => {
      const email = `${name.toLowerCase()}@example.com`;
      const res = await admin.importUsers([{ uid: name, email, passwordHash: k.hash, passwordSalt: k.salt ?? (name === 'BCRYPT' ? undefined : salt), customClaims: { from: name } }], { hash: k.options });
      assert.deepEqual([res.successCount, res.failureCount, res.errors], [1, 0, []]);
      await rejects(signInWithEmailAndPassword(client, email, 'wrong!'), 'invalid-credential');
      for (let i = 0; i < 2; i++) {
        const { user } = await signInWithEmailAndPassword(client, email, 'user1password');
        assert.equal(user.uid, name);
        assert.equal((await getIdTokenResult(user)).claims.from, name);
      }
    });
  }
  const some = await admin.importUsers([{ uid: 'ok' }, { uid: 'dup', email: 'md5@example.com' }, { uid: 'prov', email: 'prov@example.com', providerData: [{ uid: 'g1', providerId: 'google.com', displayName: 'G' }] }]);
  assert.deepEqual([some.successCount, some.failureCount, some.errors[0]?.index], [2, 1, 1]);
  assert.equal((await admin.getUserByProviderUid('google.com', 'g1')).uid, 'prov');
});

test('a provider that the Admin SDK sets up', async (t) => {
  const { admin, client } = await both(t);
  await admin.createProviderConfig({ providerId: 'oidc.corp', displayName: 'Corp', enabled: true, clientId: 'client-1', issuer: 'https://idp.example.com' });
  const got = await admin.getProviderConfig('oidc.corp');
  assert.deepEqual([got.clientId, got.issuer, got.displayName, got.enabled], ['client-1', 'https://idp.example.com', 'Corp', true]);
  assert.deepEqual((await admin.listProviderConfigs({ type: 'oidc' })).providerConfigs.map((c) => c.providerId), ['oidc.corp']);
  await admin.updateProviderConfig('oidc.corp', { enabled: false });
  await rejects(signInWithCredential(client, new OAuthProvider('saml.none').credential({ idToken: 'x' })), 'invalid-credential');
  await admin.deleteProviderConfig('oidc.corp');
  await assert.rejects(admin.getProviderConfig('oidc.corp'), code('configuration-not-found'));
});

test('how users sign in, set by the Admin SDK', async (t) => {
  const { admin, client } = await both(t);
  const manager = admin.projectConfigManager();
  assert.equal((await manager.getProjectConfig()).emailPrivacyConfig.enableImprovedEmailPrivacy, true);
  await manager.updateProjectConfig({ emailPrivacyConfig: { enableImprovedEmailPrivacy: false } });
  await rejects(signInWithEmailAndPassword(client, 'nobody@example.com', 'secret1'), 'user-not-found');
  await manager.updateProjectConfig({ passwordPolicyConfig: { enforcementState: 'ENFORCE', constraints: { minLength: 12 } } });
  await assert.rejects(createUserWithEmailAndPassword(client, 'ann@example.com', 'secret1'), /auth\/(weak-password|password-does-not-meet-requirements)/);
});

test('the emulator\'s own calls', async (t) => {
  const { p, admin, client } = await both(t);
  await createUserWithEmailAndPassword(client, 'ann@example.com', 'secret1');
  const res = await fetch(`http://127.0.0.1:${port}/emulator/v1/projects/${p.name}/accounts`, { method: 'DELETE' });
  assert.equal(res.status, 200);
  assert.deepEqual((await admin.listUsers()).users, []);
});
