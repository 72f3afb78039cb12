// An agent's end of the request folder in a process of its own, to be stopped, paused and killed.
// Arguments: folder, milliseconds an answer takes.
import { setTimeout as delay } from 'node:timers/promises';
import { createLogger } from '#base/telemetry/log.js';
import { answerCni } from '#mesh/cni/requests/cni-answers.js';
import { RequestFolder } from '#mesh/cni/requests/request-folder.js';

const [dir = '', takesMs = '0'] = process.argv.slice(2);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const log = createLogger('test');
const folder = new RequestFolder({
  dir,
  answer: (text) =>
    answerCni(text, {
      admit: async () => {
        process.send?.('asked');
        await delay(Number(takesMs));
      },
      check: async () => [],
      log,
    }),
  log,
});
process.send?.('started');
await folder.serve(stop.signal);
process.disconnect?.();
