import { dataplaneMode } from '#base/kube/labels.js';
import { namespaces, pods, services } from '#base/kube/resource.js';
import { groupBy } from '#base/collections/group-by.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { Namespace, Pod, Service } from '#base/kube/types.js';
import { selectsLabels } from '../../rules/policy-targets.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** Services of enrolled namespaces whose selector matches no pod. */
export const servicesCheck: ConfigurationCheck = {
  codes: ['MESH1160'],
  reads: [namespaces, pods, services],
  run: (configuration) => {
    const enrolled = new Set(
      configuration
        .list<Namespace>(namespaces)
        .filter(({ metadata }) => metadata.labels?.[dataplaneMode] === 'ambient')
        .map(({ metadata }) => metadata.name),
    );
    const byNamespace = groupBy(configuration.list<Pod>(pods), ({ metadata }) => metadata.namespace ?? '');
    return configuration
      .list<Service>(services)
      .filter((service) => configuration.isAskedAbout(service))
      .filter(({ metadata }) => enrolled.has(metadata.namespace ?? ''))
      .flatMap((service) => {
        const namespace = service.metadata.namespace ?? '';
        if (!configuration.isSeen(pods, namespace)) return [];
        const finding = emptyServiceFinding(service, byNamespace.get(namespace) ?? [], configuration);
        return finding === undefined ? [] : [finding];
      });
  },
};

/** That no pod of its namespace is behind a Service, with the labels that come nearest; undefined when one is. */
export function emptyServiceFinding(
  service: Service,
  ofNamespace: readonly Pod[],
  configuration?: Configuration,
): Finding | undefined {
  const { selector } = service.spec;
  if (selector === undefined || Object.keys(selector).length === 0) return undefined;
  if (ofNamespace.some(({ metadata }) => selectsLabels(selector, metadata.labels ?? {}))) return undefined;
  const subject = subjectOf({ kind: 'Service', metadata: service.metadata });
  const place = configuration?.placeOf(service);
  const wanted = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return {
    code: 'MESH1160',
    severity: 'warning',
    message: `${subjectText(subject)} has no endpoints: no pod of ${subject.namespace} has ${wanted.join(',')}`,
    subject,
    evidence: nearestLabels(selector, ofNamespace),
    fix: `Compare the selector with: kubectl get pods -n ${subject.namespace} --show-labels`,
    ...(place === undefined ? {} : { place }),
  };
}

/** For each label of the selector that no pod has: the value pods have instead, or the name that is meant. */
function nearestLabels(
  selector: Readonly<Record<string, string>>,
  ofNamespace: readonly Pod[],
): readonly string[] {
  const labels = ofNamespace.flatMap(({ metadata }) => Object.entries(metadata.labels ?? {}));
  return Object.entries(selector).flatMap(([key, value]) => {
    const values = [...new Set(labels.filter(([name]) => name === key).map(([, own]) => own))];
    if (values.includes(value)) return [];
    if (values.length > 0) {
      return [`pods have ${key}=${nearMiss(value, values) ?? values.slice(0, 5).join(`, ${key}=`)}`];
    }
    const meant = nearMiss(
      key,
      labels.map(([name]) => name),
    );
    return [`no pod has a label ${key}${meant === undefined ? '' : `; did you mean ${meant}?`}`];
  });
}
