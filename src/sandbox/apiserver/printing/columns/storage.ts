import { isObject, objectsOf, pathOf, stringOf, stringsOf } from '../../../base/json.js';
import type { Column } from '../../registry/resource.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { at, booleans, type Cell, column } from './cells.js';

const modeNames: Readonly<Record<string, string>> = {
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOnce: 'RWO',
  ReadWriteOncePod: 'RWOP',
};
const modeOrder = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'];

const accessModes =
  (...path: string[]): Cell =>
  (o) => {
    const given = new Set(stringsOf(pathOf(o, ...path)));
    return modeOrder
      .filter((m) => given.has(m))
      .map((m) => modeNames[m] ?? m)
      .join(',');
  };

/** A class named by an annotation of old counts, too. */
const className: Cell = (o) =>
  o.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ??
  stringOf(pathOf(o, 'spec', 'storageClassName'));
const attributesClass = column('VolumeAttributesClass', at(['spec', 'volumeAttributesClassName'], '<unset>'));
const volumeMode = column('VolumeMode', at(['spec', 'volumeMode'], '<unset>'), 1);

const phase: Cell = (o) =>
  o.metadata.deletionTimestamp === undefined ? stringOf(pathOf(o, 'status', 'phase')) : 'Terminating';

const flag = (name: string, ...path: string[]): Column => booleans(name, (o) => pathOf(o, ...path) === true);

/** Volumes, claims, classes and drivers. */
export const storageColumns: Readonly<Record<string, readonly Column[]>> = {
  persistentvolumeclaims: [
    nameColumn,
    column('Status', phase),
    column('Volume', at(['spec', 'volumeName'])),
    // Before it is bound a claim has neither.
    column('Capacity', (o) =>
      stringOf(pathOf(o, 'spec', 'volumeName')) === ''
        ? ''
        : stringOf(pathOf(o, 'status', 'capacity', 'storage')),
    ),
    column('Access Modes', (o) =>
      stringOf(pathOf(o, 'spec', 'volumeName')) === '' ? '' : accessModes('status', 'accessModes')(o),
    ),
    column('StorageClass', className),
    attributesClass,
    ageColumn,
    volumeMode,
  ],
  persistentvolumes: [
    nameColumn,
    column('Capacity', at(['spec', 'capacity', 'storage'])),
    column('Access Modes', accessModes('spec', 'accessModes')),
    column('Reclaim Policy', at(['spec', 'persistentVolumeReclaimPolicy'])),
    column('Status', phase),
    column('Claim', (o) => {
      const claim = pathOf(o, 'spec', 'claimRef');
      return isObject(claim) ? `${stringOf(claim.namespace)}/${stringOf(claim.name)}` : '';
    }),
    column('StorageClass', className),
    attributesClass,
    column('Reason', at(['status', 'reason'])),
    ageColumn,
    volumeMode,
  ],
  'csidrivers.storage.k8s.io': [
    nameColumn,
    flag('AttachRequired', 'spec', 'attachRequired'),
    flag('PodInfoOnMount', 'spec', 'podInfoOnMount'),
    flag('StorageCapacity', 'spec', 'storageCapacity'),
    column('TokenRequests', (o) => {
      const audiences = objectsOf(pathOf(o, 'spec', 'tokenRequests')).map((r) => stringOf(r.audience));
      return audiences.length === 0 ? '<unset>' : audiences.join(',');
    }),
    flag('RequiresRepublish', 'spec', 'requiresRepublish'),
    column('Modes', (o) => {
      const modes = stringsOf(pathOf(o, 'spec', 'volumeLifecycleModes'));
      return modes.length === 0 ? '<none>' : modes.join(',');
    }),
    ageColumn,
  ],
  'storageclasses.storage.k8s.io': [
    {
      ...nameColumn,
      cell: (o) =>
        o.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true'
          ? `${o.metadata.name} (default)`
          : o.metadata.name,
    },
    column('Provisioner', at(['provisioner'])),
    column('ReclaimPolicy', at(['reclaimPolicy'])),
    column('VolumeBindingMode', at(['volumeBindingMode'])),
    column('AllowVolumeExpansion', (o) => o.allowVolumeExpansion === true),
    ageColumn,
  ],
  'volumeattachments.storage.k8s.io': [
    nameColumn,
    { ...column('Attacher', at(['spec', 'attacher'])), format: 'name' },
    column('PV', at(['spec', 'source', 'persistentVolumeName'])),
    column('Node', at(['spec', 'nodeName'])),
    flag('Attached', 'status', 'attached'),
    ageColumn,
  ],
};
