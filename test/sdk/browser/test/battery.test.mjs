// A bare page of another origin, the SDK as published, over each transport.

import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { launch, record, distrustWebSockets, port } from '../lib/browser.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const files = {
  '/index.html': [path.join(here, '../page/index.html'), 'text/html'],
  '/battery.js': [path.join(here, '../page/battery.js'), 'text/javascript'],
  '/firebase-app.js': [path.join(here, '../node_modules/firebase/firebase-app.js'), 'text/javascript'],
  '/firebase-database.js': [path.join(here, '../node_modules/firebase/firebase-database.js'), 'text/javascript'],
};

async function site(t) {
  const server = http.createServer(async (req, res) => {
    const file = files[new URL(req.url, 'http://x').pathname];
    if (!file) { res.statusCode = 404; return res.end(); }
    res.setHeader('content-type', `${file[1]}; charset=utf-8`);
    res.end(await readFile(file[0]));
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  t.after(() => { server.closeAllConnections(); return new Promise((r) => server.close(r)); });
  return server.address().port;
}

for (const { name, transport, init } of [
  { name: 'WebSocket', transport: 'ws' },
  { name: 'long polling', transport: 'lp' },
  { name: 'the switch', transport: '', init: distrustWebSockets },
]) {
  test(`battery over ${name}`, { timeout: 400000 }, async (t) => {
    const origin = await site(t);
    const browser = await launch(t);
    const context = await browser.newContext();
    if (init) await context.addInitScript(init);
    const page = await context.newPage();
    const seen = record(page);
    await page.goto(`http://127.0.0.1:${origin}/index.html?transport=${transport}&server=${encodeURIComponent(`http://127.0.0.1:${port}`)}`);
    await page.waitForFunction(() => window.battery);
    const names = await page.evaluate(() => Object.keys(window.battery));
    assert.ok(names.length >= 10);
    for (const n of names) {
      await t.test(n, { timeout: 150000 }, async () => {
        // Each test starts distrustful again where the switch is meant.
        if (init) await page.evaluate(() => localStorage.setItem('firebase:previous_websocket_failure', 'true'));
        await page.evaluate((key) => window.battery[key](), n);
      });
    }
    if (transport === 'ws') assert.equal(seen.lp.length, 0);
    if (transport === 'lp') assert.equal(seen.ws.length, 0);
    if (init) {
      assert.equal(seen.order[0], 'lp');
      assert.ok(seen.ws.some((u) => /[?&]s=/.test(u)), 'an upgrade');
      assert.ok(seen.frames.up.some((f) => f.includes('"t":"d"')), 'data over the socket');
    }
    assert.deepEqual(seen.errors, [], 'errors in the page');
  });
}
