// Starts npm's firebase-server on the port given, for `rebase bench --baseline`.
const FirebaseServer = require('firebase-server');
const port = Number(process.argv[2] || 5999);
new FirebaseServer(port, '127.0.0.1', {});
console.log(`listening on http://127.0.0.1:${port}`);
