/** A sha256 in lower-case hex. */
import * as z from "zod";

export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
