import { adminPort } from '#mesh/inspect/component-pods.js';
import { chooseZtunnels } from '#mesh/inspect/ztunnel-target.js';
import { podHttp } from '#base/kube/port-forward.js';
import { MeshError } from '#base/errors/mesh-error.js';
import type { CommandDefinition } from '../command.js';
import { nodeProxyPermissions } from '../permissions.js';

/** `meshctl ztunnel-config log [POD] [--level L]`: reads or sets log levels of node proxies. */
export const command: CommandDefinition = {
  description:
    'Shows the log level of node proxies, or sets it: --level access=debug,info. Without a pod or --node: all.',
  args: [
    {
      name: '[pod]',
      description: 'NAME[.NAMESPACE] of a ztunnel or application pod',
      completes: ['pod', 'ztunnel'],
    },
  ],
  options: [
    { flags: '--node <name>', description: 'the ztunnel on this node' },
    {
      flags: '--level <spec>',
      description: 'comma list of LEVEL or SCOPE=LEVEL (off, error, warn, info, debug, trace)',
    },
    { flags: '-r, --reset', description: 'back to the default' },
  ],
  examples: [
    'meshctl ztunnel-config log',
    'meshctl ztunnel-config log --node node-1 --level access=debug,info',
    'meshctl zc log --reset',
  ],
  permissions: nodeProxyPermissions,
  run: async (context) => {
    const { client, namespace } = await context.kube();
    const level = context.options.text('level');
    const isReset = context.options.flag('reset');
    if (level !== undefined && isReset)
      throw new MeshError('MESH0103', '--level and --reset exclude each other');
    const { pods } = await chooseZtunnels(client, {
      pod: context.args[0],
      node: context.options.text('node'),
      namespace,
      meshNamespace: context.meshNamespace,
    });
    const query = isReset
      ? '?level=info&reset'
      : level === undefined
        ? ''
        : `?level=${encodeURIComponent(level.replaceAll(':', '='))}`;
    const items = await Promise.all(
      pods.map(async (p) => {
        const at = { namespace: p.metadata.namespace ?? '', pod: p.metadata.name, port: adminPort };
        const { status, body } = await podHttp(client, { ...at, path: `/logging${query}`, method: 'POST' });
        if (status === 400) {
          throw new MeshError('MESH0103', `ztunnel does not take the log level ${JSON.stringify(level)}`, {
            evidence: body.trim(),
          });
        }
        return {
          name: p.metadata.name,
          node: p.spec.nodeName ?? '',
          answer: body.trim(),
          isOk: status === 200,
        };
      }),
    );
    return {
      kind: 'ZtunnelLogLevels',
      data: { items },
      text: (view) =>
        view.table({
          head: ['ZTUNNEL', 'NODE', 'LOG LEVEL'],
          rows: items.map((i) => [i.name, i.node, i.answer]),
        }),
      exitCode: items.every((i) => i.isOk) ? 0 : 1,
    };
  },
};
