import { expect, test } from 'vitest';
import { parseChallenges } from '#base/oci/registry/challenge.js';

test.each([
  ['Basic realm="test"', [{ scheme: 'basic', parameters: { realm: 'test' } }]],
  [
    'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull,push"',
    [
      {
        scheme: 'bearer',
        parameters: {
          realm: 'https://auth.test/token',
          service: 'registry.test',
          scope: 'repository:a/b:pull,push',
        },
      },
    ],
  ],
  [
    'Negotiate, Basic realm="a \\"b\\"", Bearer realm=plain',
    [
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'basic', parameters: { realm: 'a "b"' } },
      { scheme: 'bearer', parameters: { realm: 'plain' } },
    ],
  ],
  ['', []],
  ['="', []],
])('%s', (header, challenges) => {
  expect(parseChallenges(header)).toEqual(challenges);
});
