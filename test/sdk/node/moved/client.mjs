// A client that writes and listens until it is told to stop, whatever happens to its connection. Run by a test of gateway/rtdb:
//
//   node moved/client.mjs http://127.0.0.1:PORT/?ns=NAME
//
// A line on its standard input ends the writing. When everything has been answered it says what it has seen.

import { createInterface } from 'node:readline';
import { initializeApp, deleteApp } from 'firebase/app';
import { getDatabase, ref, set, increment, onValue, onChildAdded, onDisconnect } from 'firebase/database';

const app = initializeApp({ databaseURL: process.argv[2] });
const db = getDatabase(app);
const seen = { made: 0, failed: 0, count: 0, items: [], connected: 0, wentBack: 0, host: '' };
let stop = false;
createInterface({ input: process.stdin }).once('line', () => { stop = true; });

onValue(ref(db, '.info/connected'), (s) => {
  if (!s.val()) return;
  seen.connected++;
  onDisconnect(ref(db, 'left')).set(increment(1));
  process.stdout.write(`connected ${seen.connected}\n`);
});
onValue(ref(db, 'count'), (s) => {
  if ((s.val() ?? 0) < seen.count) seen.wentBack++;
  seen.count = s.val() ?? 0;
});
onChildAdded(ref(db, 'items'), (s) => { seen.items.push(s.val()); });

const answers = [];
while (!stop) {
  const n = seen.made++;
  answers.push(Promise.all([set(ref(db, 'count'), increment(1)), set(ref(db, `items/i${n}`), n)]).catch(() => { seen.failed++; }));
  await new Promise((resolve) => { setTimeout(resolve, 3); });
}
await Promise.all(answers);
while (seen.items.length < seen.made) await new Promise((resolve) => { setTimeout(resolve, 10); });
seen.host = db._repo.repoInfo_.internalHost;
seen.items = new Set(seen.items).size;
process.stdout.write(`${JSON.stringify(seen)}\n`);
await deleteApp(app);
process.exit(0);
