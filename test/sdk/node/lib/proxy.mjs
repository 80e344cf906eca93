// A WebSocket proxy between an SDK and the server that can lose what it carries.

import http from 'node:http';
import { WebSocketServer, WebSocket } from 'ws';
import { port, until } from './harness.mjs';

/**
 * proxy.port      where the SDK connects
 * proxy.links     every connection so far: {url, up: [frames to the server], down: [frames to the client]}
 * proxy.swallow(matches)  lets the next frame for which matches(text) is true reach the server, keeps from the
 *                 client everything from then on, and resolves when the server has answered that request.
 * proxy.settled() resolves when the server has been told that what it sent so far has arrived
 * proxy.cut()     cuts every connection on both sides without a close frame
 * proxy.refuse    while true, new connections are dropped
 */
export async function proxy(t, { target = port } = {}) {
  const self = { links: [], refuse: false, target };
  const server = http.createServer((req, res) => { res.statusCode = 502; res.end(); });
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false, autoPong: false, maxPayload: 1 << 28 });
  let trap = null;

  server.on('upgrade', (req, socket, head) => {
    socket.on('error', () => {});
    if (self.refuse) return socket.destroy();
    wss.handleUpgrade(req, socket, head, (down) => link(req, down));
  });

  function link(req, down) {
    const up = new WebSocket(`ws://127.0.0.1:${self.target}${req.url}`, {
      headers: { host: req.headers.host, 'user-agent': req.headers['user-agent'] ?? '' },
      perMessageDeflate: false,
      autoPong: false,
    });
    const l = { url: req.url, up: [], down: [], deaf: false, pongs: 0, cut: null, open: true };
    const early = [];
    let request;
    self.links.push(l);
    down.on('message', (data) => {
      const text = data.toString();
      l.up.push(text);
      if (up.readyState === WebSocket.OPEN) up.send(text); else early.push(text);
      if (trap && trap.matches(text)) {
        l.deaf = true;
        l.trap = trap;
        trap = null;
        request = /"r":(\d+)/.exec(text)?.[1];
      }
    });
    up.on('open', () => { for (const text of early.splice(0)) up.send(text); });
    up.on('message', (data) => {
      const text = data.toString();
      if (l.deaf) {
        if (request && text.includes(`"r":${request},`)) l.trap.done(text);
        return;
      }
      l.down.push(text);
      if (down.readyState === WebSocket.OPEN) down.send(text);
    });
    // Pings and pongs pass through: a proxy that answered them itself would vouch for frames that the client never got.
    up.on('ping', (data) => { if (!l.deaf && down.readyState === WebSocket.OPEN) down.ping(data); });
    down.on('ping', (data) => { if (up.readyState === WebSocket.OPEN) up.ping(data); });
    up.on('pong', (data) => { if (!l.deaf && down.readyState === WebSocket.OPEN) down.pong(data); });
    down.on('pong', (data) => { if (up.readyState === WebSocket.OPEN) { up.pong(data); l.pongs += 1; } });
    l.cut = () => { l.open = false; down.terminate(); up.terminate(); };
    down.on('close', () => { l.open = false; up.close(); });
    up.on('close', () => { l.open = false; down.close(); });
    down.on('error', () => l.cut());
    up.on('error', () => l.cut());
  }

  // The server learns by a pong that its answers have arrived. Only then does it take an equal write on the next
  // connection for a new one; a write repeated right after a break cannot be told from one sent again.
  self.settled = async () => {
    const l = self.links.at(-1);
    const before = l.pongs;
    await until(() => l.pongs > before || !l.open, 'the server to make sure of its answers');
  };
  self.swallow = (matches) => new Promise((done) => { trap = { matches, done }; });
  self.cut = () => { for (const l of self.links) if (l.open) l.cut(); };
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  self.port = server.address().port;
  t.after(() => {
    self.refuse = true;
    self.cut();
    return new Promise((r) => { server.close(r); server.closeAllConnections(); });
  });
  return self;
}
