/** The SDK's client of CloudFormation against answers as its API documents them. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CloudFormation } from "@aws-sdk/client-cloudformation";
import { describe, expect, it, onTestFinished } from "vitest";
import { awsRefusal, hasStack } from "../../../infra/deploy/aws-clients.ts";

const stack =
  "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>llm-os</StackName>" +
  "<StackStatus>CREATE_COMPLETE</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";

const refusal = (code: string, message: string) =>
  `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;

async function answering(status: number, xml: string): Promise<{ cloudFormation: CloudFormation }> {
  const server = createServer((_, response) => {
    response.writeHead(status, { "content-type": "text/xml" }).end(xml);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const cloudFormation = new CloudFormation({
    endpoint: `http://127.0.0.1:${port}`,
    region: "eu-central-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
  return { cloudFormation };
}

describe("whether a stack is there", () => {
  it("is what CloudFormation says of its name", async () => {
    expect(await hasStack(await answering(200, stack), "llm-os")).toBe(true);
    const unknown = refusal("ValidationError", "Stack with id llm-os does not exist");
    expect(await hasStack(await answering(400, unknown), "llm-os")).toBe(false);
  });

  it("cannot be told where the call is refused, in words for the terminal", async () => {
    const denied = await answering(403, refusal("AccessDenied", "User x is not authorized"));
    const error: unknown = await hasStack(denied, "llm-os").catch((reason: unknown) => reason);
    expect(awsRefusal(error)).toBe("AWS refused: AccessDenied: User x is not authorized");
    expect(awsRefusal(new Error("another"))).toBeNull();
  });
});
