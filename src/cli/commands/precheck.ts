import { counted } from '#base/collections/counted.js';
import { precheck } from '#mesh/install/precheck.js';
import { clientVersion } from '../client-version.js';
import { type CommandDefinition, failOnOption } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { clusterPermissions } from '../permissions.js';

/** `meshctl precheck`: exit 1 when a check fails. */
export const command: CommandDefinition = {
  description:
    'Looks whether the cluster can run the mesh, and what install would infer. Changes nothing. Exit code 1 when a check fails.',
  options: [failOnOption],
  examples: ['meshctl precheck', 'meshctl precheck -o json'],
  permissions: clusterPermissions,
  run: async ({ options, kube, meshNamespace, signal }) => {
    const { client } = await kube();
    const { cluster, checks } = await precheck(client, { namespace: meshNamespace, clientVersion, signal });
    const findings = checks.flatMap((c) => (c.finding === undefined ? [] : [c.finding]));
    return {
      kind: 'Precheck',
      data: {
        cluster,
        checks: checks.map(({ finding, ...c }) => ({
          ...c,
          passed: finding === undefined,
          ...(finding === undefined ? {} : { finding }),
        })),
      },
      exitCode: exitCodeOfFindings(
        findings.map((f) => f.severity),
        options.text('fail-on') ?? 'error',
      ),
      text: ({ style, prose }) =>
        [
          prose(
            `Cluster ${cluster.version}, ${counted(cluster.nodeCount, 'node')}, ${cluster.platform || 'plain Kubernetes'} (${cluster.platformReason})`,
            { hanging: 2 },
          ),
          ...checks.map(({ subject, fact, finding }) => {
            const mark = finding === undefined ? '✔' : '✘';
            const text = finding === undefined ? `${subject} ${fact}` : `${finding.code} ${finding.message}`;
            const painted = finding === undefined ? style.good(mark) : style.bad(mark);
            return prose(`${mark} ${text}`, { hanging: 2 }).replace(mark, painted);
          }),
        ].join('\n'),
    };
  },
};
