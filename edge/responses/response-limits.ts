/** What is kept of the responses of one tenant. Units are in the names. */
const forAll = {
  /** From when it was made. */
  keptSeconds: 30 * 86_400,
  /** Of what a response repeats of its request: instructions, tools, metadata, the text's format. */
  echoBytesMax: 512 * 1024,
} as const;

/** Past either bound the oldest that are finished go. */
const ofKey = { ...forAll, responsesMax: 10_000, bytesMax: 500_000_000 } as const;
const ofAddress = { ...forAll, responsesMax: 200, bytesMax: 20_000_000 } as const;

export const responseLimits = { ofKey, ofAddress } as const;

/** @param tenant without a key: of an address, or of a local stack */
export function limitsOfTenant(tenant: string): typeof ofKey | typeof ofAddress {
  return tenant === "local" || tenant.startsWith("ip:") ? ofAddress : ofKey;
}
