export type Severity = 'error' | 'warning' | 'info';

/** An object that a finding is about. `namespace` is absent for objects of the whole cluster. */
export interface FindingSubject {
  /** As Kubernetes names it, such as `Pod`. */
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** Something that is not as it should be, or will not be soon. */
export interface Finding {
  /** MESHxxxx, explained by `meshctl explain` and in docs/errors.md. */
  readonly code: string;
  readonly severity: Severity;
  /** One line that names the cause and its object: what a reader who sees nothing else has to know. */
  readonly message: string;
  /** Where the cause lies: what has to be mended. */
  readonly subject?: FindingSubject;
  /** Further objects that feel it; a Namespace stands for everything in it. */
  readonly concerns?: readonly FindingSubject[];
  /** What shows it: values, conditions, events, log lines; a line each. */
  readonly evidence?: readonly string[];
  /** What to do: a command where one exists, else a sentence. */
  readonly fix?: string;
  /** Where it stands when it was read from a file: `shop.yaml:12`. */
  readonly place?: string;
  /** Objects any of which, if something is wrong with it, explains this: the node of a pod, the pod of a proxy. */
  readonly dependsOn?: readonly FindingSubject[];
  /** What follows from it and needs no mending of its own; set by {@link foldFindings}. */
  readonly consequences?: readonly Finding[];
}

/** Where a code is explained, in the documentation of the project: `docs/errors.md#mesh1101`. */
export function docsOfCode(code: string): string {
  return `docs/errors.md#${code.toLowerCase()}`;
}

/** `Pod shop/frontend`, `Node node-1`. */
export function subjectText({ kind, namespace, name }: FindingSubject): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** The subject that an object of the cluster is. */
export function subjectOf(object: {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string; readonly name: string };
}): FindingSubject {
  const { namespace, name } = object.metadata;
  return { kind: object.kind, ...(namespace === undefined ? {} : { namespace }), name };
}
