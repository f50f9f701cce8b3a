/** Who is calling, and who is refused. */
import { describe, expect, it } from "vitest";
import { identifyCaller } from "../../../edge/accounts/identify-caller.ts";

const deployed = { operatorKey: "key-of-the-operator", localStack: false };
const local = { ...deployed, localStack: true };
const address = "203.0.113.9";

describe("a caller", () => {
  it.each([undefined, "Bearer anonymous", "bearer anonymous"])(
    "with %s is its address",
    (authorization) => {
      expect(identifyCaller({ authorization, address }, deployed)).toEqual({
        tenant: "ip:203.0.113.9",
        operator: false,
      });
    },
  );

  it("on a local stack is one with all others, whatever address it claims", () => {
    const one = identifyCaller({ authorization: undefined, address }, local);
    const other = identifyCaller({ authorization: undefined, address: "198.51.100.1" }, local);
    expect(one).toEqual(other);
  });

  it("with the operator key is the operator, anywhere", () => {
    const authorization = "Bearer key-of-the-operator";
    for (const settings of [deployed, local]) {
      expect(identifyCaller({ authorization, address }, settings)).toEqual({
        tenant: "operator",
        operator: true,
      });
    }
  });

  it.each([
    "Bearer something-else-19ch",
    "Bearer key-of-the-operatoR",
    "Bearer key-of-the-operator2",
    "Bearer ",
    "Bearer",
    "",
    "Basic YTpi",
    "key-of-the-operator",
  ])("with %j is refused, never anonymous", (authorization) => {
    expect(() => identifyCaller({ authorization, address }, deployed)).toThrow(
      expect.objectContaining({ code: "invalid_api_key" }),
    );
  });

  it("is nobody's operator where no key is set", () => {
    const settings = { operatorKey: "", localStack: false };
    expect(() => identifyCaller({ authorization: "Bearer ", address }, settings)).toThrow();
  });
});
