import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import {
  type Case,
  type CorpusFile,
  corpusFiles,
  goldenPath,
  type Outcome,
  type Paths,
  pathsOf,
} from './kinds/corpus.js';
import { type Printed, printed } from './kinds/tables.js';
import { describeServers } from './servers.js';

/** Set to write down what kube-apiserver answers. */
const isRecording = process.env.RECORD_GOLDEN === '1';
const path = goldenPath('tables');

/** Every manifest that is accepted, one for each kind and shape of it. */
function accepted(): { file: CorpusFile; c: Case; name: string }[] {
  return corpusFiles().flatMap((file) => {
    const golden = JSON.parse(readFileSync(goldenPath(file.name), 'utf8')) as Record<string, Outcome>;
    return file.cases
      .filter((c) => c.update === undefined && golden[c.name]?.code === 201)
      .map((c) => ({ file, c, name: c.name }));
  });
}

describeServers('tables', (server, kind) => {
  let paths: Paths;
  let namespace: string;
  beforeAll(async () => {
    paths = await pathsOf(server());
    namespace = await server().namespace('tables');
  });

  if (isRecording) {
    test.runIf(kind === 'external')('are recorded', async () => {
      const tables: Record<string, Printed | string> = {};
      for (const { file, c, name } of accepted())
        tables[name] = await printed(server(), paths, namespace, file, c);
      writeFileSync(path, `${JSON.stringify(tables, null, 1)}\n`);
      expect(Object.values(tables).every((t) => typeof t === 'object')).toBe(true);
    });
    return;
  }
  const golden = JSON.parse(readFileSync(path, 'utf8')) as Record<string, Printed>;
  test.each(accepted())('$name', async ({ file, c, name }) => {
    expect(await printed(server(), paths, namespace, file, c)).toEqual(golden[name]);
  });
});
