import { nearMiss } from '#base/errors/near-miss.js';
import { dataplaneMode, useWaypoint, useWaypointNamespace, waypointFor } from '#base/kube/labels.js';
import { gateways, namespaces, pods, type Resource, serviceAccounts, services } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

const labelNames: readonly string[] = [dataplaneMode, useWaypoint, useWaypointNamespace, waypointFor];

/** The label that a key was meant to be; undefined when it is one, or resembles none. */
function meantLabel(key: string): string | undefined {
  if (labelNames.includes(key)) return undefined;
  const text = key.toLowerCase();
  const at = text.lastIndexOf('/');
  const prefix = text.slice(0, Math.max(at, 0));
  // The name is right, its prefix is missing or another one.
  if (prefix === '' || prefix.includes('istio')) {
    const named = labelNames.find((name) => name.endsWith(`/${text.slice(at + 1)}`));
    if (named !== undefined) return named;
  }
  return text.includes('istio') ? nearMiss(key, labelNames) : undefined;
}
const labeledKinds: readonly Resource[] = [namespaces, services, serviceAccounts, pods, gateways];
const modes: readonly string[] = ['ambient', 'none'];

/** Labels of the mesh that nobody reads: misspelled names and values, and labels written as annotations. */
export const mistypedLabels: ConfigurationCheck = {
  codes: ['MESH1101', 'MESH1102', 'MESH1103'],
  reads: labeledKinds,
  run: (configuration) =>
    labeledKinds.flatMap((resource) =>
      configuration
        .list(resource)
        .filter((object) => configuration.isAskedAbout(object))
        .flatMap((object) => findingsOf(object, configuration)),
    ),
};

function findingsOf(object: KubeObject, configuration: Configuration): Finding[] {
  const { labels = {}, annotations = {} } = object.metadata;
  const subject = subjectOf(object);
  const make = (code: string, message: string, fix: string): Finding =>
    findingAbout(object, configuration, {
      code,
      severity: 'warning',
      message: `${subjectText(subject)}: ${message}`,
      fix,
    });
  const at = subject.namespace === undefined ? '' : ` -n ${subject.namespace}`;
  const kubectlLabel = `kubectl label ${subject.kind.toLowerCase()} ${subject.name}${at}`;
  const misspelled = Object.entries(labels).flatMap(([key, value]) => {
    const meant = meantLabel(key);
    if (meant === undefined) return [];
    return [
      make(
        'MESH1101',
        `label ${key} means nothing to the mesh; did you mean ${meant}?`,
        `${kubectlLabel} ${key}- ${meant}=${value}`,
      ),
    ];
  });
  const mode = labels[dataplaneMode];
  const wrongValue =
    mode === undefined || modes.includes(mode)
      ? []
      : [
          make(
            'MESH1102',
            `label ${dataplaneMode}=${mode} means nothing to the mesh; did you mean ${nearMiss(mode, modes) ?? modes.join(' or ')}?`,
            `${kubectlLabel} --overwrite ${dataplaneMode}=${nearMiss(mode, modes) ?? 'ambient'}`,
          ),
        ];
  const asAnnotation = labelNames
    .filter((name) => annotations[name] !== undefined && labels[name] === undefined)
    .map((name) =>
      make(
        'MESH1103',
        `${name} is an annotation here, and only as a label does it mean something`,
        `${kubectlLabel} ${name}=${annotations[name]}`,
      ),
    );
  return [...misspelled, ...wrongValue, ...asAnnotation];
}
