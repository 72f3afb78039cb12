import { requirementMatches } from './labels.js';
import type { KubeObject, NodeSelectorTerm, PodSpec } from './types.js';

/** Whether a pod's nodeSelector and required node affinity accept the node. */
export function nodeMatches(spec: PodSpec, node: KubeObject): boolean {
  const labels = node.metadata.labels ?? {};
  const isSelected = Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
  if (!isSelected) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => termMatches(term, node));
}

/** Whether every requirement of a term holds; a term without requirements matches nothing. */
export function termMatches(term: NodeSelectorTerm, node: KubeObject): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((each) => requirementMatches(each, node.metadata.labels?.[each.key])) &&
    fields.every((each) =>
      requirementMatches(each, each.key === 'metadata.name' ? node.metadata.name : undefined),
    )
  );
}
