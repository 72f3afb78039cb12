import { expect, it } from 'vitest';
import { junitReport } from '#cli/junit.js';

it('is XML that a CI system can read, whatever a log line holds', () => {
  const text = junitReport('s', [
    { group: 'node', name: 'Node a is fine' },
    { group: 'pod', name: 'Pod "x"', failure: { type: 'MESH0920', message: 'a < b & \u001b[31mred\nmore' } },
  ]);
  expect(text).toBe(
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites tests="2" failures="1">',
      '  <testsuite name="s" tests="2" failures="1">',
      '    <testcase classname="node" name="Node a is fine"/>',
      '    <testcase classname="pod" name="Pod &quot;x&quot;">',
      '      <failure type="MESH0920" message="a &lt; b &amp; [31mred">a &lt; b &amp; [31mred',
      'more</failure>',
      '    </testcase>',
      '  </testsuite>',
      '</testsuites>',
    ].join('\n'),
  );
});
