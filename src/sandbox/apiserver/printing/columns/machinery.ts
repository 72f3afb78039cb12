import { isObject, numberOf, objectOf, objectsOf, valueIn, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Column } from '../../registry/resource.js';
import { shortDuration } from '../age.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { cellAt, type Cell, column, integers } from './cells.js';

function subjects(kind: string): Cell {
  return (o) =>
    objectsOf(o.subjects)
      .filter((s) => s.kind === kind)
      .map((s) =>
        kind === 'ServiceAccount' ? `${stringOf(s.namespace)}/${stringOf(s.name)}` : stringOf(s.name),
      )
      .join(', ');
}

const bindingColumns: readonly Column[] = [
  nameColumn,
  column(
    'Role',
    (o) => `${stringOf(valueIn(o, 'roleRef', 'kind'))}/${stringOf(valueIn(o, 'roleRef', 'name'))}`,
  ),
  ageColumn,
  column('Users', subjects('User'), 1),
  column('Groups', subjects('Group'), 1),
  column('ServiceAccounts', subjects('ServiceAccount'), 1),
];

const webhookColumns: readonly Column[] = [
  nameColumn,
  integers('Webhooks', (o) => objectsOf(o.webhooks).length),
  ageColumn,
];

/** Approved, Denied, Issued and so on: what has become of a certificate request. */
function requestState(o: ApiObject): string {
  const types = objectsOf(valueIn(o, 'status', 'conditions')).map((c) => stringOf(c.type));
  const words = [
    types.includes('Denied') ? 'Denied' : types.includes('Approved') ? 'Approved' : 'Pending',
    ...(types.includes('Failed') ? ['Failed'] : []),
    ...(stringOf(valueIn(o, 'status', 'certificate')) === '' ? [] : ['Issued']),
  ];
  return words.join(',');
}

function serviceAvailability(o: ApiObject): string {
  const known = objectsOf(valueIn(o, 'status', 'conditions')).find((c) => c.type === 'Available');
  if (known === undefined) return 'Unknown';
  return known.status === 'True' ? 'True' : `${stringOf(known.status)} (${stringOf(known.reason)})`;
}

const queuing =
  (field: string): Cell =>
  (o) =>
    numberOf(valueIn(o, 'spec', 'limited', 'limitResponse', 'queuing', field)) ?? '<none>';

/** Access, certificates, admission and the API itself. */
export const machineryColumns: Readonly<Record<string, readonly Column[]>> = {
  'rolebindings.rbac.authorization.k8s.io': bindingColumns,
  'clusterrolebindings.rbac.authorization.k8s.io': bindingColumns,
  'validatingwebhookconfigurations.admissionregistration.k8s.io': webhookColumns,
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': webhookColumns,
  'validatingadmissionpolicies.admissionregistration.k8s.io': [
    nameColumn,
    integers('Validations', (o) => objectsOf(valueIn(o, 'spec', 'validations')).length),
    column('ParamKind', (o) => {
      const kind = objectOf(valueIn(o, 'spec', 'paramKind'));
      return stringOf(kind.kind) === '' ? '<unset>' : `${stringOf(kind.apiVersion)}/${stringOf(kind.kind)}`;
    }),
    ageColumn,
  ],
  'validatingadmissionpolicybindings.admissionregistration.k8s.io': [
    nameColumn,
    column('PolicyName', cellAt(['spec', 'policyName'])),
    column('ParamRef', (o) => {
      const ref = valueIn(o, 'spec', 'paramRef');
      if (!isObject(ref)) return '<unset>';
      const namespace = stringOf(ref.namespace);
      const name = stringOf(ref.name) || '*';
      return namespace === '' ? name : `${namespace}/${name}`;
    }),
    ageColumn,
  ],
  'certificatesigningrequests.certificates.k8s.io': [
    nameColumn,
    ageColumn,
    column('SignerName', cellAt(['spec', 'signerName'], '<none>')),
    column('Requestor', cellAt(['spec', 'username'])),
    column('RequestedDuration', (o) => {
      const seconds = numberOf(valueIn(o, 'spec', 'expirationSeconds'));
      return seconds === undefined ? '<none>' : shortDuration(seconds * 1000);
    }),
    column('Condition', requestState),
  ],
  'apiservices.apiregistration.k8s.io': [
    nameColumn,
    column('Service', (o) => {
      const service = valueIn(o, 'spec', 'service');
      return isObject(service) ? `${stringOf(service.namespace)}/${stringOf(service.name)}` : 'Local';
    }),
    column('Available', serviceAvailability),
    ageColumn,
  ],
  'flowschemas.flowcontrol.apiserver.k8s.io': [
    nameColumn,
    column('PriorityLevel', cellAt(['spec', 'priorityLevelConfiguration', 'name'])),
    column('MatchingPrecedence', cellAt(['spec', 'matchingPrecedence'])),
    column('DistinguisherMethod', cellAt(['spec', 'distinguisherMethod', 'type'], '<none>')),
    ageColumn,
    column('MissingPL', (o) => {
      const dangling = objectsOf(valueIn(o, 'status', 'conditions')).find((c) => c.type === 'Dangling');
      return dangling === undefined ? '?' : stringOf(dangling.status);
    }),
  ],
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io': [
    nameColumn,
    column('Type', cellAt(['spec', 'type'])),
    column(
      'NominalConcurrencyShares',
      (o) => numberOf(valueIn(o, 'spec', 'limited', 'nominalConcurrencyShares')) ?? '<none>',
    ),
    column('Queues', queuing('queues')),
    column('HandSize', queuing('handSize')),
    column('QueueLengthLimit', queuing('queueLengthLimit')),
    ageColumn,
  ],
};
