/** How a text's token vectors become the one vector that a head reads. */

/** Ways that are computed beside a graph as well as in it. */
export const plainPoolings = ["mean", "cls", "max"] as const;
export type PlainPooling = (typeof plainPoolings)[number];

/**
 * `spans`: head, tail and whole text side by side. `marks`: the same of the text with its marks. `none`: each token's
 * own vector.
 */
export const headPoolings = [...plainPoolings, "spans", "marks", "none"] as const;
export type HeadPooling = (typeof headPoolings)[number];
