import type { Json, Rule, Size, Values } from './corpus.js';

/** Values of the fields that many kinds have. */

const text = (length: number, letter = 'a'): string => letter.repeat(length);

export const oneOf = (accepted: readonly Json[], refused: readonly Json[] = ['Else', '', 1]): Values => ({
  accepted,
  refused,
});

/** A union's type: it changes only together with what it names, so a rule has the accepted ones. */
export const unionType: Values = { accepted: [], refused: ['Else', '', 1] };

export const group: Values = {
  accepted: ['a', 'a-1.example', text(253)],
  refused: ['A', 'a_b', 'a..b', '-a', text(254), 1],
};
export const kind: Values = {
  accepted: ['K', 'a-b', text(63, 'K')],
  refused: ['', '1a', 'a_b', 'a-', text(64, 'K'), true],
};
export const objectName: Values = {
  accepted: ['x', 'Any Thing', text(253)],
  refused: ['', text(254), 5],
};
export const namespace: Values = {
  accepted: ['x', 'x-1', text(63)],
  refused: ['', 'A', 'a.b', '-a', 'a-', text(64), 7],
};
export const subdomain: Values = {
  accepted: ['x', 'x.b-c', text(253)],
  refused: ['', 'A', 'a..b', '-a', 'a-', '*.a', text(254), 7],
};
export const wildcardHost: Values = {
  accepted: ['x.example', '*.x.example', text(253)],
  refused: ['', '*', 'a.*', '**.a', '*.', 'A', text(254), 7],
};
export const port: Values = { accepted: [1, 65_535], refused: [0, -1, 65_536, 1.5, '80'] };
export const weight: Values = { accepted: [0, 1_000_000], refused: [-1, 1_000_001, '1'] };
export const controllerName: Values = {
  accepted: ['x.example/c', 'a/b/~c%20', `a/${text(251)}`],
  refused: ['', 'a', 'a/', '/a', 'A/b', 'a/b c', `a/${text(252)}`, 1],
};
export const headerName: Values = {
  accepted: ['X-Any', "!#$%&'*+-.^_`|~9", text(256)],
  refused: ['', 'a b', 'a:b', 'ä', text(257), 1],
};
export const headerValue: Values = { accepted: [' ', text(4096)], refused: ['', text(4097), 1] };
export const anyText: Values = { accepted: ['', 'anything at all'], refused: [1] };
export const anyBoolean: Values = { accepted: [true, false], refused: ['true'] };
/** Definitions say int32, and API servers do not look at that. */
export const count: Values = { accepted: [0, 2_147_483_648], refused: ['1', 1.5] };
export const optionValue: Values = { accepted: ['', text(4096)], refused: [text(4097), 1] };

export const condition: Readonly<Record<string, Values>> = {
  type: { accepted: ['A', 'a.example/B_c', text(316)], refused: ['-a', 'a/b/c', 'a ', text(317), 1] },
  status: oneOf(['True', 'False', 'Unknown'], ['true', '', true]),
  reason: { accepted: ['A', 'A_b:c,d', text(1024)], refused: ['', '1a', 'a-b', 'a:', text(1025)] },
  message: { accepted: ['', text(32_768)], refused: [text(32_769), 1] },
  observedGeneration: { accepted: [0, 9_007_199_254_740_991], refused: [-1, '1'] },
  lastTransitionTime: {
    accepted: ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.678+02:00'],
    refused: ['yesterday', '2026-01-02', 1],
  },
};
export const aCondition = (type: string): { readonly [key: string]: Json } => ({
  type,
  status: 'True',
  reason: 'Fine',
  message: 'all is well',
  observedGeneration: 1,
  lastTransitionTime: '2026-01-02T03:04:05Z',
});
export const conditionRequired = ['lastTransitionTime', 'message', 'reason', 'status', 'type'];
export const conditions: Size = {
  max: 8,
  element: (i) => aCondition(`T${i}`),
  isUnique: true,
};

/** What a controller has not looked at yet. */
export const pending = (...types: readonly string[]): Json => ({
  conditions: types.map((type) => ({
    type,
    status: 'Unknown',
    reason: 'Pending',
    message: 'Waiting for controller',
    lastTransitionTime: '1970-01-01T00:00:00Z',
  })),
});

export const localReference = { group, kind, name: objectName };

export const labelSelector: Readonly<Record<string, Values>> = {
  'matchLabels.app': anyText,
  'matchExpressions[0].key': anyText,
  'matchExpressions[0].operator': anyText,
  'matchExpressions[0].values[0]': anyText,
};
export const aSelector: Json = {
  matchLabels: { app: 'a' },
  matchExpressions: [{ key: 'tier', operator: 'In', values: ['b'] }],
};

export const routeKinds: Readonly<Record<string, Values>> = {
  'kinds[0].group': group,
  'kinds[0].kind': kind,
};

export const tlsOptions: Size = { max: 16, element: (i) => `v${i}`, key: (i) => `example.com/o${i}` };

export const backendReference = {
  group: { accepted: ['x.example', text(253)], refused: group.refused },
  kind,
  name: objectName,
  namespace,
  port,
};
export const serviceNeedsPort: Rule = {
  message: 'a Service needs a port',
  at: '',
  accepted: [
    { kind: 'Bucket', port: undefined },
    { group: 'x.example', port: undefined },
  ],
  refused: [{ port: undefined }],
};
