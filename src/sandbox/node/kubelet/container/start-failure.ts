import { messageOf } from '#base/errors/mesh-error.js';
import { ImageError } from '../../image/find-image.js';
import { ContainerConfigError } from '../../model/config-error.js';
import { VolumeError } from '../../volume/volume-content.js';
import type { EventDetails } from '../../../base/event-recorder.js';
import type { WaitingState } from './container-slot.js';

/** Why an instance could not be started, as the waiting state kubelet gives it. */
export function startFailure(error: unknown): Required<WaitingState> {
  const message = messageOf(error);
  if (error instanceof ImageError) return { reason: error.reason, message };
  if (error instanceof ContainerConfigError || error instanceof VolumeError)
    return { reason: 'CreateContainerConfigError', message };
  return { reason: 'CreateContainerError', message };
}

/** The waiting state while the same failure is expected again. */
export function backingOff(failure: WaitingState, image: string): WaitingState {
  if (failure.reason !== 'ErrImagePull') return failure;
  return {
    reason: 'ImagePullBackOff',
    message: `Back-off pulling image "${image}": ErrImagePull: ${failure.message ?? ''}`,
  };
}

/** The events of a failure, in the words people and tools search for. */
export function failureEvents(
  failure: Required<WaitingState>,
  { image, isRepeated }: { image: string; isRepeated: boolean },
): EventDetails[] {
  const failed = (message: string): EventDetails => ({ type: 'Warning', reason: 'Failed', message });
  switch (failure.reason) {
    case 'ErrImagePull':
      return isRepeated
        ? [
            { type: 'Normal', reason: 'BackOff', message: `Back-off pulling image "${image}"` },
            failed('Error: ImagePullBackOff'),
          ]
        : [
            { type: 'Normal', reason: 'Pulling', message: `Pulling image "${image}"` },
            failed(`Failed to pull image "${image}": ${failure.message}`),
            failed('Error: ErrImagePull'),
          ];
    case 'InvalidImageName':
      return [
        { type: 'Warning', reason: 'InspectFailed', message: failure.message },
        failed('Error: InvalidImageName'),
      ];
    case 'ErrImageNeverPull':
      return [
        { type: 'Warning', reason: 'ErrImageNeverPull', message: failure.message },
        failed('Error: ErrImageNeverPull'),
      ];
    default:
      return [failed(`Error: ${failure.message}`)];
  }
}
