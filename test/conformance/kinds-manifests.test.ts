import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { corpusFiles, goldenPath, type Outcome, type Paths, pathsOf, runCase } from './kinds/corpus.js';
import { describeServers } from './servers.js';

/** Set to write down what kube-apiserver answers, after the corpus has changed. */
const isRecording = process.env.RECORD_GOLDEN === '1';

describeServers('manifests of built-in kinds', (server, kind) => {
  let paths: Paths;
  let namespace: string;
  beforeAll(async () => {
    paths = await pathsOf(server());
    namespace = await server().namespace('kinds');
  });

  describe.each(corpusFiles())('$name', (file) => {
    const path = goldenPath(file.name);
    if (isRecording) {
      test.runIf(kind === 'external')('is recorded', async () => {
        const outcomes: Record<string, Outcome> = {};
        for (const c of file.cases) outcomes[c.name] = await runCase(server(), paths, namespace, file, c);
        writeFileSync(path, `${JSON.stringify(outcomes, null, 1)}\n`);
        expect(Object.keys(outcomes).length).toBe(file.cases.length);
      });
      return;
    }
    const golden = existsSync(path)
      ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, Outcome>)
      : {};
    test.each(file.cases)('$name', async (c) => {
      expect(await runCase(server(), paths, namespace, file, c)).toEqual(golden[c.name]);
    });
  });
});
