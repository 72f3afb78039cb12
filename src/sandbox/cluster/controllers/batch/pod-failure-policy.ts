import type { ContainerStatus, Pod } from '#base/kube/types.js';
import type { Job, PodFailureRule } from '../../objects.js';

/** What a Job's podFailurePolicy says of one failed pod. */
export interface FailureVerdict {
  readonly action: 'FailJob' | 'FailIndex' | 'Ignore' | 'Count';
  /** For the Job's condition, in upstream's words. */
  readonly message: string;
}

/** The first rule that matches decides; without one the failure counts (kubernetes.io documentation, "Pod failure policy"). */
export function judgeFailure(job: Job, pod: Pod): FailureVerdict {
  for (const [index, rule] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
    const evidence = matchExitCodes(rule, pod) ?? matchConditions(rule, pod);
    if (evidence === undefined) continue;
    const message = `${evidence} matching ${rule.action} rule at index ${index}`;
    switch (rule.action) {
      case 'FailJob':
      case 'FailIndex':
      case 'Ignore':
        return { action: rule.action, message };
      default:
        return { action: 'Count', message };
    }
  }
  return { action: 'Count', message: '' };
}

function matchExitCodes(rule: PodFailureRule, pod: Pod): string | undefined {
  const { onExitCodes } = rule;
  if (onExitCodes === undefined) return undefined;
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const status of statuses) {
    if (onExitCodes.containerName !== undefined && onExitCodes.containerName !== status.name) continue;
    const exitCode = exitCodeOf(status);
    // A container that succeeded never makes a failure.
    if (exitCode === undefined || exitCode === 0) continue;
    const isListed = onExitCodes.values.includes(exitCode);
    if (isListed !== (onExitCodes.operator === 'In')) continue;
    return `Container ${status.name} for pod ${nameOf(pod)} failed with exit code ${exitCode}`;
  }
  return undefined;
}

function matchConditions(rule: PodFailureRule, pod: Pod): string | undefined {
  for (const wanted of rule.onPodConditions ?? []) {
    const status = wanted.status ?? 'True';
    const has = pod.status?.conditions?.some((c) => c.type === wanted.type && c.status === status);
    if (has === true) return `Pod ${nameOf(pod)} has condition ${wanted.type}`;
  }
  return undefined;
}

function exitCodeOf(status: ContainerStatus): number | undefined {
  return status.state?.terminated?.exitCode;
}

function nameOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}
