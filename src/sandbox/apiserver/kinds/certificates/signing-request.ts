import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import {
  equalJson,
  type Json,
  type JsonObject,
  objectOf,
  objectsOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { nameProblems } from '../../registry/names.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { at, Checks, isUnset } from '../validation/checks.js';

const usages = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];
const shortestSeconds = 600;
/** Conditions of which only the truth can be told. */
const oneWay = ['Approved', 'Denied', 'Failed'];

/** The certification request in a CSR's spec. Throws when there is none. */
export function parseRequest(spec: JsonObject): Pkcs10CertificateRequest {
  const pem = Buffer.from(stringOf(spec.request), 'base64').toString('latin1');
  const body =
    /^-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\s\S]+?)-----END (?:NEW )?CERTIFICATE REQUEST-----/m.exec(
      pem,
    )?.[1];
  if (body === undefined) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  return new Pkcs10CertificateRequest(Buffer.from(body, 'base64'));
}

/** The user a certificate for a request would stand for. */
export function commonNameOf(request: Pkcs10CertificateRequest): string {
  // Of several the last one counts, as for Go's parser.
  return (
    request.subjectName
      .toJSON()
      .flatMap((part) => part['CN'] ?? [])
      .at(-1) ?? ''
  );
}

function signerErrors(checks: Checks, value: Json | undefined): void {
  const path = 'spec.signerName';
  const name = stringOf(value);
  if (name === '') {
    checks.required(path);
    return;
  }
  const [domain = '', ...rest] = name.split('/');
  if (rest.length !== 1 || rest[0] === '') {
    checks.invalid(
      path,
      name,
      'must be a fully qualified domain and path of the form "example.com/signer-name"',
    );
    return;
  }
  for (const problem of nameProblems(domain, 'subdomain')) checks.invalid(path, name, problem);
  if (!domain.includes('.'))
    checks.invalid(path, name, 'should be a domain with at least two segments separated by dots');
}

function conditionErrors(checks: Checks, conditions: Json | undefined): void {
  const seen = new Set<string>();
  checks.each(conditions, 'status.conditions', (condition, path) => {
    const type = stringOf(condition.type);
    if (type === '') checks.required(at(path, 'type'));
    checks.requiredOneOf(
      condition.status,
      at(path, 'status'),
      oneWay.includes(type) ? ['True'] : ['False', 'True', 'Unknown'],
    );
    const opposite = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : undefined;
    if (opposite !== undefined && seen.has(opposite))
      checks.invalid(at(path, 'type'), type, 'Approved and Denied conditions are mutually exclusive');
    if (seen.has(type)) checks.duplicate(at(path, 'type'), type);
    seen.add(type);
  });
}

function certificateErrors(checks: Checks, value: Json | undefined): void {
  if (isUnset(value)) return;
  try {
    const certificate = new X509Certificate(Buffer.from(stringOf(value), 'base64'));
    if (certificate.raw.length === 0) throw new Error('no certificate');
  } catch {
    checks.invalid('status.certificate', '<certificate data>', 'must contain one or more PEM blocks');
  }
}

function specErrors(checks: Checks, spec: JsonObject): void {
  try {
    parseRequest(spec);
  } catch (error) {
    checks.invalid(
      'spec.request',
      spec.request ?? null,
      error instanceof Error ? error.message : String(error),
    );
  }
  const list = stringsOf(spec.usages);
  if (list.length === 0) checks.required('spec.usages');
  list.forEach((usage, i) => {
    checks.oneOf(usage, `spec.usages[${i}]`, usages);
    if (list.indexOf(usage) < i) checks.duplicate(`spec.usages[${i}]`, usage);
  });
  if (spec.signerName === 'kubernetes.io/legacy-unknown')
    checks.invalid(
      'spec.signerName',
      spec.signerName,
      'the legacy signerName is not allowed via this API version',
    );
  else signerErrors(checks, spec.signerName);
  const seconds = spec.expirationSeconds;
  if (typeof seconds === 'number' && seconds < shortestSeconds) {
    checks.invalid(
      'spec.expirationSeconds',
      seconds,
      `may not specify a duration less than ${shortestSeconds} seconds (10 minutes)`,
    );
  }
}

function conditionsOf(csr: ApiObject, type: string): JsonObject[] {
  return objectsOf(objectOf(csr.status).conditions).filter((c) => c.type === type);
}

/** Rules for a write of the status or of the approval. */
export function signingStatusErrors(csr: ApiObject, old: ApiObject, subresource: 'status' | 'approval') {
  const checks = new Checks();
  const status = objectOf(csr.status);
  const before = objectOf(old.status);
  const path = 'status.conditions';
  conditionErrors(checks, status.conditions);
  certificateErrors(checks, status.certificate);
  for (const type of oneWay) {
    const [now, was] = [conditionsOf(csr, type), conditionsOf(old, type)];
    if (now.length < was.length)
      checks.forbidden(path, `updates may not remove a condition of type "${type}"`);
    else if (subresource === 'status' && type !== 'Failed' && !equalJson(now, was)) {
      const what = now.length > was.length ? 'add' : 'modify';
      checks.forbidden(path, `updates may not ${what} a condition of type "${type}"`);
    }
  }
  if (!equalJson(status.certificate, before.certificate)) {
    if (subresource === 'approval')
      checks.forbidden('status.certificate', 'updates may not set certificate content');
    else if (!isUnset(before.certificate))
      checks.forbidden('status.certificate', 'updates may not modify existing certificate content');
  }
  return checks.errors;
}

/** CertificateSigningRequests. Who asks is written in by the server. */
export const signingRequestStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    specErrors(checks, specOf(object));
    return checks.errors;
  },
  // Only the subresources change anything: the rest of the spec is what was asked for.
  prepareUpdate: (draft, old) => {
    draft.spec = old.spec;
  },
  validateStatus: (object, old) => signingStatusErrors(object, old, 'status'),
};
