import type { Finding, FindingSubject } from '../../inspect/findings/finding.js';

/** One fact that holds in a sound installation, and whether it does. */
export interface Check {
  /** What is checked: `object`, `crd`, `rollout`, `node`, `pod`, `waypoint`, `controller`, `trust`, `options`, ... */
  readonly area: string;
  /** The concrete thing, such as `Deployment istio-system/istiod`. */
  readonly subject: string;
  /** The healthy fact, in words. */
  readonly fact: string;
  /** Set when the fact does not hold. */
  readonly finding?: Finding;
}

/** A check; `problem` is why the fact does not hold, undefined when it does. */
export function check(of: {
  readonly area: string;
  readonly subject: string;
  readonly fact: string;
  readonly code: string;
  readonly problem: string | undefined;
  /** The object that the finding is about. */
  readonly about?: FindingSubject;
  /** Objects any of which, if something is wrong with it, explains the problem. */
  readonly dependsOn?: readonly FindingSubject[];
  readonly evidence?: readonly string[];
  readonly fix?: string;
}): Check {
  const { area, subject, fact, code, problem, about, dependsOn, evidence, fix } = of;
  const base = { area, subject, fact };
  if (problem === undefined) return base;
  return {
    ...base,
    finding: {
      code,
      severity: 'error',
      message: `${subject}: ${problem}`,
      ...(about === undefined ? {} : { subject: about }),
      ...(dependsOn === undefined ? {} : { dependsOn }),
      ...(evidence === undefined ? {} : { evidence }),
      ...(fix === undefined ? {} : { fix }),
    },
  };
}
