/** What `env` of `cloudflare:workers` holds in tests: the bindings of wrangler.toml. */
import type { EdgeEnv } from "../../edge/context.ts";

type EdgeBindings = EdgeEnv["Bindings"];

declare global {
  namespace Cloudflare {
    interface Env extends EdgeBindings {}
  }

  /** Vite's, which the tests run under. */
  interface ImportMeta {
    glob(patterns: string[], options: { eager: true; import: "default" }): Record<string, unknown>;
  }
}
