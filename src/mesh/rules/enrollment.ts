import { dataplaneMode, labelSelectorMatches, redirection, sidecarStatus } from '#base/kube/labels.js';
import type { LabelSelector } from '#base/kube/types.js';

/** Value of the redirection annotation; absent means not enrolled. */
export type AnnotatedRedirection = 'enabled' | 'pending';

/** Annotation names of the agent, besides those in kube/labels. */
export const bypassInboundAnnotation = 'ambient.istio.io/bypass-inbound-capture';
export const dnsCaptureAnnotation = 'ambient.istio.io/dns-capture';
export const virtualInterfacesAnnotation = 'istio.io/reroute-virtual-interfaces';

/** One entry of AMBIENT_ENABLEMENT_SELECTOR: both parts must match; an absent part matches everything. */
export interface EnrollmentSelector {
  readonly podSelector?: LabelSelector | undefined;
  readonly namespaceSelector?: LabelSelector | undefined;
}

/** What decides, on every node alike, whether a pod is in the mesh. */
export interface EnrollmentRules {
  /** A pod is selected when any of them matches. */
  readonly selectors: readonly EnrollmentSelector[];
  readonly excludeNamespaces: readonly string[];
  /** Where ztunnel runs; its pods are never enrolled. */
  readonly systemNamespace: string;
}

/** The part of a pod that the decision reads. */
export interface EnrollmentSubject {
  readonly metadata: {
    readonly namespace?: string | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
  readonly spec?: { readonly hostNetwork?: boolean | undefined } | undefined;
  readonly status?: { readonly phase?: string | undefined } | undefined;
}

export interface EnrollmentDecision {
  readonly isEnrolled: boolean;
  /** What decides, in words: shown to people. */
  readonly reason: string;
}

/** The chart's selectors: the pod's own label, or the namespace's unless the pod opts out. */
export const defaultSelectors: readonly EnrollmentSelector[] = [
  { podSelector: { matchLabels: { [dataplaneMode]: 'ambient' } } },
  {
    podSelector: { matchExpressions: [{ key: dataplaneMode, operator: 'NotIn', values: ['none'] }] },
    namespaceSelector: { matchLabels: { [dataplaneMode]: 'ambient' } },
  },
];

/**
 * Whether a pod belongs in the mesh. What labels cannot override comes first: the network of the node, a namespace
 * that the agent leaves alone, a sidecar, ztunnel itself, a pod that is over.
 */
export function decideEnrollment(
  pod: EnrollmentSubject,
  namespaceLabels: Readonly<Record<string, string>> | undefined,
  rules: EnrollmentRules,
): EnrollmentDecision {
  const namespace = pod.metadata.namespace ?? '';
  const labels = pod.metadata.labels;
  const phase = pod.status?.phase;
  if (pod.spec?.hostNetwork === true) return no('the pod uses the network of its node');
  if (rules.excludeNamespaces.includes(namespace)) {
    return no(`namespace ${namespace} is excluded from the mesh`);
  }
  if (pod.metadata.annotations?.[sidecarStatus] !== undefined) return no('the pod has a sidecar');
  if (namespace === rules.systemNamespace && labels?.['app'] === 'ztunnel') return no('the pod is ztunnel');
  if (phase === 'Succeeded' || phase === 'Failed') return no('the pod has ended');
  const selector = rules.selectors.find(
    ({ podSelector, namespaceSelector }) =>
      partMatches(podSelector, labels) && partMatches(namespaceSelector, namespaceLabels),
  );
  if (selector !== undefined) return { isEnrolled: true, reason: selectorText(selector) };
  if (labels?.[dataplaneMode] === 'none') return no(`pod label ${dataplaneMode}=none`);
  return no(
    isDefault(rules.selectors)
      ? `neither the pod nor its namespace has the label ${dataplaneMode}=ambient`
      : 'none of the enablement selectors matches the labels of the pod and its namespace',
  );
}

function partMatches(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return selector === undefined || labelSelectorMatches(selector, labels);
}

/** What a selector that matched looks for: the labels it wants; its expressions where it wants none. */
function selectorText({ podSelector, namespaceSelector }: EnrollmentSelector): string {
  const wanted = (of: string, selector: LabelSelector | undefined) =>
    Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${of} label ${key}=${value}`);
  const labels = [...wanted('pod', podSelector), ...wanted('namespace', namespaceSelector)];
  if (labels.length > 0) return labels.join(' and ');
  return `enablement selector ${JSON.stringify({ podSelector, namespaceSelector })}`;
}

function isDefault(selectors: readonly EnrollmentSelector[]): boolean {
  return JSON.stringify(selectors) === JSON.stringify(defaultSelectors);
}

/** The state the redirection annotation records, if any. */
export function annotatedState(pod: EnrollmentSubject): AnnotatedRedirection | undefined {
  const value = pod.metadata.annotations?.[redirection];
  return value === 'enabled' || value === 'pending' ? value : undefined;
}

/** What the pod's own annotations say about its rules. */
export interface PodPreferences {
  readonly dnsCapture: boolean;
  readonly bypassInbound: boolean;
  readonly virtualInterfaces: readonly string[];
}

/**
 * Reads {@link PodPreferences}; values that make no sense count as absent. DNS is captured only where the agent is set
 * to do so, and there unless the pod opts out.
 */
export function podPreferences(
  pod: EnrollmentSubject,
  defaults: { readonly dnsCapture: boolean },
): PodPreferences {
  const annotations = pod.metadata.annotations ?? {};
  return {
    // Where the node proxy answers no DNS, a pod that asked for it would resolve no name any more.
    dnsCapture: defaults.dnsCapture && parseBoolean(annotations[dnsCaptureAnnotation]) !== false,
    bypassInbound: parseBoolean(annotations[bypassInboundAnnotation]) ?? false,
    virtualInterfaces: (annotations[virtualInterfacesAnnotation] ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => isInterfaceName(name)),
  };
}

/** The kernel's rule for names; anything else could smuggle words into a rule. */
function isInterfaceName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name);
}

/** Go's strconv.ParseBool, which upstream reads these annotations with. */
export function parseBoolean(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return undefined;
}

function no(reason: string): EnrollmentDecision {
  return { isEnrolled: false, reason };
}
