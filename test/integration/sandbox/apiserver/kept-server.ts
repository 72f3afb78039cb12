import { startApiServer } from '#sandbox/apiserver/server.js';
import { createLogger } from '#base/telemetry/log.js';
import { localKubelet } from './api-under-test.js';

// A process of its own for tests that kill it: an API server that keeps its objects in a folder.
// It tells its address and how to be asked, as a line of JSON.
const [folder = ''] = process.argv.slice(2);
const api = await startApiServer({
  listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
  advertise: { host: '127.0.0.1', port: 6443 },
  pkiDirectory: `${folder}/pki`,
  stateFile: `${folder}/objects.json`,
  kubelet: localKubelet,
  logger: createLogger('kept-server'),
});
const { certPem, keyPem } = await api.issue('admin', ['system:masters']);
const told = { url: `https://127.0.0.1:${api.ports[0]}`, ca: api.caPem, cert: certPem, key: keyPem };
process.stdout.write(`${JSON.stringify(told)}\n`);
