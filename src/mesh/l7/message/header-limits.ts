/** Most header lines of a request. */
export const headerLinesMax = 100;
/** Most bytes of a request's header section. */
export const headerBytesMax = 60 * 1024;
