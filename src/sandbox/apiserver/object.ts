import type { JsonObject } from '../base/json.js';

export interface ApiOwnerReference extends JsonObject {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ApiObjectMeta extends JsonObject {
  name: string;
  generateName?: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: { [key: string]: string };
  annotations?: { [key: string]: string };
  finalizers?: string[];
  ownerReferences?: ApiOwnerReference[];
  managedFields?: JsonObject[];
}

/**
 * An API object. Objects that left the store are shared by everybody who reads
 * them and are never changed in place: copy with cloneJson first.
 */
export interface ApiObject extends JsonObject {
  apiVersion: string;
  kind: string;
  metadata: ApiObjectMeta;
}
