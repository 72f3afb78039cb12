import { Readable } from 'node:stream';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MeshError } from '#base/errors/mesh-error.js';
import type { TextView } from '#cli/command.js';
import { renderNamespaceDescription } from '#cli/commands/describe-namespace.js';
import { renderPodDescription } from '#cli/commands/describe-pod.js';
import { renderServiceDescription } from '#cli/commands/describe-service.js';
import { renderEnrollment } from '#cli/commands/enrollment.js';
import { renderMeshStatus } from '#cli/commands/status.js';
import { renderVerification } from '#cli/commands/verify-install.js';
import { renderVersions } from '#cli/commands/version.js';
import { renderWaypoints } from '#cli/commands/waypoint-list.js';
import { formatReport, reportOf } from '#cli/error-report.js';
import { columnsOf } from '#cli/prose.js';
import { makeTextView } from '#cli/text-view.js';

// The main outputs, drawn from results that were recorded on a sandbox. When a change of the words or the layout is
// meant: npx vitest run --project unit test/unit/cli/golden -u, and look at the difference.

/** A recorded result, as `-o json` printed it. */
function recorded<T>(name: string): T {
  return JSON.parse(readFileSync(join('test/unit/cli/golden/results', `${name}.json`), 'utf8')) as T;
}

type Recorded<F extends (result: never, view: TextView) => string> = Parameters<F>[0];

const outputs: Readonly<Record<string, (view: TextView) => string>> = {
  'describe-pod': (view) =>
    renderPodDescription(recorded<Recorded<typeof renderPodDescription>>('pod'), view),
  'describe-pod-on-stopped-node': (view) =>
    renderPodDescription(recorded<Recorded<typeof renderPodDescription>>('pod-on-stopped-node'), view),
  'describe-service': (view) =>
    renderServiceDescription(recorded<Recorded<typeof renderServiceDescription>>('service'), view),
  'describe-namespace': (view) =>
    renderNamespaceDescription(recorded<Recorded<typeof renderNamespaceDescription>>('namespace'), view),
  'status-with-stopped-node': (view) =>
    renderMeshStatus(recorded<Recorded<typeof renderMeshStatus>>('status-with-stopped-node'), view),
  'verify-install-with-stopped-node': (view) =>
    renderVerification(recorded<Recorded<typeof renderVerification>>('verification-with-stopped-node'), view),
  enrollment: (view) =>
    renderEnrollment(recorded<{ items: Recorded<typeof renderEnrollment> }>('enrollment').items, view),
  'waypoint-list': (view) =>
    renderWaypoints(recorded<{ items: Recorded<typeof renderWaypoints> }>('waypoints').items, view),
  version: (view) =>
    renderVersions(
      recorded<{ components: Parameters<typeof renderVersions>[0] }>('versions').components,
      view,
      'istio-system',
    ),
  error: ({ style, width }) =>
    formatReport(
      reportOf(
        new MeshError('MESH0317', '2 of 3 pods not proven to be what their labels ask for', {
          evidence:
            'pod shop/web-7d9f8b6c5-x2x7p on node-2 is partly: redirection rules are missing in its network namespace, and its certificate is not there yet\npod shop/cart-1 on node-1 is free: the CNI agent has not seen it',
          hint: 'Run "meshctl describe pod web-7d9f8b6c5-x2x7p -n shop", which shows what the agent and the node proxy see of it.',
        }),
        false,
      ),
      { style, width, isVerbose: false },
    ),
};

const escape = '\u001b';

async function drawn(
  output: (view: TextView) => string,
  columns: number,
  hasColor: boolean,
): Promise<string> {
  const io = {
    stdin: Readable.from([]),
    stdout: () => undefined,
    stderr: () => undefined,
    isInteractive: false,
    isStdoutTty: true,
    columns,
    signals: () => () => undefined,
    env: { TERM: 'xterm' },
  };
  return output(await makeTextView(io, { isWide: false, isColorAllowed: hasColor }));
}

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-12-01T04:02:30Z'), toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe.each(Object.entries(outputs))('%s', (name, output) => {
  it('looks as it did at 80, 120 and 200 columns, with and without color', async () => {
    const parts: string[] = [];
    for (const columns of [80, 120, 200]) {
      parts.push(`${'='.repeat(columns - 12)} ${columns} columns`, await drawn(output, columns, false));
      const colored = await drawn(output, columns, true);
      parts.push(`${'='.repeat(columns - 11)} with color`, colored.replaceAll(escape, '^'));
    }
    await expect(`${parts.join('\n')}\n`).toMatchFileSnapshot(`${name}.txt`);
  });

  it.each([60, 80, 120, 200, 250])('keeps to %d columns, but for words that are longer', async (columns) => {
    for (const line of (await drawn(output, columns, false)).split('\n')) {
      if (columnsOf(line) > columns) expect(line.trim().split(/ +/).length, line).toBeLessThanOrEqual(2);
    }
  });

  it('says the same with color', async () => {
    for (const columns of [80, 200]) {
      const plain = await drawn(output, columns, false);
      expect(stripVTControlCharacters(await drawn(output, columns, true))).toBe(plain);
      expect(plain).not.toContain(escape);
    }
  });
});
