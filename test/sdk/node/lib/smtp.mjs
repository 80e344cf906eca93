// A mail server that keeps what it gets.

import net from 'node:net';

/** server.port; server.mails: { from, to, text } as they came, decoded. */
export async function mailServer(t) {
  const self = { mails: [] };
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.write('220 test\r\n');
    let buffer = '';
    let mail = {};
    let data = null;
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1');
      let end;
      while ((end = buffer.indexOf('\r\n')) >= 0) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (data) {
          if (line === '.') {
            self.mails.push({ ...mail, raw: data.join('\r\n'), text: decode(data.join('\r\n')) });
            data = null;
            socket.write('250 taken\r\n');
          } else data.push(line.startsWith('.') ? line.slice(1) : line);
          continue;
        }
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'MAIL') mail = { from: /<(.*?)>/.exec(line)[1] };
        if (verb === 'RCPT') mail.to = /<(.*?)>/.exec(line)[1];
        if (verb === 'DATA') { data = []; socket.write('354 go on\r\n'); continue; }
        socket.write(verb === 'QUIT' ? '221 bye\r\n' : '250 ok\r\n');
        if (verb === 'QUIT') socket.end();
      }
    });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  t.after(() => server.close());
  self.port = server.address().port;
  return self;
}

/** The body of a mail in quoted-printable. */
function decode(raw) {
  const body = raw.slice(raw.indexOf('\r\n\r\n') + 4).replaceAll('=\r\n', '');
  return Buffer.from(body.replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1').toString('utf8');
}
