/**
 * How many tasks a service is made with. A template that names a number sets a running service to it at every deploy;
 * one that names none starts a new service with one task. So none is wanted at the first deploy, whose edge is still to
 * come, and later ones leave the number as the autoscaling has it.
 */
import { Aws, CfnCondition, CfnParameter, Fn } from "aws-cdk-lib";
import { type BaseService, CfnService } from "aws-cdk-lib/aws-ecs";
import { Construct } from "constructs";

export class FirstDeploy extends Construct {
  readonly #isFirst: CfnCondition;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const first = new CfnParameter(scope, "FirstDeploy", {
      type: "String",
      allowedValues: ["yes", "no"],
      default: "no",
      description: "Whether the fleet is made by this deploy, and waits for its edge",
    });
    this.#isFirst = new CfnCondition(this, "IsFirstDeploy", {
      expression: Fn.conditionEquals(first.valueAsString, "yes"),
    });
  }

  leaveNumber({ node }: BaseService): void {
    const count = Fn.conditionIf(this.#isFirst.logicalId, 0, Aws.NO_VALUE);
    const service = node.children.find((each) => each instanceof CfnService);
    service?.addPropertyOverride("DesiredCount", count);
  }
}
