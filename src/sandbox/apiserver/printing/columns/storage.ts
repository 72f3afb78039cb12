import { isObject, objectsOf, valueIn, stringOf, stringsOf } from '../../../base/json.js';
import type { Column } from '../../registry/resource.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { cellAt, booleans, type Cell, column } from './cells.js';

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
    const given = new Set(stringsOf(valueIn(o, ...path)));
    return modeOrder
      .filter((m) => given.has(m))
      .map((m) => modeNames[m] ?? m)
      .join(',');
  };

/** A class named by an annotation of old counts, too. */
const className: Cell = (o) =>
  o.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ??
  stringOf(valueIn(o, 'spec', 'storageClassName'));
const attributesClass = column(
  'VolumeAttributesClass',
  cellAt(['spec', 'volumeAttributesClassName'], '<unset>'),
);
const volumeMode = column('VolumeMode', cellAt(['spec', 'volumeMode'], '<unset>'), 1);

const phase: Cell = (o) =>
  o.metadata.deletionTimestamp === undefined ? stringOf(valueIn(o, 'status', 'phase')) : 'Terminating';

const flag = (name: string, ...path: string[]): Column => booleans(name, (o) => valueIn(o, ...path) === true);

/** Volumes, claims, classes and drivers. */
export const storageColumns: Readonly<Record<string, readonly Column[]>> = {
  persistentvolumeclaims: [
    nameColumn,
    column('Status', phase),
    column('Volume', cellAt(['spec', 'volumeName'])),
    // Before it is bound a claim has neither.
    column('Capacity', (o) =>
      stringOf(valueIn(o, 'spec', 'volumeName')) === ''
        ? ''
        : stringOf(valueIn(o, 'status', 'capacity', 'storage')),
    ),
    column('Access Modes', (o) =>
      stringOf(valueIn(o, 'spec', 'volumeName')) === '' ? '' : accessModes('status', 'accessModes')(o),
    ),
    column('StorageClass', className),
    attributesClass,
    ageColumn,
    volumeMode,
  ],
  persistentvolumes: [
    nameColumn,
    column('Capacity', cellAt(['spec', 'capacity', 'storage'])),
    column('Access Modes', accessModes('spec', 'accessModes')),
    column('Reclaim Policy', cellAt(['spec', 'persistentVolumeReclaimPolicy'])),
    column('Status', phase),
    column('Claim', (o) => {
      const claim = valueIn(o, 'spec', 'claimRef');
      return isObject(claim) ? `${stringOf(claim.namespace)}/${stringOf(claim.name)}` : '';
    }),
    column('StorageClass', className),
    attributesClass,
    column('Reason', cellAt(['status', 'reason'])),
    ageColumn,
    volumeMode,
  ],
  'csidrivers.storage.k8s.io': [
    nameColumn,
    flag('AttachRequired', 'spec', 'attachRequired'),
    flag('PodInfoOnMount', 'spec', 'podInfoOnMount'),
    flag('StorageCapacity', 'spec', 'storageCapacity'),
    column('TokenRequests', (o) => {
      const audiences = objectsOf(valueIn(o, 'spec', 'tokenRequests')).map((r) => stringOf(r.audience));
      return audiences.length === 0 ? '<unset>' : audiences.join(',');
    }),
    flag('RequiresRepublish', 'spec', 'requiresRepublish'),
    column('Modes', (o) => {
      const modes = stringsOf(valueIn(o, 'spec', 'volumeLifecycleModes'));
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
    column('Provisioner', cellAt(['provisioner'])),
    column('ReclaimPolicy', cellAt(['reclaimPolicy'])),
    column('VolumeBindingMode', cellAt(['volumeBindingMode'])),
    column('AllowVolumeExpansion', (o) => o.allowVolumeExpansion === true),
    ageColumn,
  ],
  'volumeattachments.storage.k8s.io': [
    nameColumn,
    { ...column('Attacher', cellAt(['spec', 'attacher'])), format: 'name' },
    column('PV', cellAt(['spec', 'source', 'persistentVolumeName'])),
    column('Node', cellAt(['spec', 'nodeName'])),
    flag('Attached', 'status', 'attached'),
    ageColumn,
  ],
};
