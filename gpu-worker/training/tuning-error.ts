/** What was asked for cannot be trained, or not so: in words for whoever asked, with what to do. */
export class TuningError extends Error {}
