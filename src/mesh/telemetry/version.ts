import metadata from '../../../package.json' with { type: 'json' };

/** Version every process of the product reports of itself. */
export const productVersion: string = metadata.version;
