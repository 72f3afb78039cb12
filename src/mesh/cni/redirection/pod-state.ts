import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { type IptablesTarget, programName, runOptions } from './iptables.js';
import { parsePolicyRouting, type PolicyRoutingState, showRoutingCommands } from './policy-routing.js';
import type { Family, RuleSet } from './rule.js';
import { parseSave } from './save-format.js';

/** Everything the mesh could have in one namespace, for one family. */
export interface FamilyState {
  readonly rules: RuleSet;
  readonly routing: PolicyRoutingState;
}

const rulesMarker = '#mesh-rules';
const routingMarker = '#mesh-routing';

/**
 * Reads rules and policy routing of a namespace for the given families, in one process
 * started from here: the check runs for every pod every few seconds. Throws MESH0701.
 */
export async function readPodState(
  target: IptablesTarget,
  families: readonly Family[],
): Promise<ReadonlyMap<Family, FamilyState>> {
  const script = families.flatMap((family) => [
    `echo '${rulesMarker} ${family}'`,
    `${programName(target.backend, family)}-save || exit 1`,
    `echo '${routingMarker} ${family}'`,
    ...showRoutingCommands(family),
  ]);
  const result = await run('sh', ['-c', [...script, 'exit 0'].join('\n')], runOptions(target));
  if (result.exitCode !== 0) {
    throw new MeshError('MESH0701', 'the rules of a pod could not be read', {
      evidence: result.stderr.trim().slice(0, 2_000),
    });
  }
  return new Map(
    families.map((family) => [
      family,
      {
        rules: parseSave(section(result.stdout, `${rulesMarker} ${family}`)),
        routing: parsePolicyRouting(section(result.stdout, `${routingMarker} ${family}`)),
      },
    ]),
  );
}

function section(text: string, marker: string): string {
  const after = text.split(`${marker}\n`)[1] ?? '';
  return after.split('#mesh-')[0] ?? '';
}
