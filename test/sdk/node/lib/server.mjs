// A server of the test's own, for tests that stop and start it.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** server.port; server.dir, its data; server.stop(signal) waits for its end; server.start() runs it again on the same port and data. */
export async function ownServer(t, ...flags) {
  const bin = process.env.REBASE_BIN;
  if (!bin) throw new Error('REBASE_BIN is not set: run test/sdk/run-node.sh');
  const dir = mkdtempSync(path.join(tmpdir(), 'rebase-own-'));
  const self = { port: 0, dir, child: null };
  self.start = () => new Promise((resolve, reject) => {
    const child = spawn(bin, ['serve', '--listen', `127.0.0.1:${self.port}`, '--data', dir, ...flags]);
    self.child = child;
    let out = '';
    const read = (chunk) => {
      out += chunk;
      const m = /listening on http:\/\/[^\s]*:(\d+)/.exec(out);
      if (m) { self.port = Number(m[1]); resolve(); }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', (chunk) => { out += chunk; });
    child.on('exit', (code) => reject(new Error(`the server ended (${code}):\n${out}`)));
  });
  self.stop = (signal = 'SIGTERM') => new Promise((resolve) => {
    if (self.child.exitCode !== null || self.child.signalCode !== null) return resolve();
    self.child.once('exit', resolve);
    self.child.kill(signal);
  });
  t.after(async () => {
    await self.stop('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  await self.start();
  return self;
}
