// A credential for the Admin SDK for Node that honours the token_uri of a key file, as the SDK's own cert() does not.
// This is the code that docs/auth.md shows.
import { createSign } from 'node:crypto';

export function serviceAccount(key) {
  return {
    async getAccessToken() {
      const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
      const now = Math.floor(Date.now() / 1000);
      const signed = `${part({ alg: 'RS256', typ: 'JWT', kid: key.private_key_id })}.${part({
        iss: key.client_email, sub: key.client_email, aud: key.token_uri, iat: now, exp: now + 3600,
      })}`;
      const signature = createSign('RSA-SHA256').update(signed).sign(key.private_key, 'base64url');
      const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: `${signed}.${signature}` });
      const answer = await fetch(key.token_uri, { method: 'POST', body });
      if (!answer.ok) throw new Error(`no access token: ${await answer.text()}`);
      return answer.json();
    },
  };
}
