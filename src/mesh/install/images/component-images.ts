import { MeshError } from '#base/errors/mesh-error.js';
import { parseImageReference } from '#base/oci/reference.js';
import { scalarText, type ValueMap, valueAt } from '../../templates/values.js';

/** What runs from an image of its own. */
export type ImageComponent = 'controller' | 'cni' | 'ztunnel' | 'waypoint';

/** The image of a component, as the values have it. */
export interface ComponentImage {
  readonly component: ImageComponent;
  /** As it stands in the objects, such as `meshctl/ztunnel:0.1.0` or `registry.example/ztunnel@sha256:...`. */
  readonly reference: string;
  /** The value that replaces it, such as `values.ztunnel.image`. */
  readonly valuePath: string;
}

/** Component -> its value, and what has to be enabled for it: the controller deploys waypoints. */
const components: readonly {
  readonly component: ImageComponent;
  readonly path: readonly string[];
  readonly enabledBy: string;
}[] = [
  { component: 'controller', path: ['values', 'pilot', 'image'], enabledBy: 'pilot' },
  { component: 'cni', path: ['values', 'cni', 'image'], enabledBy: 'cni' },
  { component: 'ztunnel', path: ['values', 'ztunnel', 'image'], enabledBy: 'ztunnel' },
  { component: 'waypoint', path: ['values', 'global', 'proxy', 'image'], enabledBy: 'pilot' },
];

/**
 * Every image of an installation, also those of components that are off. As upstream, a value with a slash is the whole
 * reference, one without is the last part of the name below hub, and an empty one is the component's own. Throws
 * MESH1200 when hub, tag and image make no reference.
 */
export function componentImages(spec: ValueMap): readonly ComponentImage[] {
  return components.map(({ component, path }) => {
    const valuePath = path.join('.');
    const given = textAt(spec, path);
    const short = `${textAt(spec, ['hub'])}/${given === '' ? component : given}:${textAt(spec, ['tag'])}`;
    const reference = given.includes('/') ? given : short;
    if (parseImageReference(reference) === undefined)
      throw new MeshError('MESH1200', `"${reference}" is no name of an image`, {
        evidence: given === '' ? 'it is made of hub and tag' : `it is made of ${valuePath}`,
      });
    return { component, reference, valuePath };
  });
}

/** The image of clients and of an echo server to try a mesh with: no component, but beside them. */
export function toolImage(spec: ValueMap): string {
  return `${textAt(spec, ['hub'])}/tool:${textAt(spec, ['tag'])}`;
}

/** The images of components that are on. */
export function neededImages(spec: ValueMap): readonly ComponentImage[] {
  const isOn = (name: string): boolean => valueAt(spec, ['components', name, 'enabled']) === true;
  const on = new Set(components.filter(({ enabledBy }) => isOn(enabledBy)).map(({ component }) => component));
  return componentImages(spec).filter(({ component }) => on.has(component));
}

function textAt(spec: ValueMap, path: readonly string[]): string {
  const value = valueAt(spec, path);
  return value === undefined || value === null || typeof value === 'object' ? '' : scalarText(value);
}
