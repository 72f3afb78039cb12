import { counted } from '#base/collections/counted.js';
import { type SandboxStatusResult, sandboxStatus } from '#sandbox/launcher/index.js';
import type { CommandDefinition, Style, TextView } from '../command.js';
import type { Fact } from '../prose.js';
import { nodeState, renderNodes } from './sandbox-node.js';
import { sandboxNameOf, sandboxNameOption } from './sandbox-options.js';

const mebibyte = 1024 * 1024;

/** `meshctl sandbox status`: exit 1 unless every node is ready. */
export const statusCommand: CommandDefinition = {
  description: 'Shows a sandbox and its nodes. Exit code 1 unless all of it is ready.',
  options: [sandboxNameOption],
  examples: ['meshctl sandbox status', 'meshctl sandbox status --name ci -o json'],
  permissions: [],
  run: async ({ options }) => {
    const result = await sandboxStatus({ name: sandboxNameOf(options) });
    const nodes = result.supervisor?.nodes ?? [];
    const isReady =
      result.supervisor?.phase === 'ready' && nodes.every((node) => nodeState(node) === 'Ready');
    const supervisor =
      result.supervisor === undefined
        ? undefined
        : { ...result.supervisor, nodes: nodes.map((node) => ({ ...node, state: nodeState(node) })) };
    return {
      kind: 'SandboxStatus',
      data: { ...result, supervisor, isReady },
      text: (view) => render(result, { view, isReady }),
      exitCode: isReady ? 0 : 1,
    };
  },
};

function render(result: SandboxStatusResult, o: { view: TextView; isReady: boolean }): string {
  const { supervisor, memory } = result;
  const { style } = o.view;
  const rows: Fact[] = [];
  if (supervisor !== undefined) {
    const pods = supervisor.nodes.reduce((sum, node) => sum + node.podCount, 0);
    rows.push(['up', `${uptime(supervisor.startedAt)}, meshctl ${supervisor.version}`]);
    rows.push(['API server', apiServerText(supervisor.apiServer)]);
    if (supervisor.apiServerTrouble !== undefined) rows.push(['', style.bad(supervisor.apiServerTrouble)]);
    rows.push(['pods', String(pods)]);
    if (memory !== undefined)
      rows.push([
        'memory',
        `${mebibytes(memory.pssBytes)} in ${counted(memory.processCount, 'process')}, pods included`,
      ]);
  }
  rows.push(['state', stateText(result, style)]);
  rows.push(['server', `${result.server}, context ${result.context}`]);
  rows.push(['kubeconfig', result.kubeconfigPath], ['log', result.logPath]);
  const head = `${style.bold(result.name)}  ${headline(result, o)}`;
  const lines = [o.view.facts(rows)];
  if (supervisor !== undefined) lines.push('', renderNodes(supervisor.nodes, o.view));
  if (result.state !== 'running') lines.push('', `start it: meshctl sandbox up --name ${result.name}`);
  return [head, ...lines].join('\n');
}

function headline(
  result: SandboxStatusResult,
  { view, isReady }: { view: TextView; isReady: boolean },
): string {
  const { style } = view;
  const { supervisor, state } = result;
  if (state === 'stopped') return style.warn('stopped');
  if (state === 'crashed') return style.bad('crashed: its processes are gone');
  if (supervisor === undefined) return style.bad('running, but its supervisor does not answer');
  if (isReady) return style.good('ready');
  if (supervisor.phase === 'starting') return style.warn(`starting: waiting for ${supervisor.detail}`);
  if (supervisor.phase === 'failed') return style.bad(`failed: ${supervisor.detail}`);
  const notReady = supervisor.nodes.filter((node) => nodeState(node) !== 'Ready').length;
  return style.warn(`running, ${notReady} of ${counted(supervisor.nodes.length, 'node')} not Ready`);
}

function stateText({ isPersistent, supervisor }: SandboxStatusResult, style: Style): string {
  if (!isPersistent) return 'gone with `sandbox down`';
  if (supervisor?.isStateKept === false) return style.bad('cannot be written to the disk now; see the log');
  return 'kept over down and up';
}

function apiServerText(server: { kind: string; version: string } | undefined): string {
  if (server === undefined) return 'starting';
  return `${server.kind === 'embedded' ? 'embedded' : 'kube-apiserver and etcd'}, ${server.version}`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / mebibyte)} MiB`;
}

/** Time since an RFC 3339 instant, in its two largest units. */
function uptime(since: string): string {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));
  if (Number.isNaN(seconds)) return 'unknown';
  const units: [size: number, name: string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
    [1, 's'],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return '0s';
  let left = seconds;
  const parts = units.slice(first, first + 2).map(([size, name]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return count === 0 ? '' : `${count}${name}`;
  });
  return parts.filter(Boolean).join(' ');
}
