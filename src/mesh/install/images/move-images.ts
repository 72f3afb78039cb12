import { ArchiveSink } from '#base/oci/archive-sink.js';
import { type CopiedImage, copyImage, type ImageSink } from '#base/oci/copy-image.js';
import type { Platform } from '#base/oci/platform.js';
import { formatImageReference, parseImageReference } from '#base/oci/reference.js';
import type { Registries } from '#base/oci/registry/registry.js';
import type { InstallReporter } from '../reporter.js';
import type { ImageOrigin } from './image-origin.js';

export interface MoveOptions {
  readonly origin: ImageOrigin;
  /** Names as the objects of the installation have them. */
  readonly names: readonly string[];
  readonly platforms: readonly Platform[] | undefined;
  readonly reporter: InstallReporter;
  readonly signal: AbortSignal;
}

const megabyte = 1_000_000;
/** Where nothing is animated each report is a line. */
const reportEveryPercent = 25;
/** The end is told by itself. */
const almostPercent = 90;

/** Writes images into one archive, which appears when it is whole. Throws MESH1208 when the disk is full. */
export async function saveImages(path: string, o: MoveOptions): Promise<readonly CopiedImage[]> {
  const sink = new ArchiveSink(path);
  try {
    const saved = await moveImages(o, () => sink);
    await sink.close();
    return saved;
  } catch (error) {
    await sink.abandon();
    throw error;
  }
}

/** Brings images into the registries that their names name; blobs that are there are not sent. */
export async function pushImages(registries: Registries, o: MoveOptions): Promise<readonly CopiedImage[]> {
  return moveImages(o, registries.sink(o.names));
}

async function moveImages(
  o: MoveOptions,
  sinkOf: (name: string) => ImageSink,
): Promise<readonly CopiedImage[]> {
  const moved: CopiedImage[] = [];
  for (const given of o.names) {
    const name = wholeName(given);
    const step = o.reporter.step(given);
    try {
      const image = await o.origin.find(given);
      let reported = 0;
      const copied = await copyImage(image, sinkOf(name), {
        name,
        platforms: o.platforms,
        signal: o.signal,
        onProgress: (doneBytes, totalBytes) => {
          const percent = totalBytes === 0 ? 0 : Math.floor((100 * doneBytes) / totalBytes);
          if (percent < reported + reportEveryPercent || percent >= almostPercent) return;
          reported = percent - (percent % reportEveryPercent);
          step.update(`${percent} % of ${sizeText(totalBytes)}`);
        },
      });
      step.succeed(`${sizeText(copied.sizeBytes)}, ${copied.platforms.join(', ')}`);
      moved.push({ ...copied, name: given });
      const pinned = parseImageReference(given)?.digest;
      if (pinned !== undefined && pinned !== copied.digest)
        o.reporter.warn(
          `${given} is pinned to another digest than ${copied.digest}: pin it again (meshctl images list --from ... -o values)`,
        );
    } catch (error) {
      step.fail();
      throw error;
    }
  }
  return moved;
}

/** Without its digest, which the sink finds out: what is named is a tag. */
function wholeName(name: string): string {
  const parsed = parseImageReference(name);
  return parsed === undefined ? name : formatImageReference({ ...parsed, digest: undefined });
}

/** A size as people read it. */
export function sizeText(bytes: number): string {
  return `${(bytes / megabyte).toFixed(1)} MB`;
}
