// A bare speaker of the wire protocol, for what the SDKs hide or forbid.

import WebSocket from 'ws';
import { port, until, within } from './harness.mjs';

/**
 * Connects; resolves when the hello is there.
 * conn.frames: every frame as received. conn.log: {push}|{answer} in order of
 * arrival. conn.ask(a, b) → {s, d}.
 */
export async function raw(t, ns, { at = port, query = '', host, hello = true } = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${at}/.ws?v=5&ns=${ns}${query}`, host ? { headers: { host } } : {});
  const conn = { ws, frames: [], log: [], control: [], hello: undefined, closed: false, next: 1 };
  const waiting = new Map();
  let parts = null;
  let missing = 0;
  ws.on('message', (data, binary) => {
    if (binary) throw new Error('a binary frame');
    const text = data.toString();
    conn.frames.push(text);
    if (parts === null && text.length <= 6 && /^\d+$/.test(text)) {
      missing = Number(text);
      parts = [];
      return;
    }
    if (parts !== null) {
      parts.push(text);
      if (--missing > 0) return;
    }
    const message = JSON.parse(parts === null ? text : parts.join(''));
    parts = null;
    if (message.t === 'c') {
      conn.control.push(message.d);
      if (message.d.t === 'h') conn.hello = message.d.d;
      return;
    }
    const d = message.d;
    if ('r' in d) {
      conn.log.push({ answer: d.r, ...d.b });
      waiting.get(d.r)?.(d.b);
      waiting.delete(d.r);
    } else {
      conn.log.push({ push: d.a, ...d.b });
    }
  });
  ws.on('close', () => { conn.closed = true; });
  ws.on('error', () => { conn.closed = true; });
  conn.sendText = (text) => {
    if (text.length <= 16384) return ws.send(text);
    const segments = [];
    for (let i = 0; i < text.length; i += 16384) segments.push(text.slice(i, i + 16384));
    ws.send(String(segments.length));
    for (const s of segments) ws.send(s);
  };
  conn.send = (a, b) => {
    const r = conn.next++;
    const answered = new Promise((resolve) => waiting.set(r, resolve));
    conn.sendText(JSON.stringify({ t: 'd', d: { r, a, b } }));
    answered.r = r;
    return answered;
  };
  conn.ask = (a, b) => within(conn.send(a, b), `answer to ${a} ${JSON.stringify(b).slice(0, 100)}`);
  conn.ping = () => ws.send(JSON.stringify({ t: 'c', d: { t: 'p', d: {} } }));
  conn.pushes = () => conn.log.filter((m) => m.push);
  conn.close = () => ws.close();
  conn.cut = () => ws.terminate();
  t.after(() => ws.terminate());
  if (hello) await until(() => conn.hello || conn.closed, 'the hello');
  return conn;
}
