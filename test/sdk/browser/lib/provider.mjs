// An OpenID Connect provider with a page that asks the user, who may refuse.

import http from 'node:http';
import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';

export async function provider(t) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const self = { asked: [] };
  const codes = new Map();
  const sign = (body) => {
    const now = Math.floor(Date.now() / 1000);
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: 'k1' })}.${part({ iss: self.issuer, aud: 'client-1', iat: now, exp: now + 600, ...body })}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`;
  };
  const server = http.createServer(async (req, res) => {
    const url = new URL(req.url, self.issuer);
    const json = (o, status = 200) => { res.writeHead(status, { 'content-type': 'application/json' }); res.end(JSON.stringify(o)); };
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json({ issuer: self.issuer, jwks_uri: `${self.issuer}/keys`, authorization_endpoint: `${self.issuer}/authorize`, token_endpoint: `${self.issuer}/token` });
      case '/keys':
        return json({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] });
      case '/authorize': {
        const asked = Object.fromEntries(url.searchParams);
        self.asked.push(asked);
        const code = randomBytes(8).toString('hex');
        codes.set(code, asked);
        const back = (extra) => `${asked.redirect_uri}?${new URLSearchParams({ state: asked.state, ...extra })}`;
        res.writeHead(200, { 'content-type': 'text/html' });
        return res.end(`<title>provider</title><link rel="icon" href="data:,"><a id="yes" href="${back({ code })}">yes</a> <a id="no" href="${back({ error: 'access_denied' })}">no</a>`);
      }
      case '/token': {
        let body = '';
        for await (const chunk of req) body += chunk;
        const form = new URLSearchParams(body);
        const asked = codes.get(form.get('code'));
        codes.delete(form.get('code'));
        const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
        if (!asked || challenge !== asked.code_challenge || form.get('redirect_uri') !== asked.redirect_uri) return json({ error: 'invalid_grant' }, 400);
        return json({ access_token: 'at', id_token: sign({ sub: 's1', email: 'ann@corp.example', email_verified: true, name: 'Ann', nonce: asked.nonce }) });
      }
      default:
        return json({}, 404);
    }
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  t.after(() => { server.closeAllConnections(); return new Promise((r) => server.close(r)); });
  self.issuer = `http://127.0.0.1:${server.address().port}`;
  return self;
}
