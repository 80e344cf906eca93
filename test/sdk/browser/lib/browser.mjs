// Debian's Chromium under playwright-core, and a record of what its pages ask for.

import { chromium } from 'playwright-core';
import path from 'node:path';

export const port = Number(process.env.REBASE_PORT);
if (!port) throw new Error('REBASE_PORT is not set: run test/sdk/run-browser.sh');
const artifacts = process.env.ARTIFACTS;

export async function launch(t) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  t.after(() => browser.close());
  return browser;
}

/** Records a page's traffic with the database and everything that went wrong in it. */
export function record(page) {
  const seen = { lp: [], ws: [], order: [], errors: [], frames: { up: [], down: [] } };
  page.on('request', (r) => {
    if (new URL(r.url()).pathname === '/.lp') { seen.lp.push(r.url()); seen.order.push('lp'); }
  });
  page.on('websocket', (w) => {
    seen.ws.push(w.url());
    seen.order.push('ws');
    w.on('framesent', (f) => seen.frames.up.push(String(f.payload)));
    w.on('framereceived', (f) => seen.frames.down.push(String(f.payload)));
  });
  page.on('pageerror', (e) => seen.errors.push(String(e)));
  page.on('console', (m) => { if (m.type() === 'error') seen.errors.push(m.text()); });
  return seen;
}

/** As the SDK stores it after a socket that opened but never became healthy: it then starts with long polling. */
export function distrustWebSockets() {
  if (window.top !== window || sessionStorage.getItem('seen')) return;
  sessionStorage.setItem('seen', '1');
  localStorage.setItem('firebase:previous_websocket_failure', 'true');
}

export async function until(probe, what, ms = 30000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const got = await probe();
    if (got) return got;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${typeof what === 'function' ? what() : what}`);
    await new Promise((r) => setTimeout(r, 25));
  }
}

export async function shot(page, name) {
  if (artifacts) await page.screenshot({ path: path.join(artifacts, `${name}.png`), fullPage: true });
}
