// The demo page: two windows chat and see each other come and go, over every transport.

import test from 'node:test';
import assert from 'node:assert/strict';
import { launch, record, distrustWebSockets, until, shot, port } from '../lib/browser.mjs';

const transports = [
  { name: 'WebSocket', query: '?transport=ws' },
  { name: 'long polling', query: '?transport=lp' },
  { name: 'switch from long polling to WebSocket', query: '', init: distrustWebSockets },
  { name: 'automatic', query: '' },
];

for (const { name, query, init } of transports) {
  test(`demo over ${name}`, async (t) => {
    const browser = await launch(t);
    const open = async () => {
      const context = await browser.newContext();
      if (init) await context.addInitScript(init);
      const page = await context.newPage();
      const seen = record(page);
      await page.goto(`http://127.0.0.1:${port}/_rebase/demo/${query}`);
      await page.waitForSelector('#status[data-connected="true"]', { timeout: 30000 });
      return { page, seen, context };
    };
    const here = (p, n, ms = 30000) => until(async () => Number(await p.page.textContent('#count')) === n, `${n} windows in the list`, ms);
    const bubbles = (p) => p.page.$$eval('#messages .bubble', (list) => list.map((b) => b.textContent));
    const say = async (p, text) => {
      await p.page.fill('#text', text);
      await p.page.click('#send');
    };
    const hear = (p, text) => until(async () => (await bubbles(p)).includes(text), `"${text}"`);

    const a = await open();
    await here(a, 1, 90000); // those of an earlier test may still be on their way out
    const b = await open();
    await here(a, 2);
    await here(b, 2);

    const tag = Math.random().toString(36).slice(2);
    await say(a, `hello from a ${tag}`);
    await hear(b, `hello from a ${tag}`);
    await say(b, `hello from b ${tag} – ü😀 <b>no markup</b>`);
    await hear(a, `hello from b ${tag} – ü😀 <b>no markup</b>`);
    await a.page.waitForSelector('#messages .msg.mine.sent');
    for (let i = 0; i < 5; i++) {
      await say(a, `a${i} ${tag}`);
      await say(b, `b${i} ${tag}`);
    }
    for (const p of [a, b]) for (let i = 0; i < 5; i++) { await hear(p, `a${i} ${tag}`); await hear(p, `b${i} ${tag}`); }
    assert.equal(await a.page.$$eval('#messages .failed', (l) => l.length), 0);
    // Both windows show one order.
    const mine = async (p) => (await bubbles(p)).filter((x) => x.endsWith(tag));
    await until(async () => JSON.stringify((await mine(a)).toSorted()) === JSON.stringify((await mine(b)).toSorted()), 'the same messages');

    // Offline and back.
    await b.page.click('#online');
    await here(a, 1, 90000);
    await b.page.click('#online');
    await here(a, 2);
    await say(b, `back ${tag}`);
    await hear(a, `back ${tag}`);
    await shot(a.page, `demo-${name.replaceAll(' ', '-')}`);

    for (const p of [a, b]) {
      const { seen } = p;
      if (name === 'WebSocket' || name === 'automatic') {
        assert.equal(seen.lp.length, 0);
        assert.ok(seen.ws.length >= 1);
      } else if (name === 'long polling') {
        assert.equal(seen.ws.length, 0);
        assert.ok(seen.lp.length >= 3);
        assert.match(seen.lp[0], /start=t/);
      } else {
        assert.equal(seen.order[0], 'lp', 'it starts with long polling');
        const upgrade = seen.ws.find((u) => /[?&]s=/.test(u));
        assert.ok(upgrade, `no upgrade socket among ${seen.ws}`);
        // It was not refused: the writes went over the socket, and trust is restored.
        await until(() => seen.frames.up.some((f) => f.includes('"t":"d"')), 'data over the socket');
        assert.ok(seen.frames.down.some((f) => f.includes('"t":"d"')), 'data over the socket, downwards');
        assert.equal(await p.page.evaluate(() => localStorage.getItem('firebase:previous_websocket_failure')), null);
      }
      assert.deepEqual(seen.errors, [], 'errors in the page');
    }

    // The entry of a window that goes away, goes too.
    await b.context.close();
    await here(a, 1, 90000);
  });
}

test('over the switch nothing is lost: messages sent all the while', async (t) => {
  const browser = await launch(t);
  const context = await browser.newContext();
  await context.addInitScript(distrustWebSockets);
  const page = await context.newPage();
  const seen = record(page);
  const tag = Math.random().toString(36).slice(2);
  await page.goto(`http://127.0.0.1:${port}/_rebase/demo/`);
  // From the first moment on, while it still polls, while it switches, and after.
  let n = 0;
  await until(async () => {
    await page.fill('#text', `n${n++} ${tag}`);
    await page.click('#send');
    return n > 20 && seen.frames.up.some((f) => f.includes('"t":"d"')) && n > 60;
  }, 'the switch', 60000);
  await until(async () => (await page.$$eval('#messages .msg.mine.sent', (l) => l.length)) === n, 'all messages acknowledged');
  const other = await (await browser.newContext()).newPage();
  const res = await other.request.get(`http://127.0.0.1:${port}/messages.json?ns=demo`);
  const all = Object.values(await res.json()).map((m) => m.text).filter((x) => x.endsWith(tag));
  assert.deepEqual(all, Array.from({ length: n }, (_, i) => `n${i} ${tag}`));
  assert.deepEqual(seen.errors, []);
});
