import { foldFindings } from '#mesh/inspect/findings/fold.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { type ProxySync, proxySyncs, syncFindings } from '#mesh/inspect/proxy-status.js';
import { agoText } from '#mesh/inspect/runtime/node-findings.js';
import { splitReference } from '#mesh/inspect/ztunnel-target.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { type CommandDefinition, failOnOption, type TextView } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingsText } from '../finding-text.js';
import { componentPermissions, gatewayPermissions } from '../permissions.js';

/** `meshctl proxy-status [PROXY]`: exit 1 when a proxy is not connected or refused what it was sent. */
export const command: CommandDefinition = {
  description:
    'Shows every proxy with the controller it is connected to, and whether it has acknowledged what it was sent. With a proxy: kind by kind. Exit code 1 when one is not connected or refused something.',
  args: [
    {
      name: '[proxy]',
      description: 'NAME[.NAMESPACE] of the pod of a ztunnel, waypoint or gateway',
      completes: ['pod', 'ztunnel'],
    },
  ],
  options: [failOnOption],
  examples: ['meshctl proxy-status', 'meshctl ps ztunnel-x7k2p.istio-system'],
  permissions: [...componentPermissions, ...gatewayPermissions],
  run: async ({ args, options, kube, meshNamespace }) => {
    const { client, namespace } = await kube();
    const all = await proxySyncs(new MeshObserver(client, meshNamespace), Date.now());
    const [wanted] = args;
    const items = wanted === undefined ? all : [oneOf(all, { wanted, namespace, meshNamespace })];
    const findings = foldFindings(syncFindings(items));
    return {
      kind: 'ProxyStatusList',
      data: { items, findings },
      text: (view) =>
        [
          wanted === undefined ? overview(items, view) : detail(items[0], view),
          ...(findings.length === 0 ? [] : ['', findingsText(findings, view)]),
        ].join('\n'),
      exitCode: exitCodeOfFindings(
        findings.map(({ severity }) => severity),
        options.text('fail-on') ?? 'error',
      ),
    };
  },
};

function oneOf(
  all: readonly ProxySync[],
  of: { readonly wanted: string; readonly namespace: string; readonly meshNamespace: string },
): ProxySync {
  const [name, own] = splitReference(of.wanted);
  const found = all.find((proxy) => proxy.name === name && (own === undefined || proxy.namespace === own));
  if (found !== undefined) return found;
  throw new MeshError('MESH0204', `no running proxy ${of.wanted}`, {
    evidence: `proxies: ${all.map((proxy) => `${proxy.name}.${proxy.namespace}`).join(', ') || 'none'}`,
  });
}

function overview(items: readonly ProxySync[], view: TextView): string {
  if (items.length === 0) return 'no proxies run';
  return view.table({
    head: ['PROXY', 'TYPE', 'NODE', 'CONTROLLER', 'VERSION', 'CONNECTED', 'SYNCED'],
    rows: items.map((proxy) => [
      `${proxy.name}.${proxy.namespace}`,
      proxy.proxyType,
      proxy.node,
      proxy.controller ?? 'NONE',
      proxy.version,
      proxy.connectedAt === undefined ? '' : agoText(Date.now() - Date.parse(proxy.connectedAt)),
      syncText(proxy),
    ]),
    wideOnly: ['NODE', 'VERSION'],
  });
}

function detail(proxy: ProxySync | undefined, view: TextView): string {
  if (proxy === undefined) return '';
  return [
    `${view.style.bold(`${proxy.name}.${proxy.namespace}`)}  ${proxy.proxyType} on ${proxy.node}, controller ${proxy.controller ?? 'NONE'}`,
    '',
    view.table({
      head: ['KIND', 'SENT', 'ACKNOWLEDGED', 'REFUSED', 'LAG'],
      rows: proxy.types.map((type) => [
        type.type,
        type.sent,
        type.acknowledged,
        String(type.rejectCount),
        type.lagMs === undefined ? 'none' : agoText(type.lagMs),
      ]),
    }),
  ].join('\n');
}

function syncText(proxy: ProxySync): string {
  if (proxy.controller === undefined) return 'NO';
  if (proxy.isSynced) return 'yes';
  return proxy.types.some(({ rejectCount }) => rejectCount > 0) ? 'REFUSED' : 'behind';
}
