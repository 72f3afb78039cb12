import type { Environment } from '@marcbachmann/cel-js';
import { charge } from '../budget.js';
import { define } from './define.js';

/** Cost of asking the authorizer, as Kubernetes counts it. */
const checkCost = 350_000;

/** What a rule may ask about. */
export interface AccessQuestion {
  readonly verb: string;
  readonly path?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** Answers for one user; `as` gives the answers for a service account. */
export interface AccessOracle {
  decide(question: AccessQuestion): { readonly isAllowed: boolean; readonly reason: string };
  as(namespace: string, name: string): AccessOracle;
}

class Decision {
  readonly isAllowed: boolean;
  readonly reason: string;

  constructor(decided: { readonly isAllowed: boolean; readonly reason: string }) {
    this.isAllowed = decided.isAllowed;
    this.reason = decided.reason;
  }
}

class PathCheck {
  readonly oracle: AccessOracle;
  readonly path: string;

  constructor(oracle: AccessOracle, path: string) {
    this.oracle = oracle;
    this.path = path;
  }
}

class GroupCheck {
  readonly oracle: AccessOracle;
  readonly group: string;

  constructor(oracle: AccessOracle, group: string) {
    this.oracle = oracle;
    this.group = group;
  }
}

/** A resource that `check(verb)` can be asked of. */
export class ResourceCheck {
  readonly oracle: AccessOracle;
  readonly question: Omit<AccessQuestion, 'verb'>;

  constructor(oracle: AccessOracle, question: Omit<AccessQuestion, 'verb'>) {
    this.oracle = oracle;
    this.question = question;
  }

  with(more: Omit<AccessQuestion, 'verb'>): ResourceCheck {
    return new ResourceCheck(this.oracle, { ...this.question, ...more });
  }
}

/** The value of the `authorizer` variable. */
export class CelAuthorizer {
  readonly oracle: AccessOracle;
  readonly requestResource: ResourceCheck;

  constructor(oracle: AccessOracle, requestResource: Omit<AccessQuestion, 'verb'>) {
    this.oracle = oracle;
    this.requestResource = new ResourceCheck(oracle, requestResource);
  }
}

/** Kubernetes' authorizer functions. */
export function registerAuthorization(environment: Environment): void {
  const p = 'kubernetes.authorization';
  environment.registerType(`${p}.Decision`, { ctor: Decision, fields: {} });
  environment.registerType(`${p}.PathCheck`, { ctor: PathCheck, fields: {} });
  environment.registerType(`${p}.GroupCheck`, { ctor: GroupCheck, fields: {} });
  environment.registerType(`${p}.ResourceCheck`, { ctor: ResourceCheck, fields: {} });
  environment.registerType(`${p}.Authorizer`, {
    ctor: CelAuthorizer,
    fields: { requestResource: `${p}.ResourceCheck` },
  });
  const ask = (oracle: AccessOracle, question: AccessQuestion): Decision => {
    charge(checkCost);
    return new Decision(oracle.decide(question));
  };
  define(environment, {
    [`${p}.Authorizer.path(string): ${p}.PathCheck`]: (a: CelAuthorizer, path: string) => {
      if (path === '') throw new Error('path must not be empty');
      return new PathCheck(a.oracle, path);
    },
    [`${p}.Authorizer.group(string): ${p}.GroupCheck`]: (a: CelAuthorizer, group: string) =>
      new GroupCheck(a.oracle, group),
    [`${p}.Authorizer.serviceAccount(string, string): ${p}.Authorizer`]: (
      a: CelAuthorizer,
      namespace: string,
      name: string,
    ) => new CelAuthorizer(a.oracle.as(namespace, name), a.requestResource.question),
    [`${p}.GroupCheck.resource(string): ${p}.ResourceCheck`]: (g: GroupCheck, resource: string) =>
      new ResourceCheck(g.oracle, { group: g.group, resource }),
    [`${p}.ResourceCheck.subresource(string): ${p}.ResourceCheck`]: (r: ResourceCheck, subresource: string) =>
      r.with({ subresource }),
    [`${p}.ResourceCheck.namespace(string): ${p}.ResourceCheck`]: (r: ResourceCheck, namespace: string) =>
      r.with({ namespace }),
    [`${p}.ResourceCheck.name(string): ${p}.ResourceCheck`]: (r: ResourceCheck, name: string) =>
      r.with({ name }),
    [`${p}.ResourceCheck.check(string): ${p}.Decision`]: (r: ResourceCheck, verb: string) =>
      ask(r.oracle, { ...r.question, verb }),
    [`${p}.PathCheck.check(string): ${p}.Decision`]: ({ oracle, path }: PathCheck, verb: string) =>
      ask(oracle, { path, verb }),
    [`${p}.Decision.allowed(): bool`]: (d: Decision) => d.isAllowed,
    [`${p}.Decision.errored(): bool`]: () => false,
    [`${p}.Decision.error(): string`]: () => '',
    [`${p}.Decision.reason(): string`]: (d: Decision) => d.reason,
  });
}
