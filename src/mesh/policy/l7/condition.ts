import type { MeshNames } from '../../rules/trust-domain.js';
import type { HttpAttributes, L7Attributes } from './attributes.js';
import { compileIpBlock } from './ip-block.js';
import { compilePathPattern } from './path-pattern.js';
import {
  compilePrincipalPattern,
  compileServiceAccountPattern,
  parsePrincipal,
} from './principal-pattern.js';
import { compileNamespacePattern, compileStringPattern, type ValueTest } from './string-pattern.js';

/** Three-valued: `unknown` is what cannot be evaluated, and each action decides what that means. */
export type Truth = 'yes' | 'no' | 'unknown';

/** What an attribute is for a request: its values, none, or not knowable here. */
type Reading = readonly string[] | undefined;

/** How one attribute is read and how patterns for it are written. */
interface Field {
  /** Only an HTTP request has it. */
  readonly isHttp: boolean;
  readonly read: (attributes: L7Attributes) => Reading;
  /** Undefined when the pattern cannot be evaluated. */
  readonly compile: (pattern: string, names: MeshNames, policyNamespace: string) => ValueTest | undefined;
}

/** One list of values of a rule (`methods`, `notPaths`, one `when` entry), ready to evaluate. */
export interface L7Condition {
  /** As a person wrote it: `methods`, `notPrincipals`, `when request.headers[x]`. */
  readonly field: string;
  readonly values: readonly string[];
  readonly isNegated: boolean;
  readonly isHttp: boolean;
  readonly evaluate: (attributes: L7Attributes) => Truth;
  /** The request's values it is compared with; undefined when they cannot be known. */
  readonly read: (attributes: L7Attributes) => Reading;
}

const one = (value: string | undefined): readonly string[] => (value === undefined ? [] : [value]);
const plain = (pattern: string): ValueTest | undefined => compileStringPattern(pattern);

function httpField(
  read: (http: HttpAttributes) => Reading,
  compile: Field['compile'] = (pattern) => plain(pattern),
): Field {
  return { isHttp: true, read: ({ http }) => (http === undefined ? undefined : read(http)), compile };
}

function principalPart(part: 'namespace' | 'trustDomain', compile: Field['compile']): Field {
  return {
    isHttp: false,
    read: ({ sourcePrincipal }) =>
      one(sourcePrincipal === undefined ? undefined : parsePrincipal(sourcePrincipal)?.[part]),
    compile,
  };
}

function addressField(read: (attributes: L7Attributes) => string, isHttp = false): Field {
  return { isHttp, read: (attributes) => [read(attributes)], compile: (pattern) => compileIpBlock(pattern) };
}

function compilePort(pattern: string): ValueTest | undefined {
  if (!/^\d{1,5}$/.test(pattern) || Number(pattern) > 65535) return undefined;
  const port = String(Number(pattern));
  return (value) => value === port;
}

const principal: Field = {
  isHttp: false,
  read: ({ sourcePrincipal }) => one(sourcePrincipal),
  compile: compilePrincipalPattern,
};
const serviceAccount: Field = {
  isHttp: false,
  read: ({ sourcePrincipal }) => {
    const parts = sourcePrincipal === undefined ? undefined : parsePrincipal(sourcePrincipal);
    return one(parts === undefined ? undefined : `${parts.namespace}/${parts.serviceAccount}`);
  },
  compile: (pattern, _names, policyNamespace) => compileServiceAccountPattern(pattern, policyNamespace),
};
const namespace = principalPart('namespace', (pattern) => compileNamespacePattern(pattern));
const trustDomain = principalPart('trustDomain', (pattern) => plain(pattern));
const sourceIp = addressField(({ sourceIp: ip }) => ip);
// A forwarding header decides it, so it is an HTTP attribute although it is an address.
const remoteIp: Field = {
  ...addressField(({ remoteIp: ip }) => ip, true),
  read: ({ http, remoteIp: ip }) => (http === undefined ? undefined : [ip]),
};
const destinationPort: Field = {
  isHttp: false,
  read: ({ destinationPort: port }) => [String(port)],
  compile: (pattern) => compilePort(pattern),
};
const requestPrincipal = httpField(({ auth }) => one(auth?.principal));

/** Fields of `from[].source` by the name of their positive form. */
export const sourceFields = {
  principals: principal,
  requestPrincipals: requestPrincipal,
  namespaces: namespace,
  ipBlocks: sourceIp,
  remoteIpBlocks: remoteIp,
  serviceAccounts: serviceAccount,
} as const satisfies Record<string, Field>;

/** Fields of `to[].operation` by the name of their positive form. */
export const operationFields = {
  hosts: httpField(
    ({ host }) => [host],
    (pattern) => compileStringPattern(pattern, { ignoreCase: true }),
  ),
  ports: destinationPort,
  methods: httpField(({ method }) => [method]),
  paths: httpField(
    ({ path }) => [path],
    (pattern) => compilePathPattern(pattern),
  ),
} as const satisfies Record<string, Field>;

const fixedKeys: Readonly<Record<string, Field>> = {
  'source.ip': sourceIp,
  'remote.ip': remoteIp,
  'destination.ip': addressField(({ destinationIp }) => destinationIp),
  'source.namespace': namespace,
  'source.principal': principal,
  'source.serviceAccount': serviceAccount,
  'source.trustDomain': trustDomain,
  'request.auth.principal': requestPrincipal,
  'request.auth.audiences': httpField(({ auth }) => auth?.audiences ?? []),
  'request.auth.presenter': httpField(({ auth }) => one(auth?.presenter)),
  'destination.port': destinationPort,
  'connection.sni': {
    isHttp: false,
    read: ({ sni }) => (sni === undefined ? undefined : [sni]),
    compile: (pattern) => plain(pattern),
  },
};

/** A claim by its path: strings and lists of strings have values, everything else has none. */
function readClaim(claims: Readonly<Record<string, unknown>>, path: readonly string[]): readonly string[] {
  let at: unknown = claims;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, name)) return [];
    // The guard above makes it a plain object with that key.
    at = (at as Record<string, unknown>)[name];
  }
  if (typeof at === 'string') return [at];
  return Array.isArray(at) ? at.filter((item): item is string => typeof item === 'string') : [];
}

/** The field of a `when` key; undefined for a key this evaluator cannot answer. */
export function conditionField(key: string): Field | undefined {
  if (Object.hasOwn(fixedKeys, key)) return fixedKeys[key];
  const header = /^request\.headers\[([^\]]+)\]$/.exec(key)?.[1]?.toLowerCase();
  if (header !== undefined) {
    return httpField(
      (http) => one(http.header(header)),
      (pattern) => compileStringPattern(pattern, { presenceIncludesEmpty: true }),
    );
  }
  const claim = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/.exec(key)?.[1];
  if (claim !== undefined) {
    const path = claim.slice(1, -1).split('][');
    return httpField(({ auth }) => (auth === undefined ? [] : readClaim(auth.claims, path)));
  }
  return undefined;
}

/** Where a condition stands, for compiling its values. */
export interface ConditionSpec {
  readonly label: string;
  /** Undefined: the attribute cannot be evaluated here. */
  readonly field: Field | undefined;
  readonly values: readonly string[];
  readonly isNegated: boolean;
}

/** Compiles one list of values. A value that cannot be evaluated makes a non-match `unknown`. */
export function compileCondition(
  { label, field, values, isNegated }: ConditionSpec,
  names: MeshNames,
  policyNamespace: string,
): L7Condition {
  const base = { field: label, values, isNegated };
  if (field === undefined) {
    return { ...base, isHttp: false, evaluate: () => 'unknown', read: () => undefined };
  }
  const compiled = values.map((value) => field.compile(value, names, policyNamespace));
  const tests = compiled.filter((test) => test !== undefined);
  const hasUnknown = tests.length < compiled.length;
  const evaluate = (attributes: L7Attributes): Truth => {
    const actual = field.read(attributes);
    if (actual === undefined) return 'unknown';
    if (actual.some((value) => tests.some((test) => test(value)))) return isNegated ? 'no' : 'yes';
    if (hasUnknown) return 'unknown';
    return isNegated ? 'yes' : 'no';
  };
  return { ...base, isHttp: field.isHttp, evaluate, read: field.read };
}
