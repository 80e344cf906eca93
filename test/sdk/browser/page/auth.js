// An app as its makers write it: Auth with the browser's own persistence, and a database. window.app is for the test.
import { initializeApp } from './firebase-app.js';
import * as auth from './firebase-auth.js';
import { getDatabase, ref, get, set, onValue } from './firebase-database.js';

const params = new URLSearchParams(location.search);
const server = params.get('server');
const app = initializeApp({ apiKey: params.get('key'), projectId: params.get('project'), databaseURL: `${server}/?ns=${params.get('project')}`, authDomain: 'not-asked.example' });
const a = auth.getAuth(app);
auth.connectAuthEmulator(a, server, { disableWarnings: true });
const db = getDatabase(app);

const states = [];
auth.onAuthStateChanged(a, (u) => states.push(u ? u.uid : null));

const told = async (promise) => {
  try {
    return { value: await promise };
  } catch (err) {
    return { code: err.code ?? err.message };
  }
};

window.app = {
  states,
  user: () => a.currentUser && { uid: a.currentUser.uid, email: a.currentUser.email, anonymous: a.currentUser.isAnonymous, name: a.currentUser.displayName },
  signUp: (email, password) => told(auth.createUserWithEmailAndPassword(a, email, password).then((c) => c.user.uid)),
  signIn: (email, password) => told(auth.signInWithEmailAndPassword(a, email, password).then((c) => c.user.uid)),
  anonymously: () => told(auth.signInAnonymously(a).then((c) => c.user.uid)),
  upgrade: (email, password) => told(auth.linkWithCredential(a.currentUser, auth.EmailAuthProvider.credential(email, password)).then((c) => c.user.uid)),
  rename: (displayName) => told(auth.updateProfile(a.currentUser, { displayName })),
  refresh: () => told(a.currentUser.getIdToken(true).then(() => true)),
  popup: (id) => told(auth.signInWithPopup(a, new auth.OAuthProvider(id)).then((c) => ({ uid: c.user.uid, isNew: auth.getAdditionalUserInfo(c).isNewUser }))),
  link: (id) => told(auth.linkWithPopup(a.currentUser, new auth.OAuthProvider(id)).then((c) => c.user.uid)),
  redirect: (id) => told(auth.signInWithRedirect(a, new auth.OAuthProvider(id))),
  redirected: () => told(auth.getRedirectResult(a).then((c) => c && c.user.uid)),
  signOut: () => told(auth.signOut(a)),
  write: (path, value) => told(set(ref(db, path), value).then(() => 'written')),
  read: (path) => told(get(ref(db, path)).then((s) => s.val())),
  watch: (path) => {
    const seen = [];
    onValue(ref(db, path), (s) => seen.push(s.val()), (err) => seen.push(err.code));
    return window.app.seen = seen;
  },
};
