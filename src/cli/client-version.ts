import manifest from '../../package.json' with { type: 'json' };

/** Version of this meshctl, which is also the default image tag. */
export const clientVersion: string = manifest.version;
