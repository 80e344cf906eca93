// The demo: a chat, a presence list and a latency meter, written as any Firebase
// app is. The two imports are the SDK as npm publishes it; the only thing that is
// Rebase's own is the address in databaseURL.
import { initializeApp } from "./vendor/firebase-app.js";
import {
  forceLongPolling, forceWebSockets, getDatabase, goOffline, goOnline, limitToLast, onChildAdded,
  onDisconnect, onValue, push, query, ref, remove, serverTimestamp, set, update,
} from "./vendor/firebase-database.js";

const $ = (id) => document.getElementById(id);

// The SDK takes the transport once, before the first connection.
const transport = new URLSearchParams(location.search).get("transport") ?? "";
if (transport === "lp") forceLongPolling();
if (transport === "ws") forceWebSockets();
for (const link of $("transport").children) {
  if (link.dataset.transport === transport) link.setAttribute("aria-current", "page");
}

const databaseURL = `${location.origin}/?ns=demo`;
$("url").textContent = databaseURL;
const db = getDatabase(initializeApp({ databaseURL }));

// ---- who this window is ----

const animals = ["Otter", "Heron", "Lynx", "Badger", "Finch", "Marten", "Ibis", "Dormouse", "Kestrel", "Newt"];
const moods = ["Quiet", "Brisk", "Merry", "Curious", "Patient", "Bright", "Nimble", "Gentle"];
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const presence = ref(db, "presence");
const self = push(presence); // a push id is made on the client: no round trip
const probe = ref(db, `probes/${self.key}`); // what the latency meter writes to
const nameField = $("name");
nameField.value = sessionStorage.getItem("name") ?? `${pick(moods)} ${pick(animals)}`;

function avatar(name, id) {
  const node = document.createElement("span");
  node.className = "avatar";
  node.ariaHidden = "true";
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.codePointAt(0)) % 360;
  node.style.setProperty("--hue", hue);
  node.textContent = name.split(/\s+/).slice(0, 2).map((w) => [...w][0] ?? "").join("").toUpperCase();
  return node;
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text; // never markup: what people write is only ever text
  return node;
}

// ---- connection and presence ----

let connected = false;
let wanted = true;
onValue(ref(db, ".info/connected"), (snapshot) => {
  connected = snapshot.val() === true;
  showStatus();
  if (!connected) return;
  // In this order: should the connection break between the two, nothing stays behind.
  onDisconnect(self).remove();
  onDisconnect(probe).remove();
  set(self, { name: nameField.value, since: serverTimestamp() });
});

function showStatus() {
  const status = $("status");
  status.dataset.connected = connected;
  status.lastElementChild.textContent = connected ? "Connected" : wanted ? "Connecting…" : "Offline";
}

$("online").addEventListener("click", () => {
  wanted = !wanted;
  if (wanted) goOnline(db); else goOffline(db);
  $("online").textContent = wanted ? "Go offline" : "Go online";
  $("online").ariaPressed = String(wanted);
  showStatus();
});

nameField.addEventListener("change", () => {
  nameField.value = nameField.value.trim() || `${pick(moods)} ${pick(animals)}`;
  sessionStorage.setItem("name", nameField.value);
  update(self, { name: nameField.value });
});

onValue(presence, (snapshot) => {
  const rows = [];
  snapshot.forEach((child) => {
    const name = String(child.val()?.name ?? "Someone");
    const row = document.createElement("li");
    row.dataset.id = child.key;
    row.append(avatar(name, child.key), element("span", "", name));
    if (child.key === self.key) row.append(element("span", "you", "this window"));
    rows.push(row);
  });
  $("presence").replaceChildren(...rows);
  $("count").textContent = rows.length;
});

// ---- messages ----

const messages = ref(db, "messages");
const sentAt = new Map(); // key -> performance.now() of this window's own messages
const log = $("messages");

onChildAdded(query(messages, limitToLast(3)), (snapshot) => {
  const { name = "Someone", text = "", from = "", at } = snapshot.val() ?? {};
  const row = element("li", from === self.key ? "msg mine" : "msg", "");
  row.dataset.key = snapshot.key;
  const when = new Date(typeof at === "number" ? at : Date.now());
  const who = element("span", "who", from === self.key ? "You" : String(name));
  const time = element("time", "", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = when.toISOString();
  who.append(" · ", time);
  row.append(avatar(String(name), String(from)), who, element("div", "bubble", String(text)));
  log.append(row);
  log.scrollTop = log.scrollHeight;
});

// acknowledge shows what became of a message that this window sent.
function acknowledge(key, className, text) {
  const row = log.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!row) return;
  row.classList.remove("waiting");
  row.classList.add(className);
  row.querySelector(".ack")?.remove();
  const ack = element("span", "ack", ` ${text}`);
  row.querySelector(".who").append(ack);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  const message = push(messages);
  sentAt.set(message.key, performance.now());
  // The SDK raises child_added for the sender at once, before the server has answered.
  set(message, { name: nameField.value, text, from: self.key, at: serverTimestamp() }).then(() => {
    const took = performance.now() - sentAt.get(message.key);
    sentAt.delete(message.key);
    acknowledge(message.key, "sent", `✓ ${took.toFixed(took < 10 ? 1 : 0)} ms`);
    if (took < 5000) record(took); // one that waited for the network says nothing about latency
  }, (error) => acknowledge(message.key, "failed", `not stored: ${error.message}`));
  acknowledge(message.key, "waiting", connected ? "…" : "waiting for the connection");
});

// ---- latency ----

const samples = [];

function record(ms) {
  samples.push(ms);
  if (samples.length > 40) samples.shift();
  const sorted = [...samples].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  $("latency").textContent = median.toFixed(median < 10 ? 1 : 0);
  const top = Math.max(...samples, 1) * 1.15;
  const step = 240 / Math.max(samples.length - 1, 1);
  const points = samples.map((v, i) => `${(i * step).toFixed(1)} ${(46 - (v / top) * 44).toFixed(1)}`);
  $("spark").firstElementChild.setAttribute("d", `M${points.join("L")}`);
}

let measuring = false;
setInterval(async () => {
  if (!connected || measuring || document.hidden) return;
  measuring = true;
  const start = performance.now();
  try {
    await set(probe, serverTimestamp());
    record(performance.now() - start);
  } finally {
    measuring = false;
  }
}, 1000);

// A page that is being left need not wait for the server to notice.
addEventListener("pagehide", () => { remove(self); remove(probe); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
