import { isDeepStrictEqual } from 'node:util';
import type { Condition, ParentReference, GatewayRoute } from '#base/kube/types.js';
import { type KindName, kinds } from '../model/kinds.js';
import type { LiveStatus } from '../model/inputs.js';

/** A condition as it is decided; when it became so is found when it is written. */
export interface WantedCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number | undefined;
}

/** What this controller has to say of one object. */
export interface DesiredStatus {
  readonly kind: KindName;
  /** Empty for objects without namespace. */
  readonly namespace: string;
  readonly name: string;
  /** Instead of those the object has of the kind's own types; none of them stays that is not wanted. */
  readonly conditions: readonly WantedCondition[];
  /**
   * Other fields of the status, each replaced as a whole. Lists named `conditions` inside of them are
   * {@link WantedCondition}s, of list elements that are known by their `name`.
   */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Of a route: our entries of `status.parents`; those of other controllers stay as they are. */
  readonly parents?: readonly WantedParent[];
}

/** What this controller says of a route at one of its parents. */
export interface WantedParent {
  readonly parentRef: ParentReference;
  readonly conditions: readonly WantedCondition[];
}

/** A status to be written: where the object's own differs from what is wanted. */
export interface StatusChange {
  readonly kind: KindName;
  readonly namespace: string;
  readonly name: string;
  /** Of the object the difference was found at: a write to another version fails instead of undoing another's. */
  readonly resourceVersion: string;
  /** Conditions that come with this change have no time yet: see {@link withTimes}. */
  readonly status: Readonly<Record<string, unknown>>;
}

/** Under which name this controller speaks of routes; upstream's, whatever their parents. */
export const routeController = 'istio.io/gateway-controller';

/** Longest message the API accepts in a condition. */
const maxMessage = 32_000;

/** What to write to an object; undefined when it says everything that is wanted already. */
export function statusChange(desired: DesiredStatus, live: LiveStatus): StatusChange | undefined {
  const { kind, namespace, name } = desired;
  const isOwn = (type: string) => kinds[kind].status?.conditions.includes(type) === true;
  const wanted: Record<string, unknown> = {
    conditions: settleConditions(desired.conditions, live.status['conditions'], isOwn),
  };
  for (const [field, value] of Object.entries(desired.fields ?? {})) {
    wanted[field] = settle(value, live.status[field]);
  }
  if (desired.parents !== undefined) {
    wanted['parents'] = settleParents(desired.parents, live.status['parents']);
  }
  const status = Object.fromEntries(
    Object.entries(wanted).filter(([field, value]) => !isDeepStrictEqual(value, live.status[field] ?? [])),
  );
  if (Object.keys(status).length === 0) return undefined;
  return { kind, namespace, name, resourceVersion: live.resourceVersion, status };
}

/** The status of a change as it is written at a time. */
export function withTimes(status: StatusChange['status'], at: Date): Readonly<Record<string, unknown>> {
  return stamp(status, `${at.toISOString().slice(0, 19)}Z`) as Record<string, unknown>;
}

type Tree = Readonly<Record<string, unknown>>;

/** A wanted value with the times of the conditions it has in common with the present one. */
function settle(wanted: unknown, present: unknown): unknown {
  if (Array.isArray(wanted)) {
    const before = Array.isArray(present) ? present.filter(isTree) : [];
    return wanted.map((element: unknown) =>
      isTree(element)
        ? settle(
            element,
            before.find(({ name }) => name === element['name']),
          )
        : element,
    );
  }
  if (!isTree(wanted)) return wanted;
  const before = isTree(present) ? present : {};
  return Object.fromEntries(
    Object.entries(wanted).map(([key, value]) => [
      key,
      key === 'conditions'
        ? settleConditions(value as readonly WantedCondition[], before[key], () => true)
        : settle(value, before[key]),
    ]),
  );
}

/** The entries of other controllers where they are, then ours. */
function settleParents(wanted: readonly WantedParent[], present: unknown): readonly unknown[] {
  const before = (Array.isArray(present) ? present : []) as NonNullable<GatewayRoute['status']>['parents'];
  const others = before.filter(({ controllerName }) => controllerName !== routeController);
  const ours = wanted.map(({ parentRef, conditions }) => {
    const known = before.find(
      (entry) => entry.controllerName === routeController && isDeepStrictEqual(entry.parentRef, parentRef),
    );
    return {
      parentRef,
      controllerName: routeController,
      conditions: settleConditions(conditions, known?.conditions, () => true),
    };
  });
  return [...others, ...ours];
}

/** The conditions of others where they are, ours among them where they were, new ones at the end. */
function settleConditions(
  wanted: readonly WantedCondition[],
  present: unknown,
  isOwn: (type: string) => boolean,
): Partial<Condition>[] {
  const before = (Array.isArray(present) ? present : []) as readonly Condition[];
  const kept = before.flatMap((condition) => {
    const ours = wanted.find(({ type }) => type === condition.type);
    if (ours !== undefined) return [settleCondition(ours, condition)];
    return isOwn(condition.type) ? [] : [condition];
  });
  const added = wanted.filter(({ type }) => !before.some((condition) => condition.type === type));
  return [...kept, ...added.map((condition) => settleCondition(condition, undefined))];
}

function settleCondition(wanted: WantedCondition, before: Condition | undefined): Partial<Condition> {
  const { observedGeneration, message, ...rest } = wanted;
  const since = before?.status === wanted.status ? before.lastTransitionTime : undefined;
  return {
    ...rest,
    message: message.slice(0, maxMessage),
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    ...(since === undefined ? {} : { lastTransitionTime: since }),
  };
}

function stamp(value: unknown, now: string): unknown {
  if (Array.isArray(value)) return value.map((element) => stamp(element, now));
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === 'conditions' && Array.isArray(inner)
        ? inner.map((condition: Tree) => ({
            ...condition,
            lastTransitionTime: condition['lastTransitionTime'] ?? now,
          }))
        : stamp(inner, now),
    ]),
  );
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
