import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { aggregatedLines, plainLines } from './kinds/discovery.js';
import { describeServers } from './servers.js';

const golden = join(import.meta.dirname, 'kinds', 'golden', 'discovery.json');
/** Set to write down what kube-apiserver answers. */
const isRecording = process.env.RECORD_GOLDEN === '1';

interface Recorded {
  readonly aggregated: readonly string[];
  readonly plain: readonly string[];
}

/** Whom `kubectl api-resources` believes. Nothing differs on purpose. */
describeServers('discovery', (server, kind) => {
  if (isRecording) {
    test.runIf(kind === 'external')('is recorded', async () => {
      const recorded: Recorded = {
        aggregated: await aggregatedLines(server()),
        plain: await plainLines(server()),
      };
      writeFileSync(golden, `${JSON.stringify(recorded, null, 1)}\n`);
      expect(recorded.plain.length).toBeGreaterThan(100);
    });
    return;
  }
  const wanted = JSON.parse(readFileSync(golden, 'utf8')) as Recorded;

  test('the aggregated documents name the same groups, resources and verbs', async () => {
    expect(await aggregatedLines(server())).toEqual(wanted.aggregated);
  });

  test('the documents of single versions do too', async () => {
    expect(await plainLines(server())).toEqual(wanted.plain);
  });
});
