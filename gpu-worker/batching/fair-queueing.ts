/**
 * When each request's turns come, so that tenants share the machine however many requests each has open: start-time fair
 * queueing (Goyal, Vin, Cheng, 1996) with a quantum of tokens as its unit. A tenant's next request begins where the first
 * turn of its last one ends, and the further turns of a request stand as far apart as the tenant has requests open. A tenant
 * with nothing in hand begins at the turn that is served.
 */

/** A tenant by name; a symbol is one that has no other request. */
export type Tenant = string | symbol;

export type Turns = {
  /** Of the first quantum. */
  first: number;
  /** From one quantum to the next. */
  step: number;
};

type Account = { next: number; open: number };

export class TenantTurns {
  readonly #accounts = new Map<Tenant, Account>();
  #current = 0;

  /** The turn that is served. */
  get current(): number {
    return this.#current;
  }

  /** Something of this turn is served. */
  reach(turn: number): void {
    this.#current = Math.max(this.#current, turn);
  }

  /** @param quanta of the request, parts of one included */
  open(tenant: Tenant, quanta: number): Turns {
    const account = this.#accounts.get(tenant) ?? { next: 0, open: 0 };
    const first = Math.max(this.#current, account.next);
    account.next = first + Math.min(1, quanta);
    account.open += 1;
    this.#accounts.set(tenant, account);
    return { first, step: account.open };
  }

  /** The request has ended; a tenant without any is forgotten. */
  close(tenant: Tenant): void {
    const account = this.#accounts.get(tenant);
    if (account === undefined) return;
    account.open -= 1;
    if (account.open === 0) this.#accounts.delete(tenant);
  }
}
