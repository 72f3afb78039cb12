import { expect, test } from 'vitest';
import { lastWords } from '#sandbox/control-plane/external/last-words.js';

test.each([
  ['nothing', '', ''],
  ['what stands last', 'one\ntwo\n\n', 'two'],
  [
    'the end that etcd tells of, not the frames after it',
    '{"level":"info","msg":"x"}\n{"level":"panic","msg":"failed to commit","error":"disk"}\npanic: failed\n\tframe.go:12',
    'failed',
  ],
  [
    "etcd's reason",
    '{"level":"fatal","msg":"discovery failed","error":"no peers"}\n{"level":"info","msg":"bye"}',
    'discovery failed: no peers',
  ],
  [
    "kube-apiserver's",
    'I0101 10:00:00.000000       7 a.go:1] fine\nF0101 10:00:00.000000       7 b.go:2] cannot listen\nI0101 10:00:00.000000       7 c.go:3] bye',
    'cannot listen',
  ],
  [
    'of a flag it does not know',
    'Error: unknown flag: --x\nUsage:\n  kube-apiserver [flags]',
    'unknown flag: --x',
  ],
])('last words: %s', (_what, log, words) => {
  expect(lastWords(log)).toBe(words);
});
