// Derives the shapes of the built-in Kubernetes kinds (field names, types and
// which are required) from the models of @kubernetes/client-node, for the
// sandbox's API server. Run: node scripts/gen-kube-types.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const models = join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen/models');
const out = 'src/sandbox/apiserver/schema/builtin-types.json';

const roots = [
  'V1Namespace',
  'V1Pod',
  'V1PodTemplate',
  'V1Service',
  'V1Endpoints',
  'V1ConfigMap',
  'V1Secret',
  'V1ServiceAccount',
  'V1Node',
  'CoreV1Event',
  'EventsV1Event',
  'V1ResourceQuota',
  'V1LimitRange',
  'V1PersistentVolumeClaim',
  'V1PersistentVolume',
  'V1ReplicationController',
  'V1Binding',
  'V1Eviction',
  'V1Deployment',
  'V1ReplicaSet',
  'V1StatefulSet',
  'V1DaemonSet',
  'V1ControllerRevision',
  'V1Job',
  'V1CronJob',
  'V1Scale',
  'V2HorizontalPodAutoscaler',
  'V1PodDisruptionBudget',
  'V1Role',
  'V1ClusterRole',
  'V1RoleBinding',
  'V1ClusterRoleBinding',
  'V1EndpointSlice',
  'V1NetworkPolicy',
  'V1Ingress',
  'V1IngressClass',
  'V1Lease',
  'V1MutatingWebhookConfiguration',
  'V1ValidatingWebhookConfiguration',
  'V1ValidatingAdmissionPolicy',
  'V1ValidatingAdmissionPolicyBinding',
  'V1CustomResourceDefinition',
  'V1APIService',
  'V1PriorityClass',
  'V1StorageClass',
  'V1CSIDriver',
  'V1CSINode',
  'V1VolumeAttachment',
  'V1RuntimeClass',
  'V1CertificateSigningRequest',
  'AuthenticationV1TokenRequest',
  'V1TokenReview',
  'V1SelfSubjectReview',
  'V1SubjectAccessReview',
  'V1SelfSubjectAccessReview',
  'V1LocalSubjectAccessReview',
  'V1SelfSubjectRulesReview',
  'V1DeleteOptions',
  'V1Status',
]; // prettier-ignore

const scalars = {
  string: 'string',
  boolean: 'boolean',
  any: 'any',
  IntOrString: 'intOrString',
  Date: 'time',
  V1MicroTime: 'time',
};

/** Facts the models lost: base64 map values. */
const overrides = { 'V1Secret.data': '{}bytes', 'V1ConfigMap.binaryData': '{}bytes' };

function typeOf(type, format) {
  const list = /^Array<(.+)>$/.exec(type);
  if (list) return `[]${typeOf(list[1], format)}`;
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type);
  if (map) return `{}${typeOf(map[1], '')}`;
  if (type === 'string' && format === 'byte') return 'bytes';
  if (type === 'number') return format.startsWith('int') ? format : 'number';
  return scalars[type] ?? `#${type}`;
}

const types = {};
const queue = [...roots];
while (queue.length > 0) {
  const name = queue.pop();
  if (types[name]) continue;
  const js = readFileSync(join(models, `${name}.js`), 'utf8');
  const declaration = readFileSync(join(models, `${name}.d.ts`), 'utf8');
  const attributes = JSON.parse(/attributeTypeMap = (\[[\s\S]*?\n\]);/.exec(js)?.[1] ?? '[]');
  const fields = {};
  for (const { name: property, baseName, type, format } of attributes) {
    const text = overrides[`${name}.${baseName}`] ?? typeOf(type, format);
    const isRequired = declaration.includes(`'${property}':`);
    fields[baseName] = isRequired ? `${text}!` : text;
    const ref = /#(\w+)$/.exec(text)?.[1];
    if (ref) queue.push(ref);
  }
  types[name] = fields;
}
const sorted = Object.fromEntries(Object.entries(types).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(out, `${JSON.stringify(sorted, null, 1)}\n`);
console.log(`${out}: ${Object.keys(sorted).length} types`);
