import metadata from '../../package.json' with { type: 'json' };

/** Version this controller reports: `/version`, metrics. */
export const controllerVersion: string = metadata.version;
