import metadata from '../../package.json' with { type: 'json' };

/** Version this proxy reports. */
export const waypointVersion: string = metadata.version;
