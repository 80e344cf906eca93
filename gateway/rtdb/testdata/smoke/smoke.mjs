// The unmodified SDK against the server at host:port given as the only argument. Prints "passed" or throws.
import { createRequire } from "node:module";
import assert from "node:assert/strict";
const require = createRequire(process.env.SMOKE_MODULES + "/");
const { initializeApp, deleteApp } = require("firebase/app");
const db = require("firebase/database");

const [host, port] = process.argv[2].split(":");
function client(name) {
  const app = initializeApp({ databaseURL: `http://${host}:${port}?ns=smoke` }, name);
  const d = db.getDatabase(app);
  db.connectDatabaseEmulator(d, host, Number(port));
  return { app, d, ref: (p) => db.ref(d, p) };
}
const a = client("a"), b = client("b");
const seen = (ref, want) => new Promise((resolve) => {
  const off = db.onValue(ref, (s) => { if (want(s.val(), s)) { queueMicrotask(() => off()); resolve(s.val()); } });
});

// set, get, and a listener in another client
const heard = seen(b.ref("room"), (v) => v && v.n === 3);
for (let n = 1; n <= 3; n++) await db.set(a.ref("room"), { n, who: "ä😀" });
assert.deepEqual(await heard, { n: 3, who: "ä😀" });
assert.deepEqual((await db.get(b.ref("room"))).val(), { n: 3, who: "ä😀" });

// the writer's own listener never sees an old value again
const own = [];
const offOwn = db.onValue(a.ref("own"), (s) => own.push(s.val()));
for (let n = 1; n <= 5; n++) await db.set(a.ref("own"), n);
offOwn();
assert.deepEqual(own, [1, 2, 3, 4, 5]);

// update with deep paths, priorities, server values
await db.update(a.ref("/"), { "room/n": 7, "room/deep/x": true, "t": db.serverTimestamp() });
assert.deepEqual((await db.get(b.ref("room"))).val(), { n: 7, who: "ä😀", deep: { x: true } });
assert.ok(Math.abs((await db.get(b.ref("t"))).val() - Date.now()) < 60_000);
await db.setWithPriority(a.ref("prio"), "v", 9);
assert.equal((await db.get(b.ref("prio"))).priority, 9);

// transactions from two clients
await Promise.all([a, b].flatMap((c) => Array.from({ length: 10 }, () => db.runTransaction(c.ref("count"), (n) => (n ?? 0) + 1))));
assert.equal((await db.get(a.ref("count"))).val(), 20);
await Promise.all([a, b].flatMap((c) => Array.from({ length: 20 }, () => db.set(c.ref("inc"), db.increment(1)))));
assert.equal((await db.get(a.ref("inc"))).val(), 40);

// a window that moves
for (let i = 0; i < 10; i++) await db.set(a.ref(`list/k${i}`), { v: i });
const events = [];
const last = db.query(b.ref("list"), db.orderByChild("v"), db.limitToLast(2));
db.onChildAdded(last, (s) => events.push("+" + s.key));
db.onChildRemoved(last, (s) => events.push("-" + s.key));
await seen(last, (v) => v && Object.keys(v).length === 2);
await db.set(a.ref("list/new"), { v: 100 });
await seen(last, (v) => v && v.new);
await db.remove(a.ref("list/new"));
await seen(last, (v) => v && !v.new && v.k8);
assert.deepEqual(events, ["+k8", "+k9", "-k8", "+new", "-new", "+k8"]);

// a message of many segments, both ways
const big = "é".repeat(50_000) + "😀";
await db.set(a.ref("big"), big);
assert.equal((await db.get(b.ref("big"))).val(), big);

// authentication does not disturb what is pipelined behind it; onDisconnect runs when the client goes
await db.onDisconnect(a.ref("presence/a")).set("left");
await db.set(a.ref("presence/a"), "here");
const left = seen(b.ref("presence/a"), (v) => v === "left");
await deleteApp(a.app);
await left;

// going offline and back
db.goOffline(b.d);
const late = db.set(b.ref("offline"), "sent later");
db.goOnline(b.d);
await late;
assert.equal((await db.get(b.ref("offline"))).val(), "sent later");
await deleteApp(b.app);
console.log("passed");
process.exit(0);
