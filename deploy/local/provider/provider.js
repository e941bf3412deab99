// An OpenID provider for tests: `oidc-provider`, with accounts that it is told of. Who gives the name of one at its form is that one.
import http from 'node:http';
import Provider from 'oidc-provider';

// Standard output is for one line: where it is.
globalThis.console = new console.Console(process.stderr);

const { client, accounts } = JSON.parse(process.env.PROVIDER);
const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  cookies: { keys: [client.client_secret] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) =>
    accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
  pkce: { required: () => true },
});
server.on('request', provider.callback());
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
