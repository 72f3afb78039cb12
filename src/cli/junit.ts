/** One case of a JUnit report. */
export interface JunitCase {
  /** Groups cases; shown as class name. */
  readonly group: string;
  readonly name: string;
  readonly failure?: { readonly type: string; readonly message: string };
}

/** A JUnit XML document, as CI systems read it. */
export function junitReport(suite: string, cases: readonly JunitCase[]): string {
  const failures = cases.filter((c) => c.failure !== undefined).length;
  const lines = cases.map((c) => {
    const head = `    <testcase classname="${escape(c.group)}" name="${escape(c.name)}"`;
    if (c.failure === undefined) return `${head}/>`;
    const [first = ''] = c.failure.message.split('\n');
    return `${head}>\n      <failure type="${escape(c.failure.type)}" message="${escape(first)}">${escape(c.failure.message)}</failure>\n    </testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites tests="${cases.length}" failures="${failures}">`,
    `  <testsuite name="${escape(suite)}" tests="${cases.length}" failures="${failures}">`,
    ...lines,
    '  </testsuite>',
    '</testsuites>',
  ].join('\n');
}

function escape(text: string): string {
  return (
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      // Control characters (colors in log lines) have no place in XML, not even escaped.
      // oxlint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
  );
}
