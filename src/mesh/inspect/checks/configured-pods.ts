import { dataplaneMode, labelSelectorMatches } from '#base/kube/labels.js';
import { namespaces, pods } from '#base/kube/resource.js';
import type { LabelSelector, Namespace, Pod } from '#base/kube/types.js';
import { decideEnrollment } from '../../rules/enrollment.js';
import type { Configuration } from '../configuration/configuration.js';

type Labels = Readonly<Record<string, string>>;

const known = new WeakMap<Configuration, ConfiguredPods>();

/** The pods of a configuration, found by namespace and label without a look at all of them. */
export function configuredPodsOf(configuration: Configuration): ConfiguredPods {
  const before = known.get(configuration);
  if (before !== undefined) return before;
  const made = new ConfiguredPods(configuration);
  known.set(configuration, made);
  return made;
}

/** Pods by namespace and by label; those that are over are left out. */
export class ConfiguredPods {
  readonly #configuration: Configuration;
  readonly #byNamespace = new Map<string, readonly Pod[]>();
  readonly #enrolled = new Map<string, readonly Pod[]>();
  /** Namespace, then `key=value`. */
  readonly #byLabel = new Map<string, ReadonlyMap<string, readonly Pod[]>>();

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
  }

  in(namespace: string): readonly Pod[] {
    return memoized(this.#byNamespace, namespace, () =>
      this.#configuration
        .inNamespace<Pod>(pods, namespace)
        .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed'),
    );
  }

  /** Pods that have every one of some labels; all of the namespace for none. */
  withLabels(namespace: string, labels: Labels): readonly Pod[] {
    const wanted = Object.entries(labels);
    if (wanted.length === 0) return this.in(namespace);
    const index = memoized(this.#byLabel, namespace, () => labelIndex(this.in(namespace)));
    const lists = wanted.map(([key, value]) => index.get(`${key}=${value}`) ?? []);
    const shortest = lists.reduce((best, list) => (list.length < best.length ? list : best));
    return shortest.filter(({ metadata }) =>
      wanted.every(([key, value]) => metadata.labels?.[key] === value),
    );
  }

  /** Pods that a selector selects; an absent one selects none. */
  selectedBy(namespace: string, selector: LabelSelector | undefined): readonly Pod[] {
    if (selector === undefined) return [];
    return this.withLabels(namespace, selector.matchLabels ?? {}).filter(({ metadata }) =>
      labelSelectorMatches(selector, metadata.labels),
    );
  }

  isEnrolled(pod: Pod): boolean {
    return decideEnrollment(
      pod,
      this.namespaceLabels(pod.metadata.namespace ?? ''),
      this.#configuration.settings.enrollment,
    ).isEnrolled;
  }

  enrolledIn(namespace: string): readonly Pod[] {
    return memoized(this.#enrolled, namespace, () =>
      this.in(namespace).filter((pod) => this.isEnrolled(pod)),
    );
  }

  /** Whether a namespace is of the mesh: by its label, or by pods that are. */
  isInMesh(namespace: string): boolean {
    return (
      this.namespaceLabels(namespace)[dataplaneMode] === 'ambient' || this.enrolledIn(namespace).length > 0
    );
  }

  namespaceLabels(namespace: string): Labels {
    return this.#configuration.find<Namespace>(namespaces, { name: namespace })?.metadata.labels ?? {};
  }
}

function labelIndex(all: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const index = new Map<string, Pod[]>();
  for (const pod of all) {
    for (const [key, value] of Object.entries(pod.metadata.labels ?? {})) {
      const list = index.get(`${key}=${value}`);
      if (list === undefined) index.set(`${key}=${value}`, [pod]);
      else list.push(pod);
    }
  }
  return index;
}

function memoized<T>(cache: Map<string, T>, key: string, make: () => T): T {
  const before = cache.get(key);
  if (before !== undefined) return before;
  const made = make();
  cache.set(key, made);
  return made;
}
