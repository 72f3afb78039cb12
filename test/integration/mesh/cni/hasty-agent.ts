// An agent as hasty as can be: it refuses every request at once, and takes the marker away whenever there is one:
// what a plugin writes down with its question is gone before the plugin looks at it. Argument: folder.
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

// A failure costs microseconds without it.
Error.stackTraceLimit = 0;
const [dir = ''] = process.argv.slice(2);
const lease = join(dir, 'lease');
const requests = join(dir, 'requests');
const hour = 3_600_000;
writeFileSync(lease, '');
utimesSync(lease, new Date(Date.now() + hour), new Date(Date.now() + hour));
process.send?.('started');
/** Longer than the plugin takes to look at what it wrote. */
const takeawayMs = 10;

for (;;) {
  for (const name of readdirSync(requests)) {
    const id = /^([0-9]+)\.answer$/.exec(name)?.[1];
    if (id === undefined) continue;
    const [answer, marker] = [join(requests, name), join(requests, `${id}.ready`)];
    while (!canRefuse(answer)) continue;
    let until = Infinity;
    while (performance.now() < until) {
      try {
        unlinkSync(marker);
        until = Math.min(until, performance.now() + takeawayMs);
      } catch {
        // Not written yet, or not written again.
      }
    }
    for (const path of [answer, join(requests, `${id}.request`)]) rmSync(path, { force: true });
  }
}

/** False while the plugin does not listen yet. */
function canRefuse(answer: string): boolean {
  try {
    const fd = openSync(answer, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(fd, '+{"code":100}\n=1\n');
    closeSync(fd);
    return true;
  } catch {
    return false;
  }
}
