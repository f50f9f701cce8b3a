/**
 * Start tags of each request's quanta, so that tenants share the machine however many requests each has open:
 * start-time fair queueing (Goyal, Vin, Cheng, 1996), whose packets are quanta of tokens and whose flows are tenants. A
 * tenant's next request starts where the first quantum of its last one ends, and the further quanta of a request are as
 * far apart as the tenant has requests open. A tenant with nothing open starts at the virtual time.
 */

/** A tenant by name; a symbol is one that has no other request. */
export type Tenant = string | symbol;

export type StartTags = {
  /** Of the first quantum. */
  first: number;
  /** From one quantum to the next. */
  step: number;
};

/** `finish`: the finish tag of the first quantum of the tenant's last request. */
type Flow = { finish: number; open: number };

export class FairQueueing {
  readonly #flows = new Map<Tenant, Flow>();
  /** The start tag of what is in service. */
  #virtualTime = 0;

  /** A quantum with this start tag comes into service. */
  advance(startTag: number): void {
    this.#virtualTime = Math.max(this.#virtualTime, startTag);
  }

  /** @param quanta of the request, parts of one included */
  open(tenant: Tenant, quanta: number): StartTags {
    const flow = this.#flows.get(tenant) ?? { finish: 0, open: 0 };
    const first = this.next(tenant);
    flow.finish = first + Math.min(1, quanta);
    flow.open += 1;
    this.#flows.set(tenant, flow);
    return { first, step: flow.open };
  }

  /** The start tag of what a tenant is served next, if it asks for more. */
  next(tenant: Tenant): number {
    return Math.max(this.#virtualTime, this.#flows.get(tenant)?.finish ?? 0);
  }

  /** So much of a tenant is in service that was opened as nothing, because only now it is known. */
  serve(tenant: Tenant, quanta: number): void {
    const flow = this.#flows.get(tenant);
    if (flow !== undefined) flow.finish = this.next(tenant) + quanta;
  }

  /** The request has ended; a tenant without any is forgotten. */
  close(tenant: Tenant): void {
    const flow = this.#flows.get(tenant);
    if (flow === undefined) return;
    flow.open -= 1;
    if (flow.open === 0) this.#flows.delete(tenant);
  }
}
